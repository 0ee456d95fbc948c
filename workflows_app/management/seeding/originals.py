"""The runs that have ended, one by one: what is copied."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Model

from workflows_app.engine.addresses import serve_url
from workflows_app.management.seeding.copying import Originals
from workflows_app.management.seeding.lines import (
    COMMON_LABELS,
    CUSTOMERS,
    LINES,
    SUBJECTS,
    Kind,
    Line,
    Trouble,
)
from workflows_app.models import (
    Account,
    Attempt,
    DeadLetter,
    FlowControl,
    Invocation,
    Run,
    RunLabel,
    Step,
    Version,
)
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.ids import new_run_id

SOURCES = (Run.Source.API, Run.Source.PYTHON, Run.Source.PYTHON, Run.Source.SCHEDULE)
FAILING, CANCELED, KEYED, RETRIED, INVOKED = 0.08, 0.02, 0.1, 0.1, 0.02
"""Shares of all runs."""
LASTED = timedelta(milliseconds=30)
"""What a failed attempt took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What runs refer to."""

    account: Account
    versions: Mapping[str, Sequence[Version]]
    flow_control: FlowControl


@dataclass(slots=True)
class Rows:
    """To be stored, in this order."""

    runs: list[Run] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    labels: list[RunLabel] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    invocations: list[Invocation] = field(default_factory=list)

    def store(self) -> None:
        for rows in (self.runs, self.steps, self.attempts, self.labels, self.letters):
            _store(rows)
        _store(self.invocations)


def _store(rows: Sequence[Model]) -> None:
    if rows:
        type(rows[0])._default_manager.bulk_create(rows)


def new_run(site: Site, pk: int, workflow: str, started: datetime, chance: random.Random) -> Run:
    """A live one."""
    run_id = new_run_id()
    versions = site.versions[workflow]
    keyed = chance.random() < KEYED
    return Run(
        pk=pk,
        account=site.account,
        run_id=run_id,
        live_id=run_id,
        workflow=workflow,
        version=chance.choice(versions) if versions else None,
        url=serve_url(workflow),
        payload=encode_json({"number": pk, "customer": chance.randrange(CUSTOMERS)}).encode(),
        labels=encode_json(_labels(chance)),
        retries=3,
        source=chance.choice(SOURCES),
        flow_control=site.flow_control if keyed else None,
        caller_ip="192.0.2.7",
        created_at=started,
    )


def end(run: Run, status: Run.Status, at: datetime, result: object = None) -> None:
    run.status, run.ended_at, run.live_id = status, at, None
    if status == Run.Status.SUCCEEDED:
        run.result = encode_json(result)


def label_rows(run: Run) -> list[RunLabel]:
    return [RunLabel(run_id=run.pk, name=name) for name in run.label_list]


def originals(site: Site, made: Originals, steps: int, since: datetime) -> Rows:
    """The runs to be copied, with so many steps on average."""
    chance, rows = random.Random(made.first), Rows()  # noqa: S311 - only varies what is seen
    weights = [line.weight for line in LINES]
    for place in range(made.count):
        line = chance.choices(LINES, weights)[0]
        started = since + made.apart * place / made.count
        run = new_run(site, made.first + place, line.workflow, started, chance)
        _live_through(run, line, chance.randint(1, max(1, 2 * steps - 1)), rows, chance)
        rows.runs.append(run)
        rows.labels += label_rows(run)
        if place and chance.random() < INVOKED:
            _invoked(run, rows)
    return rows


def _labels(chance: random.Random) -> list[str]:
    labels = [f"customer-{chance.randrange(CUSTOMERS)}"] if chance.random() < 0.5 else []
    if chance.random() < 0.4:
        labels.append(chance.choice(COMMON_LABELS))
    if chance.random() < 0.2:
        labels.append(f"{chance.choice(SUBJECTS)}/{chance.randint(1, 50)}")
    return labels


def _live_through(run: Run, line: Line, count: int, rows: Rows, chance: random.Random) -> None:
    now = run.created_at + timedelta(milliseconds=chance.randint(2, 400))
    fate = chance.random()
    trouble = chance.choice(line.troubles) if line.troubles and fate < FAILING else None
    for place in range(count):
        name, kind = line.steps[place % len(line.steps)]
        took = _length(kind, chance)
        key = numbered(name, place // len(line.steps))
        step = new_step(run, key, kind, now, now + took)
        if chance.random() < RETRIED / count:
            _retry(step, rows)
        rows.steps.append(step)
        now = step.ended_at + timedelta(milliseconds=chance.randint(1, 20))
    if trouble is not None:
        _fail(run, trouble, now, rows)
    elif fate > 1 - CANCELED:
        end(run, Run.Status.CANCELED, now)
    else:
        end(run, Run.Status.SUCCEEDED, now, {"steps": count})


def new_step(run: Run, key: str, kind: Step.Kind, started: datetime, ended: datetime) -> Step:
    """One that ended well."""
    name, _, branch = key.partition("#")[0].partition("@")
    return Step(
        run_id=run.pk,
        key=key,
        branch=branch,
        name=name,
        kind=kind,
        result=None if kind == Kind.SLEEP else encode_json({"done": name}),
        started_at=started,
        ended_at=ended,
    )


def numbered(name: str, earlier: int) -> str:
    """The key of a step of which there are so many earlier ones."""
    return f"{name}#{earlier + 1}" if earlier else name


def _length(kind: Step.Kind, chance: random.Random) -> timedelta:
    if kind in (Kind.SLEEP, Kind.WAIT):
        return timedelta(seconds=chance.randint(5, 600))
    return timedelta(milliseconds=chance.lognormvariate(4, 1))


def _retry(step: Step, rows: Rows) -> None:
    """Have it succeed at its third attempt."""
    for number in (1, 2):
        retry_at = step.started_at + timedelta(seconds=number)
        rows.attempts.append(
            failed_attempt(step.run_id, step.key, number, step.started_at, retry_at)
        )
        step.started_at = retry_at
    step.attempts = 3
    step.ended_at = step.started_at + LASTED


def failed_attempt(
    run_pk: int, key: str, number: int, started: datetime, retry_at: datetime | None
) -> Attempt:
    return Attempt(
        run_id=run_pk,
        key=key,
        number=number,
        error=error_of("ConnectionError", "connection reset by peer"),
        started_at=started,
        ended_at=started + LASTED,
        retry_at=retry_at,
    )


def error_of(error_type: str, message: str, **more: str) -> str:
    stack = (
        "Traceback (most recent call last):\n"
        f'  File "shop/steps.py", line 42, in step\n    raise {error_type}({message!r})\n'
        f"{error_type}: {message}\n"
    )
    return encode_json({"type": error_type, "message": message, "stack": stack, **more})


def _fail(run: Run, trouble: Trouble, at: datetime, rows: Rows) -> None:
    for number in range(1, run.retries + 2):
        retry_at = None if number > run.retries else at + timedelta(seconds=number)
        attempt = failed_attempt(run.pk, trouble.step, number, at, retry_at)
        attempt.error = error_of(trouble.error_type, trouble.message)
        rows.attempts.append(attempt)
        at = retry_at or attempt.ended_at
    end(run, Run.Status.FAILED, at)
    more = {"step": trouble.step, "key": trouble.step} if trouble.step else {}
    run.error = error_of(trouble.error_type, trouble.message, **more)
    rows.letters.append(
        DeadLetter(
            account=run.account,
            run_id=run.pk,
            workflow=run.workflow,
            error_type=trouble.error_type,
            step=trouble.step,
            created_at=at,
        )
    )


def _invoked(run: Run, rows: Rows) -> None:
    """By the run before it."""
    parent, key = rows.runs[-2], "invoke-next"
    run.source = Run.Source.RUN
    rows.invocations.append(
        Invocation(
            parent_id=parent.pk,
            child_id=run.pk,
            key=key,
            step=encode_json({"stepName": key, "branch": ""}),
            created_at=run.created_at,
        )
    )
