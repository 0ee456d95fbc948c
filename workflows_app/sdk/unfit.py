"""What is said when a workflow's code no longer fits what a run has recorded."""

from __future__ import annotations

from workflows_app.errors import IncompatibleHistory
from workflows_app.protocol.runs import RunInfo, StepKind, StepRecord
from workflows_app.sdk.misuse import calling_place

WHAT_TO_DO = (
    "Code that runs in flight depend on must keep the order and names of the steps they have "
    "recorded: put the old code back and resume the run from the dead letter queue, or restart it "
    "to run all steps again with the new code."
)


def never_asked(run: RunInfo, step: StepRecord) -> IncompatibleHistory:
    return IncompatibleHistory(
        f'run {run.run_id} has recorded step "{step.key}", but the function ended without '
        f"asking for it. {WHAT_TO_DO}"
    )


def mismatch(run: RunInfo, recorded: StepRecord, key: str, kind: StepKind) -> IncompatibleHistory:
    return asked_for(run, f'{recorded.kind} step "{recorded.key}"', f'{kind} step "{key}"')


def asked_for(run: RunInfo, recorded: str, asked: str) -> IncompatibleHistory:
    """Something else, at the place in the workflow that is being called."""
    return IncompatibleHistory(
        f"run {run.run_id} has recorded {recorded} where the code of workflow "
        f'"{run.workflow}" now asks for {asked}{calling_place()}. {WHAT_TO_DO}'
    )


def other_result(run: RunInfo, recorded: StepRecord, difference: str) -> IncompatibleHistory:
    return IncompatibleHistory(
        f'run {run.run_id} has recorded for step "{recorded.key}" {difference}. '
        "Put the old code back and resume the run from the dead letter queue, or "
        "restart it; give a step that returns something else a new name, behind "
        "context.patched."
    )
