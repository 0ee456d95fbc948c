"""Versions of workflows: each is a source at a time, and what was set for the runs of it.

A row for a workflow, and a version for a changed source, are made when somebody first needs them:
often in the transaction of whoever triggers a run. That one waits for nobody here. So an advisory
lock that is taken, or not, comes before such rows; who finds it taken makes do with what there is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Max

from workflows_app.conf import get_settings
from workflows_app.engine import clock, recent
from workflows_app.engine.database import fetch_sql, is_postgresql, joining
from workflows_app.engine.ports import Code, get_catalogue
from workflows_app.models import Definition, Version

_LOCKS = 0x776F726B
"""Names our advisory locks among those of others."""
_TRY = "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))"
_WAIT = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"

_LOCK_PAUSES = (0, 0.01)
"""Seconds before each try; most transactions that make a version end in less."""

_SETTINGS = ("step_limit", "parallelism", "success_retention", "error_retention")
"""Columns that another source takes over."""

_seen: set[tuple[UUID, Code]] = set()
"""What this process has seen in some version. So where processes of two sources run side by side,
each of them makes a version once, and not by turns.
"""


def in_force(account_id: int, name: str) -> Version | None:
    """The newest version, with its definition, made now if need be. None when no workflow of that
    name is registered, or while somebody else makes the first one.
    """
    version = _newest(account_id, name)
    code = get_catalogue().code_of(name)
    if code is None or (version is not None and _knows(version, code)):
        return version
    return _make_for_code(account_id, name, code) or version


def awaited(account_id: int, name: str) -> Version | None:
    """As `in_force`, once nobody else is at it: for who asks whether it exists."""
    if get_catalogue().code_of(name) is None:
        return None
    with joining():
        lock(account_id, name)
        return in_force(account_id, name)


def in_force_of(definitions: Iterable[Definition]) -> dict[int, Version]:
    """The newest version of each, by the primary key of its definition."""
    of_these = Version.objects.filter(definition__in=[each.pk for each in definitions])
    newest = of_these.order_by().values("definition").annotate(newest=Max("pk")).values("newest")
    return {each.definition_id: each for each in Version.objects.filter(pk__in=newest)}


def refresh(account_id: int) -> None:
    """Make what is missing of all that is registered here, or wait for who makes it."""
    definitions = {each.name: each for each in Definition.objects.filter(account=account_id)}
    versions = in_force_of(definitions.values())
    for name in sorted(get_catalogue().names()):
        definition = definitions.get(name)
        version = None if definition is None else versions.get(definition.pk)
        code = get_catalogue().code_of(name)
        if definition is not None and version is not None:
            version.definition = definition
        if code is None or (version is not None and _knows(version, code)):
            continue
        if _make_for_code(account_id, name, code) is None and version is None:
            awaited(account_id, name)


def lock(account_id: int, name: str) -> None:
    """Until the transaction ends, nobody else makes versions of this workflow."""
    if is_postgresql():
        fetch_sql(_WAIT, [_LOCKS, f"{account_id}/{name}"])


def _try_lock(account_id: int, name: str) -> bool:
    if not is_postgresql():
        return True
    for pause in _LOCK_PAUSES:
        time.sleep(pause)
        ((locked,),) = fetch_sql(_TRY, [_LOCKS, f"{account_id}/{name}"])
        if locked:
            return True
    return False


def _newest(account_id: int, name: str) -> Version | None:
    versions = Version.objects.filter(definition__account=account_id, definition__name=name)
    return versions.select_related("definition").order_by("-pk").first()


def _knows(version: Version, code: Code) -> bool:
    """Whether it need not be made anew for the sake of this code."""
    known = version.definition.public_id, code
    if known in _seen:
        return True
    if code != code_of(version):
        return False
    if recent.is_committed():
        _seen.add(known)
    return True


def code_of(version: Version) -> Code:
    return Code(
        class_name=version.class_name, script_name=version.script_name, digest=version.digest
    )


def _make_for_code(account_id: int, name: str, code: Code) -> Version | None:
    """With the settings of the one before. None while somebody else is at it."""
    with joining():
        if not _try_lock(account_id, name):
            return None
        before = _newest(account_id, name)
        if before is not None and _knows(before, code):
            return before
        settings = {} if before is None else {each: getattr(before, each) for each in _SETTINGS}
        return make(account_id, name, code, settings)


def make(account_id: int, name: str, code: Code, settings: Mapping[str, Any]) -> Version:
    """A version of this code with these settings. Under the lock of the workflow."""
    now = clock.now()
    definition, is_new = Definition.objects.get_or_create(
        account_id=account_id, name=name, defaults={"created_at": now, "modified_at": now}
    )
    if not is_new:
        definition.modified_at = now
        definition.save(update_fields=["modified_at"])
    return Version.objects.create(
        definition=definition,
        class_name=code.class_name,
        script_name=code.script_name,
        digest=code.digest,
        source=code.source if get_settings().KEEP_SOURCE else "",
        graph=get_catalogue().graph_of(name),
        created_at=now,
        **settings,
    )
