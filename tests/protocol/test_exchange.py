from __future__ import annotations

import pytest

from workflows_app.protocol.exchange import SendFailed, canonical_header


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("content-type", "Content-Type"),
        ("Upstash-Workflow-RunId", "Upstash-Workflow-Runid"),
        ("X-RATELIMIT-RESET", "X-Ratelimit-Reset"),
        ("etag", "Etag"),
        ("x--y-", "X--Y-"),
        ("x_y", "X_y"),
        ("3d", "3d"),
        ("not a header", "not a header"),
        ("ünicode", "ünicode"),
        ("", ""),
    ],
)
def test_header_names_are_written_as_go_writes_them(name: str, canonical: str) -> None:
    assert canonical_header(name) == canonical


def test_a_failed_send_says_what_kind_of_failure_it_was() -> None:
    failure = SendFailed("timeout", "no answer within 10s")
    assert (failure.kind, failure.message, str(failure)) == (
        "timeout",
        "no answer within 10s",
        "no answer within 10s",
    )
