"""Filters of lists whose values are typed, because nobody can offer them all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import MAXYEAR, MINYEAR, datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise


class InputFilter(admin.ListFilter):
    """A small form beside the list, which keeps the other filters."""

    template = "admin/workflows_app/input_filter.html"
    fields: tuple[tuple[str, _StrOrPromise, str], ...] = ()
    """The name of each in the address, its label, and the type of its input."""

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.expected_parameters():
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]

    def expected_parameters(self) -> list[str | None]:
        return [name for name, _, _ in self.fields]

    def value(self, name: str) -> str:
        return str(self.used_parameters.get(name, "")).strip().replace("\0", "")

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        own = self.expected_parameters()
        yield {
            "fields": [
                {"name": name, "label": label, "type": kind, "value": self.value(name)}
                for name, label, kind in self.fields
            ],
            "carried": [
                (name, value)
                for name, value in changelist.params.items()
                if name not in own and name not in getattr(changelist, "places", ())
            ],
            "is_active": any(self.value(str(name)) for name in own),
            "clear": changelist.get_query_string(remove=[str(name) for name in own]),
        }


def moment_in(text: str) -> datetime | None:
    """A date or time as a person types it, in the site's time zone; None for what is none."""
    try:
        moment = parse_datetime(text)
        if moment is None and (day := parse_date(text)) is not None:
            moment = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - made aware below
    except ValueError:
        return None
    if moment is None or not MINYEAR < moment.year < MAXYEAR:  # so that it can be reckoned with
        return None
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def primary_key_in(text: str | None) -> int | None:
    """None for what is none, or is greater than any."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
