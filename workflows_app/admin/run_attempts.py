"""What went wrong on a run's way: failed attempts by step, and steps without a result yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from django.db.models import Exists, OuterRef
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows_app.admin.displays import ago, clock_time, run_link, span
from workflows_app.admin.remote_activity import open_invocations
from workflows_app.admin.values import ErrorShown, show_error
from workflows_app.engine import clock
from workflows_app.engine.failures import KEY as FAILURE_KEY
from workflows_app.models import Attempt, Message, Run, Step, Waiter
from workflows_app.protocol.hiding import hidden_error
from workflows_app.protocol.redaction import Redactor, redactor_of
from workflows_app.sdk.replay import FUNCTION

MOST_ATTEMPTS = 200
"""How many failed attempts a page shows, the newest; each may carry a long traceback."""
MOST_UNFINISHED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    id: str
    number: int
    superseded: bool
    started: str
    took: str
    retry: str
    """When it is, or was, tried again; empty after the last attempt."""
    error: ErrorShown | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A step that has been begun and has no result yet."""

    key: str
    state: str
    failed: list[AttemptRow]
    child: SafeString | None = None
    """A link to the run that it waits for."""

    @property
    def of(self) -> str:
        """What the ids of its parts on the page begin with."""
        return f"begun-{quote(self.key, safe='')}"


def read_attempts(run: Run, keys: list[str]) -> dict[str, list[AttemptRow]]:
    """The newest failed attempts of these steps, oldest first."""
    if not keys:
        return {}
    attempts = Attempt.objects.filter(run=run)
    if len(keys) <= MOST_ATTEMPTS:
        attempts = attempts.filter(key__in=keys)
    found: dict[str, list[AttemptRow]] = defaultdict(list)
    redactor = redactor_of(run.redaction)
    for attempt in reversed(attempts.order_by("-id")[:MOST_ATTEMPTS]):
        found[attempt.key].append(_attempt_row(attempt, redactor))
    return found


def _attempt_row(attempt: Attempt, redactor: Redactor) -> AttemptRow:
    return AttemptRow(
        id=str(attempt.pk),
        number=attempt.number,
        superseded=attempt.outcome == Attempt.Outcome.SUPERSEDED,
        started=clock_time(attempt.started_at),
        took=span(attempt.ended_at - attempt.started_at),
        retry=_retry(attempt.retry_at),
        error=show_error(hidden_error(attempt.error, redactor)),
    )


def _retry(retry_at: datetime | None) -> str:
    if retry_at is None:
        return ""
    if retry_at > clock.now():
        return _("next attempt %(distance)s, at %(time)s") % {
            "distance": ago(retry_at),
            "time": clock_time(retry_at),
        }
    return _("retry due at %(time)s") % {"time": clock_time(retry_at)}


def read_unfinished(run: Run) -> list[Unfinished]:
    """Steps that failed and wait for their next attempt, or never got it; calls under way; events
    that are waited for; and runs that were invoked and whose end is not known here.
    """
    recorded = Step.objects.filter(run=run, key=OuterRef("key"))
    steps = Attempt.objects.filter(run=run).exclude(key__in=(FUNCTION, FAILURE_KEY))
    tried = steps.exclude(Exists(recorded)).values_list("key", flat=True).distinct()
    calls = Message.objects.filter(run=run, kind=Message.Kind.CALL)
    under_way = set(calls.values_list("key", flat=True)[:MOST_UNFINISHED])
    keys = sorted(under_way | set(tried[:MOST_UNFINISHED]))
    attempts = read_attempts(run, keys)
    worked_on = [
        Unfinished(
            key=key,
            state=str(_CALLING if key in under_way else _TRIED if run.is_live else _DROPPED),
            failed=attempts.get(key, []),
        )
        for key in keys
    ]
    return [*worked_on, *_waiting(run), *_invoking(run)]


def _waiting(run: Run) -> Iterator[Unfinished]:
    for waiter in run.waiters.order_by("pk")[:MOST_UNFINISHED]:
        yield Unfinished(key=waiter.key, state=awaited(waiter, run), failed=[])


def awaited(waiter: Waiter, run: Run) -> str:
    """What its run waits for, and for how long."""
    deadline = waiter.deadline
    if run.paused_at is not None:
        left = span(deadline - run.paused_at)
        return _("waits for event %(event)s, until %(left)s after the run is resumed") % {
            "event": waiter.event_id,
            "left": left,
        }
    return _("waits for event %(event)s, until %(time)s, %(distance)s") % {
        "event": waiter.event_id,
        "time": clock_time(deadline),
        "distance": ago(deadline),
    }


def _invoking(run: Run) -> Iterator[Unfinished]:
    for invocation in open_invocations([run.pk])[:MOST_UNFINISHED]:
        state = str(_WAITING if run.is_live else _DROPPED)
        child = run_link(invocation.child)
        yield Unfinished(key=invocation.key, state=state, failed=[], child=child)


_CALLING, _TRIED = gettext_lazy("call under way"), gettext_lazy("to be tried again")
_DROPPED, _WAITING = gettext_lazy("never finished"), gettext_lazy("waits for the end of")
