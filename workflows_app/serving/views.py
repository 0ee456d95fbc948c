"""Workflows as Django views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Unpack

from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from workflows_app.sdk.authoring import Workflow
from workflows_app.serving.deliveries import Delivery
from workflows_app.serving.endpoint import Endpoint, Host
from workflows_app.serving.options import Options, ServeOptions
from workflows_app.serving.replies import Reply, refused
from workflows_app.serving.starting import Served

View = Callable[..., HttpResponse]

MAX_BODY_BYTES = 200 * 1024 * 1024


def serve(workflow: Workflow, **options: Unpack[Options]) -> View:
    """A view that serves the workflow to a server of the published protocol: this project's own, or
    Upstash's cloud. docs/serving.md has the options.

    POST alone; exempt from Django's CSRF check, as signatures say who calls.
    """
    endpoint = Endpoint(Served(workflow=workflow, options=ServeOptions(**options)))

    @csrf_exempt
    def view(request: HttpRequest) -> HttpResponse:
        return _respond(endpoint, request)

    return view


def serve_many(workflows: Mapping[str, Workflow], **options: Unpack[Options]) -> View:
    """A view of several workflows, for a route such as `"workflows/<name>"`, which can invoke one
    another.

    The keys are the names in the URL.
    """
    endpoints = {
        name: Endpoint(
            Served(workflow=each, options=ServeOptions(**options), siblings=workflows.keys())
        )
        for name, each in workflows.items()
    }

    @csrf_exempt
    def view(request: HttpRequest, name: str) -> HttpResponse:
        if name not in endpoints:
            sentence = f'no workflow "{name[:200]}" is served here; check the URL'
            return _response(refused("UnknownWorkflow", sentence, HTTPStatus.NOT_FOUND))
        return _respond(endpoints[name], request)

    return view


def _respond(endpoint: Endpoint, request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        sentence = f"{request.method} is not served here; a workflow takes POST requests"
        answer = refused("MethodNotAllowed", sentence, HTTPStatus.METHOD_NOT_ALLOWED)
        response = _response(answer)
        response["Allow"] = "POST"
        return response
    body = request.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        sentence = f"a delivery has at most {MAX_BODY_BYTES} bytes"
        return _response(refused("PayloadTooLarge", sentence, HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
    delivery = Delivery(
        url=request.build_absolute_uri(),
        headers={name.lower(): _decoded(value) for name, value in request.headers.items()},
        body=body,
    )
    return _response(endpoint.handle(delivery, _host()))


def _decoded(value: str) -> str:
    """Servers hand headers over as Latin-1; what is UTF-8 was meant so."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _host() -> Host:
    # A transaction round the request lives in this thread alone.
    in_transaction = any(each.in_atomic_block for each in connections.all(initialized_only=True))
    return Host(threads=not in_transaction, thread_ends=connections.close_all)


def _response(answer: Reply) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
