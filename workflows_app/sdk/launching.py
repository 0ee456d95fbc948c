"""What starts runs for the SDK: the engine, once the app is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from workflows_app.errors import StepMisuse
from workflows_app.protocol.runs import InlineRun, RunRequest, TriggeredRun
from workflows_app.sdk.events import NotifiedRun
from workflows_app.sdk.middlewares import Middleware


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDefaults:
    """What holds for steps of class-based workflows where nobody says otherwise."""

    retries: int = 5
    retry_delay: str = "10000 * pow(2, retried)"
    timeout: timedelta | None = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """How a fork is to differ from its run."""

    step: str | None
    count: int
    kind: str
    payload: tuple[bytes, str] | None
    """With its content type; None is that of the run."""
    run_id: str | None


class Launcher(Protocol):
    def trigger(self, requests: list[RunRequest]) -> list[TriggeredRun]: ...

    def run_inline(self, request: RunRequest) -> InlineRun: ...

    def url_of(self, workflow: str) -> str: ...

    def notify(self, event_id: str, data: bytes, run_id: str | None) -> list[NotifiedRun]: ...

    def state_of(self, run_id: str, workflow: str | None) -> str:
        """Raises RunNotFound, as the verbs below do."""

    def pause(self, run_id: str, workflow: str | None) -> str: ...

    def resume(self, run_id: str, workflow: str | None) -> str: ...

    def cancel(self, run_id: str, workflow: str | None, *, roll_back: bool) -> str: ...

    def restart(
        self, run_id: str, workflow: str | None, *, step: str | None, count: int, kind: str
    ) -> str: ...

    def fork(self, run_id: str, workflow: str | None, asked: Fork) -> str:
        """The id of the other run."""

    def middlewares(self) -> Sequence[Middleware]:
        """Those of all runs, outside of their workflows' own."""

    def class_defaults(self) -> StepDefaults: ...

    def completed(self, request: RunRequest) -> RunRequest:
        """A request that lacks its URL, or the name that the URL stands for, with that and what its
        workflow says about its runs. Raises InvalidInput, UnknownWorkflow.
        """


_launcher: Launcher | None = None


def install_launcher(launcher: Launcher) -> None:
    global _launcher
    _launcher = launcher


def class_defaults() -> StepDefaults:
    """Those of the settings, where the app is installed."""
    return StepDefaults() if _launcher is None else _launcher.class_defaults()


def engine() -> Launcher:
    if _launcher is None:
        raise StepMisuse('to start runs, add "workflows_app" to INSTALLED_APPS and set Django up')
    return _launcher
