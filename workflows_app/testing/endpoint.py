"""The endpoint of workflows that are reached over HTTP, without a server: what is sent to it, and
what it answers, is as on the wire.
"""

from __future__ import annotations

from dataclasses import replace

from workflows_app.protocol.exchange import Answer, Outgoing, canonical_header
from workflows_app.rest.serve import host_at
from workflows_app.sdk.base_context import StandIn
from workflows_app.sdk.serving import ServeRequest, serve


def deliver_here(workflow: str, request: Outgoing, stand_in: StandIn) -> Answer:
    """Have the workflow of this name take a delivery."""
    delivery = ServeRequest(
        method=request.method,
        workflow=workflow,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.body or b"",
    )
    answer = serve(delivery, replace(host_at(request.url), stand_in=stand_in))
    headers = {canonical_header(name): [value] for name, value in answer.headers.items()}
    return Answer(status=answer.status, headers=headers, body=answer.body)
