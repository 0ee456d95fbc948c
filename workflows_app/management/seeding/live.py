"""The newest runs: those that have not ended, and two that show all that a page may have to."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from workflows_app.engine.leases import new_token
from workflows_app.management.seeding.lines import LINES, Kind
from workflows_app.management.seeding.originals import (
    Rows,
    Site,
    end,
    failed_attempt,
    label_rows,
    new_run,
    new_step,
    numbered,
)
from workflows_app.models import Event, FlowControl, Invocation, Message, Run, RunLabel, Waiter
from workflows_app.protocol.codec import encode_json

LONG = 1_000
"""Steps of the longest run."""
SECOND = timedelta(seconds=1)


def make_live(site: Site, first: int, count: int, now: datetime, paused_key: FlowControl) -> None:
    """So many live runs, of each state some. Of those that are due, no worker takes one: the flow
    control of all is paused.
    """
    chance = random.Random(first)  # noqa: S311 - only varies what is seen
    runs, messages, waiters, events = list[Run](), list[Message](), list[Waiter](), list[Event]()
    labels, steps = list[RunLabel](), Rows().steps
    for place in range(count):
        started = now - timedelta(hours=2) * (count - place) / count
        run = new_run(site, first + place, chance.choice(LINES).workflow, started, chance)
        step = new_step(run, "prepare", Kind.RUN, started, started + SECOND)
        turn = Message(
            account=site.account, run_id=run.pk, kind=Message.Kind.TURN, created_at=started
        )
        match place % 5:
            case 0:
                ends = now + timedelta(minutes=30 + place % 600)
                steps.append(new_step(run, "cool-down", Kind.SLEEP, step.ended_at, ends))
                turn.due_at = ends
            case 1:
                waiters.append(_waiter(site, run, now))
            case 2:
                run.flow_control = turn.flow_control = paused_key
                turn.due_at = started
            case 3:
                turn.due_at, turn.token, turn.claims = now + timedelta(hours=1), new_token(), 1
                turn.at_step, turn.at_step_since = "take-payment", now - 5 * SECOND
            case _:
                run.paused_at = now - timedelta(minutes=5)
                turn.parked_for = timedelta(minutes=10)
                events.append(Event(run_id=run.pk, event_id="approval", data=b"{}", created_at=now))
        runs.append(run)
        steps.append(step)
        messages.append(turn)
        labels += label_rows(run)
    Rows(runs=runs, steps=steps, labels=labels).store()
    Waiter.objects.bulk_create(waiters)
    Event.objects.bulk_create(events)
    Message.objects.bulk_create(messages)


def _waiter(site: Site, run: Run, now: datetime) -> Waiter:
    return Waiter(
        account=site.account,
        run_id=run.pk,
        key="approval",
        event_id=f"approved-{run.pk}",
        step=encode_json({"stepName": "approval", "branch": ""}),
        deadline=now + timedelta(days=2),
        created_at=now,
    )


def make_long(site: Site, pk: int, now: datetime) -> None:
    """A run of a thousand steps."""
    chance, moment = random.Random(pk), now - timedelta(minutes=20)  # noqa: S311
    run = new_run(site, pk, "nightly-import", moment, chance)
    run.run_id = f"seed-{LONG}-steps"
    rows = Rows(runs=[run])
    for place in range(LONG):
        name = "fetch-page" if place < LONG * 4 // 5 else "store-page"
        earlier = place if name == "fetch-page" else place - LONG * 4 // 5
        ended = moment + timedelta(milliseconds=chance.randint(100, 1_500))
        rows.steps.append(new_step(run, numbered(name, earlier), Kind.RUN, moment, ended))
        moment = ended
    end(run, Run.Status.SUCCEEDED, moment, {"pages": LONG})
    rows.store()


def make_varied(site: Site, pk: int, now: datetime) -> None:
    """A run with retries, parallel branches, sleeps, a wait, and a child, which is the next one."""
    chance, moment = random.Random(pk), now - timedelta(minutes=15)  # noqa: S311
    run = new_run(site, pk, "order-fulfillment", moment, chance)
    child = new_run(site, pk + 1, "process-image", moment + 300 * SECOND, chance)
    run.run_id, child.run_id, child.source = "seed-everything", "seed-child", Run.Source.RUN
    rows = Rows(runs=[run, child])

    def add(key: str, kind: Kind, lasts: timedelta) -> None:
        nonlocal moment
        rows.steps.append(new_step(run, key, kind, moment, moment + lasts))
        moment += lasts

    for number, name in enumerate(("create-order", "check-stock", "take-payment")):
        add(name, Kind.ATOMIC, (number + 1) * SECOND)
    paid = rows.steps[-1]
    for number in (1, 2, 3):
        tried, retry_at = moment, moment + 2**number * SECOND
        rows.attempts.append(failed_attempt(run.pk, paid.key, number, tried, retry_at))
        moment = retry_at
    paid.attempts, paid.started_at, paid.ended_at = 4, moment, moment + SECOND
    moment = paid.ended_at
    add("settle", Kind.SLEEP, 120 * SECOND)
    opened, latest = moment, moment
    for branch in range(1, 5):
        moment = opened
        for place in range(4):
            key = numbered(f"pack@1.{branch}", place)
            add(key, Kind.RUN, chance.randint(2, 20) * SECOND)
        add(f"weigh@1.{branch}", Kind.CALL, 3 * SECOND)
        latest = max(latest, moment)
    moment = latest
    add("picked-up", Kind.WAIT, 90 * SECOND)
    _live_as_child(rows, run, child, moment)
    add("invoke-image", Kind.INVOKE, 60 * SECOND)
    add("rest", Kind.SLEEP, 30 * SECOND)
    for earlier in range(2):
        add(numbered("mail", earlier), Kind.RUN, SECOND)
    end(run, Run.Status.SUCCEEDED, moment, {"status": "shipped"})
    rows.labels += [*label_rows(run), *label_rows(child)]
    rows.store()


def _live_as_child(rows: Rows, run: Run, child: Run, moment: datetime) -> None:
    child.created_at = moment + SECOND / 10
    for place, name in enumerate(("get-image", "resize", "store-image")):
        started = moment + (1 + 15 * place) * SECOND
        rows.steps.append(new_step(child, name, Kind.RUN, started, started + 14 * SECOND))
    end(child, Run.Status.SUCCEEDED, moment + 58 * SECOND, {"size": 1024})
    rows.invocations.append(
        Invocation(
            parent_id=run.pk,
            child_id=child.pk,
            key="invoke-image",
            step=encode_json({"stepName": "invoke-image", "branch": ""}),
            created_at=child.created_at,
        )
    )
