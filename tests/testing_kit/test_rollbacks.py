"""The undoing of a step is a step, and is scripted like one."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from tests.shells import Define
from workflows_app import Undo
from workflows_app.conf import get_settings
from workflows_app.testing import WorkflowTest

pytestmark = pytest.mark.django_db


class Trip:
    """Books a flight, and undoes that when there is no hotel."""

    def __init__(self) -> None:
        self.refunded: list[Any] = []

    def refund(self, undo: Undo) -> None:
        self.refunded.append(undo.result)

    async def book(self, context: Any) -> None:
        undoable = context.options(rollback=self.refund)
        await undoable.run("flight", lambda: "flight-1")
        await context.run("hotel", lambda: "hotel-1")
        await context.sleep("a-day", "1d")


STEPS = ["flight", "hotel", "rollback", "undo flight"]


def test_a_step_that_is_made_to_fail_has_the_others_undone(define: Define, flows: WorkflowTest):
    trip = Trip()
    flows.fail_step("hotel")

    run = flows.start(define(retries=0)(trip.book))

    assert run.status == "failed"
    run.assert_steps(*STEPS)
    assert trip.refunded == ["flight-1"]


def test_undoing_can_be_mocked(define: Define, flows: WorkflowTest):
    trip, mock = Trip(), Mock(return_value=None)
    flows.fail_step("hotel")
    flows.mock_step("undo flight", calls=mock)

    flows.start(define(retries=0)(trip.book)).assert_step("undo flight")

    assert trip.refunded == []
    ((undo,), _) = mock.call_args
    assert undo == Undo(step="flight", key="flight", finished=True, result="flight-1", error=None)


def test_undoing_can_be_made_to_fail(define: Define, flows: WorkflowTest):
    flows.fail_step("hotel")
    flows.fail_step("undo flight", error=ConnectionError("no bank"))

    run = flows.start(define(retries=0)(Trip().book))

    run.assert_step("undo flight", error=ConnectionError)
    assert run.error is not None
    assert 'not undone: step "flight": ConnectionError: no bank' in run.error.message


@pytest.mark.parametrize(("verb", "times"), [("crash_after", 1), ("crash_before_storing", 2)])
def test_a_process_may_die_while_it_undoes(
    define: Define, flows: WorkflowTest, verb: str, times: int
):
    trip = Trip()
    begun = flows.now
    flows.fail_step("hotel")
    getattr(flows, verb)("undo flight")

    run = flows.start(define(retries=0)(trip.book))

    assert flows.now == begun + get_settings().LEASE
    assert trip.refunded == ["flight-1"] * times
    run.assert_steps(*STEPS)


def test_undoing_goes_on_after_each_replay(define: Define, flows: WorkflowTest):
    trip = Trip()
    flows.always_replay()
    flows.fail_step("hotel")

    run = flows.start(define(retries=0)(trip.book))

    assert run.status == "failed"
    run.assert_steps(*STEPS)
    assert trip.refunded == ["flight-1"]
