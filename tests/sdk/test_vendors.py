"""`context.api`: the requests that the services are sent, by both shells alike."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import assert_failed, finished
from workflows_app import CallResponse
from workflows_app.protocol.runs import CallRequest, Suspended

JSON = {"Content-Type": "application/json"}
BEARER = {**JSON, "Authorization": "Bearer k"}
ANTHROPIC = {**JSON, "X-Api-Key": "k", "Anthropic-Version": "2023-06-01"}
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def asked(rehearse: Rehearse, service: str, **options: Any) -> CallRequest:
    """What a run that calls this service leaves to the server."""

    async def story(context: Any) -> Any:
        await getattr(context.api, service).call("ask", **{"token": "k", "body": {}, **options})

    outcome = rehearse(story).turn()
    assert isinstance(outcome, Suspended), outcome
    (call,) = outcome.calls
    return call


def test_a_chat_is_a_post_to_openai_with_the_token(rehearse: Rehearse) -> None:
    call = asked(rehearse, "openai", operation="chat.completions.create", body=QUESTION)

    assert call == CallRequest(
        key="ask",
        name="ask",
        branch="",
        url="https://api.openai.com/v1/chat/completions",
        method="POST",
        headers=BEARER,
        body=b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}',
        retries=0,
        retry_delay="",
        timeout=None,
    )


@pytest.mark.parametrize(
    ("service", "options", "url", "headers"),
    [
        (
            "openai",
            {"operation": "embeddings.create"},
            "https://api.openai.com/v1/embeddings",
            BEARER,
        ),
        (
            "openai",
            {"operation": "responses.create"},
            "https://api.openai.com/v1/responses",
            BEARER,
        ),
        (
            "openai",
            {"operation": "responses.create", "organization": "org-1"},
            "https://api.openai.com/v1/responses",
            {**BEARER, "OpenAI-Organization": "org-1"},
        ),
        (
            "anthropic",
            {"operation": "messages.create"},
            "https://api.anthropic.com/v1/messages",
            ANTHROPIC,
        ),
        (
            "anthropic",
            {"operation": "messages.count_tokens"},
            "https://api.anthropic.com/v1/messages/count_tokens",
            ANTHROPIC,
        ),
        ("resend", {}, "https://api.resend.com/emails", BEARER),
        ("resend", {"batch": True, "body": [{}]}, "https://api.resend.com/emails/batch", BEARER),
    ],
    ids=["embeddings", "responses", "organization", "messages", "tokens", "mail", "mails"],
)
def test_each_operation_has_its_url_and_headers(
    service: str, options: Any, url: str, headers: Any, rehearse: Rehearse
) -> None:
    call = asked(rehearse, service, **options)

    assert (call.method, call.url, call.headers) == ("POST", url, headers)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://llm.example/api",
        "https://llm.example/api/",
        "https://llm.example/api/v1",
        "https://llm.example/api/v1/chat/completions",
    ],
)
def test_a_base_url_leads_elsewhere_with_its_version_or_without(
    base_url: str, rehearse: Rehearse
) -> None:
    call = asked(rehearse, "openai", operation="chat.completions.create", base_url=base_url)

    assert call.url == "https://llm.example/api/v1/chat/completions"


@pytest.mark.parametrize(
    ("service", "options", "url"),
    [
        ("anthropic", {"operation": "messages.create"}, "http://proxy:1/v1/messages"),
        ("resend", {"batch": True}, "http://proxy:1/emails/batch"),
    ],
    ids=["anthropic", "resend"],
)
def test_every_service_may_be_reached_elsewhere(
    service: str, options: Any, url: str, rehearse: Rehearse
) -> None:
    assert asked(rehearse, service, base_url="http://proxy:1", **options).url == url


def test_a_header_of_one_s_own_replaces_the_usual_one(rehearse: Rehearse) -> None:
    own = {"anthropic-version": "2030-01-01", "anthropic-beta": "x"}

    call = asked(rehearse, "anthropic", operation="messages.create", headers=own)

    assert call.headers == {**JSON, "X-Api-Key": "k", **own}


def test_the_policy_is_that_of_a_call(rehearse: Rehearse) -> None:
    call = asked(rehearse, "resend", retries=2, retry_delay="1000", timeout="30s")

    assert (call.retries, call.retry_delay, call.timeout) == (2, "1000", timedelta(seconds=30))


def test_a_body_may_be_json_already(rehearse: Rehearse) -> None:
    call = asked(rehearse, "resend", body='{"to": "ada@example.org"}')

    assert (call.body, call.headers) == (b'{"to": "ada@example.org"}', BEARER)


def test_the_answer_is_the_result(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        answer: CallResponse = await context.api.resend.call("send", token="k", body={})
        return [answer.status, answer.body["id"]]

    rehearsal = rehearse(story)
    rehearsal.respond = lambda call: {"status": 200, "header": {}, "body": '{"id": "mail-1"}'}

    assert rehearsal.play() == finished([200, "mail-1"])


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        (
            "openai",
            "step \"ask\" asks for the operation 'sing' of OpenAI; known are "
            "chat.completions.create, embeddings.create, responses.create. Reach any other by "
            "context.call and its URL",
        ),
        (
            "anthropic",
            "step \"ask\" asks for the operation 'sing' of Anthropic; known are messages.create, "
            "messages.count_tokens. Reach any other by context.call and its URL",
        ),
    ],
)
def test_an_unknown_operation_fails_the_run_at_once_and_names_those_that_are_known(
    service: str, sentence: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await getattr(context.api, service).call("ask", token="k", operation="sing", body={})

    assert_failed(rehearse(story, retries=3).turn(), "InvalidInput", sentence)


@pytest.mark.parametrize(
    ("service", "options", "header"),
    [
        ("openai", {"operation": "responses.create"}, "Authorization"),
        ("anthropic", {"operation": "messages.create"}, "X-Api-Key"),
        ("resend", {}, "Authorization"),
    ],
    ids=["openai", "anthropic", "resend"],
)
@pytest.mark.parametrize(("token", "kind"), [(None, "NoneType"), (b"hush", "bytes")])
def test_a_token_that_is_no_text_is_refused_without_being_shown(
    service: str, options: Any, header: str, token: Any, kind: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await getattr(context.api, service).call("ask", token=token, body={}, **options)

    assert_failed(
        rehearse(story, retries=3).turn(),
        "InvalidInput",
        f'the headers of step "ask" cannot be sent: the header {header} must be a text, not {kind}',
    )


def test_a_token_that_has_gone_is_not_missed_once_the_call_is_answered(rehearse: Rehearse) -> None:
    tokens = ["k", None]

    async def story(context: Any) -> Any:
        return (await context.api.resend.call("send", token=tokens.pop(0), body={})).status

    rehearsal = rehearse(story)
    rehearsal.respond = lambda call: {"status": 200, "header": {}, "body": ""}

    assert rehearsal.play() == finished(200)
