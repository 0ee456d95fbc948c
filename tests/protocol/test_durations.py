from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.errors import InvalidDuration
from workflows_app.protocol.durations import (
    author_duration,
    format_duration,
    parse_duration,
    parse_moment,
    parse_retry_after,
)

NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
NO_DURATION = [
    "",
    " ",
    "-5s",
    "-5",
    "+5s",
    "5 s",
    "1h 30m",
    "s",
    "1.s",
    ".5s",
    "10S",
    "10sec",
    "10x",
    "1h30",
    "100ms",
    "10us",
    "10ns",
    "nan",
    "inf",
    "1e3",
    "٣s",
    "9999999999y",
    "9" * 40,
    "1s" * 200,
    "1d\x00",
]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10s", timedelta(seconds=10)),
        ("1h30m3s", timedelta(hours=1, minutes=30, seconds=3)),
        ("1d10h30m", timedelta(days=1, hours=10, minutes=30)),
        ("2w", timedelta(days=14)),
        ("2mo", timedelta(days=60)),
        ("2m", timedelta(minutes=2)),
        ("1mo1m", timedelta(days=30, minutes=1)),
        ("1y", timedelta(days=365)),
        ("1y1mo1w1d1h1m1s", timedelta(days=403, hours=1, minutes=1, seconds=1)),
        ("30m1h", timedelta(hours=1, minutes=30)),
        ("1.5h", timedelta(minutes=90)),
        ("0s", timedelta()),
        (" 10s ", timedelta(seconds=10)),
        ("45", timedelta(seconds=45)),
        ("0.25", timedelta(milliseconds=250)),
        (45, timedelta(seconds=45)),
        (0, timedelta()),
        (1.5, timedelta(seconds=1.5)),
        (timedelta(hours=2), timedelta(hours=2)),
    ],
)
def test_a_duration_is_number_and_unit_pairs_or_seconds(
    value: str | float | timedelta, expected: timedelta
) -> None:
    assert parse_duration(value) == expected


@pytest.mark.parametrize(
    "value",
    [*NO_DURATION, -1, -0.5, float("nan"), float("inf"), 1e30, 10**30, True, timedelta(seconds=-1)],
    ids=repr,
)
def test_what_is_no_duration_is_refused_by_name(value: str | float | timedelta) -> None:
    with pytest.raises(InvalidDuration) as refusal:
        parse_duration(value)
    assert refusal.value.message.startswith(repr(value)[:100])
    assert refusal.value.message.endswith(
        " is not a duration: write numbers with the units s, m, h, d, w, mo or y, "
        'such as "30s", "1h30m" or "1d", or a number of seconds.'
    )


def test_objects_that_are_not_even_texts_are_refused() -> None:
    with pytest.raises(InvalidDuration, match="None is not a duration"):
        parse_duration(None)  # type: ignore[arg-type]


def test_an_author_writes_units() -> None:
    assert author_duration("1d") == timedelta(days=1)
    assert author_duration(timedelta(minutes=5)) == timedelta(minutes=5)


@pytest.mark.parametrize("value", [30, "30", 1.5, " 30 "], ids=repr)
def test_an_author_who_writes_a_bare_number_learns_what_to_write(value: str | float) -> None:
    number = str(value).strip()
    with pytest.raises(InvalidDuration) as refusal:
        author_duration(value)  # type: ignore[arg-type]
    assert refusal.value.message == (
        f'{value!r} is a duration without a unit: write "{number}s" or timedelta(seconds={number}).'
    )


@pytest.mark.parametrize("value", ["soon", "-5", -5, True, None], ids=repr)
def test_an_author_gets_the_usual_refusal_for_other_garbage(value: object) -> None:
    with pytest.raises(InvalidDuration, match="is not a duration"):
        author_duration(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=1.5), "1.5s"),
        (timedelta(microseconds=1), "0.000001s"),
        (timedelta(seconds=10), "10s"),
        (timedelta(minutes=1), "1m"),
        (timedelta(days=1, hours=10, minutes=30), "1d10h30m"),
        (timedelta(days=400, seconds=1), "400d1s"),
        (timedelta(hours=-1, minutes=-30), "-1h30m"),
    ],
)
def test_durations_are_written_compactly(value: timedelta, expected: str) -> None:
    assert format_duration(value) == expected


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=100_000)))
def test_a_written_duration_reads_back(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@given(st.text(alphabet="0123456789.smhdwoyunµ- eE", max_size=20))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with suppress(InvalidDuration):
        assert parse_duration(text) >= timedelta()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NOW, NOW),
        (datetime(2030, 1, 31, 12, 0), NOW),  # noqa: DTZ001 - naive on purpose
        (datetime(2030, 1, 31, 14, 0, tzinfo=timezone(timedelta(hours=2))), NOW),
        ("2030-01-31T12:00:00Z", NOW),
        ("2030-01-31T12:00:00", NOW),
        ("2030-01-31 14:00+02:00", NOW),
        ("2030-01-31", datetime(2030, 1, 31, tzinfo=UTC)),
        (1_896_091_200, NOW),
        (1_896_091_200.0, NOW),
        ("1896091200", NOW),
        (" 1896091200.5 ", NOW + timedelta(milliseconds=500)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
    ids=repr,
)
def test_moments_come_out_in_utc(value: datetime | str | float, expected: datetime) -> None:
    moment = parse_moment(value)
    assert (moment, moment.tzinfo) == (expected, UTC)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "10s",
        "2030-02-30",
        "1896091200000",
        1_896_091_200_000,
        -1,
        float("nan"),
        float("inf"),
        True,
        None,
        "9" * 200,
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
    ],
    ids=repr,
)
def test_what_is_no_moment_is_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidDuration) as refusal:
        parse_moment(value)  # type: ignore[arg-type]
    assert refusal.value.message.startswith(repr(value)[:100])
    assert "is not a point in time" in refusal.value.message


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", timedelta(minutes=2)),
        ("0", timedelta()),
        ("1.5", timedelta(seconds=1.5)),
        ("6m5s", timedelta(minutes=6, seconds=5)),
        ("6m0s", timedelta(minutes=6)),
        ("100ms", timedelta(milliseconds=100)),
        ("250us", timedelta(microseconds=250)),
        ("250µs", timedelta(microseconds=250)),
        ("5000ns", timedelta(microseconds=5)),
        ("1h2m3.5s", timedelta(hours=1, minutes=2, seconds=3.5)),
        ("1d", timedelta(days=1)),
        ("Thu, 31 Jan 2030 12:00:30 GMT", timedelta(seconds=30)),
        ("Thu, 31 Jan 2030 12:00:30 -0000", timedelta(seconds=30)),
        ("Thu, 31 Jan 2030 11:00:00 GMT", timedelta()),
        ("86401", None),
        ("25h", None),
        ("1896091260", None),
        ("Sat, 02 Feb 2030 12:00:01 GMT", None),
        ("-5", None),
        ("", None),
        ("later", None),
        ("nan", None),
        ("9" * 200, None),
        ("Thu, 99 Jan 2030 12:00:30 GMT", None),
        ("Thu, 31 Jan 2030 12:00:30 +9999999999", None),
    ],
)
def test_retry_after_is_seconds_a_duration_or_a_date(
    value: str, expected: timedelta | None
) -> None:
    assert parse_retry_after(value, NOW) == expected


@given(st.text())
def test_any_retry_after_is_used_or_ignored(text: str) -> None:
    delay = parse_retry_after(text, NOW)
    assert delay is None or timedelta() <= delay <= timedelta(days=1)
