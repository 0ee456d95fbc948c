"""Does what flows ask for, and lets others work meanwhile."""

from __future__ import annotations

import asyncio
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


class AsyncShell:
    def __init__(
        self,
        connection: Connection,
        backoff: Backoff,
        timeout: timedelta | str,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self.api = Api(connection=connection, backoff=backoff)
        self._http = httpx.AsyncClient(timeout=timeout_of(timeout), transport=transport)

    async def perform(self, flow: Flow[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                wanted = flow.send(outcome)
            except StopIteration as end:
                return cast(T, end.value)
            if isinstance(wanted, Pause):
                await asyncio.sleep(wanted.length.total_seconds())
                outcome = None
            else:
                outcome = await self._exchange(wanted)

    async def _exchange(self, request: Request) -> Outcome:
        arguments = outgoing(self.api.connection, request)
        try:
            return answered(await self._http.request(**arguments))
        except SEND_ERRORS as error:
            return not_answered(error)

    async def aclose(self) -> None:
        await self._http.aclose()


class AsyncClosing:
    """A client whose connections are closed at the end of `async with`."""

    _shell: AsyncShell

    async def aclose(self) -> None:
        await self._shell.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shell.api.connection.base_url!r})"
