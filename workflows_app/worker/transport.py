"""Which road a delivery takes."""

from __future__ import annotations

from workflows_app.conf import get_settings
from workflows_app.engine.ports import Turn
from workflows_app.errors import Refused
from workflows_app.models import Run
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.protocol.runs import TurnOutcome
from workflows_app.sdk.authoring import Workflow, get_workflow, registered_workflows
from workflows_app.worker import local, remote
from workflows_app.worker.http import default_sender


class WorkflowTransport:
    """Workflows registered here are called here, unless they or the settings say http."""

    def take_turn(self, turn: Turn) -> TurnOutcome:
        workflow = get_workflow(turn.run.workflow)
        if (workflow.transport or get_settings().TRANSPORT) == "http":
            return self.take_turn_over_http(turn)
        return self.take_turn_here(workflow, turn)

    def take_turn_here(self, workflow: Workflow, turn: Turn) -> TurnOutcome:
        return local.take_turn(workflow, turn, local.ports_of(turn))

    def take_turn_over_http(self, turn: Turn) -> TurnOutcome:
        return remote.take_turn(turn, default_sender().send)

    def handles_failure(self, run: Run) -> bool:
        workflow = registered_workflows().get(run.workflow)
        return bool(run.failure_url or (workflow and workflow.failure_function))

    def call_failure_function(self, run: Run, attempt: int) -> Answer:
        workflow = get_workflow(run.workflow)
        if workflow.failure_function is None:
            raise Refused(f'workflow "{run.workflow}" has no failure function any more')
        return local.call_failure_function(workflow, run, attempt)

    def send(self, request: Outgoing) -> Answer:
        return default_sender().send(request)
