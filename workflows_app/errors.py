"""Every error that this package raises on purpose.

    WorkflowsError
    ├── InvalidInput                what a caller sent cannot be used
    │   ├── InvalidDuration
    │   ├── InvalidExpression
    │   ├── InvalidCron
    │   ├── InvalidUrl
    │   ├── InvalidRunId
    │   ├── PayloadTooLarge
    │   ├── LimitExceeded
    │   └── NotSerializable
    ├── NotFound                    UnknownWorkflow, RunNotFound, DeadLetterNotFound
    ├── Refused                     a verb that this state or this caller does not allow
    │   ├── RunEnded
    │   ├── NotAuthenticated
    │   ├── ReadOnlyToken
    │   └── InsideTransaction
    ├── InvalidSignature
    ├── LeaseLost                   another worker owns the message now
    ├── Stopping                    the turn is to end, and another one to go on
    ├── RollbackAsked               someone has asked for the run to be rolled back
    ├── IncompatibleHistory         the code no longer fits what the run has recorded
    ├── StepMisuse                  a step inside a step, outside a run, not awaited
    │   └── WorkflowFatalError      a step of a class-based workflow that cannot be
    ├── ClientError                 what clients raise, see client/errors.py
    └── for workflow authors
        ├── StepError               a step has used up its retries
        ├── StepTimeout
        │   └── WorkflowTimeoutError     the same in class-based workflows, for events as well
        ├── WorkflowNonRetryableError
        │   ├── NonRetryableError        the same in class-based workflows
        │   └── NonRetryableDelayError   a step's delay function is broken
        ├── WorkflowRetryAfterError
        ├── RollbackFailed          a run was to be rolled back, and not all could be undone
        └── RunFailed               an inline run has failed

The class docstring is the default message. `code` is stable and meant for programs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar


class WorkflowsError(Exception):
    """Something went wrong in the workflow engine."""

    code: ClassVar[str] = "workflows_error"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or " ".join((self.__doc__ or "").split()))

    @property
    def message(self) -> str:
        return str(self.args[0])


class InvalidInput(WorkflowsError):
    """The request cannot be understood."""

    code = "invalid_input"


class InvalidDuration(InvalidInput):
    """A duration is a timedelta or a text such as "30s", "1h30m" or "1d"."""

    code = "invalid_duration"


class InvalidExpression(InvalidInput):
    """A retry delay is arithmetic in milliseconds over `retried`: "pow(2, retried) * 1000"."""

    code = "invalid_expression"


class InvalidCron(InvalidInput):
    """A cron expression has five fields, optionally after "CRON_TZ=Area/City "."""

    code = "invalid_cron"


class InvalidUrl(InvalidInput):
    """A URL must be absolute and begin with http:// or https://."""

    code = "invalid_url"


class InvalidRunId(InvalidInput):
    """A run id is 1 to 256 printable characters without "/"."""

    code = "invalid_run_id"


class PayloadTooLarge(InvalidInput):
    """The payload is larger than this server accepts."""

    code = "payload_too_large"


class LimitExceeded(InvalidInput):
    """This is more than this server allows."""

    code = "limit_exceeded"


class NotSerializable(InvalidInput):
    """Payloads and step results must be JSON."""

    code = "not_serializable"


class NotFound(WorkflowsError):
    """There is no such thing."""

    code = "not_found"


class UnknownWorkflow(NotFound):
    """No workflow of that name is registered here."""

    code = "unknown_workflow"


class RunNotFound(NotFound):
    """There is no run with that id."""

    code = "run_not_found"


class DeadLetterNotFound(NotFound):
    """There is no such entry in the dead letter queue."""

    code = "dead_letter_not_found"


class Refused(WorkflowsError):
    """This cannot be done now."""

    code = "refused"


class RunEnded(Refused):
    """The run has ended and accepts nothing more."""

    code = "run_ended"


class NotAuthenticated(Refused):
    """Send a valid token as "Authorization: Bearer <token>"."""

    code = "not_authenticated"


class ReadOnlyToken(Refused):
    """This token may only read; use a full token to change anything."""

    code = "read_only_token"


class InsideTransaction(Refused):
    """An inline run must not begin inside a transaction: its steps could not be kept if it rolls
    back.
    """

    code = "inside_transaction"


class InvalidSignature(WorkflowsError):
    """The request is not signed with a key of this server."""

    code = "invalid_signature"


class LeaseLost(WorkflowsError):
    """Another worker took over this message; nothing of this attempt was written."""

    code = "lease_lost"


class Stopping(WorkflowsError):
    """The process is to end, or the run is paused; what was recorded stays, the rest of the turn is
    another one's.
    """

    code = "stopping"


class RollbackAsked(WorkflowsError):
    """Someone has asked for the run to be rolled back; what was recorded stays."""

    code = "rollback_asked"


class IncompatibleHistory(WorkflowsError):
    """The workflow's code no longer fits what this run has recorded."""

    code = "incompatible_history"


class StepMisuse(WorkflowsError):
    """Steps can only be called from the workflow function itself."""

    code = "step_misuse"


class WorkflowFatalError(StepMisuse):
    """A step has a name, a policy or a parameter that it cannot have."""

    code = "workflow_fatal"


class StepError(WorkflowsError):
    """A step failed and has no retries left.

    `step` is the step's name and `key` its identity in the run, `error_type` and
    `error_message` describe the last attempt's exception, `attempts` counts the attempts made.
    Raised at the step's place in the workflow function, on every replay alike.
    """

    code = "step_failed"

    def __init__(
        self, step: str, error_type: str, error_message: str, attempts: int, key: str = ""
    ) -> None:
        self.step = step
        self.key = key or step
        self.error_type = error_type
        self.error_message = error_message
        self.attempts = attempts
        self.opened: dict[str, int] = {}
        """How many branches the function, and each branch that the step is in, had opened."""
        super().__init__(
            f'step "{step}" failed after {attempts} attempt{"s" if attempts != 1 else ""}: '
            f"{error_type}: {error_message}"
        )


class StepTimeout(WorkflowsError):
    """The step took longer than its timeout."""

    code = "step_timeout"


class WorkflowTimeoutError(StepTimeout):
    """An attempt of a step, or an event, did not come to its end in time."""

    code = "workflow_timeout"


class WorkflowNonRetryableError(WorkflowsError):
    """Raise this in a step or workflow to fail at once, without retries."""

    code = "non_retryable"


class NonRetryableError(WorkflowNonRetryableError):
    """Raise this in a step of a class-based workflow to fail it at once, without retries."""

    def __init__(self, message: str = "") -> None:
        Exception.__init__(self, message)  # which may well be empty


class NonRetryableDelayError(WorkflowNonRetryableError):
    """The function that says how long a retry waits raised, took too long or gave no duration."""

    code = "non_retryable_delay"


class WorkflowRetryAfterError(WorkflowsError):
    """Raise this in a step to set the time of its next attempt.

    `retry_after` is a timedelta, a duration such as "90s", or a number of seconds.
    The attempt counts as failed and uses up a retry.
    """

    code = "retry_after"

    def __init__(self, message: str, retry_after: timedelta | str | float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RollbackFailed(WorkflowsError):
    """The run was to be rolled back, and not all of it could be undone."""

    code = "rollback_failed"


class RunFailed(WorkflowsError):
    """The run failed; `workflow_run_id` finds it in the admin and in the dead letter queue."""

    code = "run_failed"

    def __init__(self, message: str, workflow_run_id: str) -> None:
        super().__init__(message)
        self.workflow_run_id = workflow_run_id
