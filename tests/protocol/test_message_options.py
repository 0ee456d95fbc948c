"""Options of plain messages, kept as headers and laid over defaults."""

from __future__ import annotations

import pytest

from workflows_app.protocol.headers import MessageOptions, parse_headers
from workflows_app.protocol.message_options import (
    decode_message_options,
    encode_message_options,
    layered,
)

EVERYTHING = {
    "upstash-method": "PUT",
    "upstash-delay": "1d2h3m4s",
    "upstash-not-before": "1893585600.5",
    "upstash-retries": "0",
    "upstash-retry-delay": "1000 * (1 + retried)",
    "upstash-timeout": "90",
    "upstash-deduplication-id": "7",
    "upstash-content-based-deduplication": "true",
    "upstash-label": "a,b",
    "upstash-redact-fields": "body,header[Authorization]",
    "upstash-flow-control-key": "shop",
    "upstash-flow-control-value": "parallelism=2, rate=5, period=1m",
    "upstash-forward-content-type": "text/plain; charset=utf-8",
    "upstash-forward-x-value": "grün",
    "upstash-callback": "https://a.example.org/",
    "upstash-callback-retries": "1",
    "upstash-callback-forward-x": "1",
    "upstash-callback-failure-callback": "https://b.example.org/",
    "upstash-failure-callback": "https://c.example.org/",
    "upstash-failure-callback-method": "GET",
}


@pytest.mark.parametrize("name", EVERYTHING)
def test_what_was_said_is_kept(name: str) -> None:
    flow = {each for each in EVERYTHING if "flow-control" in each}
    said = parse_headers(
        (each, EVERYTHING[each]) for each in {name} | (flow if name in flow else set())
    )

    assert decode_message_options(encode_message_options(said)) == said


def test_what_was_said_is_kept_where_it_is_what_holds_anyway() -> None:
    said = parse_headers(
        [("Upstash-Method", "POST"), ("Upstash-Content-Based-Deduplication", "false")]
    )

    assert decode_message_options(encode_message_options(said)) == said
    assert layered(said, parse_headers(EVERYTHING.items())).method == "POST"


def test_all_that_was_said_together_is_kept() -> None:
    said = parse_headers(EVERYTHING.items())

    assert decode_message_options(encode_message_options(said)) == said


def test_no_options_are_kept_as_none() -> None:
    assert decode_message_options(encode_message_options(None)) == MessageOptions()


def test_defaults_hold_where_nothing_is_said() -> None:
    defaults = parse_headers(EVERYTHING.items())
    own = {
        "upstash-retries": "5",
        "upstash-forward-x-value": "own",
        "upstash-forward-more": "1",
        "upstash-callback-retries": "7",
    }

    assert layered(MessageOptions(), defaults) == defaults
    assert layered(parse_headers(own.items()), defaults) == parse_headers(
        {**EVERYTHING, **own}.items()
    )
