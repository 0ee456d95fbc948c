"""Asking the server: what is sent again, and how its errors read."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from workflows_app.client.backoff import Backoff
from workflows_app.client.connection import Connection
from workflows_app.client.errors import (
    AnswerLost,
    ClientError,
    RequestRefused,
    ServerUnreachable,
    TokenRefused,
    UnreadableAnswer,
    kind_of,
)
from workflows_app.client.exchange import Answer, Flow, NoAnswer, Outcome, Pause, Repeat, Request
from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json

_LONGEST_SHOWN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    connection: Connection
    backoff: Backoff

    def ask(self, request: Request) -> Generator[Request | Pause, Outcome, Any]:
        """The JSON that is answered, None where there is none. Repeats what may be repeated, then
        raises ClientError.
        """
        answer = yield from self._answer(request)
        if not answer.content.strip():
            return None
        try:
            return decode_json(answer.content)
        except InvalidInput:
            raise UnreadableAnswer(
                f"{self._asked(request)} answered {answer.status} with something that is no JSON; "
                f"is {self.connection.base_url} a workflow server?"
            ) from None

    def _answer(self, request: Request) -> Flow[Answer]:
        number = 0
        while True:
            outcome = yield request
            if isinstance(outcome, Answer) and HTTPStatus(200) <= outcome.status < HTTPStatus(300):
                return outcome
            number += 1
            if number > self.backoff.retries or not _may_be_repeated(request, outcome):
                raise self._error(request, outcome)
            headers = outcome.headers if isinstance(outcome, Answer) else {}
            yield Pause(length=self.backoff.pause(number, headers))

    # -- errors

    def _asked(self, request: Request) -> str:
        path = request.target.partition("?")[0]
        return f"{request.method} {self.connection.base_url}{path[:200]}"

    def _error(self, request: Request, outcome: Outcome) -> ClientError:
        asked = self._asked(request)
        if isinstance(outcome, Answer):
            return self._refusal(asked, outcome)
        reason = self.connection.without_token(outcome.reason if outcome else "no answer")
        if isinstance(outcome, NoAnswer) and not outcome.was_sent:
            return ServerUnreachable(
                f"{asked}: no connection, so nothing was done: {reason}. Does the server run, and "
                f"is {self.connection.base_url} its address?"
            )
        return AnswerLost(f"{asked}: no answer, so it may or may not have been done: {reason}")

    def _refusal(self, asked: str, answer: Answer) -> RequestRefused:
        said = self.connection.without_token(_server_message(answer))
        kind = kind_of(answer.status)
        advice = _advice(kind, answer, self.connection)
        message = f"{asked} answered {answer.status}: {said}{advice}"
        return kind(message, status=answer.status, server_message=said)


def _may_be_repeated(request: Request, outcome: Outcome) -> bool:
    match outcome:
        case NoAnswer(was_sent=False):
            return True
        case Answer(status=HTTPStatus.TOO_MANY_REQUESTS):
            return True
        case Answer(status=status) if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return False
    return request.repeat is Repeat.ALWAYS


def _server_message(answer: Answer) -> str:
    text = answer.content.decode(errors="replace")
    try:
        said = decode_json(text)
    except InvalidInput:
        return text.strip()[:_LONGEST_SHOWN] or "(an empty body)"
    error = said.get("error") if isinstance(said, dict) else None
    return (error if isinstance(error, str) else text.strip())[:_LONGEST_SHOWN]


def _advice(kind: type[RequestRefused], answer: Answer, connection: Connection) -> str:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return (
            f"; {connection.base_url} does not know the token that {connection.token_source} gave"
        )
    if kind is TokenRefused:
        return f"; the token that {connection.token_source} gave may not do this: use a full one"
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        place = answer.headers.get("location", "").partition("?")[0]
        return f"; the server has moved to {place[:200]!r}, give that address as base_url"
    return ""
