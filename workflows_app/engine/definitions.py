"""Definitions: the workflows registered here, as an account sees and sets them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, TypedDict, Unpack

from django.db.models import QuerySet

from workflows_app.conf import get_settings
from workflows_app.engine import clock, recent, schedules, versions
from workflows_app.engine.database import joining
from workflows_app.engine.flow_control import limit_workflow
from workflows_app.engine.ports import get_catalogue
from workflows_app.engine.retention import check_retention
from workflows_app.engine.terminating import is_terminating, terminate
from workflows_app.errors import LimitExceeded, UnknownWorkflow
from workflows_app.models import Account, Definition, Version
from workflows_app.models.flow_control import NO_LIMIT

__all__ = [
    "Retention",
    "VersionOptions",
    "definitions_of",
    "delete",
    "find_definition",
    "is_terminating",
    "set_retention",
    "terminate",
    "update",
    "version_in_force",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionOptions:
    """What is set for the runs of a workflow from a version on; what is None is not limited by it,
    or kept as long as the account says.
    """

    step_limit: int | None = None
    parallelism: int | None = None
    success_retention: timedelta | None = None
    error_retention: timedelta | None = None
    crons: tuple[str, ...] = ()
    """When a run is to start by itself, at the times of each expression."""

    def check(self, account: Account) -> None:
        """Raises InvalidInput."""
        _check_limit("the steps of a run", self.step_limit, get_settings().MAX_STEP_LIMIT)
        _check_limit("the runs at work at once", self.parallelism, account.parallelism or NO_LIMIT)
        check_retention(self.success_retention)
        check_retention(self.error_retention)

    @property
    def settings(self) -> dict[str, Any]:
        """As columns of a version."""
        return {name: value for name, value in asdict(self).items() if name != "crons"}


class Retention(TypedDict, total=False):
    """How long runs that have ended are kept; None as the settings say."""

    success_retention: timedelta | None
    error_retention: timedelta | None


def find_definition(account: Account, name: str) -> Definition:
    """Raises UnknownWorkflow, also for one that is hidden."""
    version = versions.in_force(account.pk, name) or versions.awaited(account.pk, name)
    if version is None or version.definition.deleted_at is not None:
        raise UnknownWorkflow(f'no workflow "{name[:100]}" is listed in this account')
    return version.definition


def definitions_of(account: Account) -> QuerySet[Definition]:
    """All that are not hidden, whether or not their code is still registered here."""
    versions.refresh(account.pk)
    return Definition.objects.of(account).shown()


def version_in_force(definition: Definition) -> Version:
    """The newest."""
    return definition.versions.latest("pk")


def update(account: Account, name: str, options: VersionOptions) -> Version:
    """Make a version with these options; a hidden workflow is listed again.

    Raises UnknownWorkflow when none of that name is registered here, and InvalidInput.
    """
    options.check(account)
    crons = schedules.check_crons(options.crons)
    code = get_catalogue().code_of(name)
    if code is None:
        known = ", ".join(sorted(get_catalogue().names())) or "none"
        raise UnknownWorkflow(
            f'no workflow "{name[:100]}" is registered here (registered: {known})'
        )
    with joining():
        versions.lock(account.pk, name)
        version = versions.make(account.pk, name, code, options.settings)
        Definition.objects.filter(pk=version.definition_id).update(deleted_at=None)
        version.definition.deleted_at = None
        limit_workflow(account.pk, name, version.parallelism)
        schedules.set_for(version.definition, crons)
        recent.forget()
    return version


def delete(definition: Definition) -> None:
    """Hide it until it is updated, remove its schedules, and cancel its live runs, soon. Others can
    be started by Python code and by triggers as ever, as long as its code is registered.
    """
    now = clock.now()
    with joining():
        versions.lock(definition.account_id, definition.name)
        shown = Definition.objects.shown().filter(pk=definition.pk)
        shown.update(deleted_at=now, modified_at=now)
        schedules.set_for(definition, ())
        terminate(definition)
        recent.forget()


def set_retention(account: Account, **changes: Unpack[Retention]) -> None:
    """How long runs of the account are kept of which neither they nor their workflows say it. Of
    those that are accepted from now on; what is left out stays. Raises InvalidInput.
    """
    check_retention(changes.get("success_retention"))
    check_retention(changes.get("error_retention"))
    if not changes:
        return
    with joining():
        Account.objects.filter(pk=account.pk).update(**changes)
        recent.forget()


def _check_limit(what: str, limit: int | None, most: int) -> None:
    if limit is not None and not 1 <= limit <= most:
        raise LimitExceeded(f"{what} can be limited to 1 to {most}, not to {limit}")
