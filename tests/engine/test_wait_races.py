"""What happens at the same time to a local run that waits, with real commits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.engine.reading import loaded
from tests.engine.test_races import at_once
from workflows_app import Context, notify, workflow
from workflows_app.engine import leases, run_moves
from workflows_app.engine.delivery import deliver
from workflows_app.engine.drain import drain_here
from workflows_app.errors import RunEnded
from workflows_app.models import Event, Message, Run, Step, Waiter

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 12


@workflow("races-wait")
def waits(context: Context) -> Any:
    approval = context.wait_for_event("approval", "approved", timeout=context.request_payload)
    return [approval.event_data, approval.timeout]


@workflow("races-notify")
def notifies(context: Context) -> int:
    run_id, times = context.request_payload
    sent = [context.notify("tell", "told", index, run_id) for index in range(times)]
    return len([one for each in sent for one in each.notify_response])


@workflow("races-abandon")
def abandons(context: Context) -> None:
    context.run("only", int)


def suspended(timeout: str) -> Run:
    """A run that waits, its turn given up."""
    run_id = waits.trigger(timeout).workflow_run_id
    (lease,) = leases.claim(1)
    deliver(lease)
    return Run.objects.get(run_id=run_id)


def cancel(run: Run) -> bool:
    try:
        run_moves.cancel(run)
    except RunEnded:
        return False
    return True


def assert_nothing_left() -> None:
    assert not Waiter.objects.exists()
    assert not Event.objects.exists()
    assert not Message.objects.exists()


def test_of_event_deadline_and_cancelling_one_resolves_a_wait() -> None:
    for _ in range(ROUNDS):
        run = suspended("0s")
        (timeout,) = leases.claim(1)

        _, told, canceled = at_once(
            partial[Any](deliver, timeout),
            partial[Any](notify, "approved", "yes"),
            partial[Any](cancel, run),
        )
        drain_here()

        run.refresh_from_db()
        assert canceled is (run.status == Run.Status.CANCELED)
        steps = [loaded(step.result) for step in Step.objects.filter(run=run)]
        if told:
            assert steps == [{"timeout": False, "data": '"yes"'}]
        else:
            assert steps in ([], [{"timeout": True}])
        assert canceled or loaded(run.result) == (["yes", False] if told else [None, True])
        assert_nothing_left()


def test_an_event_for_a_run_that_begins_to_wait_is_not_lost() -> None:
    for _ in range(ROUNDS):
        run_id = waits.trigger("1h").workflow_run_id
        (turn,) = leases.claim(1)

        at_once(partial[Any](deliver, turn), partial[Any](notify, "approved", "yes", run_id))
        drain_here()

        assert loaded(Run.objects.get(run_id=run_id).result) == ["yes", False]
        assert_nothing_left()


def test_several_events_at_once_each_end_one_wait() -> None:
    run = suspended("1h")

    told = at_once(*[partial(notify, "approved", 1, run.run_id)] * 4)

    assert sorted(each[0].step or "" for each in told if each) == ["", "", "", "approval"]
    assert Event.objects.count() == 3
    drain_here()
    assert_nothing_left()


def test_an_event_that_is_sent_while_its_run_ends_is_not_left_behind() -> None:
    for _ in range(ROUNDS):
        run_id = abandons.trigger().workflow_run_id
        (turn,) = leases.claim(1)
        send: Callable[[], Any] = partial(notify, "never", 1, run_id)

        at_once(partial[Any](deliver, turn), send, send)

        assert Run.objects.get(run_id=run_id).status == Run.Status.SUCCEEDED
        assert_nothing_left()


def test_runs_that_notify_each_other_at_once_do_not_wait_for_each_other() -> None:
    for number in range(ROUNDS):
        ids = [f"one-{number}", f"other-{number}"]
        for own, other in (ids, reversed(ids)):
            notifies.trigger([other, 3], workflow_run_id=own)

        for _ in range(4):
            if due := leases.claim(2):
                at_once(*(partial(deliver, lease) for lease in due))
        drain_here()

        assert not Run.objects.live().exists()
        assert not Run.objects.exclude(status=Run.Status.SUCCEEDED).exists()
        assert_nothing_left()
