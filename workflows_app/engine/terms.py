"""What holds for a run from its start, because of its workflow's version and its account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from workflows_app.conf import get_settings
from workflows_app.engine import versions
from workflows_app.engine.flow_control import limit_of
from workflows_app.engine.recent import recently
from workflows_app.models import Account, Run, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Where a run says nothing itself."""

    version_id: int | None = None
    flow_control_id: int | None = None
    success_retention: timedelta | None = None
    error_retention: timedelta | None = None


def terms_of(account_id: int, workflow: str) -> Terms:
    """As they are or were up to `recent.LIFETIME` ago; of a remote run, `workflow` is empty."""
    if workflow:
        found = recently(("terms", account_id, workflow), partial(_read, account_id, workflow))
        if found is not None:
            return found
    return recently(("terms", account_id), partial(_read_account, account_id)) or Terms()


def step_limit_of(run: Run) -> int:
    """How many steps with functions it may have."""
    most = get_settings().MAX_STEPS
    if run.version_id is None:
        return most
    return recently(("steps", run.version_id), partial(_read_step_limit, run.version_id)) or most


def _read_step_limit(version_id: int) -> int:
    """0 for none."""
    limits = Version.objects.filter(pk=version_id).values_list("step_limit", flat=True)
    return limits.first() or 0


def _read(account_id: int, workflow: str) -> Terms | None:
    """None while somebody else makes the first version."""
    version = versions.in_force(account_id, workflow)
    if version is None:
        return None
    account = _read_account(account_id)
    return Terms(
        version_id=version.pk,
        flow_control_id=version.parallelism and limit_of(account_id, workflow),
        success_retention=first_known(version.success_retention, account.success_retention),
        error_retention=first_known(version.error_retention, account.error_retention),
    )


def _read_account(account_id: int) -> Terms:
    account = Account.objects.get(pk=account_id)
    return Terms(
        success_retention=account.success_retention, error_retention=account.error_retention
    )


def first_known(*retentions: timedelta | None) -> timedelta | None:
    return next((each for each in retentions if each is not None), None)
