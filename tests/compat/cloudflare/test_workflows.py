"""workflows.list, get, update and delete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.compat.cloudflare.clients import Client
from tests.compat.cloudflare.instances import decoded, detail, end_of, start, until
from tests.compat.features import by_each_client
from tests.compat.programs import SdkError
from tests.compat.world import World, eventually

HERE = "tests.compat.cloudflare.workflows"
DAY = 24 * 60 * 60 * 1000

WRONG: dict[str, dict[str, Any]] = {
    "another class": {"class_name": "NoSuchClass"},
    "another module": {"script_name": "no.such.module"},
    "no class": {"class_name": ""},
    "no steps": {"limits": {"steps": 0}},
    "no concurrency": {"concurrency": {"limit": 0}},
    "no duration": {"default_retention": {"success_retention": "soon"}},
    "too long a retention": {"default_retention": {"error_retention": "5 years"}},
    "no cron": {"schedules": [{"cron": "every day"}]},
    "too many schedules": {
        "schedules": [{"cron": f"{n % 60} {n // 60} * * *"} for n in range(201)]
    },
}


def names_on_all_pages(client: Client) -> list[str]:
    return [each["name"] for each in client.every("list", per_page=7)]


def all_once(names: list[str], total: int) -> bool:
    return len(names) == len(set(names)) == total


@by_each_client("workflows.list: all, by name, page by page")
def test_the_registered_workflows_are_listed(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)

    found = client.call("list", search="every-con")
    # Other tests make, hide and show workflows of this account meanwhile, which moves the pages.
    ordered, first = eventually(
        lambda: (names_on_all_pages(client), client.call("list", page=1, per_page=5)),
        lambda listed: all_once(listed[0], listed[1]["result_info"]["total_count"]),
    )
    beyond = client.call("list", page=1000)

    assert {"purchase", "function", "every-construct", "order-fulfillment"} <= set(ordered)
    assert [each["name"] for each in found["result"]] == ["every-construct"]
    assert [each["name"] for each in first["result"]] == ordered[:5]
    assert first["result_info"]["count"] == first["result_info"]["per_page"] == 5
    assert beyond["result"] == []


@by_each_client("workflows.get")
def test_a_workflow_is_shown_with_its_code_and_its_instances(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "listed")
    until(client, "listed", instance, "waiting")

    shown = client.call("get", "listed")

    assert shown["name"] == "listed"
    assert shown["class_name"] == "idle"
    assert shown["script_name"] == HERE
    assert shown["instances"]["waiting"] == 1
    assert set(shown["instances"]) <= {
        *("queued", "running", "waiting", "waitingForPause", "paused"),
        *("rollingBack", "complete", "errored", "terminated"),
    }
    assert shown["triggered_on"] >= shown["created_on"]


@by_each_client("workflows.update: limits, concurrency, retention, schedules")
def test_an_update_replaces_all_settings(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    code = {"class_name": "idle", "script_name": HERE}

    updated = client.call(
        "update",
        "changed",
        **code,
        concurrency={"limit": 3},
        default_retention={"success_retention": "2 days", "error_retention": DAY},
        limits={"steps": 25},
        schedules=[{"cron": "0 9 * * 1"}, {"cron": "*/5 * * * *"}],
    )
    shown = client.call("get", "changed")
    version = client.call("versions.get", updated["version_id"], workflow_name="changed")

    assert (updated["id"], updated["name"]) == (shown["id"], "changed")
    assert (updated["is_deleted"], updated["terminator_running"]) == (0, 0)
    assert sorted(each["cron"] for each in shown["schedules"]) == ["*/5 * * * *", "0 9 * * 1"]
    soon = datetime.now(UTC) + timedelta(minutes=5)
    upcoming = {each["cron"]: moment(each["next_instance"]) for each in shown["schedules"]}
    assert upcoming["*/5 * * * *"] <= soon
    assert version["limits"] == {"steps": 25}
    assert version["concurrency"] == {"limit": 3}
    assert version["default_retention"] == {
        "success_retention": 2 * DAY,
        "error_retention": DAY,
    }

    cleared = client.call("update", "changed", **code)
    newest = client.call("versions.list", "changed")["result"][0]

    assert newest["id"] == cleared["version_id"] != updated["version_id"]
    assert not client.call("get", "changed").get("schedules")
    assert not any(newest.get(key) for key in ("limits", "concurrency", "default_retention"))


@by_each_client("workflows.update: refusals")
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_update_changes_nothing(world: World, sdk: str, wrong: str) -> None:
    client = world.cloudflare(sdk)
    before = client.call("versions.list", "limited")

    with pytest.raises(SdkError) as refused:
        client.call(
            "update", "limited", **{"class_name": "idle", "script_name": HERE, **WRONG[wrong]}
        )

    assert (refused.value.name, refused.value.status) == ("BadRequestError", 400)
    assert refused.value.codes == [10002]
    assert client.call("versions.list", "limited") == before


@by_each_client("workflows.delete")
def test_a_deleted_workflow_is_gone_and_its_instances_end(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    client.call("get", "deleted")
    instance = start(client, "deleted")

    assert client.call("delete", "deleted") == {"status": "ok", "success": True}

    for look in (
        lambda: client.call("get", "deleted"),
        lambda: client.call("delete", "deleted"),
        lambda: start(client, "deleted"),
        lambda: detail(client, "deleted", instance),
    ):
        with pytest.raises(SdkError) as unknown:
            look()
        assert (unknown.value.name, unknown.value.codes) == ("NotFoundError", [10200])
    assert client.call("list", search="deleted")["result"] == []

    client.call("update", "deleted", class_name="idle", script_name=HERE)

    assert eventually(
        lambda: detail(client, "deleted", instance), lambda found: found["status"] == "terminated"
    )
    assert client.call("get", "deleted")["name"] == "deleted"


@by_each_client("workflows.update: concurrency limits what runs at once")
def test_instances_above_the_limit_queue(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    shown = client.call("get", "narrow")
    code = {key: shown[key] for key in ("class_name", "script_name")}
    client.call("update", "narrow", **code, concurrency={"limit": 1})

    instances = [start(client, "narrow") for _ in range(3)]

    spans = sorted(decoded(end_of(client, "narrow", each)["output"]) for each in instances)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
