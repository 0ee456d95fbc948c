"""Queues: make, change, list, pause, resume, delete (Upstash reference 1.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import queues
from workflows_app.engine.queues import find_queue
from workflows_app.errors import InvalidInput
from workflows_app.models import Queue
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.rest.authentication import account_of
from workflows_app.rest.upstash import message_operations as operations
from workflows_app.rest.upstash.json_bodies import read_object, read_text
from workflows_app.rest.upstash.message_bodies import QueueBody
from workflows_app.rest.views import ApiView

EXAMPLE = '{"queueName": "orders", "parallelism": 2}'


class QueuesView(ApiView):
    @operations.list_queues
    def get(self, request: Request) -> Response:
        account = account_of(request)
        found, lags = Queue.objects.filter(account=account).order_by("name"), queues.lags(account)
        return Response([render_queue(queue, lags.get(queue.pk, 0)) for queue in found])

    @operations.upsert_queue
    def post(self, request: Request) -> Response:
        said = read_object(request, EXAMPLE)
        queue = queues.upsert(
            account_of(request),
            read_text(said, "queueName"),
            parallelism=_parallelism(said),
            paused=_paused(said),
        )
        return Response(render_queue(queue, queues.lag(queue)))


class QueueView(ApiView):
    @operations.show_queue
    def get(self, request: Request, queue: str) -> Response:
        found = find_queue(account_of(request), queue)
        return Response(render_queue(found, queues.lag(found)))

    @operations.delete_queue
    def delete(self, request: Request, queue: str) -> Response:
        queues.delete(account_of(request), queue)
        return Response({})


class PauseQueueView(ApiView):
    @operations.pause_queue
    def post(self, request: Request, queue: str) -> Response:
        paused = queues.pause(account_of(request), queue)
        return Response(render_queue(paused, queues.lag(paused)))


class ResumeQueueView(ApiView):
    @operations.resume_queue
    def post(self, request: Request, queue: str) -> Response:
        resumed = queues.resume(account_of(request), queue)
        return Response(render_queue(resumed, queues.lag(resumed)))


def _parallelism(said: Mapping[str, Any]) -> int | None:
    value = said.get("parallelism")
    if isinstance(value, bool) or not isinstance(value, int | None):
        raise InvalidInput(f"parallelism must be a whole number, not {value!r:.80}")
    return value


def _paused(said: Mapping[str, Any]) -> bool | None:
    value = said.get("paused")
    if not isinstance(value, bool | None):
        raise InvalidInput(f"paused must be true or false, not {value!r:.80}")
    return value


def render_queue(queue: Queue, lag: int) -> QueueBody:
    return {
        "name": queue.name,
        "createdAt": unix_milliseconds(queue.created_at),
        "updatedAt": unix_milliseconds(queue.updated_at),
        "parallelism": queue.parallelism,
        "lag": lag,
        "paused": queue.paused,
    }
