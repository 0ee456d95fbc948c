"""Workflow functions registered here, reached over HTTP: signed POSTs and their answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus

from workflows_app.conf import get_settings
from workflows_app.engine.journal import Journal
from workflows_app.engine.outcomes import answer_for
from workflows_app.engine.ports import Turn, TurnFailed
from workflows_app.engine.requests import overlaid, run_headers, signed
from workflows_app.models import Run
from workflows_app.protocol.exchange import Answer, Outgoing, SendFailed
from workflows_app.protocol.faults import describe_answer
from workflows_app.protocol.runs import TurnOutcome
from workflows_app.protocol.wire import (
    ANSWER_CONTENT_TYPE,
    TURN_CONTENT_TYPE,
    decode_answer,
    encode_turn,
)
from workflows_app.worker.local import run_info

_TO_ANSWER = timedelta(seconds=30)
"""What a delivery may take beyond its step."""


Send = Callable[[Outgoing], Answer]
"""Raises SendFailed when there is no answer."""


def take_turn(turn: Turn, send: Send) -> TurnOutcome:
    """Have the run's endpoint execute its next step; store what it did. Raises TurnFailed,
    LeaseLost.
    """
    run = turn.run
    body = encode_turn(run_info(run), turn.history)
    answer = _post(run, body, send)
    content_type = answer.headers.get("Content-Type", [""])[0]
    if answer.status != HTTPStatus.OK or content_type != ANSWER_CONTENT_TYPE:
        raise TurnFailed(_describe(run.url, answer))
    did = decode_answer(answer.body)
    if did.steps or did.attempts:
        Journal(turn.lease, turn.stopping).record(list(did.steps), list(did.attempts))
    return did.outcome


def _patience(run: Run) -> timedelta:
    """The endpoint bounds its steps itself, and wants to tell which took too long."""
    usual = get_settings().HTTP_TIMEOUT
    return max(usual, (run.timeout or timedelta()) + _TO_ANSWER)


def _post(run: Run, body: bytes, send: Send) -> Answer:
    own = {**run_headers(run), "Content-Type": TURN_CONTENT_TYPE}
    request = signed(
        run.account,
        url=run.url,
        body=body,
        headers=overlaid(run.header_map, own),
        timeout=_patience(run),
    )
    try:
        return send(request)
    except SendFailed as failure:
        return answer_for(failure)


def _describe(url: str, answer: Answer) -> str:
    message = f"{url} answered {answer.status}, not as a workflow endpoint answers a delivery"
    return describe_answer(answer.status, dict(answer.headers), _text(answer), message)


def _text(answer: Answer) -> str:
    return answer.body.decode(errors="replace")
