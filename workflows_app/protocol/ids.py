"""Ids as they appear in URLs and headers (Upstash reference 5.7)."""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from workflows_app.errors import DeadLetterNotFound, InvalidInput, InvalidRunId

_LONGEST_RUN_ID = 256
_LONGEST_EVENT_ID = 512
_LARGEST_COLUMN = (1 << 63) - 1
_DEAD_LETTER = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")


def new_run_id() -> str:
    """A fresh run id, "wfr_" and 126 random bits; ids given by callers need not look like it."""
    return f"wfr_{secrets.token_urlsafe(16)[:21]}"


def invoked_run_id(parent: str, created_ms: int, key: str) -> str:
    """The run id of what a step invokes: always the same for this step of this run."""
    digest = sha256(f"{parent}\n{created_ms}\n{key}".encode()).digest()
    return f"wfr_{urlsafe_b64encode(digest).decode()[:21]}"


def check_run_id(text: str) -> str:
    """Return the id unchanged, or raise InvalidRunId. It goes into URLs, so it has no "/"."""
    if not 1 <= len(text) <= _LONGEST_RUN_ID or not text.isprintable() or "/" in text:
        shown = repr(text) if len(text) <= _LONGEST_RUN_ID else f"a text of {len(text)} characters"
        raise InvalidRunId(
            f'{shown} is not a run id: use 1 to {_LONGEST_RUN_ID} printable characters without "/".'
        )
    return text


def name_within(workflow: str, run_id: str) -> str:
    """Of a run whose id need not differ from those of other workflows' runs. No id that is checked
    by `check_run_id` reads like this.
    """
    return f"{workflow}/{run_id}"


def new_event_id() -> str:
    """Of a webhook, whose URL lets in everyone who knows it: "evt_" and 126 random bits."""
    return f"evt_{secrets.token_urlsafe(16)[:21]}"


def check_event_id(text: Any) -> str:
    """Return the id unchanged, or raise InvalidInput."""
    if (
        not isinstance(text, str)
        or not 0 < len(text) <= _LONGEST_EVENT_ID
        or not text.isprintable()
    ):
        raise InvalidInput(
            f"an event id is a text of 1 to {_LONGEST_EVENT_ID} printable characters"
        )
    return text


def dead_letter_id(created_ms: int, sequence: int) -> str:
    """The public id of a dead letter: its creation in unix milliseconds and its number."""
    return f"{created_ms}-{sequence}"


def parse_dead_letter_id(text: str) -> tuple[int, int]:
    """Undo `dead_letter_id`. Any other text names nothing that exists: DeadLetterNotFound."""
    match = _DEAD_LETTER.fullmatch(text)
    created_ms, sequence = (int(number) for number in match.groups()) if match else (-1, -1)
    if not match or max(created_ms, sequence) > _LARGEST_COLUMN:
        raise DeadLetterNotFound(f"There is no dead letter {text[:100]!r}.")
    return created_ms, sequence


def start_message_id(run_pk: int) -> str:
    """Of the message that starts a run; the first element of its step list."""
    return f"msg_r{run_pk}"


def step_message_id(step_pk: int) -> str:
    return f"msg_s{step_pk}"


def waiter_message_id(waiter_pk: int) -> str:
    return f"msg_w{waiter_pk}"
