"""Calling webhooks without a server, whatever URLs the project serves."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from django.test.client import RequestFactory

from workflows_app.errors import InvalidInput
from workflows_app.rest.upstash.events import WebhookView
from workflows_app.testing.requests import encode_content

_ROUTE = "/v2/workflows/hooks/"


def call_webhook(url: str, method: str, body: Any, headers: Mapping[str, str]) -> None:
    """Raises AssertionError when no run can take the call, InvalidInput for another URL."""
    __tracebackhide__ = True
    parts = urlsplit(url)
    names = parts.path.partition(_ROUTE)[2].split("/")
    if len(names) != 3:
        raise InvalidInput(f"{url} is not the URL of a webhook")
    content, content_type = encode_content(body)
    request = RequestFactory().generic(
        method,
        f"{parts.path}?{parts.query}" if parts.query else parts.path,
        content,
        content_type=content_type,
        secure=parts.scheme == "https",
        headers={"Host": parts.netloc, **headers},
    )
    user_id, run_id, event_id = map(unquote, names)
    answer = WebhookView.as_view()(request, user_id=user_id, run_id=run_id, event_id=event_id)
    if answer.status_code != HTTPStatus.OK:
        raise AssertionError(f"the webhook answered {answer.status_code}: {answer.data}")
