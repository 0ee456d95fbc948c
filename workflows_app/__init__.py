"""Durable workflows for Django: ordinary Python functions whose steps survive crashes and weeks of
sleep.
"""

from workflows_app.errors import (
    NonRetryableDelayError,
    NonRetryableError,
    RunFailed,
    StepError,
    StepTimeout,
    WorkflowFatalError,
    WorkflowNonRetryableError,
    WorkflowRetryAfterError,
    WorkflowsError,
    WorkflowTimeoutError,
)
from workflows_app.protocol.runs import FlowControlSpec, InlineRun, TriggeredRun
from workflows_app.sdk.async_context import AsyncContext
from workflows_app.sdk.authoring import Failure, Workflow, get_workflow, notify, workflow
from workflows_app.sdk.context import Context
from workflows_app.sdk.entrypoints import WorkflowEntrypoint
from workflows_app.sdk.events import (
    EventResult,
    NotifiedRun,
    NotifyResult,
    Webhook,
    WebhookRequest,
    WebhookResult,
)
from workflows_app.sdk.given import WorkflowEvent
from workflows_app.sdk.handles import RunHandle, get_run
from workflows_app.sdk.labels import label_of
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
from workflows_app.sdk.plain_workflow_steps import PlainWorkflowStep
from workflows_app.sdk.rollback import Undo
from workflows_app.sdk.workflow_steps import WorkflowStep

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
    "NonRetryableDelayError",
    "NonRetryableError",
    "Notice",
    "NotifiedRun",
    "NotifyResult",
    "PlainWorkflowStep",
    "RunCompleted",
    "RunFailed",
    "RunHandle",
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
    "WorkflowEntrypoint",
    "WorkflowEvent",
    "WorkflowFatalError",
    "WorkflowNonRetryableError",
    "WorkflowRetryAfterError",
    "WorkflowStep",
    "WorkflowTimeoutError",
    "WorkflowsError",
    "get_run",
    "get_workflow",
    "label_of",
    "logging_middleware",
    "notify",
    "workflow",
]
