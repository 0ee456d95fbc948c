"""What starts runs for the SDK: the engine, once the app is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from workflows_app.errors import StepMisuse
from workflows_app.protocol.runs import InlineRun, RunRequest, TriggeredRun
from workflows_app.sdk.events import NotifiedRun
from workflows_app.sdk.middlewares import Middleware


class Launcher(Protocol):
    def trigger(self, requests: list[RunRequest]) -> list[TriggeredRun]: ...

    def run_inline(self, request: RunRequest) -> InlineRun: ...

    def url_of(self, workflow: str) -> str: ...

    def notify(self, event_id: str, data: bytes, run_id: str | None) -> list[NotifiedRun]: ...

    def middlewares(self) -> Sequence[Middleware]:
        """Those of all runs, outside of their workflows' own."""

    def completed(self, request: RunRequest) -> RunRequest:
        """A request that lacks its URL, or the name that the URL stands for, with that and what its
        workflow says about its runs. Raises InvalidInput, UnknownWorkflow.
        """


_launcher: Launcher | None = None


def install_launcher(launcher: Launcher) -> None:
    global _launcher
    _launcher = launcher


def engine() -> Launcher:
    if _launcher is None:
        raise StepMisuse('to start runs, add "workflows_app" to INSTALLED_APPS and set Django up')
    return _launcher
