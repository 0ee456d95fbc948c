"""HTTP requests that a test answers, so that none reaches the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from workflows_app.engine.leases import Lease
from workflows_app.models import Message
from workflows_app.protocol.exchange import Answer, Outgoing, SendFailed, canonical_header
from workflows_app.protocol.wire_requests import decode_call
from workflows_app.sdk.payloads import decode_body, encode_payload
from workflows_app.testing.verdicts import Unanswered

Failure = Literal["timeout", "unreachable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """A request that was made while the test ran. `step` is the name of the `context.call`, if it
    was one.
    """

    step: str | None
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None

    @property
    def payload(self) -> Any:
        """The body: decoded JSON where it is JSON, else text, else bytes; None when empty."""
        return decode_body(self.body or b"")


@dataclass(slots=True)
class RequestScripts:
    """Answers by the name of a step or by URL, and what was sent so far."""

    sent: list[SentRequest] = field(default_factory=list)
    _answers: dict[str, deque[Answer | SendFailed]] = field(default_factory=dict)

    def answer(self, target: str, answer: Answer | SendFailed) -> None:
        self._answers.setdefault(target, deque()).append(answer)

    def send(self, lease: Lease | None, request: Outgoing) -> Answer:
        """Raises SendFailed where the script says so, Unanswered where there is none."""
        step = _step_of(lease)
        self.sent.append(
            SentRequest(
                step=step,
                method=request.method,
                url=request.url,
                headers=request.headers,
                body=request.body,
            )
        )
        answers = self._find(step, request.url)
        if answers is None:
            raise Unanswered(_sentence(step, lease, request))
        found = answers.popleft() if len(answers) > 1 else answers[0]
        if isinstance(found, SendFailed):
            raise found
        return found

    def _find(self, step: str | None, url: str) -> deque[Answer | SendFailed] | None:
        for target in (step, url, url.partition("?")[0]):
            if target is not None and target in self._answers:
                return self._answers[target]
        return None


def encode_content(body: Any) -> tuple[bytes, str]:
    """As JSON, texts and bytes as they are; and the content type."""
    if isinstance(body, str):
        return body.encode(), "text/plain; charset=utf-8"
    return encode_payload(body)


def answer_of(status: int, body: Any, headers: Mapping[str, str] | None) -> Answer:
    content, content_type = encode_content(body)
    named = {"Content-Type": [content_type]} if content else {}
    named |= {canonical_header(name): [value] for name, value in (headers or {}).items()}
    return Answer(status=status, headers=named, body=content)


def failure_of(kind: Failure) -> SendFailed:
    return SendFailed(kind, "The test has this request fail.")


def _step_of(lease: Lease | None) -> str | None:
    if lease is None or lease.kind != Message.Kind.CALL:
        return None
    return decode_call(lease.request).name


def _sentence(step: str | None, lease: Lease | None, request: Outgoing) -> str:
    asked, answer = _asked(step, lease, request)
    return (
        f"{asked}, and nothing answers it here, as a test does not reach the network: say before "
        f"what comes back, by {answer}"
    )


def _asked(step: str | None, lease: Lease | None, request: Outgoing) -> tuple[str, str]:
    """What was asked for, and what would have answered it."""
    if lease is not None and lease.kind == Message.Kind.DELIVERY:
        return f"a run of {request.url} was started", 'answer_invoke("<step>", body=…)'
    if step is None or lease is None:
        asked = f"{request.method} {request.url} was asked for"
        return asked, f'answer_call("{request.url}", status=200, body=…)'
    asked = f'step "{step}" of workflow "{lease.run.workflow}" asked for {request.method}'
    return f"{asked} {request.url}", f'answer_call("{step}", status=200, body=…)'
