"""Versions: list, show, and the graph of one (Cloudflare reference 2.10 and 2.11)."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.cloudflare.conftest import CloudflareApi, refusal_of, result_of
from tests.rest.conftest import Register
from tests.sdk.graph.published import check_graph
from workflows_app import Context, Workflow
from workflows_app.engine import definitions
from workflows_app.engine.definitions import VersionOptions
from workflows_app.models import Account, Definition, Version

pytestmark = pytest.mark.usefixtures("clock")


def set_anew(account: Account, **options: Any) -> Version:
    return definitions.update(account, "shop", VersionOptions(**options))


def test_a_version_says_what_was_set_for_its_instances(
    cloudflare: CloudflareApi, account: Account, shop: Workflow
):
    version = set_anew(account, step_limit=500, parallelism=10, success_retention=timedelta(days=3))

    assert result_of(cloudflare.get(f"shop/versions/{version.public_id}")) == {
        "id": str(version.public_id),
        "workflow_id": str(version.definition.public_id),
        "class_name": version.class_name,
        "language": "python",
        "has_dag": True,
        "created_on": "2030-01-02T12:00:00.000Z",
        "modified_on": "2030-01-02T12:00:00.000Z",
        "limits": {"steps": 500},
        "concurrency": {"limit": 10},
        "default_retention": {"success_retention": 259_200_000},
    }


def test_what_was_not_set_is_left_out(cloudflare: CloudflareApi, account: Account, shop: Workflow):
    version = set_anew(account)

    body = result_of(cloudflare.get(f"shop/versions/{version.public_id}"))

    assert not {"limits", "concurrency", "default_retention"} & set(body)


def test_versions_are_listed_with_the_newest_first(
    cloudflare: CloudflareApi, account: Account, shop: Workflow, clock: Clock
):
    first = definitions.version_in_force(definitions.find_definition(account, "shop"))
    clock.advance("1h")
    others = [set_anew(account, parallelism=n) for n in (1, 2)]

    newest = cloudflare.get("shop/versions", per_page=2)
    rest, beyond = (cloudflare.get("shop/versions", per_page=2, page=page) for page in (2, 3))

    ids = [[each["id"] for each in result_of(page)] for page in (newest, rest, beyond)]
    assert ids == [[str(each.public_id) for each in others[::-1]], [str(first.public_id)], []]
    assert newest.json()["result_info"] == {
        "count": 2,
        "per_page": 2,
        "total_count": 3,
        "page": 1,
        "total_pages": 2,
    }
    assert result_of(newest)[0] == result_of(cloudflare.get(f"shop/versions/{ids[0][0]}"))


@pytest.mark.parametrize(("route", "field"), [("graph", "graph"), ("dag", "dag")])
def test_the_graph_of_a_version_has_the_steps_of_its_source(
    cloudflare: CloudflareApi, account: Account, registry: Register, route: str, field: str
):
    @registry("parcel")
    def parcel(context: Context) -> None:
        context.run("pack", str)
        context.wait_for_event("pick-up", "picked-up")

    version = definitions.update(account, "parcel", VersionOptions())

    body = result_of(cloudflare.get(f"parcel/versions/{version.public_id}/{route}"))

    graph = body.pop(field)
    assert body == {
        "id": str(version.public_id),
        "workflow_id": str(version.definition.public_id),
        "class_name": version.class_name,
        "created_on": "2030-01-02T12:00:00.000Z",
        "modified_on": "2030-01-02T12:00:00.000Z",
    }
    check_graph(graph)
    assert graph["workflow"]["class_name"] == version.class_name
    assert [(node["type"], node["name"]) for node in graph["workflow"]["nodes"]] == [
        ("step_do", "pack"),
        ("step_wait_for_event", "pick-up"),
    ]


def test_code_without_source_has_no_graph(
    cloudflare: CloudflareApi, account: Account, shop: Workflow
):
    version = set_anew(account)
    Version.objects.filter(pk=version.pk).update(graph=None)
    path = f"shop/versions/{version.public_id}"

    assert result_of(cloudflare.get(path))["has_dag"] is False
    assert result_of(cloudflare.get(f"{path}/graph"))["graph"] is None
    assert result_of(cloudflare.get(f"{path}/dag"))["dag"] is None


@pytest.mark.parametrize("version_id", [str(uuid.UUID(int=1)), "latest", "0", "ü"])
@pytest.mark.parametrize("end", ["", "/graph", "/dag"])
def test_a_version_that_is_not_there_is_not_found(
    cloudflare: CloudflareApi, shop: Workflow, version_id: str, end: str
):
    assert refusal_of(cloudflare.get(f"shop/versions/{version_id}{end}")) == (
        404,
        10300,
        'the workflow "shop" has no version of this id; list those that it has',
    )


def test_a_version_of_another_workflow_is_not_found(
    cloudflare: CloudflareApi, account: Account, shop: Workflow, clock: Clock
):
    other = Definition.objects.create(
        account=account, name="other", created_at=clock.now, modified_at=clock.now
    )
    version = Version.objects.create(definition=other, class_name="Other", created_at=clock.now)

    assert refusal_of(cloudflare.get(f"shop/versions/{version.public_id}"))[:2] == (404, 10300)


@pytest.mark.parametrize("end", ["", "/5b1c2f4e-7d0a-4c58-8a64-0f5f3a1f6b02"])
def test_versions_of_a_workflow_that_is_not_there_are_not_found(
    cloudflare: CloudflareApi, end: str
):
    assert refusal_of(cloudflare.get(f"nowhere/versions{end}"))[:2] == (404, 10200)


@pytest.mark.parametrize("query", [{"page": 0}, {"per_page": 101}, {"per_page": "many"}])
def test_a_page_that_is_none_is_refused(
    cloudflare: CloudflareApi, shop: Workflow, query: dict[str, Any]
):
    assert refusal_of(cloudflare.get("shop/versions", **query))[:2] == (400, 10002)
