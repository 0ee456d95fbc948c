"""Starting runs that are named within their workflow, many at once: each id is used once, and is
free again when the run that has it is deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError

from workflows_app.engine import clock
from workflows_app.engine.database import joining
from workflows_app.engine.inserting import insert_many
from workflows_app.engine.triggering import begin, check, label, new_runs
from workflows_app.models import Account, Run
from workflows_app.protocol.runs import RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """The new runs, in the order in which they were asked for, and the ids that none was made for.

    `existing` are those of other runs of the workflow, ended ones included; `repeated` those that
    were asked for before in the same call, once for each time.
    """

    runs: list[Run]
    existing: list[str]
    repeated: list[str]


def create(account: Account, requests: Sequence[RunRequest]) -> Created:
    """Start a run for each new id. The requests are `named_within` one workflow, and have ids.

    Joins the caller's transaction. Raises InvalidInput for what cannot be run; then nothing is.
    """
    wanted: dict[str, RunRequest] = {}
    repeated = []
    for request in requests:
        check(request)
        run_id = request.run_id or ""
        if wanted.setdefault(run_id, request) is not request:
            repeated.append(run_id)
    with joining():
        runs = _store(account, list(wanted.values()))
        begin([(run, wanted[run.run_id]) for run in runs], clock.now())
    new = {run.run_id for run in runs}
    existing = [run_id for run_id in wanted if run_id not in new]
    return Created(runs=runs, existing=existing, repeated=repeated)


def _store(account: Account, requests: Sequence[RunRequest]) -> list[Run]:
    """Those whose ids are free."""
    while True:
        runs = new_runs(account, requests, clock.now())
        taken = _taken(runs)
        runs = [run for run in runs if run.run_id not in taken]
        try:
            _insert(runs)
        except IntegrityError:
            continue
        return runs


def _insert(runs: list[Run]) -> None:
    """Raises IntegrityError when another caller was first to use one of the ids."""
    # In one order, so that callers that race cannot deadlock.
    ordered = sorted(runs, key=lambda run: run.run_id)
    with joining():
        insert_many(ordered)
        if _taken(runs):
            raise IntegrityError("such a run came, and ended, since its id was looked for")
        label(runs)


def _taken(runs: Sequence[Run]) -> set[str]:
    """The ids of which their workflow has other runs."""
    if not runs:
        return set()
    found = Run.objects.filter(
        account=runs[0].account_id,
        workflow=runs[0].workflow,
        run_id__in=[run.run_id for run in runs],
    )
    others = found.exclude(pk__in=[run.pk for run in runs if run.pk])
    return set(others.values_list("run_id", flat=True))
