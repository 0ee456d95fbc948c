"""Durable workflows for Django: ordinary Python functions whose steps survive crashes and weeks of
sleep.
"""

from workflows_app.errors import (
    RunFailed,
    StepError,
    StepTimeout,
    WorkflowNonRetryableError,
    WorkflowRetryAfterError,
    WorkflowsError,
)
from workflows_app.protocol.runs import FlowControlSpec, InlineRun, TriggeredRun
from workflows_app.sdk.async_context import AsyncContext
from workflows_app.sdk.authoring import Failure, Workflow, get_workflow, notify, workflow
from workflows_app.sdk.context import Context
from workflows_app.sdk.events import (
    EventResult,
    NotifiedRun,
    NotifyResult,
    Webhook,
    WebhookRequest,
    WebhookResult,
)
from workflows_app.sdk.logging_middleware import logging_middleware
from workflows_app.sdk.middlewares import (
    Callbacks,
    ErrorRaised,
    Middleware,
    Notice,
    RunCompleted,
    RunStarted,
    StepFinished,
    StepStarted,
)
from workflows_app.sdk.payloads import CallResponse, InvokeResponse
from workflows_app.sdk.rollback import Undo

__version__ = "0.1.0"

__all__ = [
    "AsyncContext",
    "CallResponse",
    "Callbacks",
    "Context",
    "ErrorRaised",
    "EventResult",
    "Failure",
    "FlowControlSpec",
    "InlineRun",
    "InvokeResponse",
    "Middleware",
    "Notice",
    "NotifiedRun",
    "NotifyResult",
    "RunCompleted",
    "RunFailed",
    "RunStarted",
    "StepError",
    "StepFinished",
    "StepStarted",
    "StepTimeout",
    "TriggeredRun",
    "Undo",
    "Webhook",
    "WebhookRequest",
    "WebhookResult",
    "Workflow",
    "WorkflowNonRetryableError",
    "WorkflowRetryAfterError",
    "WorkflowsError",
    "get_workflow",
    "logging_middleware",
    "notify",
    "workflow",
]
