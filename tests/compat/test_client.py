"""The client of @upstash/workflow: triggering, canceling, looking, notifying."""

from __future__ import annotations

import hashlib
import time
from itertools import pairwise
from typing import Any

import pytest

from tests.compat.features import WORKFLOW_JS, feature
from tests.compat.programs import SdkError
from tests.compat.world import RunLog, World, eventually, unique


def sleepers(world: World, count: int, tenant: str = "default", **options: Any) -> list[str]:
    """Runs that sleep for a day."""
    runs = [world.trigger("longSleep", tenant=tenant, **options) for _ in range(count)]
    for run_id in runs:
        world.wait_until_waiting(run_id, "long", tenant)
    return runs


def state_of(world: World, run_id: str, tenant: str = "default") -> str | None:
    run = world.log(run_id, tenant)
    return run.state if run else None


@feature(WORKFLOW_JS, "client.trigger: many at once")
def test_many_runs_are_triggered_at_once(world: World) -> None:
    url = world.url("echo")
    wanted = [{"url": url, "body": {"n": n}, "workflowRunId": unique("many")} for n in range(5)]

    started = world.workflow("trigger", wanted)

    ids = [run["workflowRunId"] for run in started]
    assert ids == [f"wfr_{one['workflowRunId']}" for one in wanted]
    assert [world.end_of(run_id).result for run_id in ids] == [{"n": n} for n in range(5)]


@feature(WORKFLOW_JS, "client.trigger: delay, notBefore")
@pytest.mark.parametrize("option", ["delay", "notBefore"])
def test_a_run_starts_when_it_is_told_to(world: World, option: str) -> None:
    value: object = "2s" if option == "delay" else int(time.time()) + 2
    options: dict[str, Any] = {option: value}
    run_id = world.trigger("echo", {"n": 1}, **options)

    assert state_of(world, run_id) == "RUN_STARTED"
    run = world.end_of(run_id)
    assert run.result == {"n": 1}
    assert run.seconds >= 1


@feature(WORKFLOW_JS, "client.trigger: the id of a live run")
def test_a_live_run_is_not_started_twice(world: World) -> None:
    (run_id,) = sleepers(world, 1, workflowRunId=unique("once"))

    again = world.trigger("longSleep", workflowRunId=run_id.removeprefix("wfr_"))

    assert again == run_id
    assert len(world.workflow("logs", {"workflowRunId": run_id})["runs"]) == 1
    world.workflow("cancel", run_id)


@feature(WORKFLOW_JS, "client.trigger: flowControl parallelism")
def test_flow_control_limits_how_many_deliveries_are_in_flight(world: World) -> None:
    flow = {"key": unique("narrow"), "parallelism": 1}
    runs = [world.trigger("slow", flowControl=flow) for _ in range(2)]

    spans = sorted(span for run_id in runs for span in world.end_of(run_id).result)

    assert len(spans) == 6
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@feature(WORKFLOW_JS, "client.trigger: flowControl rate and period")
def test_flow_control_limits_how_many_deliveries_start_in_a_period(world: World) -> None:
    flow = {"key": unique("slow"), "rate": 2, "period": "2s"}
    runs = [world.trigger("echo", {}, flowControl=flow) for _ in range(2)]

    for run_id in runs:
        world.end_of(run_id)

    hits = sorted(hit["at"] for run_id in runs for hit in world.seen(run_id).hits)
    assert len(hits) == 6
    # Six deliveries take three periods: at least the whole one in the middle.
    assert hits[-1] - hits[0] >= 2000


@feature(WORKFLOW_JS, "client.trigger: redact")
def test_what_is_redacted_is_seen_by_the_endpoint_alone(world: World) -> None:
    secret = unique("secret")
    run = world.run(
        "echo",
        secret,
        headers={"Authorization": f"Bearer {secret}", "X-Open": "yes"},
        redact={"body": True, "header": ["Authorization"]},
    )

    assert run.state == "RUN_SUCCESS"
    assert secret not in str(run.data)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    assert run.step("init")["out"] == f"REDACTED:{digest}"
    assert run.step("init")["headers"]["X-Open"] == ["yes"]
    assert {hit["headers"]["authorization"] for hit in world.seen(run.id).hits} == {
        f"Bearer {secret}"
    }


@feature(WORKFLOW_JS, "client.trigger: retries and retryDelay")
def test_a_run_is_retried_as_its_trigger_says(world: World) -> None:
    run = world.run("retried", {"times": 2}, retries=2, retryDelay="600 * (1 + retried)")

    assert run.result == 2
    at = [hit["at"] for hit in world.seen(run.id).hits]
    assert at[2] - at[1] >= 600
    assert at[3] - at[2] >= 1200
    assert [hit["headers"]["upstash-retried"] for hit in world.seen(run.id).hits[1:4]] == [
        "0",
        "1",
        "2",
    ]


@feature(WORKFLOW_JS, "client.trigger: refusals")
@pytest.mark.parametrize(
    "options", [{"retries": 1_000_000}, {"retryDelay": "1000 *"}, {"delay": "3 fortnights"}]
)
def test_a_bad_trigger_is_refused(world: World, options: dict[str, Any]) -> None:
    with pytest.raises(SdkError) as refused:
        world.trigger("echo", **options)

    assert refused.value.status in (400, 412)


@feature(WORKFLOW_JS, "client.cancel: one, many, once")
def test_runs_are_canceled_by_id(world: World) -> None:
    one, *others = sleepers(world, 3)

    assert world.workflow("cancel", one) == {"cancelled": 1}
    assert world.workflow("cancel", one) == {"cancelled": 0}
    assert world.workflow("cancel", [one, *others]) == {"cancelled": 2}
    run = world.log(one)
    assert run is not None
    assert run.state == "RUN_CANCELED"
    assert run.step("long")["state"] == "STEP_CANCELED"
    assert {state_of(world, other) for other in others} == {"RUN_CANCELED"}


@feature(WORKFLOW_JS, "client.cancel: by label, URL, URL prefix")
def test_runs_are_canceled_by_filter(world: World) -> None:
    label = unique("to-cancel")
    sleepers(world, 2, label=label)
    mine = f"{world.url('longSleep')}?of={unique('me')}"
    sleepers(world, 1, url=f"{mine}-1")
    sleepers(world, 2, url=f"{mine}-2")

    assert world.workflow("cancel", {"filter": {"label": label}}) == {"cancelled": 2}
    assert world.workflow("cancel", {"filter": {"workflowUrl": mine}}) == {"cancelled": 0}
    assert world.workflow("cancel", {"filter": {"workflowUrl": f"{mine}-1"}}) == {"cancelled": 1}
    prefix = {"filter": {"workflowUrlStartingWith": mine}}
    assert world.workflow("cancel", prefix) == {"cancelled": 2}


@feature(WORKFLOW_JS, "client.cancel: everything, and the older forms")
def test_all_runs_of_an_account_are_canceled(world: World) -> None:
    one, two, *_ = sleepers(world, 4, "books")

    assert world.workflow("cancel", {"ids": [one]}, tenant="books") == {"cancelled": 1}
    by_url = {"urlStartingWith": world.url("longSleep", "books"), "count": 1}
    assert world.workflow("cancel", {"ids": two}, tenant="books") == {"cancelled": 1}
    assert world.workflow("cancel", by_url, tenant="books")["cancelled"] >= 1
    world.workflow("cancel", {"all": True}, tenant="books")
    started = {"filter": {"state": "RUN_STARTED"}}
    assert world.workflow("logs", started, tenant="books")["runs"] == []


@feature(WORKFLOW_JS, "a canceled run calls no failure function and is no dead letter")
def test_a_canceled_run_is_not_a_failure(world: World) -> None:
    event = unique("event")
    run_id = world.trigger("waits", {"eventId": event})
    world.waiters(event, lambda found: len(found) == 1)

    world.workflow("cancel", run_id)

    run = world.end_of(run_id)
    assert "failureFunction" not in run.data
    assert world.workflow("getWaiters", {"eventId": event}) == []
    assert world.workflow("notify", {"eventId": event}) == []
    assert world.workflow("dlq.list", {"filter": {"workflowRunId": run_id}})["messages"] == []


@feature(WORKFLOW_JS, "client.getWaiters")
def test_the_waiters_of_an_event_are_listed(world: World) -> None:
    event = unique("event")
    assert world.workflow("getWaiters", {"eventId": event}) == []
    before = time.time()
    run_id = world.trigger("waits", {"eventId": event, "timeout": "1h"}, label="waits")

    (waiter,) = world.waiters(event, lambda found: len(found) == 1)

    assert waiter["url"] == world.url("waits")
    assert waiter["headers"]["Upstash-Workflow-Runid"] == [run_id]
    assert before + 3590 < waiter["deadline"] < before + 3640
    world.notify(event)
    world.waiters(event, lambda found: found == [])


@feature(WORKFLOW_JS, "client.notify: with a run id, before and while it waits")
def test_one_run_alone_is_notified(world: World) -> None:
    event = unique("event")
    one, other = (world.trigger("waits", {"eventId": event, "timeout": "20s"}) for _ in "ab")
    world.waiters(event, lambda found: len(found) == 2)

    answers = world.workflow(
        "notify", {"eventId": event, "eventData": "for one", "workflowRunId": one}
    )

    assert [answer["workflowRunId"] for answer in answers] == [one]
    assert world.end_of(one).result["eventData"] == "for one"
    assert state_of(world, other) == "RUN_STARTED"
    nobody = {"eventId": event, "workflowRunId": "wfr_nobody"}
    assert world.workflow("notify", nobody) == []
    world.notify(event, "for all")
    assert world.end_of(other).result["eventData"] == "for all"


@feature(WORKFLOW_JS, "client.logs: filters")
def test_runs_are_found_by_what_they_are(world: World) -> None:
    label = unique("logged")
    before = int(time.time() * 1000)
    done = world.run("echo", {}, label=[label, "second"])
    bad = world.run("fails", {"kind": "final"}, label=label)

    def found(**criterion: Any) -> list[str]:
        criterion.setdefault("label", label)
        answer = world.workflow("logs", {"filter": criterion})
        return [run["workflowRunId"] for run in answer["runs"]]

    assert found() == [bad.id, done.id]
    assert found(state="RUN_SUCCESS") == [done.id]
    assert found(state="RUN_FAILED") == [bad.id]
    assert found(workflowUrl=world.url("fails")) == [bad.id]
    assert found(workflowUrl=[world.url("fails"), world.url("echo")]) == [bad.id, done.id]
    assert found(workflowRunId=done.id) == [done.id]
    assert found(workflowRunId=done.id, workflowCreatedAt=before - 1) == []
    assert found(label=["second"], workflowRunId=done.id) == [done.id]
    assert found(fromDate=before - 5000) == [bad.id, done.id]
    assert found(toDate=before - 5000) == []


@feature(WORKFLOW_JS, "client.logs: pages")
def test_runs_are_listed_page_by_page(world: World) -> None:
    label = unique("pages")
    ids = [world.trigger("echo", {}, label=label) for _ in range(5)]
    pages, cursor = [], None
    while True:
        wanted = {"filter": {"label": label}, "count": 2, **({"cursor": cursor} if cursor else {})}
        answer = world.workflow("logs", wanted)
        pages.append([run["workflowRunId"] for run in answer["runs"]])
        cursor = answer.get("cursor")
        if not cursor:
            break

    listed = [run_id for page in pages for run_id in page]
    assert listed == ids[::-1]
    assert [len(page) for page in pages if page] == [2, 2, 1]


@feature(WORKFLOW_JS, "client.logs: a run in progress, step by step")
def test_the_logs_show_a_run_that_waits(world: World) -> None:
    event = unique("event")
    run_id = world.trigger("waits", {"eventId": event, "timeout": "1h"})

    run = world.wait_until_waiting(run_id, "wait")

    step = run.step("wait")
    assert [kind for kind, _ in run.groups] == ["sequential", "sequential"]
    assert (step["stepType"], step["waitEventId"]) == ("Wait", event)
    assert step["waitTimeoutDuration"] == "1h"
    deadline = step["waitTimeoutDeadline"] / 1000
    assert 3500 < deadline - time.time() <= 3600
    world.notify(event, {"a": 1})
    done = world.end_of(run_id)
    assert done.step("wait")["waitTimeout"] is False
    assert done.data["workflowRunResponse"] == '{"eventData":{"a":1},"timeout":false}'


@feature(WORKFLOW_JS, "accounts: nothing of one is seen or changed by another")
def test_accounts_know_nothing_of_each_other(world: World) -> None:
    event, label = unique("shared"), unique("shared")
    given = unique("shared")
    theirs, ours = (
        world.trigger("waits", {"eventId": event}, tenant, label=label, workflowRunId=given)
        for tenant in ("games", "default")
    )
    assert theirs == ours
    for tenant in ("games", "default"):
        world.waiters(event, lambda found: len(found) == 1, tenant)

    world.notify(event, "theirs", "games")

    assert world.end_of(theirs, "games").result["eventData"] == "theirs"
    assert state_of(world, ours) == "RUN_STARTED"
    seen = world.workflow("logs", {"filter": {"label": label}}, tenant="games")["runs"]
    assert [run["workflowUrl"] for run in seen] == [world.url("waits", "games")]
    assert world.workflow("cancel", ours, tenant="books") == {"cancelled": 0}
    assert world.workflow("cancel", ours) == {"cancelled": 1}


@feature(WORKFLOW_JS, "read-only tokens look and change nothing")
def test_a_read_only_token_only_looks(world: World) -> None:
    run = world.run("echo", {"n": 1}, "games")
    reader = "games:read-only"

    assert world.end_of(run.id, reader).result == {"n": 1}
    assert "messages" in world.workflow("dlq.list", tenant=reader)
    for method, request in (
        ("trigger", {"url": world.url("echo", "games")}),
        ("cancel", {"all": True}),
        ("notify", {"eventId": "any"}),
        ("dlq.delete", {"all": True}),
    ):
        with pytest.raises(SdkError) as refused:
            world.workflow(method, request, tenant=reader)
        assert refused.value.status == 403


@feature(WORKFLOW_JS, "a step of a run that was canceled meanwhile")
def test_what_a_canceled_run_still_does_is_dropped(world: World) -> None:
    run_id = world.trigger("slow", {"ms": 2000})
    eventually(lambda: world.hits(run_id), lambda hits: hits >= 2)

    world.workflow("cancel", run_id)
    time.sleep(2)

    run: RunLog = world.end_of(run_id)
    assert run.state == "RUN_CANCELED"
    assert "STEP_SUCCESS" not in {step["state"] for step in run.groups[-1][1]}
