"""Puts the pieces together when the app is ready: the SDK's launcher, the engine's transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from workflows_app.conf import get_settings
from workflows_app.engine import (
    events,
    inline,
    pausing,
    ports,
    run_moves,
    states,
    triggering,
)
from workflows_app.engine.addresses import serve_url, served_name
from workflows_app.engine.forking import fork
from workflows_app.engine.restarting import restart
from workflows_app.engine.step_targets import step_target
from workflows_app.models import Account, Run
from workflows_app.protocol.delays import delay_expression
from workflows_app.protocol.endpoints import started_for_sdk
from workflows_app.protocol.runs import InlineRun, RunRequest, TriggeredRun
from workflows_app.protocol.urls import check_url
from workflows_app.sdk import authoring, launching
from workflows_app.sdk.events import NotifiedRun
from workflows_app.sdk.launching import Fork, StepDefaults
from workflows_app.sdk.middlewares import Middleware
from workflows_app.worker.middlewares import import_middlewares
from workflows_app.worker.registry import Registry
from workflows_app.worker.transport import WorkflowTransport


class Engine:
    """Starts what Python code triggers, in the default account."""

    @cached_property
    def _account(self) -> Account:
        """Read once: only its identity, which never changes, is used."""
        return Account.objects.default()

    def trigger(self, requests: list[RunRequest]) -> list[TriggeredRun]:
        return [
            TriggeredRun(
                workflow_run_id=started.run.run_id,
                created_at=started.run.created_at,
                deduplicated=started.deduplicated,
            )
            for started in triggering.trigger(
                self._account, [_from_here(each) for each in requests]
            )
        ]

    def run_inline(self, request: RunRequest) -> InlineRun:
        return inline.run_inline(self._account, _from_here(request))

    def notify(self, event_id: str, data: bytes, run_id: str | None) -> list[NotifiedRun]:
        if run_id is None:
            notified = events.notify(self._account, event_id, data)
        else:
            notified = events.notify_named(self._account, run_id, event_id, data)
        return [NotifiedRun.from_result(events.told(each)) for each in notified]

    def state_of(self, run_id: str, workflow: str | None) -> str:
        return states.state_of(self._find(run_id, workflow)).value

    def pause(self, run_id: str, workflow: str | None) -> str:
        return pausing.pause(self._find(run_id, workflow)).value

    def resume(self, run_id: str, workflow: str | None) -> str:
        return pausing.resume(self._find(run_id, workflow)).value

    def cancel(self, run_id: str, workflow: str | None, *, roll_back: bool) -> str:
        return run_moves.cancel(self._find(run_id, workflow), roll_back=roll_back).value

    def restart(
        self, run_id: str, workflow: str | None, *, step: str | None, count: int, kind: str
    ) -> str:
        target = None if step is None else step_target(step, count, kind)
        restart(self._find(run_id, workflow), target)
        # A worker may have taken it already.
        return states.State.QUEUED.value

    def fork(self, run_id: str, workflow: str | None, asked: Fork) -> str:
        step = asked.step
        target = None if step is None else step_target(step, asked.count, asked.kind)
        run = self._find(run_id, workflow)
        return fork(run, target, payload=asked.payload, run_id=asked.run_id).run_id

    def _find(self, run_id: str, workflow: str | None) -> Run:
        return run_moves.find_run(self._account, run_id, workflow)

    def url_of(self, workflow: str) -> str:
        return serve_url(workflow)

    def middlewares(self) -> Sequence[Middleware]:
        return import_middlewares(get_settings().MIDDLEWARES)

    def class_defaults(self) -> StepDefaults:
        settings = get_settings()
        delay = delay_expression(settings.CLASS_RETRY_DELAY, "exponential")
        return StepDefaults(
            retries=settings.CLASS_RETRIES,
            retry_delay=delay or "",
            timeout=settings.CLASS_STEP_TIMEOUT,
        )

    def completed(self, request: RunRequest) -> RunRequest:
        name = request.workflow or served_name(check_url(request.url))
        if name is None:
            asked = started_for_sdk(request)
        else:
            authoring.get_workflow(name)
            url = request.url or serve_url(name)
            asked = authoring.with_defaults(replace(request, workflow=name, url=url))
        triggering.check(asked)
        return asked


def _from_here(request: RunRequest) -> RunRequest:
    return replace(authoring.with_defaults(request), source="python")


def install() -> None:
    ports.install_transport(WorkflowTransport())
    ports.install_catalogue(Registry())
    launching.install_launcher(Engine())
