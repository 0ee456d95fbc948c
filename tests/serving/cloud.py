"""A server of the published protocol, in memory: what an endpoint publishes becomes deliveries.

It does only what every such server does (Upstash reference 4.13): it keeps no account of steps, so
what is published twice stands in the list twice.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from tests.serving.cloud_runs import CloudRun, Owed
from workflows_app.errors import RunEnded
from workflows_app.protocol.signing import new_signing_key, sign

CURRENT, NEXT = new_signing_key(), new_signing_key()
HOST = "http://testserver"
View = Callable[..., HttpResponse]
Answer = dict[str, Any]


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


class Cloud:
    """A `Publisher`. `order` says which of what is owed is delivered next."""

    def __init__(self, *, retries: int = 0) -> None:
        self.runs: dict[str, CloudRun] = {}
        self.views: dict[str, View] = {}
        self.owed: list[Owed] = []
        self.order: Callable[[list[Owed]], int] = lambda owed: 0
        self.sent: list[tuple[str, str, Mapping[str, str], bytes | None]] = []
        self.answers: list[HttpResponse] = []
        self.retries = retries
        self.respond: Callable[[dict[str, Any]], Answer] = lambda item: {"status": 200}
        self.calls: list[dict[str, Any]] = []
        self.refuses: Callable[[str], Exception | None] = lambda path: None
        self.is_lazy = False
        self._messages = 0

    # -- the port

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        self.sent.append((method, path, headers, body))
        if (refusal := self.refuses(path)) is not None:
            raise refusal
        parts = urlsplit(path)
        words = [unquote(word) for word in parts.path.split("/")[2:]]
        match method, words:
            case "POST", ["batch"]:
                for item in json.loads(body or b""):
                    self._publish(item)
            case "POST", ["wait", event]:
                self._wait(event, _lower(headers), json.loads(body or b""))
            case "POST", ["notify", *names]:
                return json.dumps(self._notify(names, body or b"")).encode()
            case "POST", ["publish", *_]:
                self._invoke(_lower(headers), json.loads(body or b""))
            case "DELETE", ["workflows", "runs", run_id]:
                canceled = parts.query == "cancel=true"
                self._end(run_id, "canceled" if canceled else "succeeded", body)
            case "GET", ["workflows", "runs", run_id]:
                run = self._live(run_id)
                return self._list(run, len(run.elements))
            case _:
                raise AssertionError(f"{method} {path} is not published")
        return b"[]"

    def webhook_url(self, run_id: str, event_id: str) -> str:
        return f"{HOST}/v2/workflows/hooks/user/{run_id}/{event_id}"

    def _live(self, run_id: str) -> CloudRun:
        run = self.runs[run_id]
        if run.status != "running":
            raise RunEnded("it has ended")
        return run

    def _publish(self, item: dict[str, Any]) -> None:
        said = _lower(item["headers"])
        if said["upstash-workflow-init"] == "true":
            self.start(item)
        elif said.get("upstash-workflow-calltype") == "toCallback":
            self._call(item, said)
        else:
            self.append(self._live(said["upstash-workflow-runid"]), item["body"].encode())

    def start(self, item: dict[str, Any]) -> CloudRun:
        said = _lower(item["headers"])
        run = CloudRun(
            run_id=said["upstash-workflow-runid"],
            url=item["destination"],
            headers=said,
            payload=item.get("body", "").encode(),
        )
        self.runs[run.run_id] = run
        self.owed.append(Owed(run, 0))
        return run

    def append(self, run: CloudRun, body: bytes) -> None:
        self._messages += 1
        run.elements.append((f"msg_{self._messages}", body))
        self.owed.append(Owed(run, len(run.elements)))

    def _call(self, item: dict[str, Any], said: dict[str, str]) -> None:
        run = self._live(said["upstash-workflow-runid"])
        self.calls.append(item)
        answer = self.respond(item)
        body = {"header": {}, **answer, "body": base64_of(answer.get("body", b""))}
        forwarded = _below("upstash-callback-forward-", said)
        self.owed.append(Owed(run, 0, callback=(json.dumps(body).encode(), forwarded)))

    def _wait(self, event: str, said: dict[str, str], asked: dict[str, Any]) -> None:
        run = self._live(said["upstash-workflow-runid"])
        waiting = {**asked["step"], "waitEventId": event}
        if run.kept.get(event):
            self.append(run, _ended_wait(waiting, run.kept[event].pop(0)))
        else:
            run.waits.setdefault(event, []).append(waiting)

    def _notify(self, names: list[str], data: bytes) -> list[dict[str, Any]]:
        *to, event = names
        told = []
        for run in [self.runs[each] for each in to] or list(self.runs.values()):
            waits = run.waits.pop(event, [])
            for waiting in waits:
                self.append(run, _ended_wait(waiting, data))
            if waits or to:
                waiter = {"waiter": {"url": run.url}} if waits else {}
                told.append({**waiter, "messageId": "", "workflowRunId": run.run_id})
            if to and not waits:
                run.kept.setdefault(event, []).append(data)
        return told

    def _invoke(self, said: dict[str, str], envelope: dict[str, Any]) -> None:
        item = {"destination": said["upstash-workflow-url"], "headers": said}
        if "body" in envelope:
            item["body"] = envelope["body"]
        run = self.start(item)
        run.parent = (envelope["workflowRunId"], envelope["step"])

    def _end(self, run_id: str, status: str, body: bytes | None) -> None:
        run = self.runs[run_id]
        if run.status != "running":
            return
        run.status = status
        run.result = json.loads(body) if body else None
        if run.parent is not None:
            parent, step = run.parent
            out: dict[str, Any] = {}
            if body is not None and status == "succeeded":
                out["body"] = body.decode()
            out |= {"isFailed": status == "failed", "isCanceled": status == "canceled"}
            self.append(self.runs[parent], json.dumps({**step, "out": json.dumps(out)}).encode())

    # -- what tests do

    def post(self, url: str, body: bytes = b"", **headers: str) -> HttpResponse:
        """As anybody may, unsigned."""
        path = urlsplit(url).path
        request = RequestFactory().post(
            path,
            data=body,
            content_type="application/json",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        return self._call_view(path, request)

    def _call_view(self, path: str, request: HttpRequest) -> HttpResponse:
        view = self.views.get(path)
        if view is not None:
            return view(request)
        above, _, name = path.rpartition("/")
        return self.views[f"{above}/<name>"](request, name=unquote(name))

    def timeout(self, event: str) -> None:
        """The deadline of all that wait for the event has come."""
        for run in self.runs.values():
            for waiting in run.waits.pop(event, []):
                self.append(run, json.dumps({**waiting, "waitTimeout": True}).encode())

    def deliver(self, owed: Owed) -> HttpResponse:
        run = owed.run
        forwarded = _below("upstash-forward-", run.headers)
        body = b"" if self.is_lazy and owed.count else self._list(run, owed.count)
        own = {
            "upstash-message-id": run.elements[owed.count - 1][0] if owed.count else "msg_start",
            "upstash-retried": str(owed.retried),
            "upstash-workflow-runid": run.run_id,
            "upstash-workflow-createdat": "1893585600000",
            "user-agent": "Upstash-QStash",
        }
        if owed.callback is not None:
            body, extra = owed.callback
            forwarded.pop("upstash-workflow-sdk-version", None)
            own |= extra
        response = self.post_signed(run.url, body, {**forwarded, **own})
        self.answers.append(response)
        return response

    def post_signed(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
        signature = sign(body, url=url, key=NEXT, now=datetime.now(UTC))
        return self.post(url, body, **{**headers, "upstash-signature": signature})

    def _list(self, run: CloudRun, count: int) -> bytes:
        elements = [("msg_start", run.payload), *run.elements[:count]]
        return json.dumps(
            [
                {"messageId": message_id, "body": base64_of(body), "callType": "step"}
                for message_id, body in elements
            ]
        ).encode()

    def deliver_all(self) -> None:
        """Until nothing is owed; what has failed is tried again at once, as often as runs allow."""
        for _ in range(1000):
            live = [each for each in self.owed if each.run.status == "running" or each.body]
            self.owed = live
            if not live:
                return
            owed = live.pop(self.order(live))
            response = self.deliver(owed)
            if response.status_code < 300:
                continue
            final = response.status_code == 489 or owed.retried >= self._retries(owed.run)
            if final:
                self._fail(owed.run, response)
            else:
                owed.retried += 1
                live.insert(0, owed)
        raise AssertionError("the runs never end")

    def _retries(self, run: CloudRun) -> int:
        return int(run.headers.get("upstash-retries", self.retries))

    def _fail(self, run: CloudRun, response: HttpResponse) -> None:
        run.error = json.loads(response.content)
        self._end(run.run_id, "failed", None)
        if "upstash-failure-callback" not in run.headers:
            return
        body = {
            "status": response.status_code,
            "header": {},
            "body": base64_of(response.content),
            "url": run.url,
            "sourceBody": base64_of(run.payload),
            "workflowRunId": run.run_id,
        }
        headers = _below("upstash-failure-callback-forward-", run.headers)
        own = {"upstash-workflow-runid": run.run_id, "upstash-retried": "0"}
        response = self.post_signed(
            run.headers["upstash-failure-callback"],
            json.dumps(body).encode(),
            {**headers, **own},
        )
        self.answers.append(response)


def _ended_wait(waiting: dict[str, Any], data: bytes) -> bytes:
    out = {"out": base64_of(data)} if data else {}
    return json.dumps({**waiting, **out, "waitTimeout": False}).encode()


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _below(prefix: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(prefix): value
        for name, value in headers.items()
        if name.startswith(prefix)
    }
