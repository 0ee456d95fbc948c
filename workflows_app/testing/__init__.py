"""Running workflows in tests: in the test's own thread and transaction, with time moved by hand.

`WorkflowTest` is for any test case of Django; pytest has the fixture `workflows` as well.
"""

from workflows_app.testing.crashes import ProcessDied
from workflows_app.testing.driver import WorkflowTest
from workflows_app.testing.requests import SentRequest
from workflows_app.testing.runs import FailedAttempt, RecordedStep, RunError, RunUnderTest
from workflows_app.testing.waits import Wait

__all__ = [
    "FailedAttempt",
    "ProcessDied",
    "RecordedStep",
    "RunError",
    "RunUnderTest",
    "SentRequest",
    "Wait",
    "WorkflowTest",
]
