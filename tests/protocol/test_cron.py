"""Cron expressions as callers write them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from workflows_app.errors import InvalidCron
from workflows_app.protocol.cron import check_cron, next_slot, slots_until


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("* * * * *", "* * * * *"),
        ("  0 9  * * 1-5 ", "0 9 * * 1-5"),
        ("*/15 0 1,15 * SUN", "*/15 0 1,15 * SUN"),
        ("CRON_TZ=Europe/Berlin  0 9 * * *", "CRON_TZ=Europe/Berlin 0 9 * * *"),
    ],
)
def test_a_cron_expression_is_read(text: str, read: str) -> None:
    assert check_cron(text) == read


@pytest.mark.parametrize(
    "text", ["", "* * * *", "61 * * * *", "0 0 0 * * *", "daily", "CRON_TZ=UTC", "R r(1-5) * * *"]
)
def test_a_malformed_cron_expression_is_refused_saying_what_it_has(text: str) -> None:
    with pytest.raises(InvalidCron, match="it has five fields"):
        check_cron(text)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "America", "a" * 300])
def test_an_unknown_time_zone_is_refused_by_name(zone: str) -> None:
    with pytest.raises(InvalidCron, match="time zone"):
        check_cron(f"CRON_TZ={zone} * * * * *")


def test_a_time_that_never_comes_is_refused():
    with pytest.raises(InvalidCron, match="never comes"):
        check_cron("0 0 30 2 *")


def slots(cron: str, start: str, count: int) -> list[str]:
    """The next ones after `start`, as day and time in UTC."""
    found, moment = [], datetime.fromisoformat(f"{start}+00:00")
    for _ in range(count):
        moment = next_slot(cron, moment)
        found.append(f"{moment:%d %H:%M}")
    return found


def test_slots_are_in_utc_unless_a_zone_is_named():
    assert slots("0 9 * * *", "2030-01-02T12:00", 1) == ["03 09:00"]
    assert slots("CRON_TZ=America/New_York 0 9 * * *", "2030-01-02T12:00", 1) == ["02 14:00"]


def test_the_moment_itself_is_not_after_it():
    assert slots("*/5 * * * *", "2030-01-02T12:00", 2) == ["02 12:05", "02 12:10"]


def test_a_time_that_clocks_leave_out_is_the_moment_at_which_they_go_forward():
    daily = "CRON_TZ=Europe/Berlin 30 2 * * *"
    assert slots(daily, "2030-03-29T12:00", 3) == ["30 01:30", "31 01:00", "01 00:30"]


def test_a_time_of_day_comes_once_where_clocks_go_back():
    daily = "CRON_TZ=Europe/Berlin 30 2 * * *"
    assert slots(daily, "2030-10-25T12:00", 3) == ["26 00:30", "27 00:30", "28 01:30"]
    assert slots(daily, "2030-10-27T00:45", 1) == ["28 01:30"]


def test_what_comes_every_hour_comes_in_both_hours_where_clocks_go_back():
    often = "CRON_TZ=Europe/Berlin 30 * * * *"
    assert slots(often, "2030-10-26T23:45", 3) == ["27 00:30", "27 01:30", "27 02:30"]


def test_slots_are_found_backwards_too():
    last = datetime.fromisoformat("2030-01-07T09:00+00:00")

    found = slots_until("0 9 * * 1-5", last, 3)
    (berlin,) = slots_until("CRON_TZ=Europe/Berlin 0 9 * * *", last, 1)

    assert found == [last, last - timedelta(days=3), last - timedelta(days=4)]
    assert berlin == last - timedelta(hours=1)
