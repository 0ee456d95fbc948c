"""Forking a run, whole or from one of its steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from tests.admin import flows
from tests.admin.conftest import deleted_when_asked_for, run_called
from tests.admin.pages import messages, read, shows
from workflows_app.engine.drain import drain_here
from workflows_app.models import DeadLetter, Run, Step
from workflows_app.protocol.redaction import redacted

RUN = "/admin/workflows_app/run/"


def address_of(run: Run, step: str = "") -> str:
    if not step:
        return f"{RUN}{run.pk}/fork/"
    return f"{RUN}{run.pk}/fork/{Step.objects.get(run=run, key=step).pk}/"


def echoed(payload: object, **options: Any) -> Run:
    flows.echo.trigger(payload, workflow_run_id="echo-1", **options)
    drain_here()
    return run_called("echo-1")


def test_a_run_is_forked_from_a_step_with_another_payload(admin_client: Client, failed_run: Run):
    address = address_of(failed_run, "charge-card")

    asked = read(admin_client.get(address))
    page = admin_client.post(address, {"payload": '{\r\n "cart": 6\r\n}'}, follow=True)

    assert "Fork from charge-card" in asked
    assert "Steps that began before this one keep their results" in asked
    assert "admin-charge card-5" in asked
    new = failed_run.successors.get()
    assert page.request["PATH_INFO"] == f"{RUN}{new.pk}/change/"
    assert messages(page) == [
        f"Run card-5 was forked from step charge-card: {new.run_id} is another run like it."
    ]
    assert bytes(new.payload) == b'{\n "cart": 6\n}'
    assert list(Step.objects.filter(run=new).values_list("key", flat=True)) == ["load-cart"]
    assert DeadLetter.objects.get().run == failed_run
    logged = set(LogEntry.objects.values_list("object_id", flat=True))
    assert logged == {str(failed_run.pk), str(new.pk)}


def test_a_run_and_its_fork_lead_to_each_other(admin_client: Client):
    run = echoed({"a": 1})

    admin_client.post(address_of(run))

    new = run.successors.get()
    assert f"Forked as\n{new.run_id}" in read(admin_client.get(f"{RUN}{run.pk}/change/"))
    assert "Forked from\necho-1" in read(admin_client.get(f"{RUN}{new.pk}/change/"))


def test_a_payload_that_is_not_edited_is_kept_byte_for_byte(admin_client: Client):
    run = echoed({"a": 1})
    Run.objects.filter(pk=run.pk).update(payload=b'{ "a":\r 1.0 }')
    shown = '{\r\n  "a": 1.0\r\n}'

    assert shows(admin_client.get(address_of(run)), shown.replace("\r", ""))
    admin_client.post(address_of(run), {"payload": shown})
    admin_client.post(address_of(run))

    assert {bytes(new.payload) for new in run.successors.all()} == {b'{ "a":\r 1.0 }'}


def test_a_payload_that_is_no_json_is_refused_and_what_was_typed_stays(admin_client: Client):
    run = echoed({"a": 1})

    page = admin_client.post(address_of(run), {"payload": "{a: 1"})

    assert "This is not JSON" in read(page)
    assert shows(page, "{a: 1")
    assert not run.successors.exists()


def test_a_hidden_payload_is_not_shown_and_is_kept_unless_one_is_written(admin_client: Client):
    run = echoed("hush", redact="body")

    page = admin_client.get(address_of(run))
    admin_client.post(address_of(run), {"payload": ""})
    admin_client.post(address_of(run), {"payload": '"loud"'})

    assert "The payload is hidden. Leave this empty to keep it as it is." in read(page)
    assert not shows(page, "hush")
    assert not shows(page, redacted(b'"hush"'))
    forks = run.successors.order_by("pk")
    assert [bytes(new.payload) for new in forks] == [b'"hush"', b'"loud"']


def test_who_may_fork_and_not_look_is_not_shown_the_payload(client_with: Callable[..., Client]):
    run = echoed("hush")

    page = client_with("fork_run").get(address_of(run))

    assert "The payload is hidden." in read(page)
    assert not shows(page, "hush")


def test_a_credential_in_a_payload_is_masked_and_its_mask_is_not_sent(admin_client: Client):
    run = echoed({"authorization": "Bearer top-secret", "n": 1})
    masked = '{\n  "authorization": "••••••",\n  "n": 2\n}'

    page = admin_client.get(address_of(run))
    refused = admin_client.post(address_of(run), {"payload": masked})

    assert not shows(page, "top-secret")
    assert "Write the real values in place of ••••••" in read(refused)
    assert not run.successors.exists()


def test_half_a_surrogate_pair_is_shown_escaped_and_kept(admin_client: Client):
    run = echoed({"a": 1})
    Run.objects.filter(pk=run.pk).update(payload=rb'{"a":"\ud800"}')

    assert shows(admin_client.get(f"{RUN}{run.pk}/change/"), r'"\ud800"')
    assert shows(admin_client.get(address_of(run)), r'"\ud800"')


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 100_001], ids=["bytes", "large"])
def test_what_cannot_be_edited_is_kept(admin_client: Client, content: bytes):
    run = echoed(content)

    page = admin_client.get(address_of(run))
    admin_client.post(address_of(run), {"payload": ""})

    assert "Leave this empty to keep it as it is." in read(page)
    assert bytes(run.successors.get().payload) == content


def test_what_the_engine_refuses_is_said_on_the_form(admin_client: Client):
    flows.undone.trigger(workflow_run_id="undone-1")
    drain_here()
    run = run_called("undone-1")

    page = admin_client.post(address_of(run, "confirm"), {"payload": "7"})

    assert "has been undone, so its result cannot be kept" in read(page)
    assert ">\n7</textarea>" in page.content.decode()


def test_steps_that_nothing_begins_with_and_steps_of_other_runs_are_not_found(
    admin_client: Client, failed_run: Run
):
    flows.undone.trigger(workflow_run_id="undone-1")
    drain_here()
    undone = run_called("undone-1")
    undoing = Step.objects.filter(run=undone, kind=Step.Kind.ROLLBACK).first()
    assert undoing is not None

    for address in (
        f"{RUN}{undone.pk}/fork/{undoing.pk}/",
        f"{RUN}{failed_run.pk}/fork/{undoing.pk}/",
        f"{RUN}404/fork/",
    ):
        assert admin_client.get(address).status_code == 404


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_run_that_is_deleted_while_its_form_is_made_is_not_found(
    admin_client: Client, sleeping_run: Run, method: str
):
    with deleted_when_asked_for('"payload"', sleeping_run):
        form = getattr(admin_client, method)(f"{RUN}{sleeping_run.pk}/fork/")

    assert form.status_code == 404
