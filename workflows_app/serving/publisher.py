"""Where an endpoint sends what it publishes: the port, and the client of a QStash server."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from workflows_app.errors import InvalidInput, Refused, RunEnded, StepMisuse, WorkflowsError
from workflows_app.protocol.codec import decode_json

_RETRIES = Retry(
    total=4,
    status=0,
    redirect=0,
    allowed_methods=None,
    backoff_factor=0.05,
    raise_on_redirect=False,
)
"""Of requests that got no answer. What is published twice is noticed by the server."""
_TIMEOUT = Timeout(connect=10, read=60)
_SHOWN = 500


class NotPublished(WorkflowsError):
    """The workflow server did not take what was published."""

    code = "not_published"


class Publisher(Protocol):
    """The workflow server, as an endpoint uses it."""

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """The body of the answer.

        Raises RunEnded for work of a run that accepts nothing more, Refused for what must not be
        sent again, NotPublished for what may.
        """

    def webhook_url(self, run_id: str, event_id: str) -> str:
        """At which anyone may send the event to the run. Raises StepMisuse if there is none."""


class QStash:
    """A server that speaks the protocol of QStash, such as this project's own. For any number of
    threads.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._pool = PoolManager(maxsize=32, retries=_RETRIES, timeout=_TIMEOUT)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        authorized = {**headers, "Authorization": f"Bearer {self._token}"}
        # What is not Latin-1 goes out as UTF-8 bytes, which is how servers read it.
        encoded = {name: value.encode().decode("latin-1") for name, value in authorized.items()}
        try:
            answer = self._pool.request(method, self._url + path, headers=encoded, body=body)
        except HTTPError as error:
            raise NotPublished(f"{self._url} cannot be reached: {error}") from error
        return _checked(answer.status, answer.data)

    def webhook_url(self, run_id: str, event_id: str) -> str:
        parts = (self._user, run_id, event_id)
        path = "/".join(quote(part, safe="") for part in parts)
        return f"{self._url}/v2/workflows/hooks/{path}"

    @cached_property
    def _user(self) -> str:
        """Upstash reference 1.1 (2)."""
        try:
            return str(decode_json(base64.b64decode(self._token))["UserID"])
        except (InvalidInput, ValueError, KeyError, TypeError):
            raise StepMisuse(
                "context.create_webhook needs a token that names its account, which the one in "
                "QSTASH_TOKEN does not: use a token as the server prints it"
            ) from None


def _checked(status: int, body: bytes) -> bytes:
    """Upstash reference 1.2."""
    if status < HTTPStatus.BAD_REQUEST:
        return body
    said = body.decode(errors="replace")[:_SHOWN]
    match status:
        case HTTPStatus.BAD_REQUEST | HTTPStatus.NOT_FOUND:
            raise RunEnded(said)
        case HTTPStatus.PRECONDITION_FAILED:
            raise Refused(said)
    raise NotPublished(f"the workflow server answered {status}: {said}")
