"""What an endpoint is delivered, as a history: published steps by their numbers, ours by their keys
(Upstash reference 3.3, 4.3).

A number says nothing about the branch that a step is in, and what ends a wait or an invocation is
written by the server, which knows no more than the number. So each step that may run beside others
is announced by a plan, and the plan keeps the step's key. A step that is alone needs none: it is
the next of the function itself.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from workflows_app.errors import IncompatibleHistory, InvalidInput
from workflows_app.protocol.codec import decode_json, encode_json, text_or_value
from workflows_app.protocol.published import PublishedStep, kind_of_type, step_of
from workflows_app.protocol.runs import History, StepKind, StepRecord
from workflows_app.sdk.scopes import Scope

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""The list does not say when its steps were done, only in which order; but done they are."""
KEY, BRANCH, KIND, INPUT, ERROR = "key", "branch", "kind", "input", "error"
"""What steps of ours say beyond the protocol: the first two in plans, the first four where the type
does not tell the kind, the last in the result of a step that has failed.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepList:
    """A run's payload and its published steps, oldest first; the last one is delivered."""

    payload: bytes
    steps: tuple[PublishedStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A step that was announced. `number` is what its result will have."""

    number: int
    key: str
    name: str
    branch: str
    kind: StepKind
    concurrent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a step list says about a run."""

    records: tuple[StepRecord, ...]
    plans: Mapping[str, Plan]
    """By key, of those that have no result yet."""
    announced: tuple[Plan, ...]
    """All of them, oldest first."""
    numbers: frozenset[int]
    """Those in use."""
    last: StepRecord | None
    """What is delivered, if it is the end of a step."""
    delivered: Plan | None
    """What is to be executed, if the last element is a plan."""
    is_repeated: bool
    """The last element says again what another one has said before: there is nothing to do."""

    @property
    def begun(self) -> tuple[str, ...]:
        """The keys of steps that other deliveries are at work on."""
        return tuple(key for key, plan in self.plans.items() if plan.kind is not StepKind.PATCHED)

    @property
    def history(self) -> History:
        return History(steps=self.records)


def read_step_list(body: bytes, message_id: str) -> StepList:
    """Raises InvalidInput, and IncompatibleHistory for steps that nothing is known of.

    A list of several elements ends with the message that is delivered, wherever it was cut.
    """
    elements = decode_json(body)
    if not isinstance(elements, list) or not elements:
        raise InvalidInput("a delivery is a JSON array that begins with the run's payload")
    named = [_string(each, "messageId") for each in elements]
    if len(elements) > 1:
        if message_id not in named:
            raise InvalidInput("the step list does not hold the message that is delivered")
        elements = elements[: named.index(message_id) + 1]
    first, *others = elements
    steps = [_read(each) for each in others if _string(each, "callType") == "step"]
    return StepList(payload=_body(first), steps=tuple(steps))


def _read(element: Any) -> PublishedStep:
    step = step_of(decode_json(_body(element)))
    if step is None:
        raise IncompatibleHistory("the run has recorded something that is no step of a workflow")
    return step


def _body(element: Any) -> bytes:
    try:
        return base64.b64decode(_string(element, "body"), validate=True)
    except ValueError:
        raise InvalidInput("the body of an element of a step list is base64") from None


def _string(element: Any, name: str) -> str:
    value = element.get(name) if isinstance(element, Mapping) else None
    if not isinstance(value, str):
        raise InvalidInput(f'an element of a step list has "{name}", a text')
    return value


# -- steps as records


def past_of(steps: Iterable[PublishedStep]) -> Past:
    """Of what was published twice, the first holds.

    Raises IncompatibleHistory for plans of an SDK that does not say where its steps belong.
    """
    reader = _Reader()
    for step in steps:
        reader.add(step)
    return reader.past()


class _Reader:
    def __init__(self) -> None:
        self._scopes: dict[str, Scope] = {}
        self._plans: dict[int, Plan] = {}
        self._keys: set[str] = set()
        self._done: set[str] = set()
        self._records: dict[int, StepRecord] = {}
        self._numbers: set[int] = set()
        self._delivered: Plan | None = None
        self._last: StepRecord | None = None
        self._is_repeated = False

    def add(self, step: PublishedStep) -> None:
        number = step.step_id or step.target_step or 0
        self._numbers.add(number)
        self._delivered = self._last = None
        if step.step_id:
            self._add_result(step)
        else:
            self._add_plan(step, number)

    def _add_plan(self, step: PublishedStep, number: int) -> None:
        plan = _plan_of(step, number)
        self._is_repeated = plan.key in self._keys
        if not self._is_repeated:
            if plan.kind is not StepKind.PATCHED:
                self._name(plan.branch, plan.name)
            self._keys.add(plan.key)
            self._plans[number] = self._delivered = plan

    def _add_result(self, step: PublishedStep) -> None:
        plan = self._plans.get(step.step_id)
        # Of two plans for one step the later one came to nothing, and so does its result.
        void = plan is None and step.concurrent > 1
        self._is_repeated = void or step.step_id in self._records
        if self._is_repeated:
            return
        branch = "" if plan is None else plan.branch
        if plan is not None:
            key = plan.key
        elif KEY in step.details:
            key = str(step.details[KEY])
        else:
            key = self._name("", step.name)
        self._is_repeated = key in self._done
        if not self._is_repeated:
            self._keys.add(key)
            self._done.add(key)
            moment = _LONG_AGO + timedelta(milliseconds=len(self._done))
            self._last = record_of(step, key, branch, moment)
            self._records[step.step_id] = self._last

    def _name(self, branch: str, name: str) -> str:
        """The key of the branch's next step of this name."""
        scope = self._scopes.setdefault(branch, Scope(None, branch, []))
        return scope.next_key(name)

    def past(self) -> Past:
        waiting = [plan for number, plan in self._plans.items() if number not in self._records]
        return Past(
            records=tuple(self._records.values()),
            plans={plan.key: plan for plan in waiting},
            announced=tuple(self._plans.values()),
            numbers=frozenset(self._numbers),
            last=self._last,
            delivered=self._delivered,
            is_repeated=self._is_repeated,
        )


def _plan_of(step: PublishedStep, number: int) -> Plan:
    key, branch = step.details.get(KEY), step.details.get(BRANCH)
    if not isinstance(key, str) or not isinstance(branch, str):
        raise IncompatibleHistory(
            f'step "{step.name}" was announced by another SDK, which does not say in which branch '
            "it is; let this run end where it began, or restart it"
        )
    return Plan(
        number=number,
        key=key,
        name=step.name,
        branch=branch,
        kind=_kind_of(step),
        concurrent=step.concurrent,
    )


def _kind_of(step: PublishedStep) -> StepKind:
    said = step.details.get(KIND)
    return StepKind(said) if said in set(StepKind) else kind_of_type(step.type)


def record_of(step: PublishedStep, key: str, branch: str, moment: datetime) -> StepRecord:
    error = step.details.get(ERROR)
    attempts = error.get("attempts", 1) if isinstance(error, Mapping) else 1
    return StepRecord(
        key=key,
        name=step.name,
        kind=_kind_of(step),
        branch=branch,
        input=step.details.get(INPUT),
        result=_result_of(step),
        error=encode_json(error) if error else None,
        attempts=attempts,
        started_at=moment,
        ended_at=moment,
    )


def _result_of(step: PublishedStep) -> str | None:
    if _kind_of(step) in (StepKind.WAIT, StepKind.WAIT_FOR_WEBHOOK):
        return encode_json(_event_of(step))
    return None if step.out in (None, "", "null") else step.out


def _event_of(step: PublishedStep) -> dict[str, Any]:
    if step.details.get("waitTimeout") is True:
        return {"timeout": True}
    data = base64.b64decode(step.out or "")
    return {"timeout": False, "data": text_or_value(data)} if data else {"timeout": False}


def readable(content: bytes) -> str:
    """As text; what is not UTF-8 as a character for each byte."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")
