"""What a test says beforehand: what steps do, where processes die, what requests are answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workflows_app.sdk.authoring import Workflow
from workflows_app.testing.crashes import Moment
from workflows_app.testing.invocations import BadEnd
from workflows_app.testing.requests import Failure, SentRequest, answer_of, failure_of
from workflows_app.testing.steps import NOT_GIVEN, StepName, stand_in_of
from workflows_app.testing.transport import ScriptedTransport


class Scripting:
    """The scripts of a test, as its author writes them."""

    def __init__(self, transport: ScriptedTransport) -> None:
        self._transport = transport

    def mock_step(
        self,
        name: str,
        *,
        workflow: Workflow | str | None = None,
        returns: Any = NOT_GIVEN,
        raises: BaseException | type[BaseException] | None = None,
        calls: Callable[..., Any] | None = None,
    ) -> None:
        """From now on, steps of this name return a value, raise, or call another function with
        their arguments. A key, such as "mail#2", means one step; `workflow` the steps of one.
        """
        of = _step_name(name, workflow)
        self._transport.steps.replace(of, stand_in_of(of, returns, raises, calls))

    def fail_step(
        self,
        name: str,
        *,
        times: int = 1,
        error: BaseException | type[BaseException] | None = None,
        workflow: Workflow | str | None = None,
    ) -> None:
        """Have the next attempts at this step fail, so many of them; later ones are real again."""
        raised = error or RuntimeError(f'step "{name}" fails, as the test has it')
        self._transport.steps.fail(_step_name(name, workflow), times, raised)

    def crash_after(self, name: str, *, workflow: Workflow | str | None = None) -> None:
        """Have the process die once, when the step's result is stored.

        Its lease runs out, for which time moves on by `LEASE`; then another worker takes over.
        """
        self._transport.crashes.plan(_step_name(name, workflow), Moment.AFTER_STORING)

    def crash_before_storing(self, name: str, *, workflow: Workflow | str | None = None) -> None:
        """Have the process die once, when the step's function has returned and its result is not
        stored yet: the step is done again. See `crash_after`.
        """
        self._transport.crashes.plan(_step_name(name, workflow), Moment.BEFORE_STORING)

    def always_replay(self) -> None:
        """From now on, replay the function from its beginning after each step, as may happen at
        any time. When it then asks for other steps, the test fails.
        """
        self._transport.replay_after_each_step()

    def answer_call(
        self,
        target: str,
        *,
        status: int = 200,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer requests of the `context.call` of this name, or to this URL, without network.

        Several answers for one target are given in their order, the last of them for ever. Without
        any, a request fails the test.
        """
        self._transport.requests.answer(target, answer_of(status, body, headers))

    def fail_call(self, target: str, kind: Failure = "unreachable") -> None:
        """As `answer_call`, with no answer: it comes too late, or nobody is there."""
        self._transport.requests.answer(target, failure_of(kind))

    def answer_invoke(self, step: str, body: Any = None) -> None:
        """Have a `context.invoke` of this name return at once, with what the other run would have
        returned. None is started. Several answers are given as by `answer_call`.
        """
        self._transport.invocations.end(step, body)

    def fail_invoke(self, step: str, how: BadEnd = "failed") -> None:
        """As `answer_invoke`, for a run that fails or is cancelled."""
        self._transport.invocations.end_badly(step, how)

    @property
    def sent(self) -> list[SentRequest]:
        """The requests that were made, oldest first."""
        return list(self._transport.requests.sent)

    def _check_faults_happened(self) -> None:
        """Raises AssertionError for those that were planned in vain: their names may be wrong."""
        __tracebackhide__ = True
        unused = [*self._transport.steps.unused_faults(), *self._transport.crashes.unused()]
        if unused:
            raise AssertionError("; ".join(unused))


def name_of(workflow: Workflow | str) -> str:
    return workflow if isinstance(workflow, str) else workflow.name


def _step_name(step: str, workflow: Workflow | str | None) -> StepName:
    return StepName(step=step, workflow=None if workflow is None else name_of(workflow))
