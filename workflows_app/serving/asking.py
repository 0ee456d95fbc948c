"""A replay that executes at most one step, and tells which steps the function asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto

from workflows_app.errors import StepMisuse
from workflows_app.protocol.runs import Failures, History, RunInfo, StepKind, StepRecord
from workflows_app.sdk.patches import Known
from workflows_app.sdk.replay import FUNCTION, Extent, Replay
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.steps import Ask, StepOptions


class Choice(Enum):
    """What to execute, where it is not a step of a known key."""

    NOTHING = auto()
    ALONE = auto()
    """The next step of the function itself, of which nothing runs beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A step that has no result yet."""

    key: str
    name: str
    kind: StepKind
    branch: str


def asked_of(mark: StepRecord) -> Asked:
    """The mark of a change, as a step that is to be published."""
    return Asked(key=mark.key, name=mark.name, kind=mark.kind, branch=mark.branch)


class AskingReplay(Replay):
    """`retried` is how often the delivery has failed so far: each executes one step, so the
    failures are that step's.
    """

    def __init__(  # noqa: PLR0913 - a turn's surroundings
        self,
        run: RunInfo,
        history: History,
        now: Callable[[], datetime],
        max_result_bytes: int,
        *,
        chosen: str | Choice,
        retried: int,
    ) -> None:
        failed = Failures(count=retried, retry_at=None)
        known = History(steps=history.steps, failures={FUNCTION: failed})
        super().__init__(run, known, now, max_result_bytes, Extent.ONE_BATCH)
        self._chosen = chosen
        self._failed = failed
        self._asked: dict[str, Asked] = {}
        self._marks: dict[str, Asked] = {}
        """Those that are new in this turn, by the id of their change."""
        self.has_own_delay = False
        """Whether the step that was executed says itself how long its next attempt waits."""

    @property
    def asked(self) -> dict[str, Asked]:
        """The next step of each branch, by key, in the order of the branches."""
        branches = sorted(self._asked.items(), key=lambda item: _order(item[0]))
        return {each.key: each for _, each in branches}

    @property
    def is_untouched(self) -> bool:
        """Whether the function has not asked for any step."""
        return not self._asked and not any(scope.position for scope in self._scopes.values())

    def find(
        self, scope: Scope, name: str, kind: StepKind, options: StepOptions
    ) -> tuple[str, StepRecord | None]:
        key, recorded = super().find(scope, name, kind, options)
        if options.sensitive:
            raise StepMisuse(
                f'step "{name}" is sensitive, but a workflow that is served publishes what its '
                'steps return, and its server shows it: hide that by trigger(..., redact="body")'
            )
        if recorded is None:
            asked = Asked(key=key, name=name, kind=kind, branch=scope.path)
            self._asked.setdefault(scope.path, asked)
        return key, recorded

    def ask_patched(self, scope: Scope, change_id: str) -> Known | None:
        """A mark is published before anything that follows it, in whichever branch."""
        known = super().ask_patched(scope, change_id)
        if known is not None and known.mark is not None:
            self._marks.setdefault(change_id, asked_of(known.mark))
        if known is not None and change_id in self._marks:
            mark = replace(self._marks[change_id], branch=scope.path)
            self._asked.setdefault(scope.path, mark)
        return known

    def prepare(
        self, scope: Scope, key: str, name: str, kind: StepKind, options: StepOptions
    ) -> Ask | datetime:
        if not self._is_chosen(scope, key):
            return self.now()
        self.has_own_delay = bool(options.retry_delay or options.policy)
        self._failures[key] = self._failed
        return super().prepare(scope, key, name, kind, options)

    def _is_chosen(self, scope: Scope, key: str) -> bool:
        if self._chosen is Choice.ALONE:
            return not scope.path and self._asked[""].key == key
        return self._chosen == key


def _order(path: str) -> list[int]:
    return [int(part) for part in path.split(".")] if path else []
