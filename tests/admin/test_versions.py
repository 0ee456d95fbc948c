"""Versions in the admin: their graphs, their sources, and how they differ."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from tests.admin import flows
from tests.admin.pages import read
from tests.conftest import Clock
from workflows_app.engine import definitions
from workflows_app.engine.definitions import VersionOptions
from workflows_app.engine.drain import drain_here
from workflows_app.models import Account, Definition, Run, Version

pytestmark = pytest.mark.django_db

BASE = "/admin/workflows_app"


@pytest.fixture
def first(db: None) -> Version:
    """With the source that is registered."""
    flows.order.trigger()
    return Version.objects.get()


def another(first: Version, **changes: object) -> Version:
    """Made as if other code had been deployed."""
    said = {
        "digest": "other",
        "source": "",
        "class_name": "order",
        "script_name": "shop",
        **changes,
    }
    return Version.objects.create(definition=first.definition, created_at=first.created_at, **said)


def page_of(client: Client, version: Version, query: str = "") -> str:
    return read(client.get(f"{BASE}/version/{version.pk}/change/{query}"))


def test_the_first_version_shows_its_source_and_its_graph(
    admin_client: Client, first: Version
) -> None:
    page = page_of(admin_client, first)

    assert 'number = context.run("create", int, 7)\n' in page
    assert "Changes\nIt is the first version." in page
    assert "The graph as a list\ncreate: 3 retries\nconfirm: 3 retries" in page


def test_a_version_is_compared_with_the_one_before_it(admin_client: Client, first: Version) -> None:
    Version.objects.filter(pk=first.pk).update(source="def order():\n    pay()\n    <ship>\n")
    newer = another(first, source="def order():\n    bill()\n    <ship>\n", step_limit=50)

    page = page_of(admin_client, newer)

    assert "Setting Before Now\nSteps of a run, at most - 50\n" in page
    assert "@@ -1,3 +1,3 @@\ndef order():\n- pay()\n+ bill()\n<ship>\n" in page


def test_a_version_is_compared_with_any_other_of_its_workflow(
    admin_client: Client, first: Version
) -> None:
    second, third = another(first, source="second"), another(first, source="third")
    flows.nap.trigger()
    foreign = Version.objects.latest("pk")

    chosen = page_of(admin_client, third, f"?against={first.pk}")
    later = page_of(admin_client, second, f"?against={third.pk}")

    assert "-def order(context: Context)" in chosen
    assert "-third\n+second" in later
    for odd in (str(foreign.pk), "x", "9" * 30, "", "²"):
        assert "-second\n+third" in page_of(admin_client, third, f"?against={odd}")


def test_what_is_the_same_and_what_is_not_kept_is_said(
    admin_client: Client, first: Version
) -> None:
    same = definitions.update(Account.objects.default(), flows.order.name, VersionOptions())
    unknown = another(first, graph=None)

    assert "The same settings.\nThe same source." in page_of(admin_client, same)
    page = page_of(admin_client, unknown)
    assert "The source of one of them is not kept." in page
    assert "Source\nIt is not kept." in page
    assert "Graph\nIt has none" in page


def test_the_source_is_not_kept_where_the_settings_say_so(settings: Any) -> None:
    settings.WORKFLOWS = {"KEEP_SOURCE": False}

    flows.order.trigger()

    version = Version.objects.get()
    assert (version.source, version.graph is None) == ("", False)


def test_a_page_takes_a_fixed_number_of_queries(
    admin_client: Client, first: Version, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        another(first, source=f"{number}\n" * 500, graph=first.graph)
    page = f"{BASE}/definition/{first.definition_id}/change/"
    admin_client.get(page)  # Django reads content types once for each process

    with django_assert_max_num_queries(12):
        page_of(admin_client, Version.objects.latest("pk"))
    with django_assert_max_num_queries(14):
        admin_client.get(page)


def definition_page(client: Client, definition: Definition) -> str:
    return read(client.get(f"{BASE}/definition/{definition.pk}/change/"))


def test_a_workflow_says_how_many_runs_its_versions_have(
    admin_client: Client, first: Version
) -> None:
    drain_here()
    flows.order.trigger()

    page = definition_page(admin_client, first.definition)

    assert "Sets Runs Live\n" in page
    assert f"{first.digest[:12]} - 2 1" in page
    assert "not registered" not in page


def test_it_warns_of_live_runs_whose_code_is_not_registered(
    admin_client: Client, first: Version
) -> None:
    flows.order.trigger()
    foreign = another(first)
    Run.objects.filter(version=first).update(version=foreign)

    page = definition_page(admin_client, first.definition)

    assert "2 live runs follow a version that is not registered here." in page
    Definition.objects.update(name="gone")
    Run.objects.update(workflow="gone")
    gone = definition_page(admin_client, first.definition)
    assert "2 live runs have no code here" in gone


def test_without_the_permission_to_view_runs_none_are_counted(
    client_with: Callable[..., Client], first: Version
) -> None:
    page = definition_page(client_with("view_definition"), first.definition)

    assert "Sets\n" in page
    assert "Live" not in page


def test_a_kept_duration_of_nothing_differs_from_none(
    admin_client: Client, first: Version, clock: Clock
) -> None:
    newer = another(first, error_retention=timedelta())

    assert "Kept, if failed, for - 0 s" in page_of(admin_client, newer)
