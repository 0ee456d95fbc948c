"""Executing what a rollback has left to undo, by each of the two shells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from asgiref.sync import AsyncToSync

from workflows_app.errors import StepError
from workflows_app.protocol.runs import StepKind
from workflows_app.sdk.async_shell import AsyncShell
from workflows_app.sdk.base_context import Ports
from workflows_app.sdk.replay import Replay
from workflows_app.sdk.rollback import without_result
from workflows_app.sdk.sagas import UndoStep
from workflows_app.sdk.shell import Shell
from workflows_app.sdk.steps import Ask


def undo(steps: Sequence[UndoStep], replay: Replay, ports: Ports) -> list[StepError]:
    """Undo one after the other; those that failed for good. Raises Interrupt to wait."""
    return _Undoing(replay, ports).undo_all(steps)


def undo_in_a_loop(steps: Sequence[UndoStep], replay: Replay, ports: Ports) -> list[StepError]:
    """The same for an async workflow."""
    return AsyncToSync(_drive, force_new_loop=True)(steps, replay, ports)


async def _drive(steps: Sequence[UndoStep], replay: Replay, ports: Ports) -> list[StepError]:
    undoing = _AsyncUndoing(replay, ports)
    failed: list[StepError] = await undoing.drive(lambda _: undoing.undo_all(steps))
    return failed


class _Undoing(Shell):
    def undo_all(self, steps: Sequence[UndoStep]) -> list[StepError]:
        failed = []
        for step in steps:
            try:
                self._undo(step)
            except StepError as error:
                failed.append(error)
        return failed

    def _undo(self, step: UndoStep) -> None:
        scope = self._replay.root
        ask = self._replay.prepare(scope, step.key, step.name, StepKind.ROLLBACK, step.options)
        if not isinstance(ask, Ask):
            raise self._wait(scope, ask)
        function = without_result(self._ports.stand_in(ask) or step.function, step.undo)
        if step.is_atomic:
            self._execute_atomic(scope, replace(ask, timeout=None), function, None)
        else:
            self._execute(scope, ask, function, None)


class _AsyncUndoing(AsyncShell):
    async def undo_all(self, steps: Sequence[UndoStep]) -> list[StepError]:
        failed = []
        for step in steps:
            try:
                await self._undo(step)
            except StepError as error:
                failed.append(error)
        return failed

    async def _undo(self, step: UndoStep) -> None:
        scope = self._replay.root
        ask = self._replay.prepare(scope, step.key, step.name, StepKind.ROLLBACK, step.options)
        if not isinstance(ask, Ask):
            await self._wait(scope, ask)
        function = without_result(self._ports.stand_in(ask) or step.function, step.undo)
        if step.is_atomic:
            await self._execute_atomic(scope, ask, function, None)
        else:
            await self._execute(scope, ask, function, (), {}, None)
