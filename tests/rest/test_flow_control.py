"""Flow control keys over REST (Upstash reference 1.7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, answer_of
from workflows_app.engine import leases
from workflows_app.models import Account


@pytest.fixture
def used(api: Api, hello: str, clock: Clock) -> None:
    """Two runs of a key, one at work."""
    for _ in range(2):
        api.post(
            f"/v2/trigger/{hello}",
            upstash_flow_control_key="team/reports",
            upstash_flow_control_value="parallelism=1, rate=5, period=1m",
        )
    leases.claim(1)


def shown(api: Api) -> Any:
    return api.get("/v2/flowControl/team%2Freports").json()


def test_a_key_is_shown_with_how_far_it_is_used(api: Api, used: None, clock: Clock) -> None:
    assert shown(api) == {
        "flowControlKey": "team/reports",
        "waitListSize": 1,
        "waitlistSize": 1,
        "isPaused": False,
        "isPinnedParallelism": False,
        "isPinnedRate": False,
        "parallelismMax": 1,
        "parallelismCount": 1,
        "rateMax": 5,
        "rateCount": 1,
        "ratePeriod": 60,
        "ratePeriodStart": int(clock.now.timestamp()),
    }
    assert api.get("/v2/flowControl?search=report").json() == [shown(api)]
    assert api.get("/v2/flowControl?search=other").json() == []


def test_a_key_is_paused_resumed_pinned_and_unpinned(api: Api, used: None) -> None:
    def after(verb: str) -> Any:
        assert api.post(f"/v2/flowControl/team%2Freports/{verb}").status_code == 200
        return shown(api)

    assert after("pause")["isPaused"] is True
    assert after("resume")["isPaused"] is False
    pinned = after("pin?parallelism=3&rate=7&period=1h")
    assert (pinned["parallelismMax"], pinned["rateMax"], pinned["ratePeriod"]) == (3, 7, 3600)
    assert (pinned["isPinnedParallelism"], pinned["isPinnedRate"]) == (True, True)
    assert pinned["rateCount"] == 0
    unpinned = after("unpin?parallelism=true")
    assert (unpinned["isPinnedParallelism"], unpinned["isPinnedRate"]) == (False, True)
    leases.claim(1)
    assert shown(api)["rateCount"] == 1
    assert after("resetRate")["rateCount"] == 0


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        ("pin", 400),
        ("pin?parallelism=0", 400),
        ("pin?rate=many", 400),
        ("pin?rate=1&period=8d", 400),
        ("unpin?rate=maybe", 400),
    ],
)
def test_bad_limits_are_refused(api: Api, used: None, verb: str, status: int) -> None:
    assert api.post(f"/v2/flowControl/team%2Freports/{verb}").status_code == status


def test_a_key_of_another_account_is_unknown(stranger: Api, used: None) -> None:
    for answer in (
        stranger.get("/v2/flowControl/team%2Freports"),
        stranger.post("/v2/flowControl/team%2Freports/pause"),
        stranger.post("/v2/flowControl/team%2Freports/unpin?rate=true"),
    ):
        assert answer.status_code == 404
    assert stranger.get("/v2/flowControl").json() == []


def test_the_parallelism_of_the_account_is_shown(api: Api, account: Account, used: None) -> None:
    assert answer_of(api.get("/v2/globalParallelism")) == (
        200,
        {"parallelismMax": 2147483647, "parallelismCount": 1},
    )
    Account.objects.filter(pk=account.pk).update(parallelism=10)
    assert api.get("/v2/globalParallelism").json()["parallelismMax"] == 10
