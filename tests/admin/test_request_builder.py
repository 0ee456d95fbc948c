"""Starting a run by a form, and the code beside it that does the same."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connections
from django.test import Client
from pytest_django import Settings

from tests.admin import flows
from tests.admin.pages import messages, read
from tests.compat.installs import require_node
from workflows_app.engine import accounts
from workflows_app.models import Account, FlowControl, Message, Run, Token, WorkflowLimit

ADD = "/admin/workflows_app/run/add/"
HOSTILE = {
    "payload": '{"say": "\'; $(touch owned) `touch owned` \\\\ \\n </script>", "é": [1.5]}',
    "run_id": 'it\'s "$(touch owned)" \\ ü',
    "labels": "it's $HOME, `touch owned`",
    "headers": 'X-Note: \'; touch owned; echo "$(touch owned)"\nX-Path: C:\\new',
    "flow_key": "a'b\"c\\",
    "flow_limits": "parallelism=2, rate=5, period=1m",
}


def form(**fields: str) -> dict[str, str]:
    return {"workflow": flows.order.name, **fields}


def texts(page: Any) -> dict[str, str]:
    found = re.findall(r'<pre tabindex="0" id="wf-(\w+)">(.*?)</pre>', page, re.DOTALL)
    return {name: unescape(text) for name, text in found}


def test_a_run_is_started_as_the_form_says(admin_client: Client, clock: Any):
    page = admin_client.post(
        ADD,
        form(
            payload='{"cart": 5}',
            run_id="order-5",
            labels="shop, card",
            headers="x-shop: main",
            delay="10m",
            retries="7",
            flow_key="bank",
            flow_limits="parallelism=2",
        ),
        follow=True,
    )

    run = Run.objects.get()
    assert page.request["PATH_INFO"] == f"/admin/workflows_app/run/{run.pk}/change/"
    assert messages(page) == ["Run order-5 was started."]
    assert (run.workflow, run.run_id, bytes(run.payload)) == (
        flows.order.name,
        "order-5",
        b'{"cart":5}',
    )
    assert (run.label_list, run.header_map, run.retries) == (
        ["shop", "card"],
        {"X-Shop": "main"},
        7,
    )
    assert (Message.objects.get().due_at - clock.now).total_seconds() == 600
    assert FlowControl.objects.get(runs=run).key == "bank"
    assert LogEntry.objects.get().get_change_message() == "Run order-5 was started."


def test_what_the_form_leaves_open_the_workflow_decides(admin_client: Client):
    admin_client.post(ADD, {"workflow": flows.charge.name})

    run = Run.objects.get()
    assert (run.retries, bytes(run.payload)) == (1, b"")


def test_of_a_live_run_of_the_same_id_no_other_is_started(admin_client: Client, sleeping_run: Run):
    page = admin_client.post(ADD, form(run_id=sleeping_run.run_id), follow=True)

    assert messages(page) == ["Run nap-1 is live already: nothing was started."]
    assert page.request["PATH_INFO"] == f"/admin/workflows_app/run/{sleeping_run.pk}/change/"
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "text", "error"),
    [
        ("workflow", "unknown", "not one of the available choices"),
        ("payload", "{", "This is not JSON"),
        ("payload", "[1e999]", "cannot"),
        ("run_id", "a/b", "is not a run id"),
        ("labels", "a\nb", "It must be printable, and on one line."),
        ("labels", "x" * 256, "a label is a text of 1 to 255"),
        ("headers", "X Shop: main", "is not the name of a header"),
        ("headers", "no colon", "A header looks like"),
        ("headers", "a: 1\nA: 2", "A is there twice."),
        ("headers", "content-type: text/plain", "Content-Type is set already"),
        ("delay", "soon", "soon"),
        ("delay", "5", "a duration without a unit"),
        ("delay", "4000d", "can be delayed by at most"),
        ("retries", "-1", "greater than or equal to 0"),
        ("retries", "1000000", "retries must be 0 to 1000"),
        ("flow_key", "bank", "must give parallelism, rate or both"),
        ("flow_limits", "parallelism=1", "a flow control key is a text of 1 to"),
    ],
)
def test_what_cannot_be_is_said_on_the_form(
    admin_client: Client, field: str, text: str, error: str
):
    page = admin_client.post(ADD, form(**{field: text}))

    assert "Nothing was started." in read(page)
    assert error in read(page)
    assert not Run.objects.exists()


def test_the_code_is_shown_without_starting_anything(admin_client: Client):
    page = admin_client.post(ADD, form(payload='{"cart": 5}', show="1"))

    shown = texts(page.content.decode())
    assert shown["python"] == (
        "from workflows_app.client import Client\n\n"
        "client = Client('http://127.0.0.1:8000', '<token>')\n"
        "run = client.trigger(\n"
        "    'admin-order',\n"
        "    {'cart': 5},\n"
        ")\n"
        "print(run.workflow_run_id)"
    )
    assert shown["curl"] == (
        "curl --globoff -X POST http://127.0.0.1:8000/v2/trigger/"
        "http://127.0.0.1:8000/serve/admin-order \\\n"
        "  -H 'Authorization: Bearer <token>' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        """  --data-raw '{"cart":5}'"""
    )
    assert not Run.objects.exists()


def test_the_form_begins_with_the_workflow_of_its_address_and_its_code(admin_client: Client):
    page = admin_client.get(f"{ADD}?workflow={flows.nap.name}").content.decode()

    assert f'<option value="{flows.nap.name}" selected>' in page
    assert f"'{flows.nap.name}'," in texts(page)["python"]


@pytest.fixture
def reached(
    transactional_db: None, live_server: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A token of the server that the code speaks of."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.WORKFLOWS = {"BASE_URL": live_server.url}
    return accounts.create_token(Account.objects.default(), "pasted", Token.Scope.FULL)


@pytest.mark.parametrize("language", ["curl", "python", "javascript"])
@pytest.mark.parametrize("fields", [HOSTILE, {**HOSTILE, "run_id": "plain"}], ids=["utf8", "ascii"])
def test_the_code_starts_what_the_form_starts(
    reached: str, admin_client: Client, tmp_path: Path, language: str, fields: dict[str, str]
):
    shown = texts(admin_client.post(ADD, form(**fields, show="1")).content.decode())
    admin_client.post(ADD, form(**fields))
    by_form = said_of(Run.objects.get())
    Run.objects.all().delete()

    execute(language, shown[language].replace("<token>", reached), tmp_path)

    assert said_of(Run.objects.get()) == by_form
    assert list(tmp_path.glob("owned")) == []


def execute(language: str, text: str, directory: Path) -> None:
    if language == "python":
        names: dict[str, Any] = {}
        exec(compile(text, "pasted", "exec"), names)
        names["client"].close()
    elif language == "curl":
        subprocess.run(["bash", "-c", f"{text} --fail"], cwd=directory, check=True, timeout=60)
    else:
        require_node()
        command = ["node", "--input-type=module", "-e", text]
        subprocess.run(command, cwd=directory, check=True, timeout=60)


def said_of(run: Run) -> dict[str, Any]:
    names = ("workflow", "run_id", "payload", "headers", "labels", "retries", "retry_delay", "url")
    return {**{name: getattr(run, name) for name in names}, "flow": run.flow_control_id}


# -- who


def test_who_may_trigger_starts_runs_and_need_not_see_them(client_with: Callable[..., Client]):
    client = client_with("trigger_run")

    page = client.post(ADD, form(run_id="mine"), follow=True)

    assert page.request["PATH_INFO"] == ADD
    assert messages(page) == ["Run mine was started."]


def test_who_may_only_look_starts_nothing(client_with: Callable[..., Client]):
    client = client_with("view_run")

    assert client.get(ADD).status_code == 403
    assert client.post(ADD, form()).status_code == 403
    assert not Run.objects.exists()


def test_who_is_limited_starts_runs_of_these_workflows_alone(client_with: Callable[..., Client]):
    client = client_with("trigger_run")
    group = Group.objects.create(name="nappers")
    WorkflowLimit.objects.create(group=group, workflow=flows.nap.name)
    User.objects.get(username="staff").groups.add(group)

    page = client.post(ADD, form())

    assert "Nothing was started." in read(page)
    assert flows.charge.name not in page.content.decode()
    assert not Run.objects.exists()
    assert client.post(ADD, {"workflow": flows.nap.name}).status_code == 302


def test_who_is_limited_leaves_the_keys_alone_that_others_share(client_with: Callable[..., Client]):
    client = client_with("trigger_run")
    group = Group.objects.create(name="nappers")
    WorkflowLimit.objects.create(group=group, workflow=flows.nap.name)
    User.objects.get(username="staff").groups.add(group)
    shared = FlowControl.objects.create(account=Account.objects.get(), key="bank", parallelism=9)
    limits = {"flow_key": "bank", "flow_limits": "parallelism=1"}

    client.post(ADD, {"workflow": flows.nap.name, **limits})

    shared.refresh_from_db()
    assert shared.parallelism == 9
    assert Run.objects.get().flow_control is None
    assert "flow_key" not in client.get(ADD).content.decode()


def test_a_form_from_another_site_is_refused(admin_user: User):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)

    assert client.post(ADD, form()).status_code == 403
