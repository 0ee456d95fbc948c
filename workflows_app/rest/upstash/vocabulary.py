"""Upstash's words for ours (Upstash reference 4.12, 6.2)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Literal

from workflows_app.errors import InvalidInput
from workflows_app.models import DeadLetter, Run
from workflows_app.protocol.exchange import canonical_header
from workflows_app.protocol.ids import start_message_id

RunState = Literal["RUN_STARTED", "RUN_SUCCESS", "RUN_FAILED", "RUN_CANCELED"]
StepState = Literal["STEP_SUCCESS", "STEP_FAILED", "STEP_RETRY", "STEP_PROGRESS", "STEP_CANCELED"]
CallbackState = Literal[
    "CALLBACK_INPROGRESS", "CALLBACK_SUCCESS", "CALLBACK_FAIL", "CALLBACK_CANCELED"
]

Headers = dict[str, list[str]]

RUN_STATES: dict[str, RunState] = {
    Run.Status.RUNNING: "RUN_STARTED",
    Run.Status.SUCCEEDED: "RUN_SUCCESS",
    Run.Status.FAILED: "RUN_FAILED",
    Run.Status.CANCELED: "RUN_CANCELED",
}
CALLBACK_STATES: dict[str, CallbackState] = {
    DeadLetter.CallbackState.IN_PROGRESS: "CALLBACK_INPROGRESS",
    DeadLetter.CallbackState.SUCCEEDED: "CALLBACK_SUCCESS",
    DeadLetter.CallbackState.FAILED: "CALLBACK_FAIL",
    DeadLetter.CallbackState.CANCELED: "CALLBACK_CANCELED",
}


def ours(name: str, states: Mapping[str, str], texts: tuple[str, ...]) -> tuple[str, ...]:
    """Our words for the states that a caller asks for; InvalidInput names the parameter."""
    words = {theirs: word for word, theirs in states.items()}
    for text in texts:
        if text not in words:
            raise InvalidInput(f"{name} is {text[:100]!r} but must be one of {', '.join(words)}")
    return tuple(words[text] for text in texts)


def header_map(headers: Mapping[str, str]) -> Headers:
    """Canonical names with lists of values (Upstash reference 1.1 (14))."""
    return {canonical_header(name): [value] for name, value in headers.items()}


def text_of(content: bytes) -> str | None:
    """None for bytes that are no text and have to be shown in base64."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def readable(content: bytes) -> str:
    """Text where it is text, else base64."""
    text = text_of(content)
    return base64_of(content) if text is None else text


def local_message_id(run_pk: int, step_id: int) -> str:
    """Stands for the message of a step that is worked on here, where steps have none."""
    return f"{start_message_id(run_pk)}-{step_id}"


def failure_message_id(run_pk: int) -> str:
    return f"msg_failure_{run_pk}"
