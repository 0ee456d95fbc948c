"""Runs: their steps for an endpoint, their end, cancelling (Upstash reference 1.3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import pausing, run_moves
from workflows_app.engine.remote.journal import all_elements
from workflows_app.engine.restarting import restart
from workflows_app.engine.states import State
from workflows_app.engine.step_targets import StepTarget, TargetKind, step_target
from workflows_app.errors import InvalidInput, RunNotFound
from workflows_app.models import Account, Run
from workflows_app.protocol.ids import check_run_id, start_message_id
from workflows_app.protocol.published import raw_steps
from workflows_app.protocol.texts import storable
from workflows_app.rest.authentication import account_of
from workflows_app.rest.parameters import Parameters
from workflows_app.rest.upstash import operations, run_filters
from workflows_app.rest.upstash.bodies import CancelledBody, RunStateBody
from workflows_app.rest.upstash.run_filters import RunFilter
from workflows_app.rest.views import ApiView, read_body, read_bulk_parameters, read_parameters

DEFAULT_COUNT = 100
MOST = 1_000_000
FILTERS = ("count", "workflowUrlExactMatch", *run_filters.NAMES)


class RunView(ApiView):
    @operations.list_raw_steps
    def get(self, request: Request, run_id: str) -> Response:
        """For an endpoint whose delivery came without a body (Upstash reference 3.7)."""
        run = run_moves.find_run(account_of(request), check_run_id(run_id))
        if not (run.is_live and run.is_remote):
            raise RunNotFound(f'run "{run_id}" has ended, or is worked on by this server')
        start = start_message_id(run.pk)
        return Response(raw_steps(start, bytes(run.payload), all_elements(run)))

    @operations.cancel_run
    def delete(self, request: Request, run_id: str) -> Response:
        given, account = read_parameters(request), account_of(request)
        if given.text("cancel") in (None, "true"):
            run_moves.cancel(run_moves.find_run(account, check_run_id(run_id)))
            return Response(render_cancelled(1))
        given.flag("cancel")
        _finish(account, check_run_id(run_id), read_body(request))
        return Response({"cancelled": 0})


def _finish(account: Account, run_id: str, response: bytes) -> None:
    """What an endpoint says when its function has returned. To say it again changes nothing, nor
    does it for a run that is gone: the SDKs take anything but 2xx for a reason to try again.
    """
    result = storable(response.decode(errors="replace")) if response else None
    run_moves.finish(account, run_id, result)


class PauseView(ApiView):
    @operations.pause_run
    def post(self, request: Request, run_id: str) -> Response:
        return Response(_tell(request, run_id, pausing.pause))


class ResumeView(ApiView):
    @operations.resume_run
    def post(self, request: Request, run_id: str) -> Response:
        return Response(_tell(request, run_id, pausing.resume))


class RestartView(ApiView):
    @operations.restart_run
    def post(self, request: Request, run_id: str) -> Response:
        target = read_target(read_bulk_parameters(request))
        return Response(_tell(request, run_id, partial(_restart, target=target)))


def _restart(run: Run, target: StepTarget | None) -> State:
    """What it was then, though a worker may have taken it already."""
    restart(run, target)
    return State.QUEUED


def read_target(given: Parameters) -> StepTarget | None:
    """Raises InvalidInput."""
    given.require_known(("step", "count", "kind"))
    name, count, kind = given.text("step"), given.number("count"), given.text("kind")
    if name is not None:
        return step_target(name, 1 if count is None else count, kind or TargetKind.WORK)
    if count is not None or kind is not None:
        raise InvalidInput("count and kind tell which of several steps is meant: name it as step")
    return None


def _tell(request: Request, run_id: str, verb: Callable[[Run], State]) -> RunStateBody:
    run = run_moves.find_run(account_of(request), check_run_id(run_id))
    return {"workflowRunId": run.run_id, "state": verb(run)}


class RunsView(ApiView):
    @operations.cancel_runs
    def delete(self, request: Request) -> Response:
        wanted, count = read_cancel(read_bulk_parameters(request))
        cancelled = run_moves.cancel_all(wanted.runs_of(account_of(request)), count)
        return Response(render_cancelled(cancelled))


def read_cancel(given: Parameters) -> tuple[RunFilter, int]:
    """A URL is a prefix unless `workflowUrlExactMatch` is true (Upstash reference 1.3, E9).

    Raises InvalidInput for unknown filters: to ignore one would cancel more than was asked for.
    """
    given.require_known(FILTERS)
    wanted = RunFilter.read(given)
    if not given.flag("workflowUrlExactMatch"):
        wanted = wanted.with_url_prefixes()
    return wanted, given.count(default=DEFAULT_COUNT, most=MOST)


def render_cancelled(count: int) -> CancelledBody:
    return {"cancelled": count}
