"""Schedules: create, list, pause, resume, delete (Upstash reference 1.8)."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.conf import get_settings
from workflows_app.engine import schedules
from workflows_app.engine.schedules import find_schedule
from workflows_app.models import Publication, Schedule
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.headers import MessageOptions
from workflows_app.protocol.redaction import redactor_of
from workflows_app.rest.authentication import account_of
from workflows_app.rest.callers import caller_ip
from workflows_app.rest.upstash import message_operations as operations
from workflows_app.rest.upstash.items import read_item
from workflows_app.rest.upstash.message_bodies import ScheduleBody, SlotState
from workflows_app.rest.upstash.message_rows import (
    add_callback_headers,
    add_flow_control,
    add_labels,
    add_payload,
    headers_of,
)
from workflows_app.rest.upstash.redacting import redacted
from workflows_app.rest.views import ApiView

_MOST_STATES = 100
_NO_OPTIONS = MessageOptions()
_STATES: dict[str, SlotState] = {
    Publication.Status.WAITING: "IN_PROGRESS",
    Publication.Status.DELIVERED: "SUCCESS",
}
"""All else has failed."""


class SchedulesView(ApiView):
    @operations.list_schedules
    def get(self, request: Request) -> Response:
        found = schedules.schedules_of(account_of(request)).order_by("-id")
        return Response(list(map(render_schedule, found)))


class ScheduleView(ApiView):
    """What follows the route is an id; for POST, a destination."""

    @operations.show_schedule
    def get(self, request: Request, schedule: str) -> Response:
        return Response(render_schedule(find_schedule(account_of(request), schedule)))

    @operations.create_schedule
    def post(self, request: Request, schedule: str) -> Response:
        item = read_item(request, request.path[: len("/v2/schedules/")])
        made = schedules.create(
            account_of(request),
            item.destination,
            item.headers,
            item.body or b"",
            caller_ip=caller_ip(request),
        )
        return Response({"scheduleId": made.public_id})

    @operations.delete_schedule
    def delete(self, request: Request, schedule: str) -> Response:
        schedules.delete(find_schedule(account_of(request), schedule))
        return Response({})


class PauseScheduleView(ApiView):
    http_method_names = ["post", "patch"]

    @operations.pause_schedule
    def post(self, request: Request, schedule: str) -> Response:
        schedules.pause(find_schedule(account_of(request), schedule))
        return Response({})

    @operations.patch_to_pause_schedule
    def patch(self, request: Request, schedule: str) -> Response:
        return self.post(request, schedule)


class ResumeScheduleView(ApiView):
    http_method_names = ["post", "patch"]

    @operations.resume_schedule
    def post(self, request: Request, schedule: str) -> Response:
        schedules.resume(find_schedule(account_of(request), schedule))
        return Response({})

    @operations.patch_to_resume_schedule
    def patch(self, request: Request, schedule: str) -> Response:
        return self.post(request, schedule)


def render_schedule(schedule: Schedule) -> ScheduleBody:
    """Without what is to be hidden."""
    options = schedules.options_of(schedule)
    redactor = redactor_of("" if options.redaction is None else options.redaction.encode())
    body: ScheduleBody = {
        "scheduleId": schedule.public_id,
        "createdAt": unix_milliseconds(schedule.created_at),
        "cron": schedule.cron,
        "destination": schedule.destination,
        "method": options.method or "POST",
        "header": headers_of(options.content_type or "", options.forward),
        "retries": get_settings().RETRIES if options.retries is None else options.retries,
        "callerIP": schedule.caller_ip,
        "isPaused": schedule.paused,
    }
    add_payload(body, bytes(schedule.body), redactor)
    _add_options(body, options)
    if schedule.queue:
        body["queueName"] = schedule.queue
    _add_slots(body, schedule)
    return redacted(body, redactor)


def _add_options(body: ScheduleBody, options: MessageOptions) -> None:
    add_labels(body, options.labels)
    add_flow_control(body, options.flow_control)
    add_callback_headers(
        body, options.callback or _NO_OPTIONS, options.failure_callback or _NO_OPTIONS
    )
    if options.delay is not None:
        body["delay"] = int(options.delay.total_seconds())
    if options.timeout is not None:
        body["timeout"] = int(options.timeout.total_seconds())
    if options.callback_url:
        body["callback"] = options.callback_url
    if options.failure_callback_url:
        body["failureCallback"] = options.failure_callback_url
    if options.retry_delay:
        body["retryDelayExpression"] = options.retry_delay


def _add_slots(body: ScheduleBody, schedule: Schedule) -> None:
    next_slot = schedules.next_slot_of(schedule)
    if next_slot is not None:
        body["nextScheduleTime"] = unix_milliseconds(next_slot)
    if schedule.error:
        body["error"] = schedule.error
    if schedule.last_slot_at is not None:
        body["lastScheduleTime"] = unix_milliseconds(schedule.last_slot_at)
        published = schedules.published_last(schedule)[:_MOST_STATES]
        body["lastScheduleStates"] = {
            each.public_id: _STATES.get(each.status, "FAIL") for each in published
        }
