"""`context.sleep` and `context.sleep_until`, by both shells alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.conftest import Clock
from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import CREATED_AT, assert_failed, finished
from workflows_app.protocol.runs import StepKind, StepRecord, Suspended

EIGHT_O_CLOCK = datetime(2030, 1, 3, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("duration", "length"),
    [
        ("30s", timedelta(seconds=30)),
        ("1d10h30m", timedelta(days=1, hours=10, minutes=30)),
        ("2w", timedelta(weeks=2)),
        (timedelta(milliseconds=1), timedelta(milliseconds=1)),
    ],
    ids=str,
)
def test_a_sleep_suspends_the_run_until_it_is_over(
    duration: str | timedelta, length: timedelta, clock: Clock, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.sleep("nap", duration)
        return "rested"

    rehearsal = rehearse(story)

    assert rehearsal.turn() == Suspended(wake_at=CREATED_AT + length)
    clock.stop_at(CREATED_AT + length - timedelta(microseconds=1))
    assert rehearsal.turn() == Suspended(wake_at=CREATED_AT + length)
    clock.stop_at(CREATED_AT + length)
    assert rehearsal.turn() == finished("rested")


def test_a_sleep_is_recorded_when_it_begins_with_its_end(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.sleep("nap", "90m")

    rehearsal = rehearse(story)
    rehearsal.turn()

    assert rehearsal.journal.steps == [
        StepRecord(
            key="nap",
            name="nap",
            kind=StepKind.SLEEP,
            branch="",
            input='"1h30m"',
            result=None,
            error=None,
            attempts=1,
            started_at=CREATED_AT,
            ended_at=CREATED_AT + timedelta(minutes=90),
        )
    ]


def test_the_end_of_a_sleep_is_fixed_when_it_begins(clock: Clock, rehearse: Rehearse) -> None:
    lengths = iter(["1h", "5h"])

    async def story(context: Any) -> Any:
        await context.sleep("nap", next(lengths, "9h"))
        return "rested"

    rehearsal = rehearse(story)
    rehearsal.turn()
    clock.advance("59m")

    assert rehearsal.turn() == Suspended(wake_at=CREATED_AT + timedelta(hours=1))


@pytest.mark.parametrize("duration", ["0s", timedelta()], ids=["text", "timedelta"])
def test_a_sleep_of_no_length_goes_on_at_once(
    duration: str | timedelta, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.sleep("nap", duration)
        return "rested"

    rehearsal = rehearse(story)

    assert rehearsal.turn() == finished("rested")
    assert list(rehearsal.recorded) == ["nap"]


def test_sleeps_follow_one_another(rehearse: Rehearse, clock: Clock) -> None:
    async def story(context: Any) -> Any:
        for _ in range(3):
            await context.sleep("hour", "1h")
        return "rested"

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("rested")
    assert clock.now == CREATED_AT + timedelta(hours=3)
    assert list(rehearsal.recorded) == ["hour", "hour#2", "hour#3"]


@pytest.mark.parametrize(
    "moment",
    [
        EIGHT_O_CLOCK,
        EIGHT_O_CLOCK.replace(tzinfo=None),
        EIGHT_O_CLOCK.astimezone(timezone(timedelta(hours=5))),
        "2030-01-03T08:00:00Z",
        "2030-01-03T08:00:00",
        "2030-01-03T13:00:00+05:00",
        "20300103T080000Z",
        1_893_657_600,
        1_893_657_600.0,
        "1893657600",
    ],
    ids=[
        "aware datetime",
        "naive datetime",
        "datetime elsewhere",
        "ISO in UTC",
        "ISO without zone",
        "ISO elsewhere",
        "ISO basic",
        "unix seconds",
        "unix seconds as float",
        "unix seconds as text",
    ],
)
def test_a_run_can_sleep_until_a_moment(moment: Any, rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.sleep_until("morning", moment)
        return "awake"

    rehearsal = rehearse(story)

    assert rehearsal.turn() == Suspended(wake_at=EIGHT_O_CLOCK)
    assert rehearsal.journal.steps[0].input == '"2030-01-03T08:00:00+00:00"'
    assert rehearsal.play() == finished("awake")


def test_a_moment_that_has_passed_is_not_waited_for(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.sleep_until("yesterday", "2030-01-01")
        return "awake"

    assert rehearse(story).turn() == finished("awake")


@pytest.mark.parametrize(
    ("duration", "sentence"),
    [
        (
            5,
            '5 is a duration without a unit: write "5s" or timedelta(seconds=5).',
        ),
        (
            "5 minutes",
            "'5 minutes' is not a duration: write numbers with the units s, m, h, d, w, mo or y, "
            'such as "30s", "1h30m" or "1d", or a number of seconds.',
        ),
        (
            timedelta(seconds=-1),
            "datetime.timedelta(days=-1, seconds=86399) is not a duration: write numbers with the "
            'units s, m, h, d, w, mo or y, such as "30s", "1h30m" or "1d", or a number of seconds.',
        ),
    ],
    ids=["bare number", "words", "negative"],
)
def test_what_is_no_duration_fails_the_run_at_once(
    duration: Any, sentence: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.sleep("nap", duration)

    rehearsal = rehearse(story, retries=3)

    assert_failed(rehearsal.turn(), "InvalidDuration", sentence)
    assert rehearsal.journal.steps == []


def test_a_sleep_beyond_the_last_date_fails_the_run_at_once(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.sleep("nap", "10000y")

    sentence = "a sleep of 3650000d ends after the year 9999"
    assert_failed(rehearse(story, retries=3).turn(), "InvalidInput", sentence)


def test_what_is_no_moment_fails_the_run_at_once(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.sleep_until("morning", "tomorrow")

    rehearsal = rehearse(story, retries=3)

    assert_failed(
        rehearsal.turn(),
        "InvalidDuration",
        "'tomorrow' is not a point in time: give a datetime, an ISO 8601 text such as "
        '"2030-01-31T08:00:00Z", or unix seconds (not milliseconds).',
    )


def test_a_delivery_that_comes_early_changes_nothing(clock: Clock, rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.run("before", lambda: None)
        await context.sleep("nap", "1h")
        await context.run("after", lambda: None)

    rehearsal = rehearse(story)
    first = rehearsal.turn()
    clock.advance("10m")

    assert [rehearsal.turn() for _ in range(3)] == [first] * 3
    assert list(rehearsal.recorded) == ["before", "nap"]
