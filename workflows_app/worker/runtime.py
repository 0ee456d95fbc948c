"""Puts the pieces together when the app is ready: the SDK's launcher, the engine's transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from workflows_app.conf import get_settings
from workflows_app.engine import events, inline, ports, triggering
from workflows_app.engine.addresses import serve_url, served_name
from workflows_app.models import Account
from workflows_app.protocol.endpoints import started_for_sdk
from workflows_app.protocol.runs import InlineRun, RunRequest, TriggeredRun
from workflows_app.protocol.urls import check_url
from workflows_app.sdk import authoring, launching
from workflows_app.sdk.events import NotifiedRun
from workflows_app.sdk.middlewares import Middleware
from workflows_app.worker.middlewares import import_middlewares
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
                self._account, [authoring.with_defaults(each) for each in requests]
            )
        ]

    def run_inline(self, request: RunRequest) -> InlineRun:
        return inline.run_inline(self._account, authoring.with_defaults(request))

    def notify(self, event_id: str, data: bytes, run_id: str | None) -> list[NotifiedRun]:
        if run_id is None:
            notified = events.notify(self._account, event_id, data)
        else:
            notified = events.notify_named(self._account, run_id, event_id, data)
        return [NotifiedRun.from_result(events.told(each)) for each in notified]

    def url_of(self, workflow: str) -> str:
        return serve_url(workflow)

    def middlewares(self) -> Sequence[Middleware]:
        return import_middlewares(get_settings().MIDDLEWARES)

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


def install() -> None:
    ports.install_transport(WorkflowTransport())
    launching.install_launcher(Engine())
