"""What a run asked to be hidden: the pages show its hash."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.admin import flows
from tests.admin.conftest import run_called
from tests.admin.pages import read, rows
from workflows_app.admin import values
from workflows_app.engine import run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.models import DeadLetter, Run, Step
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.redaction import redacted

HIDDEN = "body,header[X-Token]"


def url(run: Run) -> str:
    return f"/admin/workflows_app/run/{run.pk}/change/"


@pytest.fixture
def echo(db: None) -> Run:
    flows.echo.trigger(
        "the secret", workflow_run_id="echo", headers={"X-Token": "the key"}, redact=HIDDEN
    )
    drain_here()
    return run_called("echo")


def test_payload_result_steps_and_headers_are_hidden(admin_client: Client, echo: Run):
    page = read(admin_client.get(url(echo)))

    assert "the " not in page.partition("Payload")[2]
    assert page.count(redacted(b'"the secret"')) >= 3
    assert redacted(b"the key") in page
    assert f"Redacted\n{HIDDEN}" in page


@pytest.mark.parametrize("field", ["payload", "result"])
def test_the_whole_of_a_value_is_its_hash(admin_client: Client, echo: Run, field: str):
    run_value = admin_client.get(f"/admin/workflows_app/run/{echo.pk}/value/{field}/")

    assert run_value.content.decode() == redacted(b'"the secret"')


def test_the_whole_of_a_steps_value_is_its_hash(admin_client: Client, echo: Run):
    step = Step.objects.get(run=echo)
    whole = admin_client.get(f"/admin/workflows_app/run/{echo.pk}/steps/{step.pk}/result/")

    assert whole.content.decode() == redacted(b'"the secret"')


def test_what_an_invoked_run_hides_is_hidden_in_its_invoker_too(admin_client: Client, db: None):
    flows.nap.trigger(workflow_run_id="nap-1", redact="body")
    flows.invoke.trigger(workflow_run_id="invoke-1")
    drain_here()
    run_moves.wake(run_called("nap-1"))
    drain_here()
    parent = run_called("invoke-1")
    step = Step.objects.get(run=parent, name="rest")

    page = read(admin_client.get(url(parent)))
    whole = admin_client.get(f"/admin/workflows_app/run/{parent.pk}/steps/{step.pk}/result/")

    assert "rested" not in page.partition("Steps")[2]
    assert whole.content.decode() == redacted((step.result or "").encode())


def test_a_sensitive_step_is_shown_without_what_it_was_given_returned_or_raised(
    admin_client: Client, db: None
):
    flows.secret.trigger(workflow_run_id="secret")
    drain_here()
    run, letter = run_called("secret"), DeadLetter.objects.get()

    pages = [
        admin_client.get(url(run)),
        admin_client.get("/admin/workflows_app/run/"),
        admin_client.get(f"/admin/workflows_app/deadletter/{letter.pk}/change/"),
        admin_client.get("/admin/workflows_app/deadletter/"),
    ]

    assert Step.objects.get(run=run, key="get-token").result == '"hunter2"'
    assert ["hunter2" in page.content.decode() for page in pages] == [False] * 4
    steps = read(pages[0]).partition("Steps")[2]
    assert "get-token" in steps
    assert "[REDACTED]" in steps
    assert "ConnectionError: [REDACTED]" in steps


@pytest.mark.parametrize("field", ["input", "result", "raw"])
def test_there_is_no_page_of_what_a_sensitive_step_returned(
    admin_client: Client, db: None, field: str
):
    flows.secret.trigger(workflow_run_id="secret")
    drain_here()
    step = Step.objects.get(key="get-token")

    page = admin_client.get(f"/admin/workflows_app/run/{step.run_id}/steps/{step.pk}/{field}/")

    assert page.status_code == 404


def test_a_long_value_is_hashed_whole(admin_client: Client, db: None):
    long = "the secret" * values.MOST_SHOWN
    flows.echo.trigger(long, workflow_run_id="long", redact="body")
    drain_here()

    page = read(admin_client.get(url(run_called("long"))))
    assert page.count(redacted(encode_json(long).encode())) >= 3


def test_errors_and_their_tracebacks_are_hidden(admin_client: Client, db: None):
    flows.charge.trigger("the cart", workflow_run_id="card", redact="body", retries=0)
    drain_here()
    letter = DeadLetter.objects.get()

    pages = [
        admin_client.get(url(run_called("card"))),
        admin_client.get(f"/admin/workflows_app/deadletter/{letter.pk}/change/"),
    ]
    for page in pages:
        assert "no funds" not in page.content.decode()
        assert "REDACTED:" in read(page)
    (listed,) = rows(admin_client.get("/admin/workflows_app/deadletter/?entries=all"))
    assert "no funds" not in listed


def test_headers_of_a_call_can_be_hidden_alone(admin_client: Client, db: None):
    flows.ask.trigger(workflow_run_id="ask", redact="header[X-Key]")
    run = run_called("ask")
    asked: dict[str, Any] = {
        "url": "https://registry.example",
        "method": "POST",
        "headers": {"x-key": "the key"},
        "body": "the question",
    }
    answer = {"status": 200, "header": {"X-Key": ["the key"]}, "body": "the answer"}
    Step.objects.create(
        run=run,
        key="ask-registry",
        name="ask-registry",
        kind=Step.Kind.CALL,
        input=encode_json(asked),
        result=encode_json(answer),
        started_at=run.created_at,
        ended_at=run.created_at,
    )

    page = read(admin_client.get(url(run)))
    assert ("the question" in page, "the answer" in page) == (True, True)
    assert "the key" not in page
    assert page.count(redacted(b"the key")) == 2
