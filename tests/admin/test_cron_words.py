"""Cron expressions in words."""

from __future__ import annotations

import pytest

from workflows_app.admin.cron_words import cron_in_words


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("0 * * * *", "every hour, at minute 0"),
        ("30 */6 * * *", "every 6 hours, at minute 30"),
        ("0 9 * * *", "every day at 09:00, UTC"),
        ("CRON_TZ=Europe/Berlin 5 17 * * 1-5", "Monday to Friday at 17:05, Europe/Berlin"),
        ("0 0 * * SUN", "each Sunday at 00:00, UTC"),
        ("0 0 * * 7", "each Sunday at 00:00, UTC"),
        ("0 4 1 * *", "on day 1 of each month at 04:00, UTC"),
        ("0 4 24 12 *", "each December 24 at 04:00, UTC"),
    ],
)
def test_what_is_simple_is_said_in_words(cron: str, words: str) -> None:
    assert cron_in_words(cron) == words


@pytest.mark.parametrize(
    "cron",
    [
        "*/7 * * * *",
        "0 9,17 * * *",
        "0 9 1 * 1",
        "0-5 * * * *",
        "0 0 * * 1#2",
        "0 0 L * *",
        "",
        "x",
    ],
)
def test_what_would_take_more_words_is_left_as_it_is(cron: str) -> None:
    assert cron_in_words(cron) == ""
