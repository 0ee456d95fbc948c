"""`python -m bench.endpoint ADDRESS SERVER TOKEN`: a workflow endpoint that does next to nothing,
as cheaply as Python can, so that what is measured is the server.

The path of its URL says what it is to be:
    /steps/<n>       a workflow of n steps, one after the other
    /slow/<seconds>  a workflow without steps, which ends when this time has passed
    /bare            no workflow: it only answers
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import NamedTuple

OK = b"HTTP/1.1 200 OK\r\nUpstash-Workflow-Sdk-Version: 1\r\nContent-Length: 2\r\n\r\n{}"

Headers = Mapping[str, str]


class Message(NamedTuple):
    """A request or a response."""

    start: str
    headers: Headers
    """Their names in lower case."""
    body: bytes


async def read(reader: asyncio.StreamReader) -> Message:
    """Raises asyncio.IncompleteReadError when the peer has closed the connection."""
    start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Message(start, headers, await reader.readexactly(int(headers.get("content-length", 0))))


class Server:
    """The workflow server, over kept connections."""

    def __init__(self, netloc: str, token: str) -> None:
        self._netloc = netloc
        self._token = token
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, method: str, path: str, body: bytes = b"") -> None:
        """Raises RuntimeError when the answer is no success."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._netloc}\r\n"
            "Content-Type: application/json\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        answer = await self._exchange(head.encode() + body)
        if answer.start.split()[1] not in ("200", "201", "202"):
            raise RuntimeError(f"{method} {path}: {answer.start}: {answer.body.decode()}")

    async def _exchange(self, request: bytes) -> Message:
        while self._idle:
            kept = self._idle.pop()
            try:
                return await self._over(*kept, request)
            except (ConnectionError, asyncio.IncompleteReadError):
                continue  # The server may close what it has kept, at any time.
        host, _, port = self._netloc.partition(":")
        return await self._over(*await asyncio.open_connection(host, int(port)), request)

    async def _over(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> Message:
        writer.write(request)
        answer = await read(reader)
        if answer.headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return answer


class Endpoint:
    def __init__(self, server: Server) -> None:
        self._server = server

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await read(reader)
                await self._answer(request)
                writer.write(OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, request: Message) -> None:
        _, kind, *size = request.start.split()[1].split("/")
        match kind:
            case "steps":
                await self._go_on(request, int(size[0]))
            case "slow":
                await asyncio.sleep(float(size[0]))
                await self._end(request)

    async def _go_on(self, request: Message, steps: int) -> None:
        done = len(json.loads(request.body)) - 1
        if done < steps:
            await self._server.send("POST", "/v2/batch", _step(request.headers, done + 1))
        else:
            await self._end(request)

    async def _end(self, request: Message) -> None:
        run_id = request.headers["upstash-workflow-runid"]
        await self._server.send("DELETE", f"/v2/workflows/runs/{run_id}?cancel=false")


def _step(headers: Headers, number: int) -> bytes:
    """As `@upstash/workflow` publishes the result of a step."""
    step = {
        "stepId": number,
        "stepName": f"step-{number}",
        "stepType": "Run",
        "out": str(number),
        "concurrent": 1,
    }
    url = headers["upstash-workflow-url"]
    return batch_item(url, headers["upstash-workflow-runid"], json.dumps(step), is_start=False)


def batch_item(url: str, run_id: str, body: str, *, is_start: bool) -> bytes:
    """The body of `POST /v2/batch` that starts a run, or goes on with it."""
    headers = {
        "content-type": "application/json",
        "upstash-workflow-init": "true" if is_start else "false",
        "upstash-workflow-runid": run_id,
        "upstash-workflow-url": url,
        "upstash-workflow-sdk-version": "1",
        "upstash-feature-set": "LazyFetch,InitialBody,WF_DetectTrigger,WF_TriggerOnConfig",
        "upstash-forward-upstash-workflow-sdk-version": "1",
        "upstash-method": "POST",
    }
    return json.dumps([{"destination": url, "headers": headers, "body": body}]).encode()


async def main(address: str, server: str, token: str) -> None:
    host, _, port = address.partition(":")
    endpoint = Endpoint(Server(server, token))
    listening = await asyncio.start_server(endpoint.serve, host, int(port), backlog=512)
    async with listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
