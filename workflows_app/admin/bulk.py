"""One verb on many rows, a request's worth at a time.

Nothing is kept on the server meanwhile: how far it has come is in the form that asks for the next
part, signed. So it survives a restart of the server, and ends when nobody asks any more.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from django.core import signing
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from workflows_app.admin.verbs import Verb, reason_of
from workflows_app.errors import WorkflowsError

COUNTED = 10_000
"""More rows than that are not counted before they are changed."""
NAMED = 20
"""How many rows a confirmation names."""
SECONDS = 2.0
"""How long one request works; then it answers with how far it has come."""
AT_ONCE = 100
"""Rows that are read at once."""

PROGRESS = "progress"
"""The field of the form that says how far it has come, and CONFIRMED the one that says yes."""
CONFIRMED = "confirmed"
_OWN = frozenset(("csrfmiddlewaretoken", PROGRESS, CONFIRMED))
_SALT = "workflows_app.admin.bulk"


@dataclass(slots=True, kw_only=True)
class Progress:
    """`last` is the primary key after which it goes on. Rows that came after the question was
    asked, as those that a restart makes, are past `until`.
    """

    verb: str
    until: int
    expected: int
    last: int = 0
    done: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    finished: bool = False

    @property
    def seen(self) -> int:
        return self.done + sum(self.refused.values())

    @property
    def is_capped(self) -> bool:
        return self.expected > COUNTED

    @property
    def signed(self) -> str:
        return signing.dumps(asdict(self), salt=_SALT)


def preview(verb: Verb, rows: QuerySet[Any]) -> Progress:
    """What there is to be done."""
    keys = rows.order_by()
    newest = rows.order_by("-pk").values_list("pk", flat=True).first() or 0
    return Progress(
        verb=verb.name, until=newest, expected=keys[: COUNTED + 1].count() if newest else 0
    )


def progress_of(request: HttpRequest, verb: Verb) -> Progress | None:
    """As the form has it; None if it is not one of ours for this verb."""
    try:
        told = signing.loads(request.POST.get(PROGRESS, ""), salt=_SALT)
    except signing.BadSignature:
        return None
    progress = Progress(**told)
    return progress if progress.verb == verb.name else None


def carried(request: HttpRequest) -> list[tuple[str, str]]:
    """The fields that ask the same again."""
    fields = ((name, values) for name, values in request.POST.lists() if name not in _OWN)
    return [(name, str(value)) for name, values in fields for value in values]


def go_on(progress: Progress, rows: QuerySet[Any], act: Callable[[Model], object]) -> None:
    """Act on the rows that are next, at least one, until the time is over or none is left."""
    ends = time.monotonic() + SECONDS
    for row in _left(progress, rows):
        progress.last = row.pk
        try:
            act(row)
        except WorkflowsError as refusal:
            reason = reason_of(refusal)
            progress.refused[reason] = progress.refused.get(reason, 0) + 1
        else:
            progress.done += 1
        if time.monotonic() >= ends:
            return
    progress.finished = True


def _left(progress: Progress, rows: QuerySet[Any]) -> Iterator[Any]:
    left = rows.filter(pk__lte=progress.until).order_by("pk")
    last = progress.last
    while chosen := list(left.filter(pk__gt=last)[:AT_ONCE]):
        yield from chosen
        last = chosen[-1].pk


def tally(verb: Verb, progress: Progress) -> str:
    """ "3 cancelled, 1 refused: already ended"."""
    told = []
    if progress.done or not progress.refused:
        told.append(_("%(number)d %(done)s") % {"number": progress.done, "done": verb.done})
    for reason, number in Counter(progress.refused).most_common():
        told.append(_("%(number)d refused: %(reason)s") % {"number": number, "reason": reason})
    return ", ".join(told)
