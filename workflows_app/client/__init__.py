"""Starting and watching runs from other programs, over HTTP; Django is not needed there."""

try:
    import httpx  # noqa: F401 - looked for first, to say what to do without it
except ModuleNotFoundError:
    raise ImportError(
        'workflows_app.client sends its requests by httpx: pip install "workflows_app[client]"'
    ) from None

from workflows_app.client.async_client import AsyncClient
from workflows_app.client.backoff import Backoff
from workflows_app.client.client import Client
from workflows_app.client.dead_letters import (
    CallbackState,
    DeadLetter,
    DeadLetterPage,
    Successors,
)
from workflows_app.client.errors import (
    AnswerLost,
    ClientError,
    NotConfigured,
    NotOnServer,
    RequestRefused,
    ServerFailed,
    ServerUnreachable,
    TokenRefused,
    TooManyRequests,
    UnreadableAnswer,
)
from workflows_app.client.events import EventWaiter, Notified
from workflows_app.client.filters import DeadLetterFilter, RunFilter
from workflows_app.client.run_logs import (
    FailedAttempt,
    Invoker,
    RunLog,
    RunPage,
    RunState,
    StepGroup,
    StepLog,
    StepState,
)
from workflows_app.client.schedules import Schedule
from workflows_app.client.triggering import Trigger
from workflows_app.protocol.runs import FlowControlSpec, TriggeredRun

__all__ = [
    "AnswerLost",
    "AsyncClient",
    "Backoff",
    "CallbackState",
    "Client",
    "ClientError",
    "DeadLetter",
    "DeadLetterFilter",
    "DeadLetterPage",
    "EventWaiter",
    "FailedAttempt",
    "FlowControlSpec",
    "Invoker",
    "NotConfigured",
    "NotOnServer",
    "Notified",
    "RequestRefused",
    "RunFilter",
    "RunLog",
    "RunPage",
    "RunState",
    "Schedule",
    "ServerFailed",
    "ServerUnreachable",
    "StepGroup",
    "StepLog",
    "StepState",
    "Successors",
    "TokenRefused",
    "TooManyRequests",
    "Trigger",
    "TriggeredRun",
    "UnreadableAnswer",
]
