"""Workflows: list, show, update, delete (Cloudflare reference 2.1 to 2.3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import Clock
from tests.rest.cloudflare.conftest import CloudflareApi, refusal_of, result_of
from tests.rest.conftest import Register
from workflows_app import Workflow
from workflows_app.engine.definitions import find_definition, version_in_force
from workflows_app.models import Account, Definition, Version

CODE = {"class_name": "shop.<locals>.shop", "script_name": "tests.rest.cloudflare.conftest"}
CLASS_NAME = "shop.<locals>.shop"


def in_force(account: Account) -> Version:
    return version_in_force(find_definition(account, "shop"))


def names_of(response: Any) -> list[str]:
    return [workflow["name"] for workflow in result_of(response)]


@pytest.fixture
def shop(shop: Workflow) -> Workflow:
    shop.function.__qualname__ = CLASS_NAME
    return shop


# -- one


def test_a_workflow_is_shown_with_its_code_and_what_its_instances_do(
    cloudflare: CloudflareApi,
    account: Account,
    shop: Workflow,
    clock: Clock,
    work: Callable[[], int],
):
    result_of(cloudflare.get("shop"))
    clock.advance("1h")
    for _ in range(2):
        shop.trigger()
    work()
    shop.trigger()

    workflow = result_of(cloudflare.get("shop"))

    assert workflow == {
        "id": str(Definition.objects.get(account=account, name="shop").public_id),
        "name": "shop",
        **CODE,
        "created_on": "2030-01-02T12:00:00.000Z",
        "modified_on": "2030-01-02T12:00:00.000Z",
        "triggered_on": "2030-01-02T13:00:00.000Z",
        "instances": {"waiting": 2, "queued": 1},
        "schedules": [],
        "script_deleted": False,
    }


def test_instances_are_counted_by_what_they_do(cloudflare: CloudflareApi, instances: list[str]):
    counted = result_of(cloudflare.get("shop"))["instances"]

    assert counted == {
        **dict.fromkeys(instances[1:], 1),
        # The one of the examples.
        "waiting": 1,
    }


def test_a_workflow_that_nobody_has_triggered_says_so(cloudflare: CloudflareApi, shop: Workflow):
    workflow = result_of(cloudflare.get("shop"))

    assert (workflow["triggered_on"], workflow["instances"]) == (None, {})


def test_runs_of_another_account_do_not_count(
    cloudflare: CloudflareApi, foreigner: CloudflareApi, shop: Workflow
):
    shop.trigger()

    assert result_of(foreigner.get("shop"))["instances"] == {}
    assert result_of(foreigner.get("shop"))["triggered_on"] is None
    assert result_of(foreigner.get("shop"))["id"] != result_of(cloudflare.get("shop"))["id"]


@pytest.mark.parametrize("name", ["nowhere", "no.such", "-x", "a" * 65, "x%20y", "x%2Fy", "ü"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_workflow_that_is_not_there_is_not_found(
    cloudflare: CloudflareApi, method: str, name: str
):
    status, code, _ = refusal_of(cloudflare.send(method, name))

    assert (status, code) in ((404, 10200), (404, 7003))


@pytest.mark.parametrize("name", ["dotted.name", "two words", "line\n", "x" * 65, "-x", "ü"])
def test_what_is_registered_under_a_name_that_the_dialect_lacks_is_not_there(
    cloudflare: CloudflareApi, registry: Register, name: str
):
    registry(name)(lambda context: None)

    assert name not in names_of(cloudflare.get("", per_page=100))
    assert refusal_of(cloudflare.get(quote(name)))[:2] == (404, 10200)


def test_a_workflow_whose_code_is_gone_is_shown_as_such(
    cloudflare: CloudflareApi, account: Account, clock: Clock
):
    gone = Definition.objects.create(
        account=account, name="gone", created_at=clock.now, modified_at=clock.now
    )
    Version.objects.create(
        definition=gone, class_name="Gone", script_name="old", created_at=clock.now
    )

    assert result_of(cloudflare.get("gone"))["script_deleted"] is True
    assert refusal_of(cloudflare.put("gone", {"class_name": "Gone", "script_name": "old"}))[:2] == (
        404,
        10200,
    )


# -- the list


@pytest.fixture
def many(registry: Register) -> list[str]:
    """Names of workflows, in the order in which they are listed."""
    names = [f"dozen-{number:02}" for number in range(12)]
    for name in names:
        registry(name)(lambda context: None)
    return names[::-1]


def test_workflows_are_listed_newest_first_ten_to_a_page(
    cloudflare: CloudflareApi, many: list[str]
):
    first, second, third = (cloudflare.get("", search="dozen", page=page) for page in (1, 2.0, 3))

    assert names_of(first) + names_of(second) == many
    assert names_of(third) == []
    assert second.json()["result_info"] == {
        "count": 2,
        "per_page": 10,
        "total_count": 12,
        "page": 2,
        "total_pages": 2,
    }


def test_the_list_shows_what_the_single_one_shows(cloudflare: CloudflareApi, shop: Workflow):
    shop.trigger()

    (listed,) = result_of(cloudflare.get("", search="sHoP"))

    assert listed == result_of(cloudflare.get("shop"))


@pytest.mark.parametrize(
    "query",
    [
        {"search": "no.name"},
        {"search": "x" * 65},
        {"page": 0},
        {"per_page": 101},
        {"per_page": "many"},
    ],
)
def test_a_list_that_cannot_be_is_refused(cloudflare: CloudflareApi, query: dict[str, Any]):
    status, code, sentence = refusal_of(cloudflare.get("", **query))

    assert (status, code) == (400, 10002)
    assert sentence.startswith(next(iter(query)))


def test_what_a_list_asks_the_database_does_not_grow_with_it(
    cloudflare: CloudflareApi, many: list[str]
):
    cloudflare.get("", search="dozen")
    asked = []
    for size in (1, 12):
        with CaptureQueriesContext(connection) as queries:
            assert len(names_of(cloudflare.get("", search="dozen", per_page=size))) == size
        asked.append(len(queries))

    assert asked[0] == asked[1]


# -- update


def test_an_update_makes_a_version_of_what_it_says(
    cloudflare: CloudflareApi, account: Account, shop: Workflow, clock: Clock
):
    created_on = result_of(cloudflare.get("shop"))["created_on"]
    clock.advance("1h")

    updated = result_of(
        cloudflare.put(
            "shop",
            {
                **CODE,
                "concurrency": {"limit": 2.0},
                "limits": {"steps": 30},
                "default_retention": {"success_retention": "3 days", "error_retention": 60000},
                "what": "nobody knows",
            },
        )
    )

    version = in_force(account)
    assert updated == {
        "id": str(version.definition.public_id),
        "version_id": str(version.public_id),
        "name": "shop",
        **CODE,
        "created_on": created_on,
        "modified_on": "2030-01-02T13:00:00.000Z",
        "triggered_on": None,
        "is_deleted": 0,
        "terminator_running": 0,
    }
    assert (version.parallelism, version.step_limit) == (2, 30)
    assert version.success_retention == timedelta(days=3)
    assert version.error_retention == timedelta(minutes=1)


def test_what_an_update_leaves_out_is_cleared(
    cloudflare: CloudflareApi, account: Account, shop: Workflow
):
    first = result_of(cloudflare.put("shop", {**CODE, "limits": {"steps": 30}}))
    second = result_of(cloudflare.put("shop", CODE))

    assert first["version_id"] != second["version_id"]
    assert in_force(account).step_limit is None


def test_schedules_are_shown_with_the_time_that_comes_next(
    cloudflare: CloudflareApi, shop: Workflow, clock: Clock
):
    crons = ["0 9 * * 1", "*/30 * * * *"]

    result_of(cloudflare.put("shop", {**CODE, "schedules": [{"cron": each} for each in crons]}))

    assert result_of(cloudflare.get("shop"))["schedules"] == [
        {"cron": "0 9 * * 1", "next_instance": "2030-01-07T09:00:00.000Z"},
        {"cron": "*/30 * * * *", "next_instance": "2030-01-02T12:30:00.000Z"},
    ]
    result_of(cloudflare.put("shop", CODE))
    assert result_of(cloudflare.get("shop"))["schedules"] == []


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({"schedules": {}}, "schedules must be a list of at most 200"),
        ({"schedules": [{"cron": "* * * * *"}] * 201}, "schedules must be a list of at most 200"),
        ({"schedules": ["* * * * *"]}, "schedules[0] must be a JSON object"),
        ({"schedules": [{}]}, "schedules[0].cron is missing"),
        ({"schedules": [{"cron": "*" * 257}]}, "schedules[0].cron must be a text of 1 to 256"),
        ({"schedules": [{"cron": "soon"}]}, '"soon" is not a cron expression'),
        ({"class_name": None}, "class_name is missing"),
        ({"script_name": ""}, "script_name must be a text of 1 to 255"),
        ({"class_name": "x" * 256}, "class_name must be a text of 1 to 255"),
        ({"class_name": "Other"}, f'the workflow "shop" is class_name "{CLASS_NAME}"'),
        ({"script_name": "other"}, f'the workflow "shop" is class_name "{CLASS_NAME}"'),
        ({"concurrency": {"limit": 0}}, "concurrency.limit is 0"),
        ({"concurrency": 3}, "concurrency must be a JSON object"),
        ({"limits": {"steps": "many"}}, "limits.steps is 'many'"),
        ({"limits": {"steps": 25_001}}, "the steps of a run can be limited to 1 to 25000"),
        (
            {"default_retention": {"error_retention": "31 days"}},
            "runs that have ended are kept for at most 30d",
        ),
        (
            {"default_retention": {"success_retention": "long"}},
            "default_retention.success_retention is 'long'",
        ),
    ],
    ids=lambda value: json.dumps(value)[:50] if isinstance(value, dict) else "",
)
def test_an_update_that_cannot_be_is_refused_and_changes_nothing(
    cloudflare: CloudflareApi,
    account: Account,
    shop: Workflow,
    changes: dict[str, Any],
    begins: str,
):
    result_of(cloudflare.put("shop", {**CODE, "limits": {"steps": 30}}))

    status, code, sentence = refusal_of(cloudflare.put("shop", {**CODE, **changes}))

    assert (status, code) == (400, 10002)
    assert sentence.startswith(begins)
    assert in_force(account).step_limit == 30


def test_an_update_of_what_is_not_registered_names_what_is(
    cloudflare: CloudflareApi, shop: Workflow
):
    status, code, sentence = refusal_of(cloudflare.put("shops", CODE))

    assert (status, code) == (404, 10200)
    assert "shop" in sentence.partition("registered: ")[2]


def test_a_name_that_no_workflow_can_have_is_refused(cloudflare: CloudflareApi):
    assert refusal_of(cloudflare.put("no.name", CODE))[:2] == (400, 10002)


# -- delete


def test_what_runs_of_a_deleted_workflow_is_ended(
    cloudflare: CloudflareApi, instances: list[str], work: Callable[[], int]
):
    result_of(cloudflare.delete("shop"))

    terminating = result_of(cloudflare.put("shop", CODE))["terminator_running"]
    work()

    assert terminating == 1
    assert result_of(cloudflare.put("shop", CODE))["terminator_running"] == 0
    counted = result_of(cloudflare.get("shop"))["instances"]
    assert counted == {"complete": 1, "errored": 1, "terminated": len(instances) - 2}


def test_a_deleted_workflow_is_hidden_until_it_is_updated(
    cloudflare: CloudflareApi, shop: Workflow
):
    before = result_of(cloudflare.get("shop"))

    assert result_of(cloudflare.delete("shop")) == {"status": "ok", "success": True}

    assert refusal_of(cloudflare.get("shop"))[:2] == (404, 10200)
    assert refusal_of(cloudflare.delete("shop"))[:2] == (404, 10200)
    assert names_of(cloudflare.get("", search="shop")) == []
    updated = result_of(cloudflare.put("shop", CODE))
    assert (updated["id"], updated["is_deleted"]) == (before["id"], 0)
    assert names_of(cloudflare.get("", search="shop")) == ["shop"]


def test_an_account_deletes_for_itself_alone(
    cloudflare: CloudflareApi, foreigner: CloudflareApi, shop: Workflow
):
    result_of(foreigner.delete("shop"))

    assert result_of(cloudflare.get("shop"))["name"] == "shop"
