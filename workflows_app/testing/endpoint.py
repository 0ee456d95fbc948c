"""The endpoint of workflows that are reached over HTTP, without a server: what is sent to it, and
what it answers, is as on the wire.
"""

from __future__ import annotations

from dataclasses import replace

from workflows_app.engine.addresses import served_name
from workflows_app.protocol.exchange import Answer, Outgoing, canonical_header
from workflows_app.rest.serve import host_at
from workflows_app.rest.served_messages import is_message, start_run
from workflows_app.sdk.base_context import StandIn
from workflows_app.sdk.serving import ServeRequest, ServeResponse, serve


def deliver_here(workflow: str, request: Outgoing, stand_in: StandIn) -> Answer:
    """Have the workflow of this name take a delivery."""
    host = replace(host_at(request.url), stand_in=stand_in)
    return _as_answer(serve(_as_delivery(workflow, request), host))


def start_here(request: Outgoing) -> Answer | None:
    """Have a plain message start a run, if it is for a workflow that this site serves."""
    workflow = served_name(request.url)
    if workflow is None:
        return None
    message = _as_delivery(workflow, request)
    return _as_answer(start_run(message, host_at(request.url))) if is_message(message) else None


def _as_delivery(workflow: str, request: Outgoing) -> ServeRequest:
    return ServeRequest(
        method=request.method,
        workflow=workflow,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.body or b"",
    )


def _as_answer(response: ServeResponse) -> Answer:
    headers = {canonical_header(name): [value] for name, value in response.headers.items()}
    return Answer(status=response.status, headers=headers, body=response.body)
