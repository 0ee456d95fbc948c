"""Listing instances: pages by number and by cursor, and what is on them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import Clock
from tests.rest.cloudflare.conftest import CloudflareApi, refusal_of, result_of
from tests.rest.cloudflare.shapes import ITEM, checked, many
from tests.rest.conftest import Register
from workflows_app.engine import run_moves
from workflows_app.engine.definitions import find_definition
from workflows_app.models import Account, Run
from workflows_app.sdk.authoring import get_workflow

INSTANCES = "orders/instances"


@pytest.fixture(autouse=True)
def orders(registry: Register) -> None:
    @registry("orders", retries=0)
    def orders(context: Any) -> Any:
        match context.request_payload:
            case "fail":
                context.run("fail", lambda: 1 / 0)
            case "sleep":
                context.sleep("nap", "1h")
        return context.run("sell", lambda: "sold")


def create(api: CloudflareApi, *ids: str, params: Any = "{}") -> None:
    items = [{"instance_id": each, "params": params} for each in ids]
    result_of(api.post(f"{INSTANCES}/batch", items))


def ids_of(answer: Any) -> list[str]:
    return [each["id"] for each in result_of(answer)]


def info_of(answer: Any) -> Any:
    return answer.json()["result_info"]


# -- what is on a page


def test_an_instance_is_listed_with_what_it_does_and_since_when(
    cloudflare: CloudflareApi, account: Account, clock: Clock, work: Any
) -> None:
    create(cloudflare, "order-7", params='"sleep"')
    clock.advance("1s")
    work()
    clock.advance("10m")

    (item,) = checked(many(ITEM), result_of(cloudflare.get(INSTANCES)))

    definition = find_definition(account, "orders")
    assert item == {
        "id": "order-7",
        "workflow_id": str(definition.public_id),
        "version_id": str(definition.versions.get().public_id),
        "status": "waiting",
        "created_on": "2030-01-02T12:00:00.000Z",
        "modified_on": "2030-01-02T12:00:01.000Z",
        "started_on": "2030-01-02T12:00:01.000Z",
        "ended_on": None,
        "trigger_source": "api",
    }


def test_one_that_nobody_has_taken_has_not_started(cloudflare: CloudflareApi) -> None:
    create(cloudflare, "order-7")

    (item,) = checked(many(ITEM), result_of(cloudflare.get(INSTANCES)))

    assert (item["status"], item["started_on"]) == ("queued", None)
    assert item["modified_on"] == item["created_on"]


def test_one_that_has_ended_says_when(cloudflare: CloudflareApi, clock: Clock, work: Any) -> None:
    create(cloudflare, "order-7")
    clock.advance("1m")
    work()
    clock.advance("1m")

    (item,) = checked(many(ITEM), result_of(cloudflare.get(INSTANCES)))

    ended = "2030-01-02T12:01:00.000Z"
    assert (item["status"], item["ended_on"], item["modified_on"]) == ("complete", ended, ended)


def test_one_that_was_terminated_before_it_began_has_not_started(
    cloudflare: CloudflareApi, clock: Clock
) -> None:
    create(cloudflare, "order-7")
    run_moves.cancel(Run.objects.get())

    (item,) = checked(many(ITEM), result_of(cloudflare.get(INSTANCES)))

    assert (item["status"], item["started_on"]) == ("terminated", None)


def test_runs_that_python_and_other_surfaces_start_are_instances_too(
    cloudflare: CloudflareApi, api: Any
) -> None:
    get_workflow("orders").trigger(workflow_run_id="by-python")
    api.post(f"/v2/trigger/{get_workflow('orders').url}", upstash_workflow_runid="by-upstash")

    items = checked(many(ITEM), result_of(cloudflare.get(INSTANCES)))

    assert {each["id"]: each["trigger_source"] for each in items} == {
        "by-upstash": "api",
        "by-python": "binding",
    }


def test_a_page_takes_as_many_queries_as_a_single_instance(
    cloudflare: CloudflareApi, work: Any
) -> None:
    counts = []
    for ids in (["a"], ["b", "c", "d", "e"]):
        create(cloudflare, *ids, params='"sleep"')
        work()
        cloudflare.get(INSTANCES)
        with CaptureQueriesContext(connection) as queries:
            result_of(cloudflare.get(INSTANCES))
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_an_id_whose_run_has_begun_anew_is_listed_once(
    cloudflare: CloudflareApi, registry: Register, work: Any
) -> None:
    @registry("counter")
    def counter(context: Any) -> int:
        if context.request_payload < 3:
            context.continue_as_new(context.request_payload + 1)
        return int(context.request_payload)

    cloudflare.post("counter/instances", {"instance_id": "one", "params": 1})
    work()

    assert Run.objects.count() == 3
    (item,) = checked(many(ITEM), result_of(cloudflare.get("counter/instances")))
    assert (item["id"], item["status"]) == ("one", "complete")


# -- filters


def test_instances_are_found_by_what_they_do(cloudflare: CloudflareApi, work: Any) -> None:
    create(cloudflare, "sold")
    create(cloudflare, "failed", params='"fail"')
    create(cloudflare, "asleep", params='"sleep"')
    work()
    create(cloudflare, "terminated", "fresh")
    run_moves.cancel(Run.objects.get(run_id="terminated"))
    expected = {
        "complete": ["sold"],
        "errored": ["failed"],
        "waiting": ["asleep"],
        "terminated": ["terminated"],
        "queued": ["fresh"],
        "running": [],
        "paused": [],
        "waitingForPause": [],
        "rollingBack": [],
    }

    found = {each: ids_of(cloudflare.get(INSTANCES, status=each)) for each in expected}

    assert found == expected


def test_instances_are_found_by_when_they_were_created(
    cloudflare: CloudflareApi, clock: Clock
) -> None:
    for name in ("first", "second", "third"):
        create(cloudflare, name)
        clock.advance("1h")

    def found(**query: str) -> list[str]:
        return ids_of(cloudflare.get(INSTANCES, **query))

    assert found(date_start="2030-01-02T13:00:00Z") == ["third", "second"]
    assert found(date_end="2030-01-02T13:00:00") == ["second", "first"]
    between = {"date_start": "2030-01-02T13:30:00+01:00", "date_end": "2030-01-02T13:59:00.000Z"}
    assert found(**between) == ["second"]


# -- pages


@pytest.fixture
def five(cloudflare: CloudflareApi) -> list[str]:
    """Newest first."""
    create(cloudflare, *"abcde")
    return list("edcba")


def test_pages_are_numbered_until_one_is_empty(cloudflare: CloudflareApi, five: list[str]) -> None:
    pages = [cloudflare.get(INSTANCES, page=f"{page}.0", per_page="2.0") for page in (1, 2, 3, 4)]

    assert [ids_of(page) for page in pages] == [["e", "d"], ["c", "b"], ["a"], []]
    first, last = info_of(pages[0]), info_of(pages[3])
    assert first.pop("cursor")
    assert first == {"count": 2, "per_page": 2, "total_count": 5, "page": 1}
    assert last == {"count": 0, "per_page": 2, "total_count": 5, "page": 4}


@pytest.mark.parametrize(("direction", "expected"), [("desc", "edcba"), ("asc", "abcde")])
def test_cursors_lead_through_all_in_either_direction(
    cloudflare: CloudflareApi, five: list[str], direction: str, expected: str
) -> None:
    answer = cloudflare.get(INSTANCES, direction=direction, per_page=2)
    found = ids_of(answer)
    while cursor := info_of(answer).get("cursor"):
        answer = cloudflare.get(INSTANCES, cursor=cursor, per_page=2)
        found += ids_of(answer)

    assert found == list(expected)


def test_rows_that_come_do_not_move_what_a_cursor_leads_to(
    cloudflare: CloudflareApi, five: list[str]
) -> None:
    cursor = info_of(cloudflare.get(INSTANCES, per_page=2))["cursor"]
    create(cloudflare, "f")

    assert ids_of(cloudflare.get(INSTANCES, cursor=cursor, per_page=2)) == ["c", "b"]


def test_a_client_that_sends_cursor_and_page_goes_on_from_the_cursor(
    cloudflare: CloudflareApi, five: list[str]
) -> None:
    cursor = info_of(cloudflare.get(INSTANCES, per_page=1))["cursor"]

    pages = [cloudflare.get(INSTANCES, cursor=cursor, page=page, per_page=2) for page in (1, 2, 3)]

    assert [ids_of(page) for page in pages] == [["d", "c"], ["b", "a"], []]


def test_no_page_is_cut_short_by_runs_that_are_not_listed(
    cloudflare: CloudflareApi, five: list[str]
) -> None:
    old = Run.objects.get(run_id="d")
    run_moves.cancel(old)
    Run.objects.filter(run_id="e").update(origin=old, run_id="d")

    answer = cloudflare.get(INSTANCES, per_page=2)

    assert (ids_of(answer), info_of(answer)["total_count"]) == (["d", "c"], 4)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"page": "0"}, "page is "),
        ({"page": "1.5"}, "page is "),
        ({"page": "x"}, "page is "),
        ({"per_page": "101"}, "per_page is "),
        ({"per_page": "0"}, "per_page is "),
        ({"status": "done"}, "status is 'done' but must be one of queued, running, waiting"),
        ({"direction": "up"}, "direction is 'up' but must be one of asc, desc"),
        ({"date_start": "yesterday"}, "date_start is 'yesterday' but must be a time"),
        ({"date_end": "2030-13-01"}, "date_end is '2030-13-01' but must be a time"),
        ({"cursor": "x"}, "'x' is not a cursor"),
        ({"cursor": "ä" * 3}, "'äää' is not a cursor"),
        ({"cursor": "YmVmb3JlOjE", "direction": "asc"}, "'YmVmb3JlOjE' is not a cursor"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_name(
    cloudflare: CloudflareApi, query: dict[str, str], sentence: str
) -> None:
    status, code, said = refusal_of(cloudflare.get(INSTANCES, **query))

    assert (status, code) == (400, 10002)
    assert said.startswith(sentence)


def test_the_instances_of_an_unknown_workflow_are_not_found(cloudflare: CloudflareApi) -> None:
    assert refusal_of(cloudflare.get("nowhere/instances"))[:2] == (404, 10200)


def test_instances_of_other_accounts_and_workflows_are_not_listed(
    cloudflare: CloudflareApi, foreigner: CloudflareApi, five: list[str], registry: Register
) -> None:
    registry("refunds")(lambda context: None)

    assert ids_of(foreigner.get(INSTANCES)) == []
    assert ids_of(cloudflare.get("refunds/instances")) == []
