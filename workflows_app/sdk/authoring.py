"""`@workflow` and the registry of what it has made."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from workflows_app.errors import InvalidInput, UnknownWorkflow
from workflows_app.protocol.delays import Backoff, delay_expression
from workflows_app.protocol.durations import author_duration, parse_moment
from workflows_app.protocol.header_values import parse_redaction
from workflows_app.protocol.ids import check_run_id
from workflows_app.protocol.runs import FlowControlSpec, InlineRun, RunRequest, TriggeredRun
from workflows_app.protocol.texts import check_storable
from workflows_app.sdk.async_context import AsyncContext
from workflows_app.sdk.context import Context
from workflows_app.sdk.events import NotifiedRun, encode_event
from workflows_app.sdk.launching import class_defaults, engine
from workflows_app.sdk.middlewares import Middleware, check_middlewares
from workflows_app.sdk.misuse import check_same_workflow
from workflows_app.sdk.payloads import encode_payload

Body = Callable[[Context], Any] | Callable[[AsyncContext], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Given to a failure function: what the run was and how it failed."""

    workflow_run_id: str
    request_payload: Any
    headers: Mapping[str, str]
    labels: tuple[str, ...]
    error_type: str
    error_message: str
    step: str | None
    """The step that failed; None when it was the function itself."""
    attempt: int
    """Which attempt of the failure function this is, from 1."""


FailureFunction = Callable[[Failure], Any] | Callable[[Failure], Awaitable[Any]]


_registry: dict[str, Workflow] = {}


def registered_workflows() -> Mapping[str, Workflow]:
    return _registry


def get_workflow(name: str) -> Workflow:
    """Raises UnknownWorkflow, naming those that exist."""
    try:
        return _registry[name]
    except KeyError:
        known = ", ".join(sorted(_registry)) or "none"
        raise UnknownWorkflow(
            f'no workflow "{name}" is registered here (registered: {known}); define it with '
            "@workflow in a workflows.py of an installed app"
        ) from None


def notify(
    event_id: str, event_data: Any = None, workflow_run_id: str | None = None
) -> list[NotifiedRun]:
    """Send an event to all runs that wait for it; or to one run, which may wait for it later.

    Inside a transaction it is sent, or not, with it. The data is sent as JSON; bytes as they are.
    Returns the runs that were sent it.
    """
    return engine().notify(event_id, encode_event(event_data), workflow_run_id)


def with_defaults(request: RunRequest) -> RunRequest:
    """The request with what its workflow, if it is registered here, says about its runs."""
    workflow = _registry.get(request.workflow)
    if workflow is None:
        return request
    defaults = {
        **workflow.policy,
        "flow_control": workflow.flow_control,
        "failure_url": workflow.failure_url,
    }
    unset = {name: value for name, value in defaults.items() if getattr(request, name) is None}
    return replace(request, **unset)


def middlewares_of(workflow: Workflow) -> Sequence[Middleware]:
    """In the order in which they are told: those of the project, then those of the workflow."""
    return (*engine().middlewares(), *workflow.middlewares)


class Workflow:
    """A durable function. Made by `@workflow`; its attributes are the defaults of its runs."""

    def __init__(  # noqa: PLR0913 - one keyword per option of the decorator
        self,
        name: str,
        function: Body,
        *,
        retries: int | None,
        retry_delay: str | None,
        timeout: timedelta | None,
        failure_function: FailureFunction | None,
        failure_url: str | None,
        flow_control: FlowControlSpec | None,
        transport: Literal["local", "http"] | None,
        middlewares: Sequence[Middleware] = (),
    ) -> None:
        self.name = name
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        self.retries = retries
        self.retry_delay = retry_delay
        self.timeout = timeout
        self.failure_function = failure_function
        self.failure_url = failure_url
        self.flow_control = flow_control
        self.transport = transport
        self.middlewares = check_middlewares(name, middlewares)
        self.entrypoint: type | None = None
        """The class that it was made of."""
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", name)
        self.__module__ = function.__module__

    def __repr__(self) -> str:
        return f"<Workflow {self.name}>"

    def __call__(self, context: Any) -> Any:
        return self.function(context)

    @property
    def policy(self) -> dict[str, Any]:
        """What its runs hold to in `retries`, `retry_delay` and `timeout`, as far as it says."""
        own = {name: getattr(self, name) for name in ("retries", "retry_delay", "timeout")}
        if self.entrypoint is None:
            return own
        unsaid = asdict(class_defaults())
        return {name: unsaid[name] if value is None else value for name, value in own.items()}

    @property
    def failure_is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.failure_function)

    @property
    def url(self) -> str:
        return engine().url_of(self.name)

    def trigger(  # noqa: PLR0913 - one keyword per option of a run
        self,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        workflow_run_id: str | None = None,
        delay: timedelta | str | None = None,
        not_before: datetime | str | float | None = None,
        labels: str | Iterable[str] = (),
        retries: int | None = None,
        retry_delay: timedelta | str | None = None,
        timeout: timedelta | str | None = None,
        flow_control: FlowControlSpec | None = None,
        failure_url: str | None = None,
        redact: str = "",
    ) -> TriggeredRun:
        """Start a run. Inside a transaction it commits, or vanishes, with it.

        `body` is stored as JSON; bytes are stored as they are. A second trigger with the id of a
        live run starts nothing and returns that run with `deduplicated` set. `redact`, such as
        "body,header[Authorization]", names what people and programs see only as hashes.
        """
        request = self.request(
            body,
            headers=headers,
            workflow_run_id=workflow_run_id,
            delay=delay,
            not_before=not_before,
            labels=labels,
            retries=retries,
            retry_delay=retry_delay,
            timeout=timeout,
            flow_control=flow_control,
            failure_url=failure_url,
            redact=redact,
        )
        return engine().trigger([request])[0]

    def trigger_many(self, bodies: Iterable[Any], **options: Any) -> list[TriggeredRun]:
        """Start a run per body, all or none, with the options of `trigger` for each."""
        return engine().trigger([self.request(body, **options) for body in bodies])

    def run(self, body: Any = None, **options: Any) -> InlineRun:
        """Start a run and work on it here, in the caller's process, until it ends or has to wait.

        It is as durable as any other: if it has to wait, or this process dies, workers go on with
        it.
        Raises RunFailed when it fails, InsideTransaction inside a transaction.
        """
        return engine().run_inline(self.request(body, **options))

    def request(  # noqa: PLR0913 - see trigger
        self,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        workflow_run_id: str | None = None,
        delay: timedelta | str | None = None,
        not_before: datetime | str | float | None = None,
        labels: str | Iterable[str] = (),
        retries: int | None = None,
        retry_delay: timedelta | str | None = None,
        timeout: timedelta | str | None = None,
        flow_control: FlowControlSpec | None = None,
        failure_url: str | None = None,
        redact: str = "",
    ) -> RunRequest:
        """The run that `trigger` would start. Raises InvalidInput for what cannot be used."""
        content, content_type = encode_payload(body)
        return RunRequest(
            url=self.url,
            workflow=self.name,
            body=content,
            content_type=content_type,
            headers=dict(headers or {}),
            run_id=None if workflow_run_id is None else check_run_id(workflow_run_id),
            delay=None if delay is None else author_duration(delay),
            not_before=None if not_before is None else parse_moment(not_before),
            labels=(labels,) if isinstance(labels, str) else tuple(labels),
            retries=retries,
            retry_delay=delay_expression(retry_delay),
            timeout=None if timeout is None else author_duration(timeout),
            flow_control=flow_control,
            failure_url=failure_url,
            redaction=parse_redaction(redact).encode(),
        )

    def on_failure(self, function: FailureFunction) -> FailureFunction:
        """Decorator: call this function, with a `Failure`, once a run has failed."""
        self.failure_function = function
        return function


def workflow(  # noqa: PLR0913 - one keyword per option
    name: str,
    *,
    retries: int | None = None,
    retry_delay: timedelta | str | None = None,
    backoff: Backoff | None = None,
    timeout: timedelta | str | None = None,
    failure_function: FailureFunction | None = None,
    failure_url: str | None = None,
    flow_control: FlowControlSpec | None = None,
    transport: Literal["local", "http"] | None = None,
    middlewares: Sequence[Middleware] = (),
) -> Callable[[Body], Workflow]:
    """Make a function durable and register it under `name`.

    `retries`, `retry_delay` and `backoff` (see `Context.options`) hold for each step and for the
    function itself, `timeout` for each attempt of a step. Raises InvalidInput for a bad option or a
    name that another function has.
    """
    if not name or len(name) > 200 or "/" in name:
        raise InvalidInput(
            f'a workflow\'s name is a text of 1 to 200 characters without "/", not {name!r}'
        )
    check_storable("a workflow's name", name)
    if retries is not None and retries < 0:
        raise InvalidInput(f"retries must be 0 or more, not {retries}")
    delay = delay_expression(retry_delay, backoff)

    def register(function: Body) -> Workflow:
        made = Workflow(
            name,
            function,
            retries=retries,
            retry_delay=delay,
            timeout=None if timeout is None else author_duration(timeout),
            failure_function=failure_function,
            failure_url=failure_url,
            flow_control=flow_control,
            transport=transport,
            middlewares=middlewares,
        )
        before = _registry.get(name)
        if before is not None:
            check_same_workflow(name, before.function, made.function)
        _registry[name] = made
        return made

    return register
