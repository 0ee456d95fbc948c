"""`context.invoke`: the run that a step leaves to the server to start, by both shells alike."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import assert_failed, finished
from workflows_app import InvokeResponse, Workflow, WorkflowsError, get_workflow, workflow
from workflows_app.engine.addresses import serve_url
from workflows_app.protocol.runs import InvocationRequest, RunRequest, Suspended
from workflows_app.sdk.replay import Extent


@pytest.fixture
def pack(registry: dict[str, Workflow]) -> Workflow:
    return workflow("pack", retries=7)(lambda context: None)


def invocation(key: str = "pack", branch: str = "", **changes: Any) -> InvocationRequest:
    usual: dict[str, Any] = {"url": serve_url("pack"), "workflow": "pack", "retries": 7}
    run = RunRequest(**{**usual, **changes})
    return InvocationRequest(key=key, name=key.partition("@")[0], branch=branch, run=run)


async def invokes(context: Any) -> Any:
    packed = await context.invoke("pack", workflow="pack")
    assert isinstance(packed, InvokeResponse)
    return [packed.body, packed.is_failed, packed.is_canceled]


def test_an_invocation_suspends_the_run_and_is_left_to_the_server(
    rehearse: Rehearse, pack: Workflow
) -> None:
    rehearsal = rehearse(invokes)

    assert [rehearsal.turn(), rehearsal.turn()] == [Suspended(invocations=(invocation(),))] * 2
    assert rehearsal.journal.steps == []


@pytest.mark.parametrize(
    ("outcome", "returned"),
    [
        ({"body": '{"box":3}'}, [{"box": 3}, False, False]),
        ({"body": "null"}, [None, False, False]),
        ({"body": "no JSON"}, ["no JSON", False, False]),
        ({}, [None, False, False]),
        ({"isFailed": True}, [None, True, False]),
        ({"isCanceled": True}, [None, False, True]),
    ],
    ids=["JSON", "null", "text", "nothing", "failed", "canceled"],
)
def test_the_end_of_the_other_run_is_what_the_step_returns(
    outcome: dict[str, Any], returned: Any, rehearse: Rehearse, pack: Workflow
) -> None:
    rehearsal = rehearse(invokes)
    rehearsal.turn()
    rehearsal.end("pack", **outcome)

    assert rehearsal.turn() == finished(returned)


@pytest.mark.parametrize(
    ("body", "stored", "content_type"),
    [
        (None, b"", "application/json"),
        ({"id": 7}, b'{"id":7}', "application/json"),
        ("größe", '"größe"'.encode(), "application/json"),
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
    ],
    ids=["nothing", "object", "text", "bytes"],
)
def test_a_body_is_the_payload_of_the_other_run(
    body: Any, stored: bytes, content_type: str, rehearse: Rehearse, pack: Workflow
) -> None:
    async def story(context: Any) -> Any:
        await context.invoke("pack", workflow=pack, body=body)

    asked = invocation(body=stored, content_type=content_type)
    assert rehearse(story).turn() == Suspended(invocations=(asked,))


def test_the_workflow_says_what_the_step_does_not(rehearse: Rehearse, pack: Workflow) -> None:
    async def story(context: Any) -> Any:
        own = context.options(retries=9, retry_delay="9")
        await own.invoke(
            "pack",
            workflow=get_workflow("pack"),
            headers={"X-Tenant": "north"},
            workflow_run_id="pack-7",
            labels=["vip", "fast"],
            retry_delay="1000",
        )

    asked = invocation(
        headers={"X-Tenant": "north"},
        run_id="pack-7",
        labels=("vip", "fast"),
        retry_delay="1000",
    )
    assert rehearse(story).turn() == Suspended(invocations=(asked,))


def test_the_workflow_of_another_service_is_told_of_failures_at_its_own_url(
    rehearse: Rehearse,
) -> None:
    url = "https://packing.example/pack"

    async def story(context: Any) -> Any:
        await context.invoke("pack", workflow=url, headers={"X-Key": "k"}, retries=2)

    outcome = rehearse(story).turn()

    assert isinstance(outcome, Suspended)
    run = outcome.invocations[0].run
    assert (run.url, run.workflow, run.endpoint_check) == (url, "", "api")
    assert (run.failure_url, run.failure_options.headers) == (url, {"X-Key": "k"})


def test_parallel_branches_invoke_side_by_side(rehearse: Rehearse, pack: Workflow) -> None:
    async def story(context: Any) -> Any:
        return await context.parallel(lambda: invokes(context), lambda: invokes(context))

    rehearsal = rehearse(story)
    outcome = rehearsal.turn()

    assert isinstance(outcome, Suspended)
    assert sorted(outcome.invocations, key=lambda each: each.key) == [
        invocation("pack@1", "1"),
        invocation("pack@2", "2"),
    ]
    rehearsal.end("pack@2", "pack", "2", body="2")
    assert rehearsal.turn() == Suspended(invocations=(invocation("pack@1", "1"),))
    rehearsal.end("pack@1", "pack", "1", body="1")
    assert rehearsal.turn() == finished([[1, False, False], [2, False, False]])


def test_a_served_delivery_executes_its_step_and_then_invokes(
    rehearse: Rehearse, pack: Workflow
) -> None:
    async def story(context: Any) -> Any:
        await context.run("first", int, 1)
        return await invokes(context)

    rehearsal = rehearse(story)

    assert rehearsal.turn(Extent.ONE_BATCH) == Suspended(invocations=(invocation(),))
    assert list(rehearsal.recorded) == ["first"]


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        (
            {"workflow": "pack", "body": {"ids": {1}}},
            "NotSerializable",
            'the body of step "pack" cannot be stored: ids is a set, which JSON cannot hold; '
            "convert it first",
        ),
        (
            {"workflow": "pack", "workflow_run_id": "wfr_1"},
            "InvalidInput",
            'step "pack" would have run wfr_1 wait for its own end',
        ),
        (
            {"workflow": "pack", "retries": -1},
            "LimitExceeded",
            "retries must be 0 to 1000, not -1",
        ),
        (
            {"workflow": "ftp://packing.example"},
            "InvalidUrl",
            "'ftp://packing.example' is not a URL to send requests to; it must be absolute and "
            "begin with http:// or https://.",
        ),
    ],
    ids=["body", "itself", "retries", "URL"],
)
def test_what_cannot_be_invoked_fails_the_run_at_once(
    options: dict[str, Any], error: str, sentence: str, rehearse: Rehearse, pack: Workflow
) -> None:
    async def story(context: Any) -> Any:
        await context.invoke("pack", **options)

    assert_failed(rehearse(story, retries=3).turn(), error, sentence)


def test_a_workflow_that_nobody_registered_is_named(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        try:
            await context.invoke("pack", workflow="crate")
        except WorkflowsError as error:
            return str(error).partition(" (")[0]

    assert rehearse(story).turn() == finished('no workflow "crate" is registered here')


def test_a_step_does_not_invoke(rehearse: Rehearse, pack: Workflow) -> None:
    async def story(context: Any) -> Any:
        async def work() -> Any:
            await context.invoke("inner", workflow=pack)

        await context.run("outer", lambda: next_of(work()))

    def next_of(coroutine: Any) -> Any:
        coroutine.send(None)

    assert_failed(
        rehearse(story, retries=3).turn(),
        "StepError",
        'step "outer" failed after 1 attempt: StepMisuse: step "inner" was called inside step '
        '"outer" of run wfr_1. Steps are called by the workflow function itself: return a value '
        "from the outer step and call the inner one after it.",
    )
