"""Payloads, inputs and results to be read: pretty, cut to a bearable length, without secrets."""

from __future__ import annotations

import codecs
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Value
from django.db.models.functions import Coalesce, Length, Substr
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from workflows_app.errors import InvalidInput, StepError
from workflows_app.protocol.byte_texts import begins_as_bytes, is_cut_bytes, size_of_bytes
from workflows_app.protocol.codec import decode_json, encodable, encode_json
from workflows_app.protocol.credentials import CREDENTIALS

MOST_SHOWN = 4_000
"""Characters of one value on a page; the rest has a page of its own."""
ONE_LINE = 80
MOST_OPEN, MOST_OPEN_LINES = 400, 8
"""The characters and lines up to which a value is not folded."""

_SECRET = re.compile(
    rf'("(?:[\w-]*-)?(?:{CREDENTIALS})"\s*:\s*)'
    r'("(?:[^"\\]|\\.)*(?:"|$)|\[[^\]]*(?:\]|$))',
    re.IGNORECASE,
)
MASK = "••••••"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A value on a page. `url` leads to the whole of it when it was cut."""

    text: str
    line: str
    """Its beginning, on one line."""
    size: int
    url: str = ""

    @property
    def is_long(self) -> bool:
        return len(self.text) > MOST_OPEN or self.text.count("\n") > MOST_OPEN_LINES


def head(field: str) -> Substr:
    """As much of a column as is shown: a step may have returned megabytes."""
    return Substr(F(field), 1, MOST_SHOWN + 1)


def length(field: str) -> Coalesce:
    return Coalesce(Length(F(field)), Value(0))


def show(text: str | None, size: int = 0, url: str = "") -> Shown | None:
    """JSON, or what `head` gave of it; None where there is none. Of bytes, how many they are."""
    if text is None:
        return None
    if begins_as_bytes(text):
        count = size_of_bytes(size or len(text), "" if is_cut_bytes(text) else text[-4:])
        told = _("%(size)s of bytes") % {"size": filesizeformat(count)}
        return Shown(text=told, line=told, size=count, url=url)
    whole = len(text) <= MOST_SHOWN
    shown = pretty(text) if whole else f"{mask(text[:MOST_SHOWN])}…"
    line = mask(text[: ONE_LINE * 4])[:ONE_LINE]
    return Shown(
        text=shown,
        line=line if len(line) == len(text) else f"{line.rstrip()}…",
        size=size or len(text),
        url="" if whole else url,
    )


def show_bytes(body: bytes | None, size: int, url: str) -> Shown | None:
    """A payload: text where it is UTF-8, else only its size."""
    if not body:
        return None
    try:
        # The cut may have gone through a character: then its last bytes are left out.
        text = codecs.getincrementaldecoder("utf-8")().decode(body, len(body) == size)
    except UnicodeDecodeError:
        return Shown(text="binary", line="binary", size=size, url=url)
    return show(text, size, url)


def show_answer(text: str) -> Shown | None:
    """JSON with the body of an HTTP answer in it; a body that is JSON itself is shown as such."""
    if not text:
        return None
    answer: dict[str, Any] = decode_json(text)
    with suppress(InvalidInput):
        answer["body"] = decode_json(answer["body"])
    return show(encode_json(answer))


def pretty(text: str) -> str:
    """JSON on indented lines, secrets masked; anything else as it is."""
    try:
        value = decode_json(text)
    except InvalidInput:
        return text
    return mask(encodable(json.dumps(value, indent=2, ensure_ascii=False)))


def mask(text: str) -> str:
    """JSON in which headers that carry credentials have no value. Works on cut JSON too."""
    return _SECRET.sub(rf'\1"{MASK}"', text)


def hint(secret: str) -> str:
    """Enough of a key to tell it from another."""
    return f"{MASK}{secret[-4:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorShown:
    """An error as it was recorded: an exception, or an HTTP answer that counts as a failure."""

    type: str
    message: str
    stack: str
    step: str
    answer: Shown | None

    @property
    def place(self) -> str:
        return f"at {self.step}: {self.type}" if self.step else self.type


# How `StepError` words itself. People look for what went wrong in the step.
_CAUSE = re.compile(
    r'step ".*?" failed after \d+ attempts?: (?P<type>\w+): (?P<message>.*)', re.DOTALL
)


def show_error(text: str | None) -> ErrorShown | None:
    """The error; of a step that failed its run, the step's last exception."""
    if text is None:
        return None
    info: dict[str, Any] = decode_json(text)
    answer = {name: info[name] for name in ("status", "headers", "body") if name in info}
    kind, message = str(info.get("type", "Error")), encodable(str(info.get("message", "")))
    cause = _CAUSE.fullmatch(message) if kind == StepError.__name__ else None
    return ErrorShown(
        type=cause["type"] if cause else kind,
        message=cause["message"] if cause else message,
        stack=encodable(str(info.get("stack") or "")),
        step=str(info.get("step") or ""),
        answer=show(encode_json(answer)) if answer else None,
    )
