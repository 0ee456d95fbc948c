"""Who may see and who may act, address by address."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLResolver

from tests.admin import flows
from tests.admin.pages import messages, read
from tests.conftest import Clock
from workflows_app import FlowControlSpec
from workflows_app.engine import accounts
from workflows_app.engine.definitions import find_definition, version_in_force
from workflows_app.models import (
    Account,
    DeadLetter,
    Event,
    Invocation,
    Message,
    Publication,
    Queue,
    Run,
    Schedule,
    Step,
    Token,
    UrlGroup,
    Waiter,
    WorkflowLimit,
)

VERBS = {
    "run": ["cancel", "roll-back", "wake", "resume", "restart"],
    "deadletter": ["resume", "restart", "retry-callback"],
    "account": ["rotate-keys"],
    "token": ["revoke"],
    "message": [],
    "flowcontrol": ["pause", "resume", "unpin", "reset-rate"],
    "publication": ["cancel", "retry", "dismiss"],
    "queue": ["pause", "resume"],
    "urlgroup": [],
    "schedule": ["pause", "resume"],
    "definition": [],
    "version": [],
    "waiter": [],
    "event": [],
    "invocation": [],
    "workflowlimit": [],
}
ALL_VERBS = [(model, verb) for model, verbs in VERBS.items() for verb in verbs]


@pytest.fixture
def rows_of(failed_run: Run, dead_letter: DeadLetter, clock: Clock) -> dict[str, int]:
    """The key of one row of each model."""
    account = Account.objects.default()
    accounts.create_token(account, "ci", Token.Scope.FULL)
    flows.order.trigger(flow_control=FlowControlSpec(key="reports", parallelism=1))
    message = Message.objects.get()
    assert message.flow_control_id is not None
    limit = WorkflowLimit.objects.create(group=Group.objects.create(name="others"), workflow="x")
    return {
        "run": failed_run.pk,
        "deadletter": dead_letter.pk,
        "account": account.pk,
        "token": Token.objects.get().pk,
        "message": message.pk,
        "workflowlimit": limit.pk,
        "flowcontrol": message.flow_control_id,
        **_plain_rows(account, clock),
        **_rows_of_versions(account),
        **_waiting_rows(failed_run, clock),
    }


def _plain_rows(account: Account, clock: Clock) -> dict[str, int]:
    named = {"account": account, "name": "orders", "created_at": clock.now, "updated_at": clock.now}
    publication = Publication.objects.create(
        account=account,
        public_id="msg_1",
        url="https://shop.example.org/",
        retries=0,
        not_before=clock.now,
        created_at=clock.now,
    )
    schedule = Schedule.objects.create(
        account=account, public_id="scd_1", cron="0 * * * *", created_at=clock.now
    )
    return {
        "publication": publication.pk,
        "queue": Queue.objects.create(**named).pk,
        "urlgroup": UrlGroup.objects.create(**named).pk,
        "schedule": schedule.pk,
    }


def _rows_of_versions(account: Account) -> dict[str, int]:
    definition = find_definition(account, flows.order.name)
    return {"definition": definition.pk, "version": version_in_force(definition).pk}


def _waiting_rows(run: Run, clock: Clock) -> dict[str, int]:
    event = Event.objects.create(run=run, event_id="approved", created_at=clock.now)
    said = '{"stepName":"wait","branch":""}'
    step = {"key": "1", "step": said, "created_at": clock.now}
    waiter = Waiter.objects.create(
        account_id=run.account_id, run=run, event_id="approved", deadline=clock.now, **step
    )
    invocation = Invocation.objects.create(parent=run, child=run, **step)
    return {"waiter": waiter.pk, "event": event.pk, "invocation": invocation.pk}


def routes() -> list[str]:
    """Of all pages of the app, as they are registered."""
    found = []
    for route in _routes_of(admin.site.get_urls()):
        # The last is Django's own, for addresses of former versions.
        if route.startswith("workflows_app/") and not route.endswith("/<path:object_id>/"):
            found.append(route)
    return found


def _routes_of(patterns: list[Any], before: str = "") -> list[str]:
    found = []
    for pattern in patterns:
        route = f"{before}{pattern.pattern}"
        below = isinstance(pattern, URLResolver)
        found += _routes_of(pattern.url_patterns, route) if below else [route]
    return found


def addresses(rows_of: dict[str, int]) -> list[str]:
    """All of them, each with a row of its model. An address with a parameter that is not known here
    fails: say what it stands for.
    """
    step = Step.objects.filter(run=rows_of["run"]).first()
    assert step is not None
    found = []
    for route in routes():
        model = route.split("/")[1]
        row = rows_of[model]
        known = {"object_id": row, "pk": row, "run_pk": row, "step_pk": step.pk, "field": "result"}
        filled = re.sub(r"<(?:\w+:)?(\w+)>", partial(_value_of, known), route)
        found.append(f"/admin/{filled}")
    return found


def _value_of(known: Mapping[str, Any], parameter: re.Match[str]) -> str:
    return str(known[parameter[1]])


def test_a_stranger_is_sent_to_the_login_from_every_address(
    client: Client, rows_of: dict[str, int]
):
    for address in addresses(rows_of):
        for answer in (client.get(address), client.post(address)):
            assert answer.status_code == 302
            assert answer["Location"] == f"/admin/login/?next={address}"


def test_staff_without_permissions_reaches_nothing(
    client_with: Callable[..., Client], rows_of: dict[str, int]
):
    client = client_with()

    for address in addresses(rows_of):
        assert client.get(address).status_code == 403, address
        assert client.post(address).status_code == 403, address


def test_who_may_only_look_sees_no_buttons_and_no_actions(
    client_with: Callable[..., Client], rows_of: dict[str, int]
):
    client = client_with(*(f"view_{model}" for model in VERBS))

    for model, pk in rows_of.items():
        listed = client.get(f"/admin/workflows_app/{model}/")
        page = read(client.get(f"/admin/workflows_app/{model}/{pk}/change/"))
        assert 'name="action"' not in listed.content.decode()
        assert "…\nHistory" not in page
        assert "Delete…" not in page
    payload = client.get(f"/admin/workflows_app/run/{rows_of['run']}/value/payload/")
    assert payload.content == b'{"cart":5}'


@pytest.mark.parametrize(("model", "verb"), ALL_VERBS)
def test_who_may_only_look_is_refused_every_verb(
    client_with: Callable[..., Client], rows_of: dict[str, int], model: str, verb: str
):
    client = client_with(f"view_{model}")
    address = f"/admin/workflows_app/{model}/{rows_of[model]}/{verb}/"
    action = {"action": verb, "_selected_action": [str(rows_of[model])], "confirmed": "yes"}

    answers = [client.get(address).status_code, client.post(address).status_code]
    client.post(f"/admin/workflows_app/{model}/", action)

    assert answers == [403, 403]
    assert DeadLetter.objects.count() == 1
    assert Run.objects.count() == 2
    assert Token.objects.usable().count() == 1


@pytest.mark.parametrize(("model", "verb"), ALL_VERBS)
def test_who_may_change_may_use_the_verbs(
    client_with: Callable[..., Client], rows_of: dict[str, int], model: str, verb: str
):
    client = client_with(f"change_{model}")
    address = f"/admin/workflows_app/{model}/{rows_of[model]}/{verb}/"

    assert client.get(address).status_code == 200
    assert len(messages(client.post(address, follow=True))) == 1


def test_who_may_not_see_runs_is_led_back_to_the_dead_letters(
    client_with: Callable[..., Client], rows_of: dict[str, int]
):
    client = client_with("change_deadletter")

    page = client.post(
        f"/admin/workflows_app/deadletter/{rows_of['deadletter']}/resume/", follow=True
    )

    assert page.request["PATH_INFO"] == "/admin/workflows_app/deadletter/"
    assert messages(page)[0].startswith("Run card-5 was resumed")


def test_making_and_revoking_tokens_are_separate_permissions(
    client_with: Callable[..., Client], rows_of: dict[str, int]
):
    client = client_with("view_token", "add_token")
    form = {"account": rows_of["account"], "name": "new", "scope": "full"}

    assert client.post("/admin/workflows_app/token/add/", form).status_code == 200
    assert client.post(f"/admin/workflows_app/token/{rows_of['token']}/revoke/").status_code == 403
    assert Token.objects.usable().count() == 2


def test_a_verb_from_another_site_is_refused(sleeping_run: Run, admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)

    answer = client.post(f"/admin/workflows_app/run/{sleeping_run.pk}/cancel/")

    assert answer.status_code == 403
    sleeping_run.refresh_from_db()
    assert sleeping_run.is_live


def test_a_verb_has_a_permission_of_its_own(client_with: Callable[..., Client], sleeping_run: Run):
    client = client_with("view_run", "wake_run")
    run = f"/admin/workflows_app/run/{sleeping_run.pk}"

    page = client.get(f"{run}/change/")

    assert "Run now…" in page.content.decode()
    assert "Cancel…" not in page.content.decode()
    assert client.post(f"{run}/cancel/").status_code == 403
    assert client.post(f"{run}/wake/").status_code == 302


@pytest.fixture
def limited_client(client_with: Callable[..., Client], rows_of: dict[str, int]) -> Client:
    """Of a member of a group that is limited to the workflow of `sleeping_run`, who may see and do
    everything with what that group sees.
    """
    verbs = ("view", "change", "delete", "add")
    client = client_with(*(f"{verb}_{model}" for verb in verbs for model in VERBS))
    group = Group.objects.create(name="nappers")
    WorkflowLimit.objects.create(group=group, workflow=flows.nap.name)
    User.objects.get(username="staff").groups.add(group)
    return client


def test_who_is_limited_to_a_workflow_sees_its_runs_alone(
    limited_client: Client, sleeping_run: Run, failed_run: Run
):
    listed = limited_client.get("/admin/workflows_app/run/").content.decode()

    assert sleeping_run.run_id in listed
    assert failed_run.run_id not in listed
    seen = limited_client.get(f"/admin/workflows_app/run/{sleeping_run.pk}/change/")
    assert seen.status_code == 200


def test_who_is_limited_to_a_workflow_reaches_no_row_of_another_or_of_none(
    limited_client: Client, rows_of: dict[str, int]
):
    for address in addresses(rows_of):
        if not address.endswith((*(f"/{model}/" for model in VERBS), "/run/add/", "/waiter/send/")):
            for answer in (limited_client.get(address), limited_client.post(address)):
                assert answer.status_code in (302, 403, 404), address
                assert answer.get("Location", "/admin/") == "/admin/", address
    assert Run.objects.get(pk=rows_of["run"]).dead_letter is not None
    assert Token.objects.usable().count() == 1


def test_superusers_are_not_limited(admin_client: Client, admin_user, failed_run: Run):
    group = Group.objects.create(name="nappers")
    WorkflowLimit.objects.create(group=group, workflow=flows.nap.name)
    admin_user.groups.add(group)

    assert failed_run.run_id in admin_client.get("/admin/workflows_app/run/").content.decode()


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        ("account", "current_signing_key__startswith=s"),
        ("token", "digest__startswith=a"),
        ("run", "payload__isnull=False"),
        ("run", "error__contains=card"),
        ("message", "token__startswith=a"),
        ("publication", "headers__contains=secret"),
        ("waiter", "step__contains=a"),
    ],
)
def test_no_address_asks_for_columns_that_are_not_offered(
    client_with: Callable[..., Client], rows_of: dict[str, int], model: str, lookup: str
):
    client = client_with(f"view_{model}")

    answer = client.get(f"/admin/workflows_app/{model}/?{lookup}")

    assert answer.status_code == 400


def test_links_of_other_pages_find_rows_by_name(admin_client: Client, rows_of: dict[str, int]):
    links = (
        *("queue/?name=orders", "urlgroup/?name=orders", "schedule/?public_id=scd_1"),
        *("publication/?queue__id__exact=1", "publication/?url_group=a"),
        *("publication/?schedule_id=scd_1", "waiter/?run__id__exact=1", "event/?run__id__exact=1"),
        "invocation/?parent__id__exact=1",
    )
    for link in links:
        assert admin_client.get(f"/admin/workflows_app/{link}").status_code == 200, link


def test_who_is_limited_is_offered_no_workflow_version_or_key_of_others(
    limited_client: Client, rows_of: dict[str, int]
):
    listed = limited_client.get(f"/admin/workflows_app/run/?workflow={flows.order.name}")

    filters = listed.content.decode().split('id="changelist-filter"')[1]
    assert flows.nap.name in filters
    assert flows.charge.name not in filters
    assert "reports" not in filters
    assert f"version={rows_of['version']}" not in filters


def test_an_entry_that_does_not_exist_has_no_page(admin_client: Client):
    answer = admin_client.get("/admin/workflows_app/deadletter/no-number/change/")

    assert answer["Location"] == "/admin/"


def test_an_entry_is_found_by_other_digits_as_well(admin_client: Client, dead_letter: DeadLetter):
    digits = str(dead_letter.pk).translate({ord("0") + each: 0x660 + each for each in range(10)})

    answer = admin_client.get(f"/admin/workflows_app/deadletter/{digits}/change/")

    assert (
        f'href="/admin/workflows_app/deadletter/{dead_letter.pk}/edit/"' in answer.content.decode()
    )
