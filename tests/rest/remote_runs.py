"""A run of an endpoint elsewhere, driven as that endpoint's SDK would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.rest.conftest import Endpoint
from workflows_app.engine import run_moves, triggering
from workflows_app.engine.drain import drain_here
from workflows_app.engine.remote import invoking, publishing, waiting
from workflows_app.models import Account, Run
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.delivery_options import DeliveryOptions
from workflows_app.protocol.publishing import (
    CallStepRequest,
    InvokeRequest,
    StepRequest,
    WaitRequest,
)
from workflows_app.protocol.runs import RunRequest

URL = "https://app.example/order"


@dataclass
class RemoteRun:
    account: Account
    row: Run
    endpoint: Endpoint
    numbers: dict[str, int] = field(default_factory=dict)

    @classmethod
    def start(
        cls, endpoint: Endpoint, run_id: str = "run", url: str = URL, **options: Any
    ) -> RemoteRun:
        account = Account.objects.default()
        request = RunRequest(url=url, run_id=run_id, **options)
        (started,) = triggering.trigger(account, [request])
        return cls(account, started.run, endpoint)

    # -- what the SDK publishes

    def plan(self, target: int, name: str, kind: str, of: int, **more: Any) -> str:
        """Message id; `more` as `publish`."""
        planned: dict[str, Any] = {"stepId": 0, "concurrent": of, "targetStep": target}
        return self.publish(0, name, kind, **planned, **more)

    def publish(
        self, number: int, name: str, kind: str = "Run", delay: str | None = None, **more: Any
    ) -> str:
        """A result, of a step that stands alone unless `concurrent` says otherwise."""
        step = {"stepId": number, "stepName": name, "stepType": kind, "concurrent": 1, **more}
        return self.publish_raw(encode_json(step).encode(), delay)

    def publish_raw(self, raw: bytes, delay: str | None = None) -> str:
        """Whatever an SDK may think of; the delay is in seconds."""
        wait = None if delay is None else timedelta(seconds=int(delay))
        request = StepRequest(run_id=self.row.run_id, raw=raw, delay=wait)
        return publishing.publish_step(self.account, request).message_id

    def call(self, number: int, name: str, url: str, concurrent: int = 1, **more: Any) -> str:
        request = {
            "method": "POST",
            "headers": {"Authorization": "Bearer s"},
            "body": b'{"q":1}',
            "retries": 0,
            "retry_delay": "",
            "timeout": None,
            "flow_control": None,
            **more,
        }
        headers = {
            "Upstash-Workflow-Callback": "true",
            "Upstash-Workflow-Concurrent": str(concurrent),
        }
        sent = CallStepRequest(
            run_id=self.row.run_id,
            step_id=str(number),
            step_name=name,
            url=url,
            callback_headers=headers,
            **request,
        )
        return publishing.publish_call(self.account, sent).message_id

    def wait(
        self,
        number: int,
        name: str,
        event_id: str,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> str:
        request = WaitRequest(
            run_id=self.row.run_id,
            event_id=event_id,
            step=_step(number, name, {"stepType": "Wait", **more}),
            timeout=timedelta(seconds=20),
            options=DeliveryOptions(headers=headers or {}),
        )
        return waiting.wait(self.account, request).message_id

    def invoke(self, number: int, name: str, child: RunRequest, **more: Any) -> Run:
        """The run that was started."""
        step = _step(number, name, {"stepType": "Invoke", **more})
        request = InvokeRequest(parent_run_id=self.row.run_id, step=step, run=child)
        invoking.invoke(self.account, request, depth=1)
        return Run.objects.get(run_id=child.run_id)

    # -- what happens

    def end(self, result: str | None = None) -> None:
        run_moves.finish(self.row.account, self.row.run_id, result)

    def cancel(self) -> None:
        run_moves.cancel(self.row)

    def answered(self, status: int, body: bytes = b"", **headers: list[str]) -> None:
        """The endpoint, or a third party, answers this to what is due."""
        named = {name.replace("_", "-"): values for name, values in headers.items()}
        self.endpoint.answers_with(status, body, **named)
        drain_here()


def _step(number: int, name: str, more: Mapping[str, Any]) -> str:
    return encode_json({"stepId": number, "stepName": name, "concurrent": 1, **more})
