"""Runs that others invoke: worked on as well, or replaced by an end that the test gives."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shells import Define
from workflows_app.errors import RunEnded
from workflows_app.testing import WorkflowTest

pytestmark = pytest.mark.django_db

URL = "https://other.example/pack"


async def dispatch(context: Any) -> Any:
    ends = [await context.invoke("pack", workflow=URL, body=item) for item in ("pot", "glass")]
    return [[end.body, end.is_failed, end.is_canceled] for end in ends]


def test_an_invocation_returns_what_the_test_says_and_starts_nothing(
    define: Define, flows: WorkflowTest
):
    flows.answer_invoke("pack", body={"box": 3})

    run = flows.start(define()(dispatch))

    assert run.result == [[{"box": 3}, False, False]] * 2
    assert flows.runs() == [run]
    run.assert_steps("pack", "pack#2")


def test_ends_are_given_in_their_order(define: Define, flows: WorkflowTest):
    flows.answer_invoke("pack", body="boxed")
    flows.fail_invoke("pack")

    assert flows.start(define()(dispatch)).result == [
        ["boxed", False, False],
        [None, True, False],
    ]


def test_one_of_several_may_be_meant_by_its_key(define: Define, flows: WorkflowTest):
    flows.answer_invoke("pack")
    flows.fail_invoke("pack#2", "canceled")

    assert flows.start(define()(dispatch)).result == [[None, False, False], [None, False, True]]


def test_others_are_worked_on_beside_them(define: Define, flows: WorkflowTest):
    @define("child")
    async def child(context: Any) -> str:
        await context.sleep("nap", "1h")
        return "real"

    @define("parent")
    async def parent(context: Any) -> Any:
        ends = await context.parallel(
            lambda: context.invoke("real", workflow=child),
            lambda: context.invoke("given", workflow=child),
        )
        return [end.body for end in ends]

    flows.answer_invoke("given", body="given")
    run = flows.start(parent)
    assert run.waits_for == ["real"]
    flows.advance("1h")

    assert run.result == ["real", "given"]
    assert len(flows.runs(child)) == 1


def test_over_http_they_are_given_as_well(define: Define, flows: WorkflowTest):
    flows.answer_invoke("pack", body=1)

    assert flows.start(define(transport="http")(dispatch)).result == [[1, False, False]] * 2


def test_a_process_may_die_after_them(define: Define, flows: WorkflowTest):
    flows.answer_invoke("pack", body=1)
    flows.crash_after("pack#2")

    assert flows.start(define()(dispatch)).result == [[1, False, False]] * 2


def test_a_run_of_another_service_that_nothing_answers_fails_the_test(
    define: Define, flows: WorkflowTest
):
    with pytest.raises(AssertionError) as raised:
        flows.start(define()(dispatch))

    assert str(raised.value) == (
        f"a run of {URL} was started, and nothing answers it here, as a test does not reach the "
        'network: say before what comes back, by answer_invoke("<step>", body=…)'
    )


def test_a_run_can_be_cancelled_and_who_invoked_it_hears_of_it(define: Define, flows: WorkflowTest):
    @define("child")
    async def child(context: Any) -> None:
        await context.sleep("nap", "1h")

    @define("parent")
    async def parent(context: Any) -> Any:
        return (await context.invoke("ask", workflow=child)).is_canceled

    run = flows.start(parent)
    asked = run.invoked("ask")
    flows.cancel(asked)

    assert asked.status == "canceled"
    assert run.result is True
    with pytest.raises(RunEnded):
        flows.cancel(asked)
