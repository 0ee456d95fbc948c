"""Durations as authors of class-based workflows write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from workflows_app.errors import InvalidDuration
from workflows_app.protocol.worded_durations import worded_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        (10, timedelta(milliseconds=10)),
        (0.5, timedelta(milliseconds=0.5)),
        ("1500", timedelta(seconds=1.5)),
        ("10 seconds", timedelta(seconds=10)),
        ("1   minute", timedelta(minutes=1)),
        ("2.5 hours", timedelta(hours=2.5)),
        (" 3 Days ", timedelta(days=3)),
        ("1 week", timedelta(weeks=1)),
        ("1 month", timedelta(days=30)),
        ("2 years", timedelta(days=730.5)),
        ("5 ms", timedelta(milliseconds=5)),
        ("10s", timedelta(seconds=10)),
        ("1h30m", timedelta(minutes=90)),
        (timedelta(seconds=3), timedelta(seconds=3)),
    ],
    ids=str,
)
def test_words_numbers_and_short_texts_are_durations(text: Any, duration: timedelta) -> None:
    assert worded_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "5 fortnights", "5 m", "-1 second", "seconds", "1 second 2 minutes"),
        *("1" * 101, -1, True, None, float("nan"), float("inf"), "99999999999 years"),
        timedelta(seconds=-1),
    ],
    ids=repr,
)
def test_all_else_is_none(text: Any) -> None:
    with pytest.raises(InvalidDuration, match="is not a duration"):
        worded_duration(text)
