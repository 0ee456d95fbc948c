"""Deleting instances, and terminating many at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.rest.cloudflare.conftest import CloudflareApi, refusal_of, result_of
from tests.rest.cloudflare.shapes import INSTANCE_CHANGE, checked
from tests.rest.conftest import Register
from workflows_app.engine import leases
from workflows_app.models import Run

INSTANCES = "orders/instances"


@pytest.fixture(autouse=True)
def orders(registry: Register) -> None:
    @registry("orders", retries=0)
    def orders(context: Any) -> Any:
        if context.request_payload == "sleep":
            context.sleep("nap", "1h")

    @registry("parent")
    def parent(context: Any) -> None:
        context.invoke("order", workflow=orders, body="sleep", workflow_run_id="child")


def create(api: CloudflareApi, *ids: str, params: str = "{}") -> None:
    result_of(
        api.post(f"{INSTANCES}/batch", [{"instance_id": each, "params": params} for each in ids])
    )


def statuses(api: CloudflareApi) -> dict[str, str]:
    return {each["id"]: each["status"] for each in result_of(api.get(INSTANCES))}


# -- deleting


@pytest.mark.parametrize("params", ["{}", '"sleep"'])
def test_a_deleted_instance_is_gone_and_its_id_is_free(
    cloudflare: CloudflareApi, clock: Any, work: Callable[[], int], params: str
) -> None:
    create(cloudflare, "order-7", params=params)
    work()

    deleted = checked(INSTANCE_CHANGE, result_of(cloudflare.delete(f"{INSTANCES}/order-7")))

    assert deleted == {"instanceId": "order-7", "timestamp": "2030-01-02T12:00:00.000Z"}
    assert refusal_of(cloudflare.get(f"{INSTANCES}/order-7"))[:2] == (404, 10400)
    create(cloudflare, "order-7")
    assert statuses(cloudflare) == {"order-7": "queued"}


def test_an_instance_that_is_not_there_is_not_deleted(cloudflare: CloudflareApi) -> None:
    assert refusal_of(cloudflare.delete(f"{INSTANCES}/order-7"))[:2] == (404, 10400)


def test_an_instance_for_which_another_waits_is_not_deleted(
    cloudflare: CloudflareApi, work: Callable[[], int]
) -> None:
    cloudflare.post("parent/instances", {})
    work()

    refused = cloudflare.delete(f"{INSTANCES}/child")
    batch = result_of(cloudflare.post(f"{INSTANCES}/batch/delete", {"instances": ["child"]}))

    assert refusal_of(refused) == (
        409,
        10407,
        "another run waits for the end of run child: cancel it, so that the other is told, and "
        "delete it then",
    )
    message = "workflows.api.error.instance.cannot_delete"
    assert batch == {
        "deleted": [],
        "errors": [{"id": "child", "code": 10407, "message": message}],
    }


def test_of_many_each_is_deleted_once_and_told_of_in_its_place(cloudflare: CloudflareApi) -> None:
    create(cloudflare, "a", "b", "c")

    deleted = result_of(
        cloudflare.post(f"{INSTANCES}/batch/delete", {"instances": ["b", "none", "a", "b"]})
    )

    message = "workflows.api.error.instance.not_found"
    assert deleted == {
        "deleted": [{"id": "b"}, {"id": "a"}, {"id": "b"}],
        "errors": [{"id": "none", "code": 10400, "message": message}],
    }
    assert statuses(cloudflare) == {"c": "queued"}


# -- terminating


def test_those_of_many_that_have_not_ended_are_terminated(
    cloudflare: CloudflareApi, work: Callable[[], int]
) -> None:
    create(cloudflare, "sold")
    work()
    create(cloudflare, "a", "b", "c")

    answer = cloudflare.post(f"{INSTANCES}/batch/terminate", ["a", "sold", "none", "b", "a"])

    assert result_of(answer) == {"status": "ok", "instancesTerminated": 2}
    assert statuses(cloudflare) == {
        "a": "terminated",
        "b": "terminated",
        "c": "queued",
        "sold": "complete",
    }


@pytest.mark.parametrize("path", ["batch/delete", "batch/terminate"])
@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        ([], "must be a JSON array of 1 to 100 ids of instances"),
        (["a"] * 101, "must be a JSON array of 1 to 100 ids of instances"),
        ("a", "must be a JSON array of 1 to 100 ids of instances"),
        (["a", 7], "item 1 is 7 but must be the id of an instance"),
        (["a", ""], "item 1 is '' but must be the id of an instance"),
        (["a", "b" * 272], "item 1 is 'bbb"),
        (["a", "\0"], "item 1"),
    ],
)
def test_when_one_id_cannot_be_used_nothing_is_done(
    cloudflare: CloudflareApi, path: str, ids: Any, sentence: str
) -> None:
    create(cloudflare, "a")
    body = {"instances": ids} if path == "batch/delete" else ids

    status, code, said = refusal_of(cloudflare.post(f"{INSTANCES}/{path}", body))

    assert (status, code) == (400, 10002)
    assert sentence in said
    assert statuses(cloudflare) == {"a": "queued"}


def test_all_instances_that_do_something_are_terminated_by_workers(
    cloudflare: CloudflareApi, work: Callable[[], int]
) -> None:
    create(cloudflare, "asleep", params='"sleep"')
    work()
    create(cloudflare, "running")
    leases.claim(1)
    path = f"{INSTANCES}/terminate"

    started = cloudflare.send("PUT", path, status="waiting")
    again = cloudflare.send("PUT", path, status="waiting")

    assert result_of(started) == {"status": "ok"}
    assert result_of(again) == {"status": "already_running"}
    assert result_of(cloudflare.get(path)) == {"status": "running"}
    work()
    assert result_of(cloudflare.get(path)) == {"status": "not_running"}
    assert statuses(cloudflare) == {"asleep": "terminated", "running": "running"}


def test_without_a_status_all_that_have_not_ended_are_terminated(
    cloudflare: CloudflareApi, work: Callable[[], int]
) -> None:
    create(cloudflare, "a", "b", params='"sleep"')

    cloudflare.put(f"{INSTANCES}/terminate")
    work()

    assert set(Run.objects.values_list("status", flat=True)) == {Run.Status.CANCELED}


def test_what_has_ended_cannot_be_named_to_be_terminated(cloudflare: CloudflareApi) -> None:
    refused = cloudflare.send("PUT", f"{INSTANCES}/terminate", status="complete")

    status, code, said = refusal_of(refused)
    assert (status, code) == (400, 10002)
    assert said.startswith("status is 'complete' but must be one of queued, running, paused")
