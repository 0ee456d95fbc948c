"""How long ended runs are kept, as clients write it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from workflows_app.errors import InvalidInput
from workflows_app.rest.cloudflare.reading import Fields
from workflows_app.rest.cloudflare.retention import read_retention, write_retention


@pytest.mark.parametrize(
    ("value", "retention"),
    [
        (None, None),
        (0, timedelta()),
        (1500, timedelta(seconds=1.5)),
        (60000.0, timedelta(minutes=1)),
        ("1 second", timedelta(seconds=1)),
        ("90 minutes", timedelta(minutes=90)),
        ("3  days", timedelta(days=3)),
        ("1 hours", timedelta(hours=1)),
        ("2 weeks", timedelta(days=14)),
        ("1 month", timedelta(days=30)),
        ("4 years", timedelta(days=1461)),
    ],
)
def test_milliseconds_and_texts_are_read(value: Any, retention: timedelta | None):
    assert read_retention(Fields({"success_retention": value}), "success_retention") == retention


@pytest.mark.parametrize(
    "value",
    [
        *("", "3", "3days", "-3 days", "1.5 days", "3 fortnights", "3 days ", "٣ days"),
        *("1001 years", "999999999999999 days"),
        *(-1, 1.5, True, 10**15, [], {}),
    ],
)
def test_anything_else_is_refused_by_name(value: Any):
    with pytest.raises(InvalidInput, match=r"^default_retention\.error_retention is "):
        read_retention(Fields({"error_retention": value}, "default_retention."), "error_retention")


def test_it_is_written_in_milliseconds():
    assert write_retention(timedelta(seconds=1.5)) == 1500
