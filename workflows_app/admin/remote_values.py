"""What the steps of a remote run were given and what came of them, as its SDK has published it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from workflows_app.admin.values import Shown, length, show
from workflows_app.engine.remote.reading import ProgramStep
from workflows_app.models import Run, Step
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.hiding import hidden_exchange
from workflows_app.protocol.redaction import redactor_of
from workflows_app.protocol.runs import StepKind

UrlOf = Callable[..., str]


class RemoteValues:
    """Of one run, as far as it lets them be seen."""

    def __init__(self, run: Run, url_of: UrlOf) -> None:
        self._run = run
        self._redactor = redactor_of(run.redaction)
        self._url_of = url_of

    def input(self, step: ProgramStep) -> Shown | None:
        if step.sent is not None:
            return self._request(step.sent)
        if step.waiter is not None or step.abandoned is not None:
            return show(encode_json({"event": step.event_id}))
        details: dict[str, Any] = {}
        for said in (step.planned, step.said):
            details |= said.details if said is not None else {}
        asked = {
            name: details[name]
            for name in ("sleepFor", "sleepUntil", "waitEventId")
            if details.get(name) is not None
        }
        return show(encode_json(asked)) if asked else None

    def _request(self, sent: Step) -> Shown | None:
        asked = decode_json(sent.input or "{}")
        asked.pop("callback", None)
        body = _text(sent.raw)
        if body:
            asked["body"] = body
        return self._shown(hidden_exchange(encode_json(asked), self._redactor), sent)

    def answer(self, step: ProgramStep) -> Shown | None:
        """Until the endpoint has made a result of it."""
        if step.answered is None or step.result is not None:
            return None
        if step.answered.raw is None:
            return self._whole(step.answered)
        answer = decode_json(bytes(step.answered.raw))
        shown = {
            "status": answer["status"],
            "headers": answer["header"],
            "body": _text(base64.b64decode(answer.get("body", ""))),
        }
        return self._shown(hidden_exchange(encode_json(shown), self._redactor), step.answered)

    def result(self, step: ProgramStep) -> Shown | None:
        if step.result is None:
            return None
        if step.result.raw is None:
            return self._whole(step.result)
        said = step.said
        if said is None or said.out is None:
            return None
        waited = said.kind in (StepKind.WAIT, StepKind.WAIT_FOR_WEBHOOK)
        out = _decoded(said.out) if waited else said.out
        if step.invocation is not None:
            out = redactor_of(step.invocation.child.redaction).body(out)
        return self._shown(self._redactor.body(out), step.result)

    def _shown(self, text: str | None, row: Step) -> Shown | None:
        return show(text, url=self._url_of("step_value", self._run.pk, row.pk, "raw"))

    def _whole(self, row: Step) -> Shown:
        """A link to what is too long to be read here."""
        url = self._url_of("step_value", self._run.pk, row.pk, "raw")
        size = Step.objects.filter(pk=row.pk).values_list(length("raw"), flat=True).get()
        return Shown(text="long", line="long", size=size, url=url)


def _text(raw: bytes | memoryview | None) -> str:
    try:
        return bytes(raw or b"").decode()
    except UnicodeDecodeError:
        return "binary"


def _decoded(out: str) -> str:
    try:
        return _text(base64.b64decode(out, validate=True))
    except ValueError:
        return out
