"""The only door time comes in by."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from workflows_app.engine import clock

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)


def test_the_time_is_that_of_the_system_in_utc() -> None:
    before = datetime.now(UTC)
    now = clock.now()

    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_tests_stop_the_clock_for_every_thread() -> None:
    seen = []
    with clock.travel(NOON):
        thread = threading.Thread(target=lambda: seen.append(clock.now()))
        thread.start()
        thread.join()
        seen.append(clock.now())

    assert seen == [NOON, NOON]
    assert clock.now() != NOON


def test_journeys_nest() -> None:
    with clock.travel(NOON):
        with clock.travel(NOON + timedelta(days=1)):
            assert clock.now() == NOON + timedelta(days=1)
        assert clock.now() == NOON
