"""Workflows of `upstash_workflow.fastapi`."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from upstash_workflow import AsyncWorkflowContext as Context
from upstash_workflow.fastapi import Serve

from tests.compat.python.memory import THIRD_PARTY, earlier, hit, note, seen

app = FastAPI()
serve = Serve(app)


@app.get("/seen/{run_id}")
def show(run_id: str) -> dict[str, list[Any]]:
    return seen(run_id)


@app.middleware("http")
async def remember(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    if request.method == "POST":
        hit(dict(request.headers))
    return await call_next(request)


@serve.post("/steps")
async def steps(context: Context[Any]) -> None:
    async def give(value: Any) -> Any:
        return value

    results = [
        await context.run("payload", lambda: context.request_payload),
        await context.run("asynchronous", lambda: give({"ü": ["😀", None, 1.5]})),
        await context.run("nothing", lambda: None),
        await context.run("text", lambda: 'plain "\\ ü'),
    ]
    note(context.workflow_run_id, {"results": results, "user": context.headers.get("x-user")})


@serve.post("/sleeps")
async def sleeps(context: Context[Any]) -> None:
    times = [await context.run("start", time.time)]
    await context.sleep("seconds", 1)
    times.append(await context.run("after seconds", time.time))
    await context.sleep("duration", "1s")
    times.append(await context.run("after duration", time.time))
    await context.sleep_until("moment", datetime.fromtimestamp(times[-1] + 2, UTC))
    times.append(await context.run("after moment", time.time))
    note(context.workflow_run_id, times)


@serve.post("/calls")
async def calls(context: Context[Any]) -> None:
    posted = await context.call(
        "post",
        url=f"{THIRD_PARTY}/echo",
        method="POST",
        body={"ü": "😀"},
        headers={"X-Own": "yes"},
    )
    missing = await context.call("missing", url=f"{THIRD_PARTY}/status/404")
    flaky = f"{THIRD_PARTY}/flaky/{context.workflow_run_id}/1"
    retried = await context.call("retried", url=flaky, retries=1, timeout=10)
    note(
        context.workflow_run_id,
        {
            "posted": [posted.status, posted.body["body"], posted.body["headers"]["x-own"]],
            "missing": [missing.status, missing.body],
            "retried": [retried.status, retried.body],
        },
    )


async def on_failure(
    context: Context[Any], status: int, response: str, headers: dict[str, str]
) -> None:
    told = {"status": status, "response": response, "payload": context.request_payload}
    note(context.workflow_run_id, told)


@serve.post("/fails", retries=1, failure_function=on_failure)
async def fails(context: Context[Any]) -> None:
    def breaks() -> str:
        if earlier(context.workflow_run_id, "breaks") < context.request_payload["times"]:
            raise ValueError("broken")
        return "healed"

    await context.run("before", lambda: None)
    note(context.workflow_run_id, await context.run("breaks", breaks))


@serve.post("/failure-url", retries=0, failure_url=f"{THIRD_PARTY}/sink/fastapi-failures")
async def tells_elsewhere(context: Context[Any]) -> None:
    def breaks() -> None:
        raise ValueError("broken")

    await context.run("breaks", breaks)


@serve.post("/parses", initial_payload_parser=lambda text: text.split(","))
async def parses(context: Context[Any]) -> None:
    note(context.workflow_run_id, await context.run("look", lambda: context.request_payload))


@serve.post("/authorizes", retries=0)
async def authorizes(context: Context[Any]) -> None:
    if context.headers.get("authorization") != "Bearer letmein":
        return
    note(context.workflow_run_id, await context.run("look", lambda: "in"))


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(f"listening {listening.getsockname()[1]}", flush=True)  # noqa: T201 - how it is found
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
