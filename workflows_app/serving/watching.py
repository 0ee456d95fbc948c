"""What middlewares are told of a workflow that is served, see `sdk.observers`.

Each delivery calls the function anew, and perhaps twice. So of the steps that the server ends only
the serving side knows in which delivery they begin and end, and of the function's own errors which
one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from workflows_app.errors import StepMisuse
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.runs import History, StepKind, StepRecord
from workflows_app.sdk.launching import engine
from workflows_app.sdk.middlewares import Middleware
from workflows_app.sdk.observers import Observers, Told
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.steps import Ask
from workflows_app.sdk.telling import tell
from workflows_app.serving.numbering import Numbered
from workflows_app.serving.step_list import Past

_ENDED_ELSEWHERE = (
    StepKind.CALL,
    StepKind.INVOKE,
    StepKind.NOTIFY,
    StepKind.SLEEP,
    StepKind.WAIT,
    StepKind.WAIT_FOR_WEBHOOK,
)


class Watch(Observers):
    """The middlewares of a run, in one delivery."""

    _errors: tuple[Told, ...] = ()

    def found(  # noqa: PLR0913 - as it is called
        self,
        scope: Scope,
        key: str,
        name: str,
        kind: StepKind,
        recorded: StepRecord | None,
        now: Callable[[], datetime],
    ) -> None:
        return None

    def function_failed(
        self, error: Exception, attempt: int, retry_at: datetime | None = None
    ) -> None:
        """Kept until it is known that the run fails by it."""
        told = super().function_failed(error, attempt, retry_at)
        self._errors = () if told is None else (told,)

    def begin(self, past: Past) -> None:
        """With the first attempt at a delivery: a run starts, or a step has ended elsewhere."""
        if not past.records and not past.announced:
            tell(self.run_starts(History()))
        if past.last is not None and past.last.kind in _ENDED_ELSEWHERE:
            last = past.last
            tell(self.step_finished(_ask(last.key, last.name, last.kind, last.branch), last))

    def step_is_sent(self, step: Numbered) -> None:
        if step.kind in _ENDED_ELSEWHERE:
            tell(self.step_starts(_ask(step.key, step.name, step.kind, step.branch)))

    def call_again(self) -> None:
        """What the function raised before does not count."""
        self._errors = ()

    def fail(self) -> None:
        for told in self._errors:
            tell(told)


def _ask(key: str, name: str, kind: StepKind, branch: str) -> Ask:
    return Ask(
        key=key,
        name=name,
        kind=kind,
        branch=branch,
        policy=RetryPolicy(retries=0),
        timeout=None,
        attempt=1,
    )


def project_middlewares() -> Sequence[Middleware]:
    """Those of the setting, where the app is installed."""
    try:
        return engine().middlewares()
    except StepMisuse:
        return ()


def is_of_this_delivery(step: Numbered, past: Past) -> bool:
    """Whether the branch of the step goes on with what is delivered. Deliveries of other branches
    may announce the step as well, to no end.
    """
    delivered = "" if past.last is None else past.last.branch
    shorter, longer = sorted((delivered, step.branch), key=len)
    return not shorter or f"{longer}.".startswith(f"{shorter}.")
