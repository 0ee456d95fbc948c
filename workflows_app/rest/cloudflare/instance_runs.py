"""Runs as instances of a workflow: which is meant by an id, and which version it has."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Case, Exists, OuterRef, QuerySet, When

from workflows_app.engine.definitions import version_in_force
from workflows_app.engine.run_moves import find_run
from workflows_app.models import Definition, Run, Version


def instances_of(definition: Definition) -> QuerySet[Run]:
    """All but those in whose place another one of the same id has gone on."""
    gone_on = Run.objects.filter(
        account=definition.account_id, origin=OuterRef("pk"), run_id=OuterRef("run_id")
    )
    # A look-up for each row. Of NOT EXISTS, PostgreSQL makes a join, which is one of all with all
    # while it has no statistics of the table.
    is_newest = Case(When(Exists(gone_on), then=False), default=True)
    return all_runs_of(definition).alias(is_newest=is_newest).filter(is_newest=True)


def all_runs_of(definition: Definition) -> QuerySet[Run]:
    return Run.objects.filter(account=definition.account_id, workflow=definition.name)


def find_instance(definition: Definition, instance_id: str) -> Run:
    """The newest run of this id. Raises RunNotFound."""
    return find_run(definition.account, instance_id, definition.name)


def version_ids(definition: Definition, runs: Collection[Run]) -> dict[int, str]:
    """By primary key. What was stored before there were versions counts to the one in force."""
    versions = Version.objects.in_bulk({run.version_id for run in runs if run.version_id})
    known = {
        run.pk: str(versions[run.version_id].public_id)
        for run in runs
        if run.version_id in versions
    }
    if len(known) == len(runs):
        return known
    in_force = str(version_in_force(definition).public_id)
    return {run.pk: known.get(run.pk, in_force) for run in runs}
