"""The policy that is stored with a step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.protocol.step_policies import DYNAMIC, LONGEST_WAIT, StepPolicy

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [
        ("constant", [10, 10, 10, 10]),
        ("linear", [10, 20, 30, 40]),
        ("exponential", [10, 20, 40, 80]),
    ],
)
def test_the_delay_grows_from_retry_to_retry(backoff: Any, seconds: list[int]) -> None:
    policy = StepPolicy(retries=4, delay=10 * SECOND, backoff=backoff)

    assert [policy.delay_after(n) for n in range(1, 6)] == [*(n * SECOND for n in seconds), None]


def test_no_retry_is_made_where_none_is_left() -> None:
    assert StepPolicy(retries=0, delay=SECOND).delay_after(1) is None


@given(st.integers(1, 10_000), st.sampled_from(["constant", "linear", "exponential"]))
def test_no_delay_is_longer_than_a_year(failures: int, backoff: Any) -> None:
    policy = StepPolicy(retries=10_000, delay=timedelta(days=300), backoff=backoff)

    assert (policy.delay_after(failures) or SECOND) <= LONGEST_WAIT


def test_this_is_how_it_is_stored() -> None:
    policy = StepPolicy(
        retries=3, delay=10 * SECOND, backoff="linear", timeout=60 * SECOND, hides_output=True
    )

    assert policy.as_json() == {
        "retries": {"limit": 3, "delay": 10_000, "backoff": "linear"},
        "timeout": 60_000,
        "sensitive": "output",
    }


def test_a_delay_that_code_gives_is_not_told() -> None:
    stored = StepPolicy(retries=1, delay=None).as_json()

    assert stored == {"retries": {"limit": 1, "delay": DYNAMIC, "backoff": "exponential"}}


@given(
    st.builds(
        StepPolicy,
        retries=st.integers(0, 10_000),
        delay=st.none() | st.integers(0, 1 << 40).map(lambda count: timedelta(milliseconds=count)),
        backoff=st.sampled_from(["constant", "linear", "exponential"]),
        timeout=st.none()
        | st.integers(1, 1 << 40).map(lambda count: timedelta(milliseconds=count)),
        hides_output=st.booleans(),
    )
)
def test_what_was_stored_is_read_again(policy: StepPolicy) -> None:
    assert StepPolicy.decode(policy.encode()) == policy
