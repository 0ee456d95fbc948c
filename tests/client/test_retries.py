"""What the clients send again, and what they do not, when a server fails."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from tests.client.conftest import Scripted
from workflows_app.client import (
    AnswerLost,
    Backoff,
    RunFilter,
    ServerFailed,
    ServerUnreachable,
    TooManyRequests,
    Trigger,
)
from workflows_app.errors import InvalidInput

UNREACHABLE = httpx.ConnectError("connection refused")
LOST = httpx.ReadTimeout("timed out")
NO_RUNS: dict[str, Any] = {"runs": []}


def started(run_id: str, **more: Any) -> dict[str, Any]:
    return {"workflowRunId": run_id, "workflowCreatedAt": 1_900_000_000_000, **more}


def logged(run_id: str, state: str = "RUN_STARTED") -> dict[str, Any]:
    run = {
        "workflowRunId": run_id,
        "workflowUrl": "https://shop.example.org/order",
        "workflowState": state,
        "workflowRunCreatedAt": 1_900_000_000_000,
        "steps": [],
    }
    return {"runs": [run]}


def asked_for(request: httpx.Request) -> list[str]:
    """The ids of the runs that a trigger asks for."""
    return [item["headers"]["Upstash-Workflow-RunId"] for item in json.loads(request.content)]


@pytest.mark.parametrize(
    "failure", [UNREACHABLE, LOST, httpx.RemoteProtocolError("gone")], ids=repr
)
def test_what_only_looks_is_asked_again(scripted_client: Any, scripted: Scripted, failure: Any):
    scripted.fails(failure).answers(503).answers(200, NO_RUNS)

    assert scripted_client.logs().runs == ()
    assert scripted.methods == ["GET"] * 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_it_is_given_up_after_the_last_repetition(
    scripted_client: Any, scripted: Scripted, status: int
):
    scripted.answers(status).answers(status).answers(status, {"error": "busy"})

    with pytest.raises((ServerFailed, TooManyRequests), match="busy") as failed:
        scripted_client.logs()

    assert failed.value.status == status
    assert len(scripted.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 412])
def test_what_is_refused_is_not_asked_again(scripted_client: Any, scripted: Scripted, status: int):
    scripted.answers(status, {"error": "no"})

    with pytest.raises(Exception, match="no"):
        scripted_client.logs()

    assert len(scripted.asked) == 1


CHANGES = {
    "cancel": lambda client: client.cancel("order-7"),
    "notify": lambda client: client.notify("paid"),
    "resume": lambda client: client.dlq.resume("1-1"),
    "delete": lambda client: client.dlq.delete("1-1"),
    "delete a schedule": lambda client: client.schedules.delete("daily"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_asked_for_again_only_when_nothing_was_done(
    scripted_client: Any, scripted: Scripted, change: Any
):
    scripted.fails(UNREACHABLE).answers(429).fails(LOST)
    with pytest.raises(AnswerLost, match="may or may not"):
        change(scripted_client)

    scripted.answers(503)
    with pytest.raises(ServerFailed):
        change(scripted_client)
    assert len(scripted.asked) == 4


def test_without_a_connection_nothing_was_done(scripted_client: Any, scripted: Scripted):
    for _ in range(3):
        scripted.fails(UNREACHABLE)

    with pytest.raises(ServerUnreachable, match="nothing was done: ConnectError: connection"):
        scripted_client.notify("paid")


def test_a_schedule_is_made_once_however_often_it_is_asked_for(
    scripted_client: Any, scripted: Scripted
):
    scripted.fails(LOST).answers(502).answers(200, {"scheduleId": "scd_1"})

    assert scripted_client.schedules.create("hello", "0 9 * * *") == "scd_1"

    assert len({request.headers["Upstash-Schedule-Id"] for request in scripted.asked}) == 1


# -- triggers


def test_a_trigger_that_got_no_connection_is_sent_again(scripted_client: Any, scripted: Scripted):
    scripted.fails(UNREACHABLE).answers(429).answers(201, [started("wfr_1")])

    assert scripted_client.trigger("order").workflow_run_id == "wfr_1"

    first, *others = scripted.asked
    assert all(request.content == first.content for request in others)


@pytest.mark.parametrize("state", ["RUN_STARTED", "RUN_SUCCESS", "RUN_FAILED"])
def test_a_run_whose_trigger_was_not_answered_is_found_and_not_started_twice(
    scripted_client: Any, scripted: Scripted, state: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workflows_app.client.triggering.new_run_id", lambda: "wfr_made")
    scripted.fails(LOST).answers(200, logged("wfr_made", state))

    run = scripted_client.trigger("order")

    assert (run.workflow_run_id, run.deduplicated) == ("wfr_made", False)
    assert run.created_at == datetime.fromtimestamp(1_900_000_000, UTC)
    assert scripted.methods == ["POST", "GET"]
    assert scripted.asked[1].url.params["workflowRunId"] == "wfr_made"


def test_a_run_that_is_not_found_is_triggered_again_under_its_id(
    scripted_client: Any, scripted: Scripted
):
    scripted.answers(503).answers(200, NO_RUNS).answers(201, [started("wfr_1", deduplicated=True)])

    run = scripted_client.trigger("order")

    # The first trigger was what made it a duplicate.
    assert not run.deduplicated
    assert scripted.methods == ["POST", "GET", "POST"]
    assert asked_for(scripted.asked[0]) == asked_for(scripted.asked[2])


def test_a_live_run_of_a_given_id_is_the_one_that_was_asked_for(
    scripted_client: Any, scripted: Scripted
):
    scripted.fails(LOST).answers(200, logged("order-7"))

    run = scripted_client.trigger("order", workflow_run_id="order-7")

    assert (run.workflow_run_id, run.deduplicated) == ("order-7", True)


def test_an_ended_run_of_a_given_id_may_be_an_older_one(scripted_client: Any, scripted: Scripted):
    scripted.fails(LOST).answers(200, logged("order-7", "RUN_SUCCESS"))

    with pytest.raises(AnswerLost, match=r"get_run before .* order-7\."):
        scripted_client.trigger("order", workflow_run_id="order-7")

    assert scripted.methods == ["POST", "GET"]


def test_it_is_said_which_run_to_look_for_when_looking_fails(
    scripted_client: Any, scripted: Scripted
):
    scripted.fails(LOST).answers(401, {"error": "revoked"})

    with pytest.raises(AnswerLost) as lost:
        scripted_client.trigger("order")

    (run_id,) = asked_for(scripted.asked[0])
    assert f"would be {run_id}." in str(lost.value)


def test_it_is_said_which_run_to_look_for_when_all_answers_are_lost(
    scripted_client: Any, scripted: Scripted
):
    for _ in range(2):
        scripted.answers(500, {"error": "internal error"}).answers(200, NO_RUNS)
    scripted.fails(LOST)

    with pytest.raises(AnswerLost) as lost:
        scripted_client.trigger("order")

    assert asked_for(scripted.asked[-1])[0] in str(lost.value)
    assert scripted.methods == ["POST", "GET", "POST", "GET", "POST"]


def test_a_server_that_has_gone_since_may_have_started_the_run_before(
    scripted_client: Any, scripted: Scripted
):
    scripted.fails(LOST).answers(200, NO_RUNS)
    for _ in range(3):
        scripted.fails(UNREACHABLE)

    with pytest.raises(AnswerLost, match="ReadTimeout"):
        scripted_client.trigger("order")


def test_many_runs_are_looked_for_one_by_one(scripted_client: Any, scripted: Scripted):
    triggers = [Trigger("order", workflow_run_id=name) for name in "ab"]
    scripted.fails(LOST).answers(200, logged("a")).answers(200, logged("b"))

    runs = scripted_client.trigger_many(triggers)

    assert [run.workflow_run_id for run in runs] == ["a", "b"]

    scripted.fails(LOST).answers(200, logged("a")).answers(200, NO_RUNS)
    with pytest.raises(AnswerLost, match="would be a, b"):
        scripted_client.trigger_many(triggers)


def test_a_trigger_that_is_refused_is_not_looked_for(scripted_client: Any, scripted: Scripted):
    scripted.answers(412, {"error": "too many retries"})

    with pytest.raises(Exception, match="too many retries"):
        scripted_client.trigger("order", retries=10_000)

    assert scripted.methods == ["POST"]


# -- pauses


def test_pauses_grow_up_to_the_longest():
    backoff = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=5))

    pauses = [backoff.pause(number, {}) for number in (1, 2, 3, 1000)]

    seconds = [(0.5, 1), (1, 2), (2, 4), (5, 5)]
    for pause, (least, most) in zip(pauses, seconds, strict=True):
        assert timedelta(seconds=least) <= pause <= timedelta(seconds=most)


@pytest.mark.parametrize(
    ("asked", "seconds"), [("3", 3), ("60", 5), ("0", 0), ("soon", 1)], ids=str
)
def test_the_server_says_how_long_the_pause_is(asked: str, seconds: int):
    backoff = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=5))

    pause = backoff.pause(1, {"retry-after": asked})

    assert seconds / 2 <= pause.total_seconds() <= seconds


def test_a_pause_may_be_asked_for_as_a_date():
    then = datetime.now(UTC) + timedelta(hours=1)

    pause = Backoff().pause(1, {"retry-after": format_datetime(then, usegmt=True)})

    assert pause == Backoff().longest


def test_a_backoff_does_not_go_backwards():
    with pytest.raises(InvalidInput):
        Backoff(retries=-1)


def test_the_pause_before_a_repetition_is_kept(
    open_client: Any, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
):
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr("asyncio.sleep", sleep)
    client = open_client("https://a.example.org", "t", transport=httpx.MockTransport(scripted))
    scripted.answers(429, retry_after="3").answers(429).answers(200, NO_RUNS)

    client.logs(RunFilter(label="any"))

    assert slept[0] == 3
    assert 0.2 <= slept[1] <= 0.4
