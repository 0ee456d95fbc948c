"""Plain messages to `/serve/{name}` start runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.conftest import Clock
from tests.rest.conftest import Api, Register, answer_of
from tests.rest.test_serve import over_http
from workflows_app.engine import clock as engine_clock
from workflows_app.engine.addresses import serve_url
from workflows_app.engine.publications import publish
from workflows_app.models import Account, Publication, Run
from workflows_app.protocol.headers import parse_headers
from workflows_app.protocol.signing import sign
from workflows_app.protocol.wire import TURN_CONTENT_TYPE

__all__ = ["over_http"]

Work = Callable[[], int]
BODY = b'{"userId":"ada"}'


def published(account: Account, url: str, body: bytes = BODY, **headers: str) -> Publication:
    said = parse_headers((name.replace("_", "-"), value) for name, value in headers.items())
    (message,) = publish(account, url, said, body, caller_ip="203.0.113.7")
    return Publication.objects.get(public_id=message.message_id)


def deliver(
    message: Publication,
    *,
    account: Account | None = None,
    message_id: str | None = None,
    url: str | None = None,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Any:
    """As the worker does, unless something else is said."""
    sent = bytes(message.body) if body is None else body
    key = (account or message.account).current_signing_key
    signature = sign(sent, url=url or message.url, key=key, now=engine_clock.now())
    return Client().post(
        "/serve/hello",
        sent,
        content_type="application/json",
        headers={
            "Upstash-Message-Id": message_id or message.public_id,
            "Upstash-Signature": signature,
            **(headers or {}),
        },
    )


def test_a_message_starts_a_run_with_its_body_and_headers(account, hello: str, work: Work):
    message = published(account, hello, upstash_forward_x_order="7", upstash_redact_fields="header")

    status, body = answer_of(deliver(message))

    run = Run.objects.get()
    assert (status, body) == (200, {"workflowRunId": run.run_id, "finishCondition": "success"})
    assert (run.account, run.workflow, run.caller_ip) == (account, "hello", "203.0.113.7")
    assert run.header_map == {"X-Order": "7"}
    assert run.redaction == "header"
    message.delete()
    work()
    run.refresh_from_db()
    assert run.result == '{"hello":{"userId":"ada"}}'


def test_a_message_delivered_again_starts_no_other_run(account, hello: str):
    message = published(account, hello)
    first = answer_of(deliver(message))

    assert answer_of(deliver(message)) == first
    Run.objects.update(status=Run.Status.CANCELED, live_id=None, ended_at=engine_clock.now())
    assert answer_of(deliver(message)) == first
    assert Run.objects.count() == 1


def test_a_run_belongs_to_the_account_of_its_message(db, hello: str):
    other = Account.objects.create(name="another")

    deliver(published(other, hello))

    assert Run.objects.get().account == other


def test_a_published_message_arrives_at_the_workflow(
    over_http: Any, api: Api, registry: Register, work: Work
):
    @registry("greet")
    def greet(context: Any) -> str:
        return f"hello {context.request_payload}"

    published = api.post(f"/v2/publish/{serve_url('greet')}?x=1", b'"ada"')
    work()

    assert published.status_code == 200
    assert Publication.objects.get().status == Publication.Status.DELIVERED
    assert Run.objects.get().result == '"hello ada"'


@pytest.mark.parametrize(
    "forged",
    [
        {"headers": {"Upstash-Signature": ""}},
        {"headers": {"Upstash-Signature": "nonsense"}},
        {"message_id": "msg_unknown"},
        {"message_id": "msg_\u00ff"},
        {"url": "http://127.0.0.1:8000/serve/other"},
        {"body": b"{}"},
    ],
    ids=str,
)
def test_what_is_not_signed_as_this_message_starts_nothing(account, hello: str, forged):
    response = deliver(published(account, hello), **forged)

    assert response.status_code == 401
    assert "error" in response.json()
    assert not Run.objects.exists()


def test_the_keys_of_another_account_sign_nothing_here(account, hello: str):
    response = deliver(published(account, hello), account=Account.objects.create(name="another"))

    assert response.status_code == 401


def test_a_signature_of_one_message_is_none_of_another(account, hello: str):
    first, second = published(account, hello), published(account, hello, body=b"other")

    response = deliver(first, message_id=second.public_id)

    assert response.status_code == 401
    assert not Run.objects.exists()


def test_an_old_delivery_cannot_be_replayed(account, hello: str, clock: Clock):
    message = published(account, hello)
    signature = sign(BODY, url=hello, key=account.current_signing_key, now=clock.now)
    clock.advance("1h")

    response = deliver(message, headers={"Upstash-Signature": signature})

    assert response.status_code == 401


def test_a_message_to_a_workflow_that_is_not_served_is_refused(account, db):
    message = published(account, serve_url("hello"))

    assert deliver(message).status_code == 404


def test_a_turn_is_never_taken_for_a_message(account, hello: str):
    message = published(account, hello)
    signature = sign(BODY, url=hello, key=account.current_signing_key, now=engine_clock.now())

    response = Client().post(
        "/serve/hello",
        BODY,
        content_type=TURN_CONTENT_TYPE,
        headers={"Upstash-Message-Id": message.public_id, "Upstash-Signature": signature},
    )

    assert response.status_code == 401
    assert not Run.objects.exists()
