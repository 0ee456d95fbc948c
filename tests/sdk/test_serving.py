"""The serve endpoint without any framework: a request in, a response out, no database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.sdk.rehearsal import run_of
from tests.shells import Define
from workflows_app import get_workflow
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.runs import (
    Failed,
    Failures,
    Finished,
    History,
    RunInfo,
    StepKind,
    StepRecord,
    Suspended,
)
from workflows_app.protocol.signing import sign
from workflows_app.protocol.wire import ANSWER_CONTENT_TYPE, TurnAnswer, decode_answer, encode_turn
from workflows_app.sdk.serving import Host, ServeRequest, ServeResponse, serve

NOW = datetime(2030, 1, 2, 12, tzinfo=UTC)
URL = "https://app.example/serve/story"
CURRENT, UPCOMING, OTHER = ("sig_" + letter * 28 for letter in "abc")
NOTHING_YET = History()


def keys_of(run_id: str) -> list[str]:
    return [CURRENT, UPCOMING] if run_id == "wfr_1" else []


HOST = Host(
    webhook_url=lambda run_id, event_id: f"https://app.example/hooks/{run_id}/{event_id}",
    url=URL,
    keys_of=keys_of,
    now=lambda: NOW,
    max_body_bytes=10_000,
    max_result_bytes=1_000,
)


def request_for(
    run: RunInfo, history: History = NOTHING_YET, key: str = CURRENT, **changes: Any
) -> ServeRequest:
    """A proper delivery, but for what is given."""
    body = encode_turn(run, history)
    headers = {
        "upstash-signature": sign(body, url=URL, key=key, now=NOW),
        "upstash-workflow-runid": run.run_id,
    }
    proper = ServeRequest(method="POST", workflow="story", headers=headers, body=body)
    return replace(proper, **changes)


def answer_in(response: ServeResponse) -> TurnAnswer:
    assert (response.status, dict(response.headers)) == (
        200,
        {"Content-Type": ANSWER_CONTENT_TYPE},
    )
    return decode_answer(response.body)


def refusal_in(response: ServeResponse) -> tuple[int, str]:
    assert response.headers["Content-Type"] == "application/json"
    body = decode_json(response.body)
    assert list(body) == ["error"]
    return response.status, body["error"]


@pytest.fixture
def run(define: Define) -> RunInfo:
    """A run of a story with two steps."""

    @define()
    async def story(context: Any) -> int:
        one = await context.run("one", lambda: 1)
        two = await context.run("two", lambda: 2)
        return int(one + two)

    return run_of(story)


def recorded(key: str, result: str) -> StepRecord:
    return StepRecord(
        key=key,
        name=key,
        kind=StepKind.RUN,
        branch="",
        input=None,
        result=result,
        error=None,
        attempts=1,
        started_at=NOW,
        ended_at=NOW,
    )


def test_a_delivery_executes_the_next_step_and_asks_for_another(run: RunInfo):
    did = answer_in(serve(request_for(run), HOST))

    assert [(step.key, step.result) for step in did.steps] == [("one", "1")]
    assert did.outcome == Suspended(wake_at=NOW)


def test_what_was_recorded_is_not_executed_again(run: RunInfo):
    history = History(steps=(recorded("one", "40"),))

    did = answer_in(serve(request_for(run, history), HOST))

    assert [step.key for step in did.steps] == ["two"]
    assert did.outcome == Finished(result="42")


def test_the_branches_of_a_parallel_step_are_executed_by_one_delivery(define: Define):
    @define()
    async def story(context: Any) -> None:
        branches = (partial(context.run, f"branch-{n}", int, n) for n in range(3))
        await context.parallel(*branches)
        await context.run("after", lambda: None)

    did = answer_in(serve(request_for(run_of(get_workflow("story"))), HOST))

    assert sorted(step.key for step in did.steps) == ["branch-0@1", "branch-1@2", "branch-2@3"]
    assert did.outcome == Suspended(wake_at=NOW)


def test_a_failed_attempt_is_part_of_the_answer(define: Define):
    @define()
    async def story(context: Any) -> None:
        def fail() -> None:
            raise ConnectionError("closed")

        await context.run("fail", fail)

    run = run_of(get_workflow("story"), retries=1, retry_delay="5000")
    later = NOW + timedelta(seconds=5)

    did = answer_in(serve(request_for(run), HOST))

    (attempt,) = did.attempts
    assert (attempt.key, attempt.number, attempt.retry_at) == ("fail", 1, later)
    assert (did.steps, did.outcome) == ((), Suspended(wake_at=later))


def test_the_last_failed_attempt_fails_the_run(define: Define):
    @define()
    async def story(context: Any) -> None:
        def fail() -> None:
            raise ConnectionError("closed")

        await context.run("fail", fail)

    run = run_of(get_workflow("story"), retries=1)
    history = History(failures={"fail": Failures(count=1, retry_at=NOW)})

    did = answer_in(serve(request_for(run, history), HOST))

    (step,) = did.steps
    assert (step.key, step.attempts, step.error is not None) == ("fail", 2, True)
    assert isinstance(did.outcome, Failed)
    assert decode_json(did.outcome.error)["step"] == "fail"


def test_calls_are_asked_of_the_server(define: Define):
    @define()
    async def story(context: Any) -> None:
        await context.call("ask", url="https://api.example/x")

    did = answer_in(serve(request_for(run_of(get_workflow("story"))), HOST))

    assert isinstance(did.outcome, Suspended)
    assert [call.url for call in did.outcome.calls] == ["https://api.example/x"]


def test_an_atomic_step_is_misuse_here(define: Define):
    executed: list[str] = []

    @define()
    async def story(context: Any) -> None:
        await context.atomic("write", lambda: executed.append("write"))

    did = answer_in(serve(request_for(run_of(get_workflow("story"))), HOST))

    assert isinstance(did.outcome, Failed)
    error = decode_json(did.outcome.error)
    assert (error["type"], error["message"]) == (
        "StepMisuse",
        "context.atomic needs the local transport: only there do the step and its result share a "
        'transaction. Use context.run, or @workflow(..., transport="local")',
    )
    assert (did.steps, did.attempts, executed) == ((), (), [])


def test_code_that_no_longer_fits_fails_the_run(run: RunInfo):
    history = History(steps=(recorded("another", "1"),))

    did = answer_in(serve(request_for(run, history), HOST))

    assert isinstance(did.outcome, Failed)
    assert decode_json(did.outcome.error)["type"] == "IncompatibleHistory"


def test_the_next_key_is_accepted_as_well(run: RunInfo):
    assert serve(request_for(run, key=UPCOMING), HOST).status == 200


# -- refusals


def test_only_post_is_served(run: RunInfo):
    response = serve(request_for(run, method="PUT"), HOST)

    assert refusal_in(response) == (
        405,
        "PUT is not served here; a workflow takes signed POST requests",
    )
    assert response.headers["Allow"] == "POST"


def test_an_unknown_workflow_is_not_served(run: RunInfo):
    assert refusal_in(serve(request_for(run, workflow="other"), HOST)) == (
        404,
        'no workflow "other" is served here; check the URL',
    )


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(run: RunInfo):
    small = replace(HOST, max_body_bytes=10)

    assert refusal_in(serve(request_for(run), small)) == (
        413,
        "the delivery is larger than the 10 bytes that this server accepts",
    )


def test_keys_are_not_looked_up_for_the_unsigned(run: RunInfo):
    asked: list[str] = []

    def remember(run_id: str) -> list[str]:
        asked.append(run_id)
        return [CURRENT]

    unsigned = request_for(run, headers={"upstash-workflow-runid": "wfr_1"})

    assert refusal_in(serve(unsigned, replace(HOST, keys_of=remember))) == (
        401,
        "The signature is missing; send it as the header Upstash-Signature.",
    )
    assert asked == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda request: replace(request, body=request.body + b" "),
            "The signature is for another body; the body must reach the check unchanged.",
        ),
        (
            lambda request: replace(
                request, headers={**request.headers, "upstash-workflow-runid": "wfr_2"}
            ),
            "The signature was made with none of the signing keys of this server; compare the "
            "current and the next key.",
        ),
    ],
    ids=["another body", "another run"],
)
def test_what_was_changed_on_its_way_is_refused(
    run: RunInfo, change: Callable[[ServeRequest], ServeRequest], sentence: str
):
    assert refusal_in(serve(change(request_for(run)), HOST)) == (401, sentence)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"url": "https://app.example/serve/other"},
            "The signature is for another URL; the one that is signed must be the one at which "
            "the request arrives.",
        ),
        (
            {"now": lambda: NOW + timedelta(minutes=6)},
            "The signature has expired; every attempt must be signed anew.",
        ),
        (
            {"keys_of": lambda run_id: [OTHER]},
            "The signature was made with none of the signing keys of this server; compare the "
            "current and the next key.",
        ),
    ],
    ids=["another URL", "later", "other keys"],
)
def test_what_is_not_signed_for_this_place_and_time_is_refused(
    run: RunInfo, change: dict[str, Any], sentence: str
):
    assert refusal_in(serve(request_for(run), replace(HOST, **change))) == (401, sentence)


def test_the_header_and_the_signed_body_must_name_the_same_run(run: RunInfo):
    everyone = replace(HOST, keys_of=lambda run_id: [CURRENT])
    request = request_for(run)
    headers = {**request.headers, "upstash-workflow-runid": "wfr_2"}

    assert refusal_in(serve(replace(request, headers=headers), everyone)) == (
        401,
        "The signature is for another run than Upstash-Workflow-RunId says.",
    )


def test_a_signed_body_that_is_no_delivery_is_refused(run: RunInfo):
    body = b'{"hello": 1}'
    headers = {
        "upstash-signature": sign(body, url=URL, key=CURRENT, now=NOW),
        "upstash-workflow-runid": "wfr_1",
    }

    status, sentence = refusal_in(serve(request_for(run, body=body, headers=headers), HOST))

    assert (status, sentence) == (400, "the body is not a delivery of a turn: KeyError('run')")
