"""`context.call`: the request that a run leaves to the server, by both shells alike."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import assert_failed, finished
from workflows_app import CallResponse
from workflows_app.protocol.runs import CallRequest, Suspended

URL = "https://rates.example/latest"


def request(**changes: Any) -> CallRequest:
    usual: dict[str, Any] = {
        "key": "ask",
        "name": "ask",
        "branch": "",
        "url": URL,
        "method": "GET",
        "headers": {},
        "body": None,
        "retries": 0,
        "retry_delay": "",
        "timeout": None,
    }
    return CallRequest(**{**usual, **changes})


def answer(body: str = "", status: int = 200, **header: list[str]) -> dict[str, Any]:
    return {"status": status, "header": header, "body": body}


def test_a_call_suspends_the_run_and_is_left_to_the_server(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.call("ask", url=URL)

    rehearsal = rehearse(story)

    assert rehearsal.turn() == Suspended(calls=(request(),))
    assert rehearsal.journal.steps == []


def test_a_call_is_asked_for_again_until_it_is_answered(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.call("ask", url=URL)

    rehearsal = rehearse(story)

    assert [rehearsal.turn(), rehearsal.turn()] == [Suspended(calls=(request(),))] * 2


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        ({"base": "EUR"}, b'{"base":"EUR"}', "application/json"),
        ([], b"[]", "application/json"),
        (0, b"0", "application/json"),
        ("größe", "größe".encode(), "text/plain; charset=utf-8"),
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
    ],
    ids=["object", "list", "number", "text", "bytes"],
)
def test_a_body_is_sent_as_what_it_is(
    body: Any, sent: bytes, content_type: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.call("ask", url=URL, method="post", body=body, headers={"X-Key": "1"})

    assert rehearse(story).turn() == Suspended(
        calls=(
            request(method="POST", body=sent, headers={"Content-Type": content_type, "X-Key": "1"}),
        )
    )


def test_a_content_type_of_one_s_own_stands(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.call("ask", url=URL, body="<a/>", headers={"content-type": "text/xml"})

    assert rehearse(story).turn() == Suspended(
        calls=(request(body=b"<a/>", headers={"content-type": "text/xml"}),)
    )


def test_a_body_that_json_cannot_hold_fails_the_run_at_once(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.call("ask", url=URL, body={"ids": {1}})

    assert_failed(
        rehearse(story, retries=3).turn(),
        "NotSerializable",
        'the body of step "ask" cannot be stored: ids is a set, which JSON cannot hold; convert '
        "it first",
    )


def test_a_call_carries_a_policy_of_its_own(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.call("ask", url=URL, retries=2, retry_delay="1000", timeout="30s")

    rehearsal = rehearse(story, retries=9, retry_delay="5", timeout=timedelta(hours=1))

    assert rehearsal.turn() == Suspended(
        calls=(request(retries=2, retry_delay="1000", timeout=timedelta(seconds=30)),)
    )


def test_a_call_is_not_retried_unless_it_says_so(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.options(retries=5, timeout="1m").call("ask", url=URL)

    rehearsal = rehearse(story, retries=9, retry_delay="5", timeout=timedelta(hours=1))

    assert rehearsal.turn() == Suspended(
        calls=(request(retry_delay="5", timeout=timedelta(minutes=1)),)
    )


@pytest.mark.parametrize(
    ("option", "error", "sentence"),
    [
        (
            {"retries": -1},
            "InvalidInput",
            "retries is -1; it must be 0 (one attempt only) or more.",
        ),
        (
            {"timeout": "soon"},
            "InvalidDuration",
            "'soon' is not a duration: write numbers with the units s, m, h, d, w, mo or y, such "
            'as "30s", "1h30m" or "1d", or a number of seconds.',
        ),
    ],
    ids=["retries", "timeout"],
)
def test_a_policy_that_cannot_be_used_fails_the_run_at_once(
    option: dict[str, Any], error: str, sentence: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.call("ask", url=URL, **option)

    assert_failed(rehearse(story, retries=3).turn(), error, sentence)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"url": None}, 'the url of step "ask" must be a text, not None'),
        (
            {"headers": {"X-Count": 1}},
            'the headers of step "ask" cannot be sent: the header X-Count must be a text, not 1',
        ),
        (
            {"headers": {"X Count": "1"}},
            "the headers of step \"ask\" cannot be sent: 'X Count' is not the name of a header",
        ),
    ],
    ids=["url", "header", "name of a header"],
)
def test_a_request_that_cannot_be_sent_fails_the_run_at_once(
    request_: dict[str, Any], sentence: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.call("ask", **{"url": URL, **request_})

    assert_failed(rehearse(story, retries=3).turn(), "InvalidInput", sentence)


@pytest.mark.parametrize("status", [200, 204, 302, 404, 500, 502, 504])
def test_an_answer_of_any_status_is_a_result(status: int, rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        answer: CallResponse = await context.call("ask", url=URL)
        return answer.status

    rehearsal = rehearse(story)
    rehearsal.respond = lambda call: answer(status=status)

    assert rehearsal.play() == finished(status)
    assert rehearsal.turn() == finished(status)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('{"EUR": 1}', {"EUR": 1}),
        ("[1]", [1]),
        ("null", None),
        ("plain", "plain"),
        ("{broken", "{broken"),
        ("", ""),
        ("\xff\x00", "\xff\x00"),
    ],
    ids=["object", "list", "null", "text", "broken JSON", "nothing", "bytes"],
)
def test_the_body_of_an_answer_is_what_its_json_says_or_else_text(
    text: str, seen: Any, rehearse: Rehearse
) -> None:
    saw = []

    async def story(context: Any) -> Any:
        saw.append(await context.call("ask", url=URL))

    rehearsal = rehearse(story)
    rehearsal.respond = lambda call: answer(text, 201, **{"Content-Type": ["a", "b"]})
    rehearsal.play()

    assert saw == [CallResponse(status=201, header={"Content-Type": ["a", "b"]}, body=seen)]


def test_calls_in_a_row_are_sent_one_after_the_other(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        first = await context.call("first", url=URL)
        second = await context.call("second", url=URL, body=first.body)
        return second.body

    rehearsal = rehearse(story)
    rehearsal.respond = lambda call: answer(f"{call.name} {(call.body or b'-').decode()}")

    assert rehearsal.play() == finished("second first -")
    assert rehearsal.turns == 3


def test_parallel_calls_are_sent_together(rehearse: Rehearse, clock: Clock) -> None:
    async def story(context: Any) -> Any:
        async def ask(number: int) -> Any:
            return (await context.call("ask", url=f"{URL}/{number}")).body

        return await context.parallel(lambda: ask(1), lambda: ask(2), lambda: ask(3))

    rehearsal = rehearse(story)
    outcome = rehearsal.turn()

    assert isinstance(outcome, Suspended)
    assert sorted(outcome.calls, key=lambda call: call.branch) == [
        request(key=f"ask@{number}", branch=f"{number}", url=f"{URL}/{number}")
        for number in (1, 2, 3)
    ]
    rehearsal.respond = lambda call: answer(call.url[-1])
    assert rehearsal.play() == finished([1, 2, 3])


def test_a_run_may_wait_for_a_call_and_a_moment_at_once(rehearse: Rehearse, clock: Clock) -> None:
    async def story(context: Any) -> Any:
        async def ask() -> Any:
            return (await context.call("ask", url=URL)).status

        async def nap() -> Any:
            await context.sleep("nap", "1h")
            return "rested"

        return await context.parallel(ask, nap)

    rehearsal = rehearse(story)
    in_an_hour = clock.now + timedelta(hours=1)
    asks = request(key="ask@1", branch="1")

    assert rehearsal.turn() == Suspended(calls=(asks,), wake_at=in_an_hour)
    rehearsal.answer(asks, answer())
    assert rehearsal.turn() == Suspended(wake_at=in_an_hour)
    clock.stop_at(in_an_hour)
    assert rehearsal.turn() == finished([200, "rested"])


def test_one_parallel_call_may_be_answered_before_the_other(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def ask(number: int) -> Any:
            status = (await context.call("ask", url=URL)).status
            return await context.run("note", lambda: f"{number} answered {status}")

        return await context.parallel(lambda: ask(1), lambda: ask(2))

    rehearsal = rehearse(story)
    first, second = (request(key=f"ask@{number}", branch=f"{number}") for number in (1, 2))
    rehearsal.turn()
    rehearsal.answer(second, answer(status=404))

    assert rehearsal.turn() == Suspended(calls=(first,))
    assert rehearsal.recorded["note@2"] == "2 answered 404"
    rehearsal.answer(first, answer())
    assert rehearsal.turn() == finished(["1 answered 200", "2 answered 404"])
