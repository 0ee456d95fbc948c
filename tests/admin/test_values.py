"""How values, times and counts are written."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.conftest import Clock
from workflows_app.admin.displays import ago, clock_time, span
from workflows_app.admin.values import (
    MASK,
    MOST_SHOWN,
    mask,
    show,
    show_answer,
    show_bytes,
    show_error,
)
from workflows_app.errors import StepError
from workflows_app.protocol.faults import describe_error


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (0.000_012, "12 µs"),
        (0.000_85, "850 µs"),
        (0.001_26, "1.26 ms"),
        (0.0126, "12.6 ms"),
        (0.126, "126 ms"),
        (0.9996, "1 s"),
        (1.25, "1.25 s"),
        (12, "12 s"),
        (59.999, "1 min"),
        (184, "3 min 4 s"),
        (3600, "1 h"),
        (2 * 86400 + 5 * 3600 + 59, "2 d 5 h"),
        (2 * 86400 + 59, "2 d"),
    ],
)
def test_a_span_has_at_most_two_units(seconds: float, text: str):
    assert span(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "just now"),
        (-0.4, "just now"),
        (12, "12 s ago"),
        (184, "3 min ago"),
        (90_000, "1 d ago"),
        (-12, "in 12 s"),
        (-90_000, "in 1 d 1 h"),
    ],
)
def test_how_long_ago_is_rough_and_how_soon_is_exact(clock: Clock, seconds: float, text: str):
    assert ago(clock.now - timedelta(seconds=seconds)) == text


def test_a_time_of_another_day_has_its_date(clock: Clock):
    assert clock_time(clock.now) == "12:00:00"
    assert clock_time(clock.now - timedelta(days=1)) == "2030-01-01 12:00:00"


def test_json_is_indented_and_other_text_left_alone():
    json, text = show('{"a":["ä",1]}'), show("plain")

    assert json is not None
    assert text is not None
    assert (json.text, json.line) == ('{\n  "a": [\n    "ä",\n    1\n  ]\n}', '{"a":["ä",1]}')
    assert (text.text, text.line) == ("plain", "plain")
    assert show(None) is None


def test_a_cut_value_says_how_large_it_is_and_where_the_rest_is():
    shown = show("x" * (MOST_SHOWN + 1), 9_000, "/whole/")

    assert shown is not None
    assert shown.text == "x" * MOST_SHOWN + "…"
    assert shown.line == "x" * 80 + "…"
    assert (shown.size, shown.url, shown.is_long) == (9_000, "/whole/", True)


def test_a_payload_cut_through_a_character_is_still_text():
    shown = show_bytes("ä".encode() * 3000, 6000, "/whole/")
    cut = show_bytes(("ä".encode() * 3000)[:4001], 6000, "/whole/")

    assert shown is not None
    assert cut is not None
    assert shown.text == "ä" * 3000
    assert cut.text == "ä" * 2000


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"Authorization":"Bearer x\\"y","A":"b"}', f'{{"Authorization":"{MASK}","A":"b"}}'),
        ('{"set-cookie": ["a=1", "b=2"], "n": 1}', f'{{"set-cookie": "{MASK}", "n": 1}}'),
        ('{"Upstash-Forward-Authorization":"x"}', f'{{"Upstash-Forward-Authorization":"{MASK}"}}'),
        ('{"X-Api-Key":"cut in the mid', f'{{"X-Api-Key":"{MASK}"'),
        ('{"authorized":"yes","token_count":3}', '{"authorized":"yes","token_count":3}'),
    ],
)
def test_headers_that_carry_credentials_are_masked(text: str, masked: str):
    assert mask(text) == masked


def test_the_answer_to_a_failure_callback_is_unfolded():
    shown = show_answer('{"status":500,"headers":{},"body":"{\\"a\\":1}"}')
    text = show_answer('{"status":500,"headers":{},"body":"no"}')

    assert shown is not None
    assert text is not None
    assert shown.line == '{"status":500,"headers":{},"body":{"a":1}}'
    assert text.line == '{"status":500,"headers":{},"body":"no"}'
    assert show_answer("") is None


def test_the_error_of_a_failed_step_is_the_step_s_own():
    error = StepError("charge", "ConnectionError", "no\nfunds", 3)

    shown = show_error(describe_error(error, error))

    assert shown is not None
    assert (shown.type, shown.message, shown.place) == (
        "ConnectionError",
        "no\nfunds",
        "at charge: ConnectionError",
    )
