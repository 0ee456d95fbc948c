"""Flow control keys, and the parallelism of the whole account (Upstash reference 1.7, 5.5)."""

from __future__ import annotations

from datetime import timedelta

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import flow_control
from workflows_app.engine.flow_control import Usage, find_flow_control
from workflows_app.engine.triggering import check_flow_control
from workflows_app.errors import InvalidInput
from workflows_app.models import FlowControl
from workflows_app.protocol.durations import parse_duration
from workflows_app.protocol.runs import FlowControlSpec
from workflows_app.protocol.texts import check_storable
from workflows_app.rest.authentication import account_of
from workflows_app.rest.parameters import Parameters
from workflows_app.rest.upstash import operations
from workflows_app.rest.upstash.bodies import FlowControlKeyBody, GlobalParallelismBody
from workflows_app.rest.views import ApiView, read_parameters

NO_LIMIT = (1 << 31) - 1
_MOST_LISTED = 1000


class FlowControlsView(ApiView):
    @operations.list_flow_controls
    def get(self, request: Request) -> Response:
        found = flow_control.flow_controls_of(account_of(request)).order_by("key")
        search = read_parameters(request).text("search")
        if search is not None:
            found = found.filter(key__contains=search)
        controls = list(found[:_MOST_LISTED])
        usages = flow_control.usage_of_all(controls)
        return Response([render_flow_control(each, usages[each.pk]) for each in controls])


class FlowControlView(ApiView):
    @operations.show_flow_control
    def get(self, request: Request, key: str) -> Response:
        control = _find(request, key)
        return Response(render_flow_control(control, flow_control.usage_of(control)))


class PauseFlowControlView(ApiView):
    @operations.pause_flow_control
    def post(self, request: Request, key: str) -> Response:
        flow_control.pause(_find(request, key))
        return Response({})


class ResumeFlowControlView(ApiView):
    @operations.resume_flow_control
    def post(self, request: Request, key: str) -> Response:
        flow_control.resume(_find(request, key))
        return Response({})


class PinFlowControlView(ApiView):
    @operations.pin_flow_control
    def post(self, request: Request, key: str) -> Response:
        spec = _read_pin(key, read_parameters(request))
        flow_control.pin(
            account_of(request),
            key,
            parallelism=spec.parallelism,
            rate=spec.rate,
            period=spec.period,
        )
        return Response({})


class UnpinFlowControlView(ApiView):
    @operations.unpin_flow_control
    def post(self, request: Request, key: str) -> Response:
        given = read_parameters(request)
        flow_control.unpin(
            _find(request, key), parallelism=given.flag("parallelism"), rate=given.flag("rate")
        )
        return Response({})


class ResetRateView(ApiView):
    @operations.reset_flow_control_rate
    def post(self, request: Request, key: str) -> Response:
        flow_control.reset_rate(_find(request, key))
        return Response({})


class GlobalParallelismView(ApiView):
    @operations.show_global_parallelism
    def get(self, request: Request) -> Response:
        account = account_of(request)
        body: GlobalParallelismBody = {
            "parallelismMax": NO_LIMIT if account.parallelism is None else account.parallelism,
            "parallelismCount": flow_control.in_flight(account),
        }
        return Response(body)


def _find(request: Request, key: str) -> FlowControl:
    check_storable("a flow control key", key)
    return find_flow_control(account_of(request), key)


def _read_pin(key: str, given: Parameters) -> FlowControlSpec:
    period = given.text("period")
    spec = FlowControlSpec(
        key=key,
        parallelism=given.number("parallelism"),
        rate=given.number("rate"),
        period=timedelta(seconds=1) if period is None else parse_duration(period),
    )
    if spec.parallelism is None and spec.rate is None:
        raise InvalidInput("give a parallelism, a rate with its period, or both")
    check_flow_control(spec)
    return spec


def render_flow_control(control: FlowControl, usage: Usage) -> FlowControlKeyBody:
    body: FlowControlKeyBody = {
        "flowControlKey": control.key,
        "waitListSize": usage.waiting,
        "waitlistSize": usage.waiting,
        "isPaused": control.paused,
        "isPinnedParallelism": control.parallelism_pinned,
        "isPinnedRate": control.rate_pinned,
        "parallelismCount": usage.in_flight,
        "rateCount": usage.started,
    }
    if control.parallelism is not None:
        body["parallelismMax"] = control.parallelism
    if control.rate is not None:
        body["rateMax"] = control.rate
        body["ratePeriod"] = int(control.period.total_seconds())
    if usage.period_began_at is not None:
        body["ratePeriodStart"] = int(usage.period_began_at.timestamp())
    return body
