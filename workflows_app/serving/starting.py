"""Runs that an endpoint has the workflow server start: its own, and those that its steps invoke
(Upstash reference 3.5, 3.6, 4.8).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit, urlunsplit

from workflows_app.errors import StepMisuse, UnknownWorkflow
from workflows_app.protocol.runs import RunInfo, RunRequest
from workflows_app.sdk.authoring import FailureFunction, Workflow, with_defaults
from workflows_app.sdk.middlewares import Middleware, check_middlewares
from workflows_app.serving.deliveries import Delivery
from workflows_app.serving.messages import Message, Sent, batch, started
from workflows_app.serving.options import ServeOptions
from workflows_app.serving.watching import project_middlewares

_DEFAULT_RETRIES = 3
"""Of the protocol, where nobody says another number."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A workflow, and how it is served. `siblings` are the names served beside it, and its own."""

    workflow: Workflow
    options: ServeOptions
    siblings: Collection[str] = ()

    def __post_init__(self) -> None:
        """Raises InvalidInput, StepMisuse for options that cannot be used."""
        check_middlewares(self.workflow.name, self.options.middlewares)
        _ = self.options.read_payload

    @property
    def failure_function(self) -> FailureFunction | None:
        return self.options.failure_function or self.workflow.failure_function

    @property
    def middlewares(self) -> Sequence[Middleware]:
        """In the order in which they are told."""
        return (*project_middlewares(), *self.workflow.middlewares, *self.options.middlewares)

    def run_of(self, delivery: Delivery, run_id: str, payload: bytes) -> RunInfo:
        workflow, policy = self.workflow, self.workflow.policy
        retries = policy["retries"]
        return RunInfo(
            run_id=run_id,
            workflow=workflow.name,
            url=self.options.url_of(delivery.url),
            payload=payload,
            content_type="application/json",
            headers=delivery.users_headers,
            labels=delivery.labels,
            retries=_DEFAULT_RETRIES if retries is None else retries,
            retry_delay=policy["retry_delay"] or "",
            timeout=policy["timeout"],
            created_at=delivery.created_at,
        )

    def start(self, delivery: Delivery, run: RunInfo) -> Message:
        workflow, options = self.workflow, self.options
        own = run.url if self.failure_function else None
        request = RunRequest(
            url=run.url,
            workflow=workflow.name,
            body=run.payload,
            content_type=delivery.headers.get("content-type") or "application/json",
            headers=run.headers,
            labels=run.labels,
            retries=workflow.policy["retries"],
            retry_delay=workflow.policy["retry_delay"],
            flow_control=workflow.flow_control,
            failure_url=options.failure_url or workflow.failure_url or own,
        )
        return started(request, run.run_id, delivery.depth)

    def start_again(self, delivery: Delivery, run: RunInfo) -> Sent:
        """Take over a run that the server has started."""
        message = self.start(delivery, run)
        headers = {**message.headers, "Upstash-Workflow-Trigger-By-Sdk": "true"}
        return batch([replace(message, headers=headers)])

    def complete(self, url: str, request: RunRequest) -> RunRequest:
        """The run that a step of the workflow at `url` invokes. A failure function is looked for
        where the run is. Raises StepMisuse, UnknownWorkflow.
        """
        if not request.url:
            request = replace(with_defaults(request), url=self._url_beside(url, request.workflow))
        return replace(request, failure_url=request.failure_url or request.url)

    def _url_beside(self, url: str, name: str) -> str:
        if not self.siblings:
            raise StepMisuse(
                f'workflow "{self.workflow.name}" is served alone, so "{name}" has no URL beside '
                "it: serve both by serve_many, or invoke the other one by its URL"
            )
        if name not in self.siblings:
            known = ", ".join(sorted(self.siblings))
            raise UnknownWorkflow(f'no workflow "{name}" is served beside this one ({known} are)')
        parts = urlsplit(url)
        above = parts.path.rstrip("/").rpartition("/")[0]
        return urlunsplit(parts._replace(path=f"{above}/{quote(name, safe='')}"))
