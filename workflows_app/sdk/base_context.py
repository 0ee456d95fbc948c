"""What both shells know about their run, and what they need from whoever drives it."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from workflows_app.errors import InvalidInput, NotSerializable, StepMisuse
from workflows_app.protocol.codec import encode_json, round_trip
from workflows_app.protocol.durations import author_duration, format_duration, unix_milliseconds
from workflows_app.protocol.exchange import check_headers
from workflows_app.protocol.runs import CallRequest, RunInfo, RunRequest, StepInFlight, StepRecord
from workflows_app.sdk import misuse
from workflows_app.sdk.interrupts import ContinueAsNew, Halt, Interrupt, RollBack
from workflows_app.sdk.launching import engine
from workflows_app.sdk.misuse import check_result
from workflows_app.sdk.observers import NOBODY, Observers
from workflows_app.sdk.patches import Known, followed
from workflows_app.sdk.payloads import decode_payload, encode_body, encode_payload
from workflows_app.sdk.replay import Recorder, Replay
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.steps import Ask, StepOptions

current_step: contextvars.ContextVar[Ask | None] = contextvars.ContextVar(
    "workflows_current_step", default=None
)
current_scope: contextvars.ContextVar[Scope | None] = contextvars.ContextVar(
    "workflows_current_scope", default=None
)


def _no_webhooks(event_id: str) -> str:
    raise StepMisuse("whoever drives this run has no URLs for webhooks")


def _completed(run: RunRequest) -> RunRequest:
    return engine().completed(run)


InFlight = Callable[[], StepInFlight | None]
StandIn = Callable[[Ask], Callable[..., Any] | None]


def no_stand_in(_: Ask) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the shells need from whoever drives the turn.

    `webhook_url` gives the URL at which anyone may send an event of this id to this run. `threads`
    says whether step functions may run in threads of their own (not inside a caller's
    transaction, which lives in one thread). `thread_ends` is called at the end of each such thread.
    `stand_in` gives what is called instead of a step's own function, with its arguments, if
    anything is.
    `begun` gives the keys of the run's steps that the server is at work on, or has ended since the
    turn's history was read. `on_patched` is told each answer of `context.patched`.
    `read_payload` makes of the trigger's body what the function is given. `complete` is
    `Launcher.completed`, for the runs that this one invokes. `watch` is given what tells, to any
    thread and at any time, which step the turn is at.
    """

    recorder: Recorder
    webhook_url: Callable[[str], str] = _no_webhooks
    threads: bool = True
    thread_ends: Callable[[], None] = lambda: None
    stand_in: StandIn = no_stand_in
    begun: Callable[[], Collection[str]] = tuple
    on_patched: Callable[[str, bool], None] = lambda change_id, followed: None
    read_payload: Callable[[bytes], Any] = decode_payload
    complete: Callable[[RunRequest], RunRequest] = _completed
    watch: Callable[[InFlight], None] = lambda in_flight: None
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    observers: Observers = NOBODY
    """Set by `sdk.turn`."""


class BaseContext:
    """What both shells know about their run."""

    def __init__(self, replay: Replay, ports: Ports, options: StepOptions | None = None) -> None:
        self._replay = replay
        self._ports = ports
        self._options = options or StepOptions()

    @property
    def _observers(self) -> Observers:
        return self._ports.observers

    @property
    def _info(self) -> RunInfo:
        return self._replay.run

    @property
    def workflow_run_id(self) -> str:
        return self._info.run_id

    @property
    def workflow_run_created_at(self) -> datetime:
        """When the run was accepted; in UTC."""
        return self._info.created_at

    @property
    def url(self) -> str:
        return self._info.url

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of the process, or what `serve(..., env=…)` was given in its place."""
        return self._ports.env

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that were forwarded by the trigger."""
        return self._info.headers

    @property
    def labels(self) -> tuple[str, ...]:
        return self._info.labels

    @cached_property
    def request_payload(self) -> Any:
        """The trigger's body: decoded JSON where it is JSON, else text, else bytes; None when
        empty.
        """
        return self._ports.read_payload(self._info.payload)

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1: of the step inside a step, else of the function."""
        step = current_step.get()
        return self._replay.function_attempt if step is None else step.attempt

    @property
    def idempotency_key(self) -> str:
        """The same on every attempt of this step of this run, and on no other; pass it on to other
        systems.
        """
        step = current_step.get()
        created = unix_milliseconds(self._info.created_at)
        run = f"{self._info.run_id}:{created}"
        return run if step is None else f"{run}:{step.key}"

    def _rolling_back(self, reason: str) -> RollBack:
        step = current_step.get()
        if step is not None:
            raise StepMisuse(
                f'context.roll_back was called inside step "{step.name}". The workflow function '
                "rolls back: return a value from the step, and decide by it."
            )
        return RollBack(reason)

    def _refuse_nesting(self, name: str) -> None:
        step = current_step.get()
        if step is not None:
            raise misuse.nested(name, self._info.run_id, step.name)
        if self._replay.is_over:
            raise misuse.after_the_turn(name, self._info.run_id)

    def _new_beginning(self, scope: Scope, payload: Any) -> Interrupt:
        """Not before all is asked for that the branch has recorded."""
        unasked = self._replay.unasked(scope)
        return Halt(unasked) if unasked else ContinueAsNew(*encode_payload(payload))

    def _answer_patched(
        self, change_id: str, known: Known, stood: Mapping[str, StepRecord]
    ) -> bool:
        """`stood` is what had been recorded when the mark was to be."""
        answer = known.followed
        if known.mark is not None:
            answer = followed(stood.get(known.mark.key, known.mark))
            self._replay.patches.keep(change_id, answer)
        self._ports.on_patched(change_id, answer)
        return answer

    def _encode(self, ask: Ask, value: Any) -> tuple[str, Any]:
        try:
            return round_trip(value)
        except NotSerializable as error:
            check_result(value, ask.name, self.workflow_run_id)
            raise NotSerializable(
                f'the result of step "{ask.name}" cannot be stored: {error}'
            ) from None

    def _call_request(  # noqa: PLR0913 - the parts of an HTTP request
        self,
        scope: Scope,
        key: str,
        name: str,
        url: str,
        method: str,
        body: Any,
        headers: Mapping[str, str] | None,
    ) -> CallRequest:
        _check_call(name, url, headers or {})
        content, content_type = encode_body(name, body)
        lower = {header.lower() for header in headers or {}}
        default = (
            {}
            if content_type is None or "content-type" in lower
            else {"Content-Type": content_type}
        )
        policy = self._replay.policy(self._options)
        return CallRequest(
            key=key,
            name=name,
            branch=scope.path,
            url=url,
            method=method.upper(),
            headers={**default, **(headers or {})},
            body=content,
            retries=self._options.retries or 0,
            retry_delay=policy.delay_expression,
            timeout=self._options.timeout,
        )


def _check_call(name: str, url: Any, headers: Mapping[str, str]) -> None:
    if not isinstance(url, str):
        raise InvalidInput(f'the url of step "{name}" must be a text, not {url!r:.80}')
    try:
        check_headers(headers)
    except InvalidInput as error:
        raise InvalidInput(f'the headers of step "{name}" cannot be sent: {error}') from None


def sleep_until(replay: Replay, duration: timedelta | str) -> tuple[datetime, str]:
    """When a sleep that begins now ends, and what to show as its input. Raises InvalidInput."""
    length = author_duration(duration)
    try:
        return replay.now() + length, encode_json(format_duration(length))
    except OverflowError:
        raise InvalidInput(
            f"a sleep of {format_duration(length)} ends after the year 9999"
        ) from None
