"""The rows of the app: one aggregate per module."""

from workflows_app.models.access import Account, Token, WorkflowLimit
from workflows_app.models.dead_letters import DeadLetter
from workflows_app.models.definitions import Definition, Version
from workflows_app.models.flow_control import FlowControl
from workflows_app.models.messages import Message
from workflows_app.models.publications import (
    Deduplication,
    Publication,
    PublicationEvent,
    Queue,
    Schedule,
    UrlGroup,
    UrlGroupEndpoint,
)
from workflows_app.models.runs import Attempt, Invocation, Run, RunLabel, Step
from workflows_app.models.waiting import Event, Waiter
from workflows_app.models.workers import Worker

__all__ = [
    "Account",
    "Attempt",
    "DeadLetter",
    "Deduplication",
    "Definition",
    "Event",
    "FlowControl",
    "Invocation",
    "Message",
    "Publication",
    "PublicationEvent",
    "Queue",
    "Run",
    "RunLabel",
    "Schedule",
    "Step",
    "Token",
    "UrlGroup",
    "UrlGroupEndpoint",
    "Version",
    "Waiter",
    "Worker",
    "WorkflowLimit",
]
