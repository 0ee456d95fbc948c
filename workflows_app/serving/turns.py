"""One delivery of a step list: the function is replayed, and one step of it worked on.

A step that nothing runs beside is executed at once. Where there are several, their plans are
published, and each is executed by the delivery of its plan (Upstash reference 4.3). A branch goes
on as soon as its own step has ended: it does not wait for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial

from workflows_app.errors import IncompatibleHistory, StepMisuse
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.runs import (
    UNDO,
    Canceled,
    Failed,
    Finished,
    History,
    StepKind,
    StepRecord,
    Suspended,
    TurnOutcome,
)
from workflows_app.sdk.authoring import Workflow
from workflows_app.sdk.base_context import BaseContext, Ports
from workflows_app.sdk.middlewares import Middleware
from workflows_app.sdk.replay import FUNCTION, Recorder
from workflows_app.sdk.sagas import Rollback
from workflows_app.sdk.turn import drive, with_rollback
from workflows_app.serving.asking import Asked, AskingReplay, Choice
from workflows_app.serving.messages import (
    Message,
    Sender,
    awaited,
    batch,
    called,
    canceled,
    ended,
    invoked,
    notified,
    published,
)
from workflows_app.serving.numbering import Numbered, number
from workflows_app.serving.passes import Pass
from workflows_app.serving.published_steps import (
    encode_plan,
    encode_result,
    pause_of,
)
from workflows_app.serving.recorder import Collector
from workflows_app.serving.step_list import Past, Plan
from workflows_app.serving.watching import Watch, is_of_this_delivery
from workflows_app.serving.work import (
    Denied,
    Nothing,
    Notify,
    Send,
    Work,
    failed_for_good,
    to_be_retried,
)

MAX_RESULT_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Turn:
    """`retried` is how often this delivery has failed so far."""

    workflow: Workflow
    sender: Sender
    past: Past
    retried: int
    ports: Callable[[Recorder], Ports]
    now: Callable[[], datetime]
    middlewares: Sequence[Middleware] = ()

    @cached_property
    def _watch(self) -> Watch:
        context = None
        if self.middlewares:
            replay = self.replay(Choice.NOTHING, self.past.history)
            context = BaseContext(replay, self.ports(Collector()))
        return Watch(self.middlewares, self.sender.run.workflow, context)

    def take(self) -> Work:
        past = self.past
        if past.is_repeated:
            return Nothing(condition="duplicate-step")
        if not self.retried:
            self._watch.begin(past)
        if past.delivered is not None:
            return self._execute_planned(past.delivered.key)
        alone = not past.plans and not self.workflow.is_async
        went = self.call(Choice.ALONE if alone else Choice.NOTHING)
        first = next(iter(went.asked.values()), None)
        if alone and first is not None and not first.branch and went.has_executed(first.key):
            return self._work_on(number([first], past)[0], went)
        return self._work_on_news(went)

    def call(self, chosen: str | Choice) -> Pass:
        done, replay = Collector(), self.replay(chosen, self.past.history)
        outcome = drive(self.workflow, replay, self.watched(done))
        rest = partial(self.replay, Choice.NOTHING, self.past.history)
        ports = self.ports(Collector())
        outcome, rollback = with_rollback(self.workflow, replay, ports, outcome, rest)
        return Pass(replay=replay, done=done, outcome=outcome, rollback=rollback)

    def replay(self, chosen: str | Choice, history: History) -> AskingReplay:
        return AskingReplay(
            self.sender.run,
            history,
            self.now,
            MAX_RESULT_BYTES,
            chosen=chosen,
            retried=self.retried,
        )

    def watched(self, done: Collector) -> Ports:
        self._watch.call_again()
        return replace(self.ports(done), observers=self._watch)

    # -- which steps

    def _execute_planned(self, key: str) -> Work:
        plan = self.past.plans[key]
        went = self.call(key)
        asked = went.asked.get(key)
        if asked is None:
            self._check_branch(plan, went)
            return self._ended(went) or Nothing()
        step = Numbered(
            number=plan.number,
            key=key,
            name=plan.name,
            branch=plan.branch,
            kind=asked.kind,
            concurrent=plan.concurrent,
        )
        return self._work_on(step, went)

    def _check_branch(self, plan: Plan, went: Pass) -> None:
        """A branch that is not gone on with is one that the function does not wait for any more."""
        for each in went.asked.values():
            if each.branch == plan.branch:
                raise IncompatibleHistory(
                    f'run {self.sender.run.run_id} has announced step "{plan.key}" where the code '
                    f'now asks for step "{each.key}". Put the old code back and resume the run '
                    "from the dead letter queue, or restart it with the new code."
                )

    def _work_on_news(self, went: Pass) -> Work:
        if (work := self._ended(went)) is not None:
            return work
        news = [each for each in went.asked.values() if each.key not in self.past.plans]
        if not news:
            return Nothing()
        steps = number(news, self.past)
        if len(steps) == 1 and steps[0].concurrent == 1:
            return self._work_on(steps[0], went)
        plans = [self._plan(step, went) for step in steps]
        return Send(requests=(batch(plans),))

    def _ended(self, went: Pass) -> Work | None:
        """How the function ended; None while it waits for steps."""
        if went.rollback is not None:
            self._watch.fail()
            return self._begin_rollback(went.rollback)
        match went.outcome:
            case Finished() if went.replay.is_untouched:
                return Denied()
            case Suspended():
                attempt = went.attempt(FUNCTION)
                self._watch.fail()
                return None if attempt is None else to_be_retried(attempt, None, own_delay=False)
        return self.end(went.outcome)

    def end(self, outcome: TurnOutcome) -> Work:
        """End the run like this."""
        run_id, told = self.sender.run.run_id, self._watch.turn_ends(outcome, self.now())
        match outcome:
            case Finished(result=result):
                return Send(requests=(ended(run_id, result),), then=told)
            case Canceled():
                return Send(requests=(canceled(run_id),), then=told)
            case Failed():
                self._watch.fail()
                return failed_for_good(outcome)
        raise StepMisuse(
            "context.continue_as_new cannot be served: the protocol has no way to end a run and "
            "begin it anew at once. Have a worker run this workflow, or invoke the next run as a "
            "last step"
        )

    def _begin_rollback(self, rollback: Rollback) -> Work:
        """From the delivery of this on, the run only undoes."""
        step = self.rollback_step(UNDO, "rollback")
        return Send(requests=(batch([self._result(step, rollback.record(self.now()))]),))

    def rollback_step(self, key: str, name: str) -> Numbered:
        """What undoes is published as done, and never announced."""
        asked = Asked(key=key, name=name, kind=StepKind.ROLLBACK, branch="")
        return replace(number([asked], self.past)[0], concurrent=1)

    # -- what comes of a step

    def _plan(self, step: Numbered, went: Pass) -> Message:
        """A sleep begins with its plan, as all that is side by side begins together."""
        record = went.record(step.key)
        if step.kind is not StepKind.SLEEP or record is None:
            return published(self.sender, encode_plan(step, {}))
        if is_of_this_delivery(step, self.past):
            self._tell_begin(step)
        pause = pause_of(record)
        return published(self.sender, encode_plan(step, pause.details), pause.headers)

    def _tell_begin(self, step: Numbered) -> None:
        if not self.retried:
            self._watch.step_is_sent(step)

    def _work_on(self, step: Numbered, went: Pass) -> Work:
        replay, sender = went.replay, self.sender
        if step.kind is not StepKind.SLEEP or step.concurrent == 1:
            self._tell_begin(step)
        match step.kind:
            case StepKind.CALL:
                (call,) = (each for each in replay.calls if each.key == step.key)
                return Send(requests=(batch([called(sender, step, call)]),))
            case StepKind.WAIT | StepKind.WAIT_FOR_WEBHOOK:
                (wait,) = (each for each in replay.waits if each.key == step.key)
                return Send(requests=(awaited(sender, step, wait),))
            case StepKind.INVOKE:
                (run,) = (each for each in replay.invocations if each.key == step.key)
                return Send(requests=(invoked(sender, step, run),))
            case StepKind.NOTIFY:
                (event,) = (each for each in replay.notifications if each.key == step.key)
                return Notify(request=notified(event), sender=sender, step=step)
        if not went.has_executed(step.key):
            went = self.call(step.key)
        return self.outcome_of(step, went)

    def outcome_of(self, step: Numbered, went: Pass) -> Work:
        """Of a step that this delivery has executed."""
        attempt, record = went.attempt(step.key), went.record(step.key)
        if record is None and attempt is not None:
            own_delay = went.replay.has_own_delay
            return to_be_retried(attempt, step.name, own_delay=own_delay)
        if record is None:
            return self.end(_without_step(step, went.outcome))
        if record.error is not None and _lets_pass(step, went):
            return self.end(went.outcome)
        return Send(requests=(batch([self._result(step, record)]),))

    def _result(self, step: Numbered, record: StepRecord) -> Message:
        if step.kind is not StepKind.SLEEP:
            return published(self.sender, encode_result(step, record, {}))
        pause = pause_of(record)
        headers = pause.headers if step.concurrent == 1 else {}
        return published(self.sender, encode_result(step, record, pause.details), headers)


def _lets_pass(step: Numbered, went: Pass) -> bool:
    """Whether the run ends as its function does not handle the failure of the step. That is not
    published then, unless something is undone: the run can be resumed with this step.
    """
    outcome = went.outcome
    if went.rollback is not None or not isinstance(outcome, Failed):
        return False
    return bool(decode_json(outcome.error).get("key") == step.key)


def _without_step(step: Numbered, outcome: TurnOutcome) -> Failed:
    """What was asked for was not executed when the function was called again."""
    if isinstance(outcome, Failed):
        return outcome
    raise IncompatibleHistory(
        f'the function asked for step "{step.key}" and, called again, did not: between steps it '
        "must do the same each time"
    )
