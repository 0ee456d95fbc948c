"""The transport of a test: workflow functions as ever, with the test's scripts between."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from http import HTTPStatus

from workflows_app.engine.leases import Lease
from workflows_app.engine.ports import Turn
from workflows_app.models import Run
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.protocol.runs import StepRecord, TurnOutcome
from workflows_app.protocol.wire import decode_answer
from workflows_app.sdk.authoring import Workflow
from workflows_app.sdk.replay import Extent
from workflows_app.testing.crashes import Crashes, CrashingRecorder, Died, Moment, ProcessDied
from workflows_app.testing.endpoint import deliver_here, start_here
from workflows_app.testing.invocations import InvocationScripts
from workflows_app.testing.replays import check_replays
from workflows_app.testing.requests import RequestScripts
from workflows_app.testing.savepoints import MendingRecorder, Savepoints
from workflows_app.testing.steps import StepScripts
from workflows_app.worker import local, remote
from workflows_app.worker.transport import WorkflowTransport


class ScriptedTransport(WorkflowTransport):
    """Raises ProcessDied where the process is to end, Unanswered for a request without a script."""

    def __init__(self) -> None:
        self.steps = StepScripts()
        self.crashes = Crashes()
        self.requests = RequestScripts()
        self.invocations = InvocationScripts()
        self._extent = Extent.TO_THE_NEXT_WAIT
        self.delivering: Lease | None = None
        """The message that is being delivered, which knows more than its request says."""

    def replay_after_each_step(self) -> None:
        self._extent = Extent.ONE_BATCH

    def take_turn(self, turn: Turn) -> TurnOutcome:
        try:
            self.crashes.strike_at_replay(turn.run.workflow, turn.history.steps)
            return self.invocations.settle(turn, super().take_turn(turn))
        except Died as died:
            raise ProcessDied(str(died)) from None

    def take_turn_here(self, workflow: Workflow, turn: Turn) -> TurnOutcome:
        ports, savepoints = local.ports_of(turn), Savepoints()
        crashing = CrashingRecorder(ports.recorder, self.crashes, workflow.name)
        scripted = replace(
            ports,
            recorder=MendingRecorder(crashing, savepoints),
            stand_in=partial(self.steps.stand_in, workflow.name),
        )
        with savepoints.kept():
            outcome = local.take_turn(workflow, turn, scripted, self._extent)
        return self._checked(turn, outcome)

    def take_turn_over_http(self, turn: Turn) -> TurnOutcome:
        """One step at a time, as ever over http: so each is followed by a replay."""
        workflow, steps = turn.run.workflow, list[StepRecord]()

        def send(request: Outgoing) -> Answer:
            stand_in = partial(self.steps.stand_in, workflow)
            with Savepoints().kept():
                answer = deliver_here(workflow, request, stand_in)
            if answer.status == HTTPStatus.OK:
                steps.extend(decode_answer(answer.body).steps)
                self.crashes.strike(Moment.BEFORE_STORING, workflow, steps)
            return answer

        outcome = remote.take_turn(turn, send)
        self.crashes.strike(Moment.AFTER_STORING, workflow, steps)
        return self._checked(turn, outcome)

    def _checked(self, turn: Turn, outcome: TurnOutcome) -> TurnOutcome:
        if self._extent is Extent.ONE_BATCH:
            check_replays(turn, outcome)
        return outcome

    def call_failure_function(self, run: Run, attempt: int) -> Answer:
        with Savepoints().kept():
            return super().call_failure_function(run, attempt)

    def send(self, request: Outgoing) -> Answer:
        return start_here(request) or self.requests.send(self.delivering, request)
