"""An endpoint as its SDK makes one: what it publishes, step by step (Upstash reference 2.4)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workflows_app.protocol.exchange import Answer, Outgoing

if TYPE_CHECKING:
    from tests.rest.conftest import Api

OK = {"Upstash-Workflow-Sdk-Version": ["1"]}
FEATURES = "LazyFetch,InitialBody,WF_DetectTrigger,WF_TriggerOnConfig"


@dataclass(frozen=True, kw_only=True)
class Does:
    """A step of a program, and what it needs to be published."""

    name: str
    type: str = "Run"
    out: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    url: str = ""
    method: str = "POST"
    body: str | None = None
    event: str = ""
    timeout: str = "1d"


def run(name: str, out: Any = None) -> Does:
    return Does(name=name, out=out)


def sleep(name: str, delay: str) -> Does:
    return Does(name=name, type="SleepFor", headers={"Upstash-Delay": delay})


def call(name: str, url: str, method: str = "GET", body: str | None = None, **headers: str) -> Does:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Does(name=name, type="Call", url=url, method=method, body=body, headers=named)


def wait(name: str, event: str, timeout: str = "1d") -> Does:
    return Does(name=name, type="Wait", event=event, timeout=timeout)


def invoke(name: str, url: str, body: str | None = None) -> Does:
    return Does(name=name, type="Invoke", url=url, body=body)


@dataclass
class Delivery:
    """A request to the endpoint."""

    request: Outgoing

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.request.headers)

    @property
    def elements(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.request.body or b"")
        return found

    @property
    def steps(self) -> list[dict[str, Any]]:
        """After the first, those that are the SDK's own."""
        own = [each for each in self.elements[1:] if each["callType"] == "step"]
        return [json.loads(base64.b64decode(each["body"])) for each in own]

    @property
    def payload(self) -> bytes:
        return base64.b64decode(self.elements[0]["body"])

    @property
    def names(self) -> list[str]:
        """Plans are in parentheses."""
        return [
            step["stepName"] if step["stepId"] else f"({step['stepName']})" for step in self.steps
        ]


class Program:
    """A workflow elsewhere: single steps one after another, and groups of parallel ones."""

    def __init__(
        self, api: Api, url: str, *items: Does | Sequence[Does], returns: str = ""
    ) -> None:
        self.api, self.url, self.items, self.returns = api, url, items, returns
        self.deliveries: list[Delivery] = []
        self.failures: list[Delivery] = []
        self.refused: list[Any] = []
        """Answers of the server that were no success."""
        self.trouble: list[Answer | Callable[[Delivery], Answer | None] | None] = []
        """What is to be answered, or done, instead of the next deliveries."""

    def outs(self) -> dict[str, Any]:
        """Results by step, as the last delivery has them."""
        found = {step["stepName"]: step for step in self.deliveries[-1].steps if step["stepId"]}
        return {name: step.get("out") for name, step in found.items()}

    def answer(self, request: Outgoing) -> Answer:
        delivery = Delivery(request)
        if "Upstash-Workflow-Is-Failure" in request.headers:
            self.failures.append(delivery)
            return Answer(status=200, headers={}, body=b"{}")
        self.deliveries.append(delivery)
        if self.trouble:
            instead = self.trouble.pop(0)
            given = instead(delivery) if callable(instead) else instead
            if given is not None:
                return given
        if "Upstash-Workflow-Callback" in request.headers:
            self._take_callback(delivery)
        else:
            self.go_on(delivery)
        return Answer(status=200, headers=OK, body=b"{}")

    def publish_then_break(self, delivery: Delivery) -> Answer:
        """As when the server never hears of the endpoint's success."""
        self.go_on(delivery)
        return Answer(status=500, headers={}, body=b"broken")

    def go_on(self, delivery: Delivery) -> None:
        steps = delivery.steps
        results = {step["stepId"] for step in steps} - {0}
        first = 1
        for item in self.items:
            group = [item] if isinstance(item, Does) else list(item)
            ids = range(first, first + len(group))
            first += len(group)
            if len(group) == 1:
                if ids[0] not in results:
                    self._execute(delivery, ids[0], group[0], 1)
                    return
                continue
            known = [step for step in steps if (step.get("targetStep") or step["stepId"]) in ids]
            if not known:
                self._plan(delivery, ids, group)
                return
            if len(known) < 2 * len(group):
                if steps[-1]["stepId"] == 0:
                    target = steps[-1]["targetStep"]
                    self._execute(delivery, target, group[target - ids[0]], len(group))
                return
        self._send("DELETE", f"/v2/workflows/runs/{self._run(delivery)}?cancel=false", self.returns)

    # -- what it publishes

    def _run(self, delivery: Delivery) -> str:
        return delivery.headers["Upstash-Workflow-Runid"]

    def base(self, run_id: str) -> dict[str, str]:
        return {
            "Upstash-Workflow-Init": "false",
            "Upstash-Workflow-RunId": run_id,
            "Upstash-Workflow-Url": self.url,
            "Upstash-Feature-Set": FEATURES,
            "Upstash-Workflow-Sdk-Version": "1",
            "Upstash-Forward-Upstash-Workflow-Sdk-Version": "1",
            "content-type": "application/json",
        }

    def _plan(self, delivery: Delivery, ids: Sequence[int], group: Sequence[Does]) -> None:
        items = []
        for step_id, does in zip(ids, group, strict=True):
            body = {
                "stepId": 0,
                "stepName": does.name,
                "stepType": does.type,
                "concurrent": len(group),
                "targetStep": step_id,
            }
            delay = does.headers if does.type.startswith("Sleep") else {}
            items.append(self._item({**self.base(self._run(delivery)), **delay}, body))
        self._send("POST", "/v2/batch", json.dumps(items))

    def _item(self, headers: dict[str, str], body: Any) -> dict[str, Any]:
        return {"destination": self.url, "headers": headers, "body": json.dumps(body)}

    def _execute(self, delivery: Delivery, step_id: int, does: Does, of: int) -> None:
        base = self.base(self._run(delivery))
        body = {"stepId": step_id, "stepName": does.name, "stepType": does.type, "concurrent": of}
        match does.type:
            case "Call":
                item = {
                    "destination": does.url,
                    "headers": {**self._call_headers(base, step_id, does, of), **does.headers},
                    **({} if does.body is None else {"body": does.body}),
                }
                self._send("POST", "/v2/batch", json.dumps([item]))
            case "Wait" | "WaitForWebhook":
                wanted = {"url": self.url, "timeout": does.timeout, "step": body}
                headers = {**base, "Upstash-Workflow-CallType": "step"}
                self._send("POST", f"/v2/wait/{does.event}", json.dumps(wanted), headers)
            case "Invoke":
                self._invoke(base, does, body, self.child_of(delivery, does))
            case _:
                out = {} if does.out is None else {"out": json.dumps(does.out)}
                delay = does.headers if of == 1 else {}
                item = self._item({**base, **delay}, {**body, **out})
                self._send("POST", "/v2/batch", json.dumps([item]))

    def _call_headers(
        self, base: dict[str, str], step_id: int, does: Does, of: int
    ) -> dict[str, str]:
        about = {
            "Callback": "true",
            "StepId": str(step_id),
            "StepName": does.name,
            "StepType": "Call",
            "Concurrent": str(of),
        }
        forwarded = {
            f"Upstash-Callback-Forward-Upstash-Workflow-{name}": value
            for name, value in about.items()
        }
        own = {name: value for name, value in base.items() if "Forward" not in name}
        return {
            **own,
            "Upstash-Workflow-CallType": "toCallback",
            "Upstash-Feature-Set": "WF_NoDelete,InitialBody",
            "Upstash-Method": does.method,
            "Upstash-Retries": "0",
            "Upstash-Callback": self.url,
            "Upstash-Callback-Workflow-CallType": "fromCallback",
            "Upstash-Callback-Workflow-RunId": base["Upstash-Workflow-RunId"],
            **forwarded,
        }

    def _take_callback(self, delivery: Delivery) -> None:
        said = json.loads(delivery.request.body or b"")
        headers = delivery.headers
        out = {
            "status": said["status"],
            "body": base64.b64decode(said["body"]).decode(),
            "header": said["header"],
        }
        step = {
            "stepId": int(headers["Upstash-Workflow-Stepid"]),
            "stepName": headers["Upstash-Workflow-Stepname"],
            "stepType": "Call",
            "out": json.dumps(out),
            "concurrent": int(headers["Upstash-Workflow-Concurrent"]),
        }
        base = self.base(self._run(delivery))
        self._send("POST", f"/v2/publish/{self.url}", json.dumps(step), base)

    def child_of(self, delivery: Delivery, does: Does) -> str:
        return f"child-{does.name}-{len(self.deliveries)}"

    def _invoke(self, base: dict[str, str], does: Does, step: dict[str, Any], run_id: str) -> None:
        envelope = {
            **({} if does.body is None else {"body": does.body}),
            "headers": {},
            "workflowRunId": base["Upstash-Workflow-RunId"],
            "workflowUrl": self.url,
            "step": step,
        }
        headers = {
            **base,
            "Upstash-Workflow-Init": "true",
            "Upstash-Workflow-RunId": run_id,
            "Upstash-Workflow-Url": does.url,
            "Upstash-Workflow-Invoke": "true",
        }
        self._send("POST", f"/v2/publish/{does.url}", json.dumps(envelope), headers)

    def _send(
        self, method: str, path: str, body: str, headers: dict[str, str] | None = None
    ) -> Any:
        answered = self.api._send(method, path, body, headers or {})
        if answered.status_code >= 300:
            self.refused.append((answered.status_code, answered.json()))
        return answered

    # -- starting it

    def trigger(self, run_id: str = "order-7", body: str = '{"order":7}', **headers: str) -> Any:
        """As an SDK's client does; keyword arguments are headers."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        item = {
            "destination": self.url,
            "headers": {**self.base(run_id), "Upstash-Workflow-Init": "true", **given},
            "body": body,
        }
        return self.api.post("/v2/batch", json.dumps([item]))
