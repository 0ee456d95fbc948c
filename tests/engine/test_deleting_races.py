"""Runs that are deleted while others do something with them, over real sessions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from tests.engine.test_races import at_once
from workflows_app import Context, workflow
from workflows_app.engine import pausing, run_moves
from workflows_app.engine.deleting import delete
from workflows_app.engine.drain import drain_here
from workflows_app.engine.events import notify_run
from workflows_app.engine.restarting import restart
from workflows_app.errors import NotFound, Refused
from workflows_app.models import Event, Message, Run, Step, Waiter

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 5


@workflow("deleted-meanwhile")
def waits(context: Context) -> None:
    context.run("first", int)
    context.wait_for_event("payment", "paid")


def wait_for_payment() -> Run:
    waits.trigger()
    drain_here()
    return Run.objects.latest("pk")


def ended() -> Run:
    run = wait_for_payment()
    run_moves.cancel(run)
    run.refresh_from_db()
    return run


def drain(_: Run) -> None:
    drain_here()


def pay(run: Run) -> None:
    notify_run(run, "paid", b"1")


@pytest.mark.parametrize(
    ("begin", "meanwhile"),
    [
        (wait_for_payment, delete),
        (wait_for_payment, pay),
        (wait_for_payment, run_moves.cancel),
        (wait_for_payment, pausing.pause),
        (wait_for_payment, restart),
        (ended, delete),
        (ended, restart),
    ],
)
def test_whoever_is_first_nothing_is_left_behind_or_half_done(
    begin: Callable[[], Run], meanwhile: Callable[[Run], object]
) -> None:
    def tolerant(run: Run) -> None:
        with suppress(NotFound, Refused):
            meanwhile(run)

    for _ in range(ROUNDS):
        run = begin()

        at_once(partial(delete, run), partial(tolerant, run), partial(drain, run))

        left = [rows.objects.count() for rows in (Run, Step, Message, Waiter, Event)]
        assert left == [0] * 5, meanwhile
