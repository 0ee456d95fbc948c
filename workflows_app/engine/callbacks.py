"""Telling others how a plain message fared: callbacks, which are messages themselves."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from workflows_app.engine.publications import Draft, publish_once
from workflows_app.models import Publication
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.exchange import Answer, canonical_header
from workflows_app.protocol.header_values import Redaction, parse_redaction
from workflows_app.protocol.message_options import decode_message_options

_JSON = "application/json"


def owe_callback(publication: Publication, answer: Answer, attempt: int) -> None:
    """Of each attempt (Upstash reference 9 (10)). In a transaction."""
    if publication.callback_url:
        body = _body(publication, answer, attempt)
        _publish(publication, publication.callback_url, publication.callback_options, body)


def owe_failure_callback(publication: Publication, answer: Answer, attempt: int) -> None:
    """Of a message that has been given up. In a transaction."""
    if publication.failure_url:
        body = {**_body(publication, answer, attempt), "dlqId": publication.dead_letter_id}
        _publish(publication, publication.failure_url, publication.failure_options, body)


def _publish(source: Publication, url: str, options_text: str, body: dict[str, Any]) -> None:
    options = decode_message_options(options_text)
    options = replace(
        options,
        content_type=options.content_type or _JSON,
        redaction=_redaction(source, options.redaction),
    )
    draft = Draft(
        url=url,
        options=options,
        body=encode_json(body).encode(),
        caller_ip=source.caller_ip,
    )
    publish_once(source.account, draft)


def _redaction(source: Publication, own: Redaction | None) -> Redaction | None:
    """Its body tells of the source's body and headers: it shows no more than the source does."""
    if not source.redaction:
        return own
    given, said = parse_redaction(source.redaction), own or Redaction()
    return Redaction(
        body=True,
        all_headers=given.all_headers or said.all_headers,
        headers=given.headers | said.headers,
    )


def _body(publication: Publication, answer: Answer, attempt: int) -> dict[str, Any]:
    """Upstash reference 4.5 (4)."""
    header = {"Content-Type": publication.content_type, **publication.header_map}
    optional = {
        "scheduleId": publication.schedule_id,
        "topicName": publication.url_group,
        "endpointName": publication.endpoint_name,
    }
    return {
        "status": answer.status,
        "header": dict(answer.headers),
        "body": _base64(answer.body),
        "retried": attempt - 1,
        "maxRetries": publication.retries,
        "sourceMessageId": publication.public_id,
        "url": publication.url,
        "method": publication.method,
        "sourceHeader": {
            canonical_header(name): [value] for name, value in header.items() if value
        },
        "sourceBody": _base64(bytes(publication.body)),
        "notBefore": unix_milliseconds(publication.not_before),
        "createdAt": unix_milliseconds(publication.created_at),
        "callerIP": publication.caller_ip,
        **{name: value for name, value in optional.items() if value},
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
