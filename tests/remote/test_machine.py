"""A machine has endpoints, third parties and clients do anything at any time to a few remote runs,
and compares the journal and what is owed with a simple model. The numbers are those of the
invariants.
"""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.engine.test_machine import NOON, rolled_back
from workflows_app.conf import get_settings
from workflows_app.engine import clock as engine_clock
from workflows_app.engine import dead_letters, events, leases, ports, run_moves
from workflows_app.engine.delivery import deliver
from workflows_app.engine.leases import Lease
from workflows_app.engine.remote import adopting, invoking, publishing, waiting
from workflows_app.engine.triggering import trigger
from workflows_app.errors import RunEnded
from workflows_app.models import Account, DeadLetter, Event, Message, Run, Step, Waiter
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.protocol.published import abandoned_key
from workflows_app.protocol.publishing import (
    CallStepRequest,
    InvokeRequest,
    StepRequest,
    WaitRequest,
)
from workflows_app.protocol.runs import RunRequest
from workflows_app.worker.transport import WorkflowTransport

URL, THIRD = "https://app.example/order", "https://third.example/q"
RETRIES = 1
MANY = 4
"""Runs that are alive at the same time."""
STEP_IDS = st.integers(1, 2)
MOSTLY = st.sampled_from([True] * 9 + [False])
EVENTS = st.sampled_from(["paid", "sent"])
STATUSES = st.sampled_from([200, 200, 200, 500, 489])
MEANWHILE = ["nothing", "publish", "wait", "call", "cancel", "finish", "adopt", "takeover"]
"""What may happen while an endpoint is at work on a delivery."""


@dataclass
class Expected:
    """What is to be known of a run."""

    pk: int
    run_id: str
    live: bool = True
    keys: list[str] = field(default_factory=list)
    """Of its journal, in order."""
    owed: set[tuple[str, str]] = field(default_factory=lambda: {("delivery", "")})
    waits: dict[str, str] = field(default_factory=dict)
    """Events by the steps that wait for them, in the order in which they began."""
    events: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    invoked: dict[str, int] = field(default_factory=dict)

    def record(self, key: str, owes: str = "delivery") -> None:
        self.keys.append(key)
        self.owed.add((owes, key))

    def resolve(self, key: str) -> None:
        """4."""
        del self.waits[key]
        self.owed.discard(("timeout", key))
        self.record(key)


class Endpoint(WorkflowTransport):
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def send(self, request: Outgoing) -> Answer:
        return self._machine.answer(request)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._stack, self._time = ExitStack(), ExitStack()
        self._numbers = count(1)
        self.runs: dict[int, Expected] = {}
        self.sent: dict[tuple[str, str], bytes | None] = {}
        """The body of each delivery."""
        self.status, self.adopted, self.taken = 200, False, False
        self.meanwhile: Callable[[], None] = lambda: None

    @initialize()
    def begin(self) -> None:
        self._stack.enter_context(rolled_back())
        usual = ports.get_transport()
        ports.install_transport(Endpoint(self))
        self._stack.callback(ports.install_transport, usual)
        self._stack.callback(lambda: self._time.close())
        self._move_to(NOON)
        self.account = Account.objects.default()
        self.start()

    def teardown(self) -> None:
        try:
            if self.runs:
                self._everything_settles()
        finally:
            self._stack.close()

    def _move_to(self, moment: datetime) -> None:
        self._time.close()
        self._time.enter_context(engine_clock.travel(moment))

    def _request(self, run_id: str) -> RunRequest:
        return RunRequest(
            url=URL, run_id=run_id, body=b"{}", retries=RETRIES, retry_delay="1000", labels=("a",)
        )

    def _live(self) -> int:
        return sum(run.live for run in self.runs.values())

    def _drawn(self, data: st.DataObject) -> Expected:
        """A run; mostly a live one."""
        live = [run for run in self.runs.values() if run.live]
        mostly: Any = data.draw(MOSTLY)
        pool = live if live and mostly else list(self.runs.values())
        drawn: Any = data.draw(st.sampled_from(pool))
        found: Expected = drawn
        return found

    # -- what clients do

    @precondition(lambda self: self._live() < MANY)
    @rule()
    def start(self) -> None:
        (started,) = trigger(self.account, [self._request(f"run-{next(self._numbers)}")])
        self.runs[started.run.pk] = Expected(started.run.pk, started.run.run_id)

    @rule(data=st.data())
    def adopt(self, data: st.DataObject) -> None:
        self._adopt(self._drawn(data))

    def _adopt(self, run: Expected) -> None:
        adopted = adopting.adopt(self.account, self._request(run.run_id))
        assert (adopted is not None) == (run.live and not run.keys)
        if adopted is not None:
            self.adopted = True
            run.owed.add(("delivery", ""))

    @precondition(lambda self: self._live() > 1)
    @rule(data=st.data(), cancels=st.booleans())
    def end(self, data: st.DataObject, *, cancels: bool) -> None:
        run = self._drawn(data)
        if cancels:
            self._cancel(run)
        else:
            self._finish(run)

    def _cancel(self, run: Expected) -> None:
        row = Run.objects.get(pk=run.pk)
        if run.live:
            run_moves.cancel(row)
            run.keys += map(abandoned_key, run.waits)
            self._end(run)
        else:
            with pytest.raises(RunEnded):
                run_moves.cancel(row)

    def _finish(self, run: Expected) -> None:
        run_id = Run.objects.get(pk=run.pk).run_id
        assert run_moves.finish(self.account, run_id, '"done"') == run.live
        if run.live:
            self._end(run)

    def _end(self, run: Expected) -> None:
        """5. Who invoked it will be told."""
        run.live = False
        run.owed, run.waits, run.events = set(), {}, []
        for parent in self.runs.values():
            if parent.live:
                keys = [key for key, child in parent.invoked.items() if child == run.pk]
                parent.owed.update(("report", key) for key in keys)

    @precondition(lambda self: DeadLetter.objects.exists())
    @rule(kind=st.sampled_from(["resume", "restart"]))
    def resume(self, kind: str) -> None:
        letter = DeadLetter.objects.order_by("pk")[0]
        old = self.runs[letter.run_id]
        row = getattr(dead_letters, kind)(letter)
        new = Expected(row.pk, row.run_id)
        keys = list(row.steps.order_by("id").values_list("key", flat=True))
        assert set(keys) <= set(old.keys if kind == "resume" else [])
        owed = set(Message.objects.filter(run=row).values_list("kind", "key"))
        assert owed
        assert {key for _, key in owed} <= set(keys or [""])
        new.keys, new.owed = keys, owed
        self.runs[row.pk] = new

    # -- what endpoints publish

    @rule(data=st.data(), number=STEP_IDS, planned=st.booleans(), twice=st.booleans())
    def publish(self, data: st.DataObject, number: int, *, planned: bool, twice: bool) -> None:
        run = self._drawn(data)
        for _ in range(1 + twice):
            self._publish(run, number, planned=planned)

    def _publish(self, run: Expected, number: int, *, planned: bool = False) -> None:
        """1."""
        step = self._step(number)
        if planned:
            step |= {"stepId": 0, "targetStep": number, "concurrent": 2}
        key = f"{number}:plan" if planned else str(number)
        request = StepRequest(run_id=run.run_id, raw=json.dumps(step).encode())
        with self._refused_unless_live(run):
            accepted = publishing.publish_step(self.account, request)
            assert accepted.deduplicated == (key in run.keys)
            if key not in run.keys:
                if key in run.waits:
                    run.waits.pop(key)
                    run.owed.discard(("timeout", key))
                run.record(key)

    @staticmethod
    def _step(number: int) -> dict[str, Any]:
        return {"stepId": number, "stepName": "a", "stepType": "Run", "concurrent": 1}

    def _refused_unless_live(self, run: Expected) -> Any:
        """5."""
        return nullcontext() if run.live else pytest.raises(RunEnded)

    @rule(data=st.data(), number=STEP_IDS)
    def call(self, data: st.DataObject, number: int) -> None:
        self._call(self._drawn(data), number)

    def _call(self, run: Expected, number: int) -> None:
        request = CallStepRequest(
            run_id=run.run_id,
            step_id=str(number),
            step_name="a",
            url=THIRD,
            method="GET",
            headers={},
            body=None,
            retries=0,
            retry_delay="",
            timeout=None,
            flow_control=None,
            callback_headers={},
        )
        with self._refused_unless_live(run):
            publishing.publish_call(self.account, request)
            if f"{number}:sent" not in run.keys:
                run.record(f"{number}:sent", "call")

    @rule(data=st.data(), number=STEP_IDS, event=EVENTS, seconds=st.integers(0, 30))
    def wait(self, data: st.DataObject, number: int, event: str, seconds: int) -> None:
        self._wait(self._drawn(data), number, event, seconds)

    def _wait(self, run: Expected, number: int, event: str, seconds: int = 5) -> None:
        """4. An event that came before the wait is found by it."""
        request = WaitRequest(
            run_id=run.run_id,
            event_id=event,
            step=json.dumps(self._step(number)),
            timeout=timedelta(seconds=seconds),
        )
        key = str(number)
        with self._refused_unless_live(run):
            accepted = waiting.wait(self.account, request)
            known = key in run.keys or key in run.waits
            assert accepted.deduplicated == known
            if known:
                return
            run.waits[key] = event
            if event in run.events:
                run.events.remove(event)
                run.resolve(key)
            else:
                run.owed.add(("timeout", key))

    @rule(event=EVENTS)
    def notify(self, event: str) -> None:
        found = [
            (run, key)
            for run in self.runs.values()
            for key, wanted in run.waits.items()
            if wanted == event
        ]
        assert len(events.notify(self.account, event, b"yes")) == len(found)
        # In the order in which they began to wait, which matters within a run.
        for run, key in found:
            run.resolve(key)

    @rule(data=st.data(), event=EVENTS)
    def notify_run(self, data: st.DataObject, event: str) -> None:
        run = self._drawn(data)
        notified = events.notify_run(Run.objects.get(pk=run.pk), event, b"yes")
        assert (notified is not None) == run.live
        if notified is not None:
            waits = [key for key, wanted in run.waits.items() if wanted == event]
            assert (notified.waiter is not None) == bool(waits)
            if waits:
                run.resolve(waits[0])
            else:
                run.events.append(event)

    @rule(data=st.data(), number=STEP_IDS, another=st.booleans())
    def invoke(self, data: st.DataObject, number: int, *, another: bool) -> None:
        run, child = self._drawn(data), self._drawn(data)
        wanted = child.run_id if another and child.live else f"run-{next(self._numbers)}"
        request = InvokeRequest(
            parent_run_id=run.run_id,
            step=json.dumps(self._step(number)),
            run=self._request(wanted),
        )
        key = str(number)
        with self._refused_unless_live(run):
            invoking.invoke(self.account, request, 1)
            if key in run.invoked or key in run.keys:
                return
            found = Run.objects.get(live_id=wanted).pk
            self.runs.setdefault(found, Expected(found, wanted))
            run.invoked[key] = found

    # -- what workers do

    @rule(limit=st.integers(1, 4))
    def work_in_peace(self, limit: int) -> None:
        for _ in range(limit):
            self._work(200, lambda _: None)

    @rule(
        status=STATUSES,
        meanwhile=st.sampled_from(MEANWHILE),
        number=STEP_IDS,
        event=EVENTS,
    )
    def work(self, status: int, meanwhile: str, number: int, event: str) -> None:
        acts: dict[str, Callable[[Lease], None]] = {
            "nothing": lambda _: None,
            "publish": lambda lease: self._publish(self.runs[lease.run_id], number),
            "wait": lambda lease: self._wait(self.runs[lease.run_id], number, event),
            "call": lambda lease: self._call(self.runs[lease.run_id], number),
            "cancel": lambda lease: self._cancel(self.runs[lease.run_id]),
            "finish": lambda lease: self._finish(self.runs[lease.run_id]),
            "adopt": lambda lease: self._adopt(self.runs[lease.run_id]),
            "takeover": self._take_over,
        }
        self._work(status, acts[meanwhile])

    def _work(self, status: int, meanwhile: Callable[[Lease], None]) -> None:
        """The next message that is due, or will be."""
        due = leases.next_due()
        if due is None:
            return
        self._move_to(max(due, engine_clock.now()))
        (lease,) = leases.claim(1)
        self.status, self.adopted, self.taken = status, False, False
        self.meanwhile = partial(meanwhile, lease)
        deliver(lease)
        if not self.taken:
            self._expect_settled(self.runs[lease.run_id], lease, status)

    def _take_over(self, lease: Lease) -> None:
        """2. Another worker delivers the message, whose lease has run out, with success."""
        self._move_to(engine_clock.now() + get_settings().LEASE)
        others = leases.claim(50)
        (again,) = [each for each in others if each.message_id == lease.message_id]
        leases.give_back([each for each in others if each is not again])
        before, self.status = self.status, 200
        deliver(again)
        self.status = before
        self._expect_settled(self.runs[lease.run_id], again, 200)
        self.taken = True

    def _expect_settled(self, run: Expected, lease: Lease, status: int) -> None:
        owed = (lease.kind, lease.key)
        if owed not in run.owed:
            return  # The run has ended meanwhile.
        number = lease.key.partition(":")[0]
        match lease.kind:
            case "timeout":
                run.resolve(lease.key)
            case "report":
                self._expect_told(run, lease.key)
            case "call":
                run.owed.remove(owed)
                run.record(f"{number}:answered")
            case _ if status == 200:
                if not (self.adopted and lease.key == ""):
                    run.owed.remove(owed)
            case _:
                run.failures[lease.key] += 1
                if status == 489 or run.failures[lease.key] > RETRIES:
                    self._end(run)

    def _expect_told(self, run: Expected, key: str) -> None:
        run.owed.remove(("report", key))
        if key not in run.keys:
            if run.waits.pop(key, None) is not None:
                run.owed.discard(("timeout", key))
            run.record(key)

    def answer(self, request: Outgoing) -> Answer:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        if request.url == URL and "Upstash-Workflow-Calltype" not in request.headers:
            self._check_list(request)
        meanwhile()
        return Answer(status=self.status, headers={}, body=b"")

    def _check_list(self, request: Outgoing) -> None:
        """Each delivery's list ends with its own message, and is a prefix of the run's list; it is
        the same however often it is delivered.
        """
        run = Run.objects.get(live_id=request.headers["Upstash-Workflow-Runid"])
        own = request.headers["Upstash-Message-Id"]
        found = [each["messageId"] for each in json.loads(request.body or b"")]
        steps = Step.objects.filter(run=run).order_by("id").values_list("pk", flat=True)
        whole = [f"msg_r{run.pk}", *(f"msg_s{pk}" for pk in steps)]
        assert found == whole[: len(found)]
        assert found[-1] == own
        assert self.sent.setdefault((run.run_id, own), request.body) == request.body

    # -- what must hold

    @invariant()
    def all_is_as_expected(self) -> None:
        """1, 3, 4, 5."""
        journals: dict[int, list[str]] = {pk: [] for pk in self.runs}
        for pk, key in Step.objects.order_by("id").values_list("run_id", "key"):
            journals[pk].append(key)
        owed: dict[int, set[tuple[str, str]]] = {pk: set() for pk in self.runs}
        for pk, kind, key in Message.objects.values_list("run_id", "kind", "key"):
            owed[pk or 0].add((kind, key))
        live = set(Run.objects.live().values_list("pk", flat=True))
        assert live == {run.pk for run in self.runs.values() if run.live}
        assert journals == {pk: run.keys for pk, run in self.runs.items()}
        assert owed == {pk: run.owed for pk, run in self.runs.items()}
        assert sorted(Waiter.objects.values_list("run_id", "key", "event_id")) == sorted(
            (run.pk, key, event) for run in self.runs.values() for key, event in run.waits.items()
        )
        assert sorted(Event.objects.values_list("run_id", "event_id")) == sorted(
            (run.pk, event) for run in self.runs.values() for event in run.events
        )

    def _everything_settles(self) -> None:
        """3. Left in peace, all that is owed is delivered, and nobody waits any longer."""
        self.adopted = self.taken = False
        self.status = 200
        for _ in range(300):
            due = leases.next_due()
            if due is None:
                break
            self._move_to(max(due, engine_clock.now()))
            for lease in leases.claim(4):
                deliver(lease)
                self._expect_settled(self.runs[lease.run_id], lease, 200)
        assert not Message.objects.exists()
        assert not Waiter.objects.exists()
        self.all_is_as_expected()
        self._check_waits()

    def _check_waits(self) -> None:
        """4. What waited knows by what it ended."""
        ended = Step.objects.filter(kind="run").exclude(key__endswith=abandoned_key(""))
        for raw in ended.values_list("raw", flat=True):
            said = json.loads(bytes(raw or b""))
            if said.get("waitTimeout") is False:
                assert base64.b64decode(said["out"]) == b"yes"
            elif "waitTimeout" in said:
                assert "out" not in said


EXAMPLES = os.environ.get("MACHINE_EXAMPLES")
"""How many random examples to try instead of the usual ones, which are always the same."""


@pytest.mark.django_db
@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_whatever_befalls_remote_runs_the_journal_and_what_is_owed_are_as_expected() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=int(EXAMPLES or 100),
            stateful_step_count=40,
            derandomize=EXAMPLES is None,
            phases=[Phase.generate, Phase.shrink],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
