"""The requests that deliver: signed, and with the headers that are the server's to set (Upstash
reference 3.1).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.models import Account, Run
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.delivery_options import DeliveryOptions, decode_options
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.exchange import Outgoing, canonical_header
from workflows_app.protocol.ids import start_message_id
from workflows_app.protocol.signing import sign

_JSON = "application/json"
_FAILURE_HEADERS = {
    "Upstash-Workflow-Calltype": "failureCall",
    "Upstash-Workflow-Failure-Callback": "true",
    "Upstash-Workflow-Init": "false",
    "Upstash-Workflow-Is-Failure": "true",
}
"""Upstash reference 3.4."""


def signed(  # noqa: PLR0913 - the parts of a request
    account: Account,
    *,
    method: str = "POST",
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout: timedelta | None,
) -> Outgoing:
    """A request with these headers, signed at this moment with the account's current key."""
    current_key, _ = account.signing_keys
    signature = sign(body or b"", url=url, key=current_key, now=clock.now())
    return Outgoing(
        method=method,
        url=url,
        headers={**headers, "Upstash-Signature": signature},
        body=body,
        timeout=timeout or get_settings().HTTP_TIMEOUT,
    )


def overlaid(*layers: Mapping[str, str]) -> dict[str, str]:
    """Headers by canonical name; a later layer replaces what an earlier one has (Upstash reference
    2.5 (1)).
    """
    return {canonical_header(name): value for layer in layers for name, value in layer.items()}


def run_headers(run: Run) -> dict[str, str]:
    """What every delivery of a run carries."""
    headers = {
        "Upstash-Workflow-Runid": run.run_id,
        "Upstash-Workflow-Url": run.url,
        "Upstash-Workflow-Createdat": str(unix_milliseconds(run.created_at)),
    }
    return {**headers, "Upstash-Caller-Ip": run.caller_ip} if run.caller_ip else headers


# -- failure URLs


def failure_policy(run: Run) -> RetryPolicy:
    options = decode_options(run.failure_options)
    usual = run.retries if run.workflow else get_settings().RETRIES
    return RetryPolicy(
        retries=usual if options.retries is None else options.retries,
        delay_expression=options.retry_delay or run.retry_delay,
    )


def failure_request(run: Run, attempt: int) -> Outgoing:
    """Tell the failure URL (Upstash reference 4.10).

    Its headers are those meant for it alone: the run's own may hold credentials for its endpoint.
    """
    options: DeliveryOptions = decode_options(run.failure_options)
    own = {
        **run_headers(run),
        **_FAILURE_HEADERS,
        "Upstash-Message-Id": f"msg_failure_{run.pk}",
        "Upstash-Retried": str(attempt - 1),
        "Content-Type": _JSON,
    }
    return signed(
        run.account,
        url=run.failure_url,
        body=failure_body(run),
        headers=overlaid(options.headers, own),
        timeout=options.timeout or run.timeout,
    )


def failure_body(run: Run) -> bytes:
    """The fields that the SDKs read; where no answer came, a JSON error body stands for it."""
    error = run.error_info or {}
    body = {
        "status": error.get("status", HTTPStatus.INTERNAL_SERVER_ERROR.value),
        "header": error.get("headers", {}),
        "body": _base64(_response_text(error).encode()),
        "retried": error.get("retried", run.retries),
        "maxRetries": run.retries,
        "dlqId": run.dead_letter.public_id,
        "url": run.url,
        "method": "POST",
        "sourceHeader": {name: [value] for name, value in _source_headers(run).items()},
        "sourceBody": _base64(bytes(run.payload)),
        "workflowRunId": run.run_id,
        "workflowCreatedAt": unix_milliseconds(run.created_at),
        "sourceMessageId": start_message_id(run.pk),
        "notBefore": unix_milliseconds(run.created_at),
        "createdAt": unix_milliseconds(run.created_at),
        "callerIP": run.caller_ip,
    }
    return encode_json(body).encode()


def _source_headers(run: Run) -> dict[str, str]:
    """Those of the run's own endpoint are not for anyone else's failure URL."""
    return run.header_map if run.failure_url == run.url else {}


def _response_text(error: Mapping[str, str]) -> str:
    if "body" in error:
        return error["body"]
    return encode_json({"error": error.get("type", ""), "message": error.get("message", "")})


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
