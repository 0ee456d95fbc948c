"""Waiting for events, sending them, and webhooks (Upstash reference 1.6, 4.6, 4.7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import events, run_moves
from workflows_app.engine.events import Notified
from workflows_app.engine.remote import waiting
from workflows_app.errors import InvalidInput, LimitExceeded, NotFound, RunNotFound
from workflows_app.models import Account, Run, Waiter
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.delivery_options import decode_options
from workflows_app.protocol.durations import parse_duration, unix_milliseconds
from workflows_app.protocol.exchange import canonical_header, is_hop_by_hop
from workflows_app.protocol.header_values import parse_delay
from workflows_app.protocol.headers import parse_headers
from workflows_app.protocol.ids import check_event_id, check_run_id
from workflows_app.protocol.published import webhook_event
from workflows_app.protocol.publishing import WaitRequest
from workflows_app.protocol.redaction import redactor_of
from workflows_app.rest.authentication import account_of
from workflows_app.rest.destinations import raw_path
from workflows_app.rest.upstash import operations
from workflows_app.rest.upstash.bodies import NotifiedBody, WaiterBody
from workflows_app.rest.upstash.publishing import render_accepted, step_options
from workflows_app.rest.upstash.vocabulary import Headers
from workflows_app.rest.views import ApiView, OpenView, read_body

_WAIT = "/v2/wait/"
_NOTIFY = "/v2/notify/"
_WAITERS = "/v2/waiters/"
_DEFAULT_TIMEOUT = "7d"


class WaitView(ApiView):
    @operations.wait
    def post(self, request: Request, event_id: str) -> Response:
        wanted = _read_wait(request, unquote(raw_path(request._request, _WAIT)))
        return Response(render_accepted(waiting.wait(account_of(request), wanted)))


class NotifyView(ApiView):
    @operations.notify
    def post(self, request: Request, event_id: str) -> Response:
        """With one segment the event's id; with two, the run's before it."""
        account, data = account_of(request), read_body(request)
        first, slash, second = raw_path(request._request, _NOTIFY).partition("/")
        if not slash:
            notified = events.notify(account, unquote(first), data)
        else:
            notified = _notify_run(account, unquote(first), unquote(second), data)
        return Response([_render_notified(each) for each in notified])


class WaitersView(ApiView):
    @operations.list_waiters
    def get(self, request: Request, event_id: str) -> Response:
        wanted = unquote(raw_path(request._request, _WAITERS))
        check_event_id(wanted)
        waiters = Waiter.objects.filter(account=account_of(request), event_id=wanted)
        return Response([render_waiter(each) for each in waiters.select_related("run")])


class WebhookView(OpenView):
    """Anyone who knows a webhook's URL may call it, by any method."""

    http_method_names = ["get", "head", "post", "put", "patch", "delete", "options"]

    @operations.webhook_get
    def get(self, request: Request, user_id: str, run_id: str, event_id: str) -> Response:
        return self._receive(request, user_id, run_id, event_id)

    @operations.webhook_post
    def post(self, request: Request, user_id: str, run_id: str, event_id: str) -> Response:
        return self._receive(request, user_id, run_id, event_id)

    @operations.webhook_put
    def put(self, request: Request, user_id: str, run_id: str, event_id: str) -> Response:
        return self._receive(request, user_id, run_id, event_id)

    @operations.webhook_patch
    def patch(self, request: Request, user_id: str, run_id: str, event_id: str) -> Response:
        return self._receive(request, user_id, run_id, event_id)

    @operations.webhook_delete
    def delete(self, request: Request, user_id: str, run_id: str, event_id: str) -> Response:
        return self._receive(request, user_id, run_id, event_id)

    @operations.webhook_options
    def options(self, request: Any, *_: object, **webhook: str) -> Response:
        return self._receive(request, **webhook)

    def _receive(self, request: Request, user_id: str, run_id: str, event_id: str) -> Response:
        """Queued for the run until it waits for it (Upstash reference 4.7 (2))."""
        owner = Account.objects.filter(user_id=user_id).first() if user_id.isprintable() else None
        run = None if owner is None else _live_successor(owner, run_id)
        if run is None or events.notify_run(run, event_id, _as_event(request)) is None:
            raise NotFound("no run waits here: the webhook is unknown, or its run has ended")
        return Response({})


def _find_run(account: Account, run_id: str) -> Run | None:
    try:
        return run_moves.find_run(account, check_run_id(run_id))
    except (InvalidInput, RunNotFound):
        return None


def _live_successor(account: Account, run_id: str) -> Run | None:
    """The run, or the one that goes on in its place once it has failed: whoever was given the URL
    of a webhook goes on using it.
    """
    run = _find_run(account, run_id)
    while run is not None and not run.is_live:
        run = run.successors.filter(forked=False).order_by("-id").first()
    return run


def _as_event(request: Request) -> bytes:
    meta = request.META
    path = raw_path(request._request, "/v2/")
    query = meta.get("QUERY_STRING", "")
    headers = {
        canonical_header(name): [value]
        for name, value in request.headers.items()
        if not is_hop_by_hop(name)
    }
    return webhook_event(
        method=request.method or "",
        headers=headers,
        body=read_body(request),
        scheme=request._request.scheme or "http",
        host=meta.get("HTTP_HOST") or meta["SERVER_NAME"],
        url=f"/v2/{path}?{query}" if query else f"/v2/{path}",
    )


def _notify_run(account: Account, run_id: str, event_id: str, data: bytes) -> list[Notified]:
    run = _find_run(account, run_id)
    notified = None if run is None else events.notify_run(run, event_id, data)
    return [] if notified is None else [notified]


# -- reading


def _read_wait(request: Request, event_id: str) -> WaitRequest:
    """Raises LimitExceeded: to the SDKs, 400 would mean that the run has ended."""
    try:
        return _wait_request(request, event_id)
    except InvalidInput as error:
        raise LimitExceeded(error.message) from None


def _wait_request(request: Request, event_id: str) -> WaitRequest:
    check_event_id(event_id)
    said = decode_json(read_body(request))
    options = parse_headers(request.headers.items())
    if not isinstance(said, Mapping) or not isinstance(said.get("step"), Mapping):
        raise InvalidInput('the body must be an object with a "step"')
    if options.workflow_run_id is None:
        raise InvalidInput("Upstash-Workflow-RunId must say which run waits")
    return WaitRequest(
        run_id=options.workflow_run_id,
        event_id=event_id,
        step=encode_json(said["step"]),
        timeout=_timeout(said.get("timeout") or _DEFAULT_TIMEOUT),
        options=step_options(options),
    )


def _timeout(given: Any) -> timedelta:
    return parse_delay(given) if isinstance(given, str) else parse_duration(given)


# -- rendering


def render_waiter(waiter: Waiter) -> WaiterBody:
    """Upstash reference 1.6; the deadline is in seconds (1.1 (17))."""
    run = waiter.run
    headers: Headers = {
        "Upstash-Workflow-Init": ["false"],
        "Upstash-Workflow-Runid": [run.run_id],
        "Upstash-Workflow-Url": [run.url],
    }
    forwarded = decode_options(waiter.options).headers
    for name, value in redactor_of(run.redaction).header_texts(forwarded).items():
        headers[f"Upstash-Forward-{name}"] = [value]
    return {
        "url": run.url,
        "headers": headers,
        "deadline": int(waiter.deadline.timestamp()),
        "timeoutUrl": run.url,
        "timeoutHeaders": headers,
    }


def _render_notified(notified: Notified) -> NotifiedBody:
    run = notified.run
    body: NotifiedBody = {
        "messageId": notified.message_id,
        "deduplicated": False,
        "error": "",
        "workflowRunId": run.run_id,
        "workflowCreatedAt": unix_milliseconds(run.created_at),
    }
    if notified.waiter is not None:
        body["waiter"] = render_waiter(notified.waiter)
    return body
