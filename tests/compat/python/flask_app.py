"""Workflows of `upstash_workflow.flask`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request
from upstash_workflow import WorkflowContext as Context
from upstash_workflow.flask import Serve
from werkzeug.serving import make_server

from tests.compat.python.memory import THIRD_PARTY, earlier, hit, note, seen

app = Flask(__name__)
serve = Serve(app)


@app.get("/seen/<run_id>")
def show(run_id: str) -> dict[str, list[Any]]:
    return seen(run_id)


@app.before_request
def remember() -> None:
    if request.method == "POST":
        hit({name.lower(): value for name, value in request.headers.items()})


@serve.route("/steps")
def steps(context: Context[Any]) -> None:
    results = [
        context.run("payload", lambda: context.request_payload),
        context.run("nested", lambda: {"ü": ["😀", None, 1.5]}),
        context.run("nothing", lambda: None),
        context.run("text", lambda: 'plain "\\ ü'),
    ]
    note(context.workflow_run_id, {"results": results, "user": context.headers.get("X-User")})


@serve.route("/sleeps")
def sleeps(context: Context[Any]) -> None:
    times = [context.run("start", time.time)]
    context.sleep("seconds", 1)
    times.append(context.run("after seconds", time.time))
    context.sleep("duration", "1s")
    times.append(context.run("after duration", time.time))
    context.sleep_until("moment", datetime.fromtimestamp(times[-1] + 2, UTC))
    times.append(context.run("after moment", time.time))
    note(context.workflow_run_id, times)


@serve.route("/calls")
def calls(context: Context[Any]) -> None:
    posted = context.call(
        "post",
        url=f"{THIRD_PARTY}/echo",
        method="POST",
        body={"ü": "😀"},
        headers={"X-Own": "yes"},
    )
    missing = context.call("missing", url=f"{THIRD_PARTY}/status/404")
    flaky = f"{THIRD_PARTY}/flaky/{context.workflow_run_id}/1"
    retried = context.call("retried", url=flaky, retries=1, timeout=10)
    note(
        context.workflow_run_id,
        {
            "posted": [posted.status, posted.body["body"], posted.body["headers"]["x-own"]],
            "missing": [missing.status, missing.body],
            "retried": [retried.status, retried.body],
        },
    )


def on_failure(context: Context[Any], status: int, response: str, headers: dict[str, str]) -> None:
    told = {"status": status, "response": response, "payload": context.request_payload}
    note(context.workflow_run_id, told)


@serve.route("/fails", retries=1, failure_function=on_failure)
def fails(context: Context[Any]) -> None:
    def breaks() -> str:
        if earlier(context.workflow_run_id, "breaks") < context.request_payload["times"]:
            raise ValueError("broken")
        return "healed"

    context.run("before", lambda: None)
    note(context.workflow_run_id, context.run("breaks", breaks))


@serve.route("/failure-url", retries=0, failure_url=f"{THIRD_PARTY}/sink/flask-failures")
def tells_elsewhere(context: Context[Any]) -> None:
    def breaks() -> None:
        raise ValueError("broken")

    context.run("breaks", breaks)


@serve.route("/parses", initial_payload_parser=lambda text: text.split(","))
def parses(context: Context[Any]) -> None:
    note(context.workflow_run_id, context.run("look", lambda: context.request_payload))


@serve.route("/authorizes", retries=0)
def authorizes(context: Context[Any]) -> None:
    if context.headers.get("Authorization") != "Bearer letmein":
        return
    note(context.workflow_run_id, context.run("look", lambda: "in"))


def main() -> None:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"listening {server.port}", flush=True)  # noqa: T201 - how it is found
    server.serve_forever()


if __name__ == "__main__":
    main()
