from __future__ import annotations

from datetime import timedelta

import pytest

from workflows_app.errors import InvalidExpression, InvalidInput
from workflows_app.protocol.backoff import RetryPolicy


@pytest.mark.parametrize(
    ("failures", "delay"),
    [
        (1, timedelta(seconds=12)),
        (2, timedelta(seconds=148)),
        (3, timedelta(seconds=1808)),
        (4, timedelta(seconds=22_026)),
        (5, timedelta(days=1)),
        (6, timedelta(days=1)),
        (1000, timedelta(days=1)),
        (1001, None),
    ],
)
def test_the_usual_back_off_grows_to_a_day(failures: int, delay: timedelta | None) -> None:
    assert RetryPolicy(retries=1000).delay_after(failures) == delay


@pytest.mark.parametrize(
    ("retries", "retried_after"), [(0, []), (1, [1]), (3, [1, 2, 3])], ids=["none", "one", "three"]
)
def test_retries_are_counted_without_the_first_attempt(
    retries: int, retried_after: list[int]
) -> None:
    policy = RetryPolicy(retries=retries)
    assert [n for n in range(1, 6) if policy.delay_after(n) is not None] == retried_after


def test_three_retries_are_made_unless_said_otherwise() -> None:
    assert RetryPolicy() == RetryPolicy(retries=3, delay_expression="")


def test_an_expression_counts_the_retries_made_so_far() -> None:
    policy = RetryPolicy(retries=3, delay_expression="pow(2, retried) * 1000")
    delays = [policy.delay_after(failures) for failures in (1, 2, 3, 4)]
    assert delays == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4), None]


def test_an_expression_may_ask_for_an_immediate_retry() -> None:
    assert RetryPolicy(delay_expression="0").delay_after(1) == timedelta()


def test_a_policy_is_checked_when_it_is_made() -> None:
    with pytest.raises(InvalidExpression, match="unknown name"):
        RetryPolicy(delay_expression="attempt * 2")
    with pytest.raises(InvalidInput, match=r"retries is -1; it must be 0 \(one attempt only\)"):
        RetryPolicy(retries=-1)
