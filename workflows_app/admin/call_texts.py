"""The trigger of a run as text that a reader can paste: into a shell, a Python or a JavaScript
program.

All of it may come from strangers, so each text quotes it by the rules of its language.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from workflows_app.conf import get_settings
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.durations import format_duration
from workflows_app.protocol.runs import FlowControlSpec, RunRequest

TOKEN = "<token>"  # noqa: S105 - what stands where the reader's own goes
_WIDTH = 78


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTexts:
    curl: str
    python: str
    javascript: str


def call_texts(asked: RunRequest) -> CallTexts:
    """Of a run as it was asked for, without what its workflow says about its runs."""
    sent = _request_for(asked)
    return CallTexts(curl=_curl(sent), python=_python(asked), javascript=_javascript(sent))


# -- over HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    url: str
    headers: Mapping[str, str]
    body: str


def _request_for(asked: RunRequest) -> _Sent:
    """A batch of one where a header is not ASCII: such a header has no encoding of its own."""
    headers, body = _headers(asked), asked.body.decode()
    base = get_settings().BASE_URL.rstrip("/")
    own = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    if all(value.isascii() for value in headers.values()):
        return _Sent(url=f"{base}/v2/trigger/{asked.url}", headers={**own, **headers}, body=body)
    item = {"destination": asked.url, "headers": headers, "body": body}
    return _Sent(url=f"{base}/v2/batch/trigger", headers=own, body=json.dumps([item]))


def _headers(asked: RunRequest) -> dict[str, str]:
    said = {
        "Upstash-Workflow-RunId": asked.run_id,
        "Upstash-Label": ",".join(asked.labels),
        "Upstash-Retries": None if asked.retries is None else str(asked.retries),
        "Upstash-Delay": None if asked.delay is None else format_duration(asked.delay),
    }
    if asked.flow_control is not None:
        said["Upstash-Flow-Control-Key"] = asked.flow_control.key
        said["Upstash-Flow-Control-Value"] = _limits(asked.flow_control)
    forwarded = {f"Upstash-Forward-{name}": value for name, value in asked.headers.items()}
    return {**{name: value for name, value in said.items() if value}, **forwarded}


def _limits(control: FlowControlSpec) -> str:
    limits = {"parallelism": control.parallelism, "rate": control.rate}
    parts = [f"{name}={limit}" for name, limit in limits.items() if limit is not None]
    if control.rate is not None:
        parts.append(f"period={format_duration(control.period)}")
    return ", ".join(parts)


def _curl(sent: _Sent) -> str:
    headers = [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in sent.headers.items()]
    # `--globoff`: brackets and braces in a URL are meant as they are.
    lines = [f"curl --globoff -X POST {shlex.quote(sent.url)}", *headers]
    if sent.body:
        lines.append(f"--data-raw {shlex.quote(sent.body)}")
    return " \\\n  ".join(lines)


def _javascript(sent: _Sent) -> str:
    headers = "".join(f"    {_js(name)}: {_js(value)},\n" for name, value in sent.headers.items())
    body = f"  body: {_js(sent.body)},\n" if sent.body else ""
    return (
        f"const response = await fetch({_js(sent.url)}, {{\n"
        f'  method: "POST",\n  headers: {{\n{headers}  }},\n{body}}});\n'
        "const { workflowRunId } = await response.json();"
    )


def _js(text: str) -> str:
    """A string of JavaScript; one of JSON is one, too."""
    is_plain = text.isascii() and text.isprintable() and "\\" not in text
    return f"'{text}'" if is_plain and '"' in text and "'" not in text else json.dumps(text)


# -- by the client for Python


def _python(asked: RunRequest) -> str:
    arguments = [_literal(asked.workflow)]
    if asked.body:
        arguments.append(_literal(decode_json(asked.body)))
    options = {
        "workflow_run_id": asked.run_id,
        "labels": list(asked.labels),
        "headers": dict(asked.headers),
        "retries": asked.retries,
        "delay": None if asked.delay is None else format_duration(asked.delay),
    }
    arguments += [
        f"{name}={_literal(value)}"
        for name, value in options.items()
        if value not in (None, [], {})
    ]
    names, imports = "Client", ""
    if asked.flow_control is not None:
        arguments.append(f"flow_control={_control(asked.flow_control)}")
        names, imports = "Client, FlowControlSpec", "from datetime import timedelta\n\n"
    base = get_settings().BASE_URL.rstrip("/")
    lines = "".join(f"    {each},\n" for each in arguments)
    return (
        f"{imports}from workflows_app.client import {names}\n\n"
        f"client = Client({_literal(base)}, {_literal(TOKEN)})\n"
        f"run = client.trigger(\n{lines})\n"
        "print(run.workflow_run_id)"
    )


def _control(control: FlowControlSpec) -> str:
    limits = {"parallelism": control.parallelism, "rate": control.rate}
    parts = [f"key={_literal(control.key)}"]
    parts += [f"{name}={limit}" for name, limit in limits.items() if limit is not None]
    parts.append(f"period={repr(control.period).removeprefix('datetime.')}")
    return f"FlowControlSpec({', '.join(parts)})"


def _literal(value: Any) -> str:
    """An argument, on lines of its own below the first."""
    return pformat(value, width=_WIDTH, sort_dicts=False).replace("\n", "\n    ")
