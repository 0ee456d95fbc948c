"""Calls the clients of qstash: a JSON object a line on stdin, one for each on stdout."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from contextlib import redirect_stdout
from enum import Enum
from functools import cache, reduce
from typing import Any

from qstash import AsyncQStash, QStash, Receiver

LOOP = asyncio.new_event_loop()


@cache
def client_for(kind: str, url: str, token: str) -> Any:
    """One of each, as in an application: each keeps connections of its own."""
    client = AsyncQStash if kind == "async" else QStash
    return client(token, base_url=url, retry=False)


def perform(request: dict[str, Any]) -> Any:
    if request["client"] == "receiver":
        client: Any = Receiver(*request["keys"])
    else:
        client = client_for(request["client"], request["url"], request["token"])
    method = reduce(getattr, request["method"].split("."), client)
    result = method(*request["args"], **request["kwargs"])
    return LOOP.run_until_complete(result) if asyncio.iscoroutine(result) else result


def plain(value: Any) -> Any:
    """What JSON can say of a result."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"no JSON for {value!r}")


def answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        with redirect_stdout(sys.stderr):
            return {"result": perform(request)}
    except Exception as error:  # noqa: BLE001 - told to the test
        return {"error": {"name": type(error).__name__, "message": str(error)}}


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        told = {"number": request["number"], **answer(request)}
        sys.stdout.write(json.dumps(told, default=plain) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
