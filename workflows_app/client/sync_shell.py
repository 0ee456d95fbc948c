"""Does what flows ask for, and waits meanwhile."""

from __future__ import annotations

import time
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar, cast

import httpx

from workflows_app.client.api import Api
from workflows_app.client.backoff import Backoff
from workflows_app.client.connection import Connection
from workflows_app.client.exchange import Flow, Outcome, Pause, Request
from workflows_app.client.transports import (
    SEND_ERRORS,
    answered,
    not_answered,
    outgoing,
    timeout_of,
)

T = TypeVar("T")


class Shell:
    def __init__(
        self,
        connection: Connection,
        backoff: Backoff,
        timeout: timedelta | str,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self.api = Api(connection=connection, backoff=backoff)
        self._http = httpx.Client(timeout=timeout_of(timeout), transport=transport)

    def perform(self, flow: Flow[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                wanted = flow.send(outcome)
            except StopIteration as end:
                return cast(T, end.value)
            if isinstance(wanted, Pause):
                time.sleep(wanted.length.total_seconds())
                outcome = None
            else:
                outcome = self._exchange(wanted)

    def _exchange(self, request: Request) -> Outcome:
        arguments = outgoing(self.api.connection, request)
        try:
            return answered(self._http.request(**arguments))
        except SEND_ERRORS as error:
            return not_answered(error)

    def close(self) -> None:
        self._http.close()


class Closing:
    """A client whose connections are closed at the end of `with`."""

    _shell: Shell

    def close(self) -> None:
        self._shell.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shell.api.connection.base_url!r})"
