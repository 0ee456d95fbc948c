"""The requests of `context.call`, sent by the server while their run waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from tests.engine.reading import attempts_of, error_of, loaded, only_run, owed_to, result_of
from tests.engine.world import World, answer
from tests.shells import Define
from workflows_app.engine import delivery, leases, run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.models import Attempt, Message, Run, Step
from workflows_app.protocol.exchange import Answer, Outgoing, SendFailed

pytestmark = pytest.mark.django_db

URL = "https://rates.example/latest"


def asks(define: Define, **request: Any) -> Any:
    """A workflow that makes this call and returns the status and body of its answer."""

    @define()
    async def story(context: Any) -> Any:
        response = await context.call("ask", url=URL, **request)
        return [response.status, response.body]

    return story


def test_a_call_is_sent_by_the_server_and_its_answer_is_a_step(
    define: Define, world: World, clock: Clock
) -> None:
    world.answers(answer(200, b'{"EUR":1}', Content_Type="application/json"))

    asks(
        define, method="post", body={"base": "EUR"}, headers={"X-Key": "k"}, timeout="30s"
    ).trigger()
    drain_here()

    assert world.sent == [
        Outgoing(
            method="POST",
            url=URL,
            headers={"Content-Type": "application/json", "X-Key": "k"},
            body=b'{"base":"EUR"}',
            timeout=timedelta(seconds=30),
        )
    ]
    assert result_of(only_run()) == [200, {"EUR": 1}]
    step = Step.objects.get()
    assert (step.key, step.kind, step.attempts, step.error) == ("ask", "call", 1, None)
    assert (step.started_at, step.ended_at) == (clock.now, clock.now)
    assert loaded(step.input) == {
        "url": URL,
        "method": "POST",
        "headers": {"Content-Type": "application/json", "X-Key": "k"},
        "body": '{"base":"EUR"}',
    }
    assert loaded(step.result) == {
        "status": 200,
        "header": {"Content-Type": ["application/json"]},
        "body": '{"EUR":1}',
    }


def test_a_call_without_a_body_shows_none(define: Define, world: World) -> None:
    world.answers(204)

    asks(define).trigger()
    drain_here()

    assert world.sent[0].body is None
    assert loaded(Step.objects.get().input) == {"url": URL, "method": "GET", "headers": {}}
    assert result_of(only_run()) == [204, ""]


@pytest.mark.parametrize(
    ("body", "sent"),
    [({"a": 1}, b'{"a":1}'), ("größe", "größe".encode()), (b"\xff\x00", b"\xff\x00")],
    ids=["JSON", "text", "bytes"],
)
def test_bodies_arrive_as_they_were(body: Any, sent: bytes, define: Define, world: World) -> None:
    world.answers(200)

    asks(define, method="PUT", body=body).trigger()
    drain_here()

    assert world.sent[0].body == sent


def test_an_answer_that_is_not_text_is_read_one_character_per_byte(
    define: Define, world: World
) -> None:
    world.answers(answer(200, b"\xff\x00"))

    asks(define).trigger()
    drain_here()

    assert result_of(only_run()) == [200, "\xff\x00"]


def test_a_call_that_says_nothing_may_take_as_long_as_the_settings_allow(
    define: Define, world: World, settings: Settings
) -> None:
    settings.WORKFLOWS = {"HTTP_TIMEOUT": "7s"}
    world.answers(200)

    asks(define).trigger(timeout="1h")
    drain_here()

    assert world.sent[0].timeout == timedelta(seconds=7)


def test_a_run_that_waits_for_an_answer_holds_no_worker(
    define: Define, world: World, clock: Clock
) -> None:
    asks(define).trigger()
    drain_here(limit=1)

    assert owed_to(only_run()) == [("turn", "", None), ("call", "ask", clock.now)]
    assert not Message.objects.exclude(token=None).exists()


# -- what an answer means


@pytest.mark.parametrize("status", [301, 400, 404, 489, 500, 503])
def test_an_answer_of_any_status_is_a_result(status: int, define: Define, world: World) -> None:
    world.answers(answer(status, b"sorry"))

    asks(define).trigger()
    drain_here()

    assert result_of(only_run()) == [status, "sorry"]
    assert not Attempt.objects.exists()


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (SendFailed("timeout", "rates.example did not answer in full within 30s."), 504),
        (SendFailed("unreachable", "rates.example: there is no such host."), 502),
        (SendFailed("forbidden", "rates.example has no public address."), 502),
    ],
    ids=["timeout", "unreachable", "forbidden"],
)
def test_no_answer_is_an_answer_too(
    failure: SendFailed, status: int, define: Define, world: World
) -> None:
    world.answers(failure)

    asks(define).trigger()
    drain_here()

    assert result_of(only_run()) == [status, failure.message]
    assert loaded(Step.objects.get().result)["header"] == {}


def test_a_call_with_retries_is_sent_again_until_it_succeeds(
    define: Define, world: World, clock: Clock
) -> None:
    world.answers(answer(503, b"busy"), SendFailed("timeout", "too late"), answer(200, b"at last"))

    asks(define, retries=3, retry_delay="1000 * (retried + 1)").trigger()
    drain_here()
    first = clock.now + timedelta(seconds=1)
    assert owed_to(only_run()) == [("turn", "", None), ("call", "ask", first)]
    clock.stop_at(first)
    drain_here()
    second = clock.now + timedelta(seconds=2)
    assert owed_to(only_run()) == [("turn", "", None), ("call", "ask", second)]
    clock.stop_at(second)
    drain_here()

    assert result_of(only_run()) == [200, "at last"]
    assert attempts_of(only_run()) == [
        ("ask", 1, f"GET {URL} answered 503", first),
        ("ask", 2, f"GET {URL} answered 504", second),
    ]
    assert Step.objects.get().attempts == 3


def test_a_failed_attempt_keeps_what_was_answered(
    define: Define, world: World, clock: Clock
) -> None:
    world.answers(answer(503, b"busy", Server="nginx"))

    asks(define, retries=1).trigger()
    drain_here()

    assert Attempt.objects.get().error_info == {
        "type": "HttpError",
        "message": f"GET {URL} answered 503",
        "stack": "",
        "status": 503,
        "headers": {"Server": ["nginx"]},
        "body": "busy",
    }


def test_the_last_answer_is_the_result_once_the_retries_are_used_up(
    define: Define, world: World, clock: Clock
) -> None:
    world.answers(answer(503, b"busy"), answer(500, b"broken"))

    asks(define, retries=1, retry_delay="1000").trigger()
    drain_here()
    clock.advance("1s")
    drain_here()

    assert result_of(only_run()) == [500, "broken"]
    assert [attempt[1] for attempt in attempts_of(only_run())] == [1]


def test_an_answer_may_say_when_to_ask_again(define: Define, world: World, clock: Clock) -> None:
    world.answers(answer(429, Retry_After="90"), 200)

    asks(define, retries=1, retry_delay="1000").trigger()
    drain_here()

    assert owed_to(only_run())[1] == ("call", "ask", clock.now + timedelta(seconds=90))


@pytest.mark.parametrize(
    "final",
    [answer(489, b"no"), answer(500, b"no", Upstash_Nonretryable_Error="true")],
    ids=["489", "header"],
)
def test_an_answer_may_say_that_asking_again_is_in_vain(
    final: Answer, define: Define, world: World
) -> None:
    world.answers(final)

    asks(define, retries=5).trigger()
    drain_here()

    assert result_of(only_run()) == [final.status, "no"]


# -- several calls


def test_parallel_calls_are_owed_together_and_answered_in_any_order(
    define: Define, world: World, clock: Clock
) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def ask(number: int) -> Any:
            answered = await context.call("ask", url=f"{URL}/{number}")
            return await context.run("note", lambda: f"{number}: {answered.status}")

        return await context.parallel(*(lambda n=n: ask(n) for n in range(1, 4)))

    story.trigger()
    drain_here(limit=1)
    assert sorted(key for kind, key, _ in owed_to(only_run()) if kind == "call") == [
        "ask@1",
        "ask@2",
        "ask@3",
    ]
    Message.objects.filter(key="ask@1").update(due_at=clock.now + timedelta(hours=1))
    world.answers(201, 202, 203)
    drain_here()
    assert only_run().status == Run.Status.RUNNING
    clock.advance("1h")
    drain_here()

    first, second, third = result_of(only_run())
    assert {first, second, third} == {"1: 203", second, third}
    assert sorted([second[-3:], third[-3:]]) == ["201", "202"]
    assert len(world.sent) == 3


def test_a_call_that_is_under_way_is_not_owed_again(
    define: Define, world: World, clock: Clock
) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def nap() -> None:
            await context.sleep("nap", "1m")

        async def ask() -> Any:
            return (await context.call("ask", url=URL, retries=1)).status

        return (await context.parallel(nap, ask))[1]

    story.trigger()
    world.answers(500)
    drain_here()
    clock.advance("1m")
    (turn,) = [lease for lease in leases.claim(9) if lease.kind == "turn"]
    delivery.deliver(turn)

    assert Message.objects.filter(kind="call").count() == 1
    world.answers(200)
    Message.objects.update(due_at=clock.now, token=None)
    drain_here()
    assert result_of(only_run()) == 200
    assert len(world.sent) == 2


def test_a_call_that_was_answered_meanwhile_is_not_owed_again(
    define: Define, world: World, clock: Clock
) -> None:
    """Its turn was at work when the answer came, and asks for it once more."""

    @define()
    async def story(context: Any) -> Any:
        async def nap() -> None:
            await context.sleep("nap", "1m")
            await context.run("meanwhile", lambda: delivery.deliver(call) if call else None)

        async def ask() -> Any:
            return (await context.call("ask", url=URL)).status

        return (await context.parallel(ask, nap))[0]

    call = None
    story.trigger()
    drain_here(limit=1)
    clock.advance("1m")
    world.answers(200)
    found = {lease.kind: lease for lease in leases.claim(2)}
    call = found["call"]
    Message.objects.filter(kind="turn").update(due_at=clock.now)
    drain_here()

    assert result_of(only_run()) == 200
    assert len(world.sent) == 1
    assert owed_to(only_run()) == []


# -- calls of runs that have ended, and leases that are lost


def test_a_call_of_a_run_that_is_cancelled_is_dropped(define: Define, world: World) -> None:
    asks(define, retries=5).trigger()
    drain_here(limit=1)
    run_moves.cancel(only_run())

    assert drain_here() == 0
    assert world.sent == []


def test_the_answer_to_a_call_of_a_run_that_was_cancelled_meanwhile_is_dropped(
    define: Define, world: World
) -> None:
    asks(define).trigger()
    drain_here(limit=1)
    (call,) = leases.claim(1)
    run_moves.cancel(only_run())
    world.answers(200)
    delivery.deliver(call)

    assert only_run().status == Run.Status.CANCELED
    assert not Step.objects.exists()
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("status", [200, 500], ids=["answered", "to be retried"])
def test_an_answer_under_a_lease_that_was_lost_is_dropped(
    status: int, define: Define, world: World, clock: Clock
) -> None:
    asks(define, retries=1).trigger()
    drain_here(limit=1)
    (slow,) = leases.claim(1)
    clock.advance("15s")
    (other,) = leases.claim(1)
    before = list(Message.objects.order_by("pk").values("token", "due_at"))
    world.answers(status)
    delivery.deliver(slow)

    assert list(Message.objects.order_by("pk").values("token", "due_at")) == before
    assert not Step.objects.exists()
    assert [(each.key, each.outcome) for each in Attempt.objects.all()] == [("ask", "superseded")]
    world.answers(201)
    delivery.deliver(other)
    drain_here()
    assert result_of(only_run()) == [201, ""]


def test_a_superseded_attempt_at_a_call_uses_up_no_retry(
    define: Define, world: World, clock: Clock
) -> None:
    asks(define, retries=1, retry_delay="1000").trigger()
    drain_here(limit=1)
    (slow,) = leases.claim(1)
    clock.advance("15s")
    world.answers(500, 500, 200)
    (other,) = leases.claim(1)
    delivery.deliver(slow)
    delivery.deliver(other)
    clock.advance("1s")
    drain_here()

    assert result_of(only_run()) == [200, ""]


def test_a_run_may_be_failed_by_what_an_answer_says(define: Define, world: World) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        answered = await context.call("ask", url=URL)
        if answered.status != 200:
            raise RuntimeError(f"the rates service answered {answered.status}")

    world.answers(500)
    story.trigger()
    drain_here()

    assert error_of(only_run()) == ("RuntimeError", "the rates service answered 500")
