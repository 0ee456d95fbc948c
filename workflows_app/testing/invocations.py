"""Ends of invoked runs that a test gives, so that none of these is started."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from workflows_app.engine import clock
from workflows_app.engine.journal import Journal
from workflows_app.engine.ports import Turn
from workflows_app.protocol.codec import encode_json, encode_value
from workflows_app.protocol.published import invocation_out
from workflows_app.protocol.runs import (
    InvocationRequest,
    StepKind,
    StepRecord,
    Suspended,
    TurnOutcome,
)

BadEnd = Literal["failed", "canceled"]


@dataclass(slots=True)
class InvocationScripts:
    """Ends by the name or key of the step that invokes."""

    _ends: dict[str, deque[str]] = field(default_factory=dict)

    def end(self, step: str, body: Any) -> None:
        """The run succeeds and returns `body`."""
        result = None if body is None else encode_value(body)
        self._add(step, invocation_out(result, failed=False, canceled=False))

    def end_badly(self, step: str, how: BadEnd) -> None:
        out = invocation_out(None, failed=how == "failed", canceled=how == "canceled")
        self._add(step, out)

    def settle(self, turn: Turn, outcome: TurnOutcome) -> TurnOutcome:
        """The outcome without the invocations whose ends are given; these are recorded."""
        if not isinstance(outcome, Suspended):
            return outcome
        given = [each for each in outcome.invocations if self._find(each) is not None]
        if not given:
            return outcome
        Journal(turn.lease).record([self._record(each) for each in given], [])
        others = tuple(each for each in outcome.invocations if each not in given)
        return replace(outcome, invocations=others, wake_at=clock.now())

    def _add(self, step: str, out: str) -> None:
        self._ends.setdefault(step, deque()).append(out)

    def _find(self, request: InvocationRequest) -> deque[str] | None:
        return self._ends.get(request.key) or self._ends.get(request.name)

    def _record(self, request: InvocationRequest) -> StepRecord:
        ends = self._find(request)
        assert ends is not None, "only called for those that are given"  # noqa: S101
        now = clock.now()
        return StepRecord(
            key=request.key,
            name=request.name,
            kind=StepKind.INVOKE,
            branch=request.branch,
            input=encode_json({"workflow": request.run.workflow or request.run.url}),
            result=ends.popleft() if len(ends) > 1 else ends[0],
            error=None,
            attempts=1,
            started_at=now,
            ended_at=now,
        )
