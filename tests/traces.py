"""A middleware that writes down all that it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from workflows_app import Callbacks, Middleware
from workflows_app.sdk.middlewares import (
    ErrorRaised,
    Notice,
    RunCompleted,
    RunStarted,
    StepFinished,
    StepStarted,
)


@dataclass
class Trace:
    """`lines` are what its callbacks, which are plain or `async`, were told."""

    is_async: bool = False
    name: str = ""
    lines: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def middleware(self) -> Middleware:
        return Middleware("trace", callbacks=self.async_callbacks if self.is_async else self.plain)

    @property
    def plain(self) -> Callbacks:
        return Callbacks(
            run_started=self.run_started,
            before_execution=self.before_execution,
            after_execution=self.after_execution,
            run_completed=self.run_completed,
            on_error=self.on_error,
            on_warning=self.on_notice,
            on_info=self.on_notice,
        )

    @property
    def async_callbacks(self) -> Callbacks:
        async def run_started(moment: RunStarted) -> None:
            self.run_started(moment)

        async def before_execution(moment: StepStarted) -> None:
            self.before_execution(moment)

        async def after_execution(moment: StepFinished) -> None:
            self.after_execution(moment)

        async def run_completed(moment: RunCompleted) -> None:
            self.run_completed(moment)

        async def on_error(moment: ErrorRaised) -> None:
            self.on_error(moment)

        async def on_notice(moment: Notice) -> None:
            self.on_notice(moment)

        return Callbacks(
            run_started=run_started,
            before_execution=before_execution,
            after_execution=after_execution,
            run_completed=run_completed,
            on_error=on_error,
            on_warning=on_notice,
            on_info=on_notice,
        )

    def note(self, line: str) -> None:
        self.lines.append(f"{self.name}{line}")

    def run_started(self, moment: RunStarted) -> None:
        self.note(f"{moment.workflow} {moment.workflow_run_id} started")

    def before_execution(self, moment: StepStarted) -> None:
        self.note(f"before {moment.key} {moment.attempt}")

    def after_execution(self, moment: StepFinished) -> None:
        self.note(f"after {moment.key} {moment.attempt}: {moment.result!r}")

    def run_completed(self, moment: RunCompleted) -> None:
        self.note(f"completed: {moment.result!r}")

    def on_error(self, moment: ErrorRaised) -> None:
        where = moment.key or "the function"
        again = "for good" if moment.retry_at is None else "for now"
        self.note(f"{where} {moment.attempt} failed {again}: {type(moment.error).__name__}")

    def on_notice(self, moment: Notice) -> None:
        self.notices.append(moment.text)
