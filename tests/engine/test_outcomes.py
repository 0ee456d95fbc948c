"""What an answer to a delivery means, as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.engine.world import answer
from workflows_app.engine.outcomes import (
    Dead,
    Delivered,
    RetryAt,
    answer_for,
    classify,
    readable,
)
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.exchange import Answer, SendFailed

NOW = datetime(2030, 1, 2, 12, tzinfo=UTC)
PATIENT = RetryPolicy(retries=3, delay_expression="1000 * (1 + retried)")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_2xx_answer_stands(status: int) -> None:
    assert classify(answer(status), PATIENT, 1, NOW) == Delivered(answer(status))


@pytest.mark.parametrize("status", [100, 199, 300, 304, 400, 404, 429, 488, 490, 500, 502, 504])
def test_any_other_answer_is_asked_for_again_after_the_policy_s_delay(status: int) -> None:
    assert classify(answer(status), PATIENT, 1, NOW) == RetryAt(
        NOW + timedelta(seconds=1), answer(status)
    )


@pytest.mark.parametrize(
    ("attempt", "outcome"),
    [
        (1, RetryAt(NOW + timedelta(seconds=1), answer(500))),
        (2, RetryAt(NOW + timedelta(seconds=2), answer(500))),
        (3, RetryAt(NOW + timedelta(seconds=3), answer(500))),
        (4, Dead(answer(500))),
        (5, Dead(answer(500))),
    ],
    ids=["first", "second", "third", "last", "beyond the last"],
)
def test_the_policy_says_when_and_how_often(attempt: int, outcome: RetryAt | Dead) -> None:
    assert classify(answer(500), PATIENT, attempt, NOW) == outcome


@pytest.mark.parametrize(
    "final",
    [
        answer(489),
        answer(500, Upstash_Nonretryable_Error="true"),
        answer(500, Upstash_Nonretryable_Error=""),
    ],
    ids=["489", "header", "header without a value"],
)
def test_an_answer_can_say_that_asking_again_is_in_vain(final: Answer) -> None:
    assert classify(final, PATIENT, 1, NOW) == Dead(final)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": ["90"]}, timedelta(seconds=90)),
        ({"Retry-After": ["1.5"]}, timedelta(seconds=1.5)),
        ({"Retry-After": ["6m5s"]}, timedelta(minutes=6, seconds=5)),
        ({"Retry-After": ["100ms"]}, timedelta(milliseconds=100)),
        ({"Retry-After": ["Wed, 02 Jan 2030 13:00:00 GMT"]}, timedelta(hours=1)),
        ({"Retry-After": ["Wed, 02 Jan 2030 11:00:00 GMT"]}, timedelta()),
        ({"Retry-After": ["86400"]}, timedelta(days=1)),
        ({"Retry-After": ["86401"]}, timedelta(seconds=1)),
        ({"Retry-After": ["soon"]}, timedelta(seconds=1)),
        ({"Retry-After": []}, timedelta(seconds=1)),
        ({"X-Ratelimit-Reset": ["5"]}, timedelta(seconds=5)),
        ({"X-Ratelimit-Reset-Requests": ["6s"]}, timedelta(seconds=6)),
        ({"X-Ratelimit-Reset-Tokens": ["7ms"]}, timedelta(milliseconds=7)),
        ({"Retry-After": ["8"], "X-Ratelimit-Reset": ["5"]}, timedelta(seconds=8)),
        ({"Retry-After": ["soon"], "X-Ratelimit-Reset": ["5"]}, timedelta(seconds=5)),
        ({"Retry-After": ["soon", "9"]}, timedelta(seconds=9)),
        ({"X-Other": ["5"]}, timedelta(seconds=1)),
    ],
    ids=str,
)
def test_an_answer_can_say_when_to_ask_again(
    headers: dict[str, list[str]], wait: timedelta
) -> None:
    busy = Answer(status=429, headers=headers, body=b"")

    assert classify(busy, PATIENT, 1, NOW) == RetryAt(NOW + wait, busy)


def test_asking_again_when_the_answer_says_uses_up_a_retry_all_the_same() -> None:
    busy = answer(429, Retry_After="5")

    assert classify(busy, PATIENT, 4, NOW) == Dead(busy)


def test_an_answer_that_stands_need_not_say_when_to_ask_again() -> None:
    fine = answer(200, Retry_After="5")

    assert classify(fine, PATIENT, 1, NOW) == Delivered(fine)


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (SendFailed("timeout", "too late"), 504),
        (SendFailed("unreachable", "no such host"), 502),
        (SendFailed("forbidden", "not allowed"), 502),
    ],
    ids=["timeout", "unreachable", "forbidden"],
)
def test_what_never_came_has_an_answer_that_stands_for_it(failure: SendFailed, status: int) -> None:
    stands = Answer(status=status, headers={}, body=failure.message.encode(), came=False)
    assert answer_for(failure) == stands


@pytest.mark.parametrize(
    ("body", "text"),
    [(b"", ""), ("größe".encode(), "größe"), (b"\xff\x00", "\xff\x00")],
    ids=["nothing", "UTF-8", "bytes"],
)
def test_bytes_are_shown_as_text(body: bytes, text: str) -> None:
    assert readable(body) == text
