"""A machine fires the engine's verbs at random and looks, after each, whether all still holds.

Workers are leases that the machine has claimed. They deliver, die in the middle of a step, or come
back long after their lease ran out. The numbers in the checks are those of the invariants.
"""

from __future__ import annotations

import contextvars
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F, Q, QuerySet
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

from project.shop.models import Order
from workflows_app import Context, Failure, FlowControlSpec, StepError, workflow
from workflows_app.conf import get_settings
from workflows_app.engine import clock as engine_clock
from workflows_app.engine import dead_letters, leases, limits, pausing, ports, run_moves
from workflows_app.engine.delivery import deliver
from workflows_app.engine.leases import Lease
from workflows_app.errors import Refused, RunEnded
from workflows_app.models import Attempt, DeadLetter, Message, Run, Step
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.protocol.faults import is_cancellation
from workflows_app.worker.transport import WorkflowTransport

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)

LIMITS = {
    "": None,
    "narrow": FlowControlSpec(key="narrow", parallelism=1),
    "slow": FlowControlSpec(key="slow", rate=2, period=timedelta(seconds=10)),
    "both": FlowControlSpec(key="both", parallelism=2, rate=3, period=timedelta(seconds=5)),
}


class Killed(BaseException):
    """The worker's process has ended here."""


@workflow("machine", retries=1, retry_delay="1000")
def planned(context: Context) -> int:
    """Does what its payload lists."""
    for number, deed in enumerate(context.request_payload):
        DEEDS[deed](context, f"{deed}-{number}")
    return len(context.request_payload)


@planned.on_failure
def told(failure: Failure) -> str:
    world().meet_fate()
    if failure.attempt == 1:
        raise ConnectionError("tell me again")
    return failure.workflow_run_id


def _run(context: Context, name: str) -> None:
    context.run(name, world().execute, context.workflow_run_id, name)


def _place_order(context: Context, name: str) -> None:
    context.atomic(name, world().place_order, context.workflow_run_id, name)


def _call(context: Context, name: str) -> None:
    context.call(name, url="http://peer.example/", retries=1, retry_delay="1000")


def _branch_out(context: Context, name: str) -> None:
    key = f"{name}-left@1"
    context.parallel(
        lambda: context.run(f"{name}-left", world().execute, context.workflow_run_id, key),
        lambda: context.sleep(f"{name}-nap", "3s"),
        lambda: context.call(f"{name}-call", url="http://peer.example/"),
    )


def _overlap(context: Context, name: str) -> None:
    """Be at work while a call is on its way."""

    def work_soon() -> None:
        context.sleep(f"{name}-nap", "1s")
        key = f"{name}-work@2"
        context.run(f"{name}-work", world().execute, context.workflow_run_id, key)

    context.parallel(
        lambda: context.call(f"{name}-call", url="http://peer.example/").status, work_soon
    )


def _race(context: Context, name: str) -> None:
    """A call that comes first, or never, against a step and the end of patience."""

    def work_slowly() -> None:
        context.sleep(f"{name}-nap", "2s")
        context.run(f"{name}-work", _execute, context)

    context.race(
        partial(_slow_call, context, name),
        work_slowly,
        lambda: context.wait_for_event(f"{name}-wait", "never"),
        lambda: context.race(
            lambda: context.sleep(f"{name}-rest", "3s"),
            lambda: context.call(f"{name}-ask", url="http://peer.example/", retries=1),
        ),
    )


def _map(context: Context, name: str) -> None:
    def one(number: int) -> None:
        context.run(f"{name}-one", _execute, context)
        context.sleep(f"{name}-nap-{number}", "1s")

    context.map(one, range(3), concurrency=2)


def _execute(context: Context) -> str:
    key = context.idempotency_key.split(":", 2)[2]
    return world().execute(context.workflow_run_id, key)


def _withdraw(context: Context, name: str) -> None:
    """Cancel the run while a call is still owed."""

    def cancel_soon() -> None:
        context.sleep(f"{name}-nap", "2s")
        context.cancel()

    context.parallel(partial(_slow_call, context, name), cancel_soon)


def _collapse(context: Context, name: str) -> None:
    """Fail the run while a call is still owed."""

    def fail_soon() -> None:
        context.sleep(f"{name}-nap", "2s")
        context.run(name, world().always_fail)

    context.parallel(partial(_slow_call, context, name), fail_soon)


def _slow_call(context: Context, name: str) -> None:
    url = "http://unwell.example/"
    context.call(f"{name}-call", url=url, retries=3, retry_delay="30000")


def _fail_and_go_on(context: Context, name: str) -> None:
    with suppress(StepError):
        context.run(name, world().always_fail)


DEEDS: dict[str, Callable[[Context, str], object]] = {
    "run": _run,
    "atomic": _place_order,
    "sleep": lambda context, name: context.sleep(name, "7s"),
    "call": _call,
    "branches": _branch_out,
    "overlap": _overlap,
    "race": _race,
    "map": _map,
    "flaky": lambda context, name: context.run(name, world().fail_at_first, context),
    "broken": lambda context, _: world().fail_at_first(context),
    "caught": _fail_and_go_on,
    "fail": lambda context, name: context.run(name, world().always_fail),
    "cancel": lambda context, _: context.cancel(),
    "withdraw": _withdraw,
    "collapse": _collapse,
}
ENDS = {"fail": "failed", "collapse": "failed", "cancel": "canceled", "withdraw": "canceled"}
"""How a run ends that comes to this deed; others succeed."""

PLANS = st.tuples(
    st.lists(st.sampled_from([deed for deed in DEEDS if deed not in ENDS]), max_size=3),
    st.sampled_from([[], [], [], *([deed] for deed in ENDS)]),
).map(lambda parts: [*parts[0], *parts[1]])

MANY = 4
"""Runs that are alive at the same time; more would only be waited for."""
MEANWHILE = [
    "nothing",
    "death",
    "another delivery",
    "a cancel",
    "a wake",
    "a pause",
    "a pause and its end",
    "a takeover",
    "a takeover that delivers",
]
"""What may happen while a step of a delivery is at work."""


_world: Machine | None = None


def world() -> Machine:
    assert _world is not None
    return _world


class Peer(WorkflowTransport):
    """The rest of the world: unwell at every third request."""

    def __init__(self) -> None:
        self.requests = 0

    def send(self, request: Outgoing) -> Answer:
        world().meet_fate()
        self.requests += 1
        well = self.requests % 3 and "unwell" not in request.url
        return Answer(status=200 if well else 503, headers={}, body=b"fine")


@contextmanager
def rolled_back() -> Iterator[None]:
    """What an example stores vanishes with it; the engine takes this for a test's transaction."""
    atomic = transaction.atomic()
    atomic._from_testcase = True  # type: ignore[attr-defined]  # as Django's own test cases do
    with atomic:
        yield
        transaction.set_rollback(True)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        global _world
        _world = self
        self._stack = ExitStack()
        self._time = ExitStack()
        self.now = NOON
        self.held: list[Lease] = []
        self.live: dict[int, tuple[str, datetime]] = {}
        """The lease that each message is under, as far as the machine knows, and its end."""
        self.stale = False
        """Whether the delivery under way has lost its lease."""
        self.steps_until_fate = 0
        self.fate_kind = "nothing"
        self.fate: Callable[[], None] = lambda: None
        self.canceled: set[int] = set()
        self.journal: dict[Any, dict[str, Any]] = {}
        self.ended: dict[int, str] = {}
        self.windows: dict[str, tuple[datetime, int]] = {}

    @initialize(runs=st.lists(st.tuples(PLANS, st.sampled_from(sorted(LIMITS))), min_size=2))
    def begin(self, runs: list[tuple[list[str], str]]) -> None:
        self._stack.enter_context(rolled_back())
        # Whose turn it is depends on how often was claimed before: each example begins anew.
        leases._claims = count(1)
        limits._Turns.last_key = 0
        usual = ports.get_transport()
        ports.install_transport(Peer())
        self._stack.callback(ports.install_transport, usual)
        self._stack.callback(self._time.close)
        self._move_to(NOON)
        for plan, limit in runs[:MANY]:
            planned.trigger(plan, flow_control=LIMITS[limit])

    def teardown(self) -> None:
        try:
            if Run.objects.exists():
                self._everything_ends()
        finally:
            self._stack.close()

    def _move_to(self, moment: datetime) -> None:
        self._time.close()
        self.now = moment
        self._time.enter_context(engine_clock.travel(moment))

    # -- what steps do

    def execute(self, run_id: str, key: str) -> str:
        self.meet_fate()
        recorded = Step.objects.filter(run__live_id=run_id, key=key)
        assert self.stale or not recorded.exists(), f"{key} runs again, though it is recorded"
        return key

    def place_order(self, run_id: str, name: str) -> int:
        order = Order.objects.create(customer=name, run_id=run_id)
        if self.fate_kind == "death":
            # All else would have to wait: this step's transaction has the lease locked.
            self.meet_fate()
        return order.pk

    def fail_at_first(self, context: Context) -> None:
        self.meet_fate()
        if context.attempt == 1:
            raise ConnectionError("not yet")

    def always_fail(self) -> None:
        self.meet_fate()
        raise ZeroDivisionError

    def meet_fate(self) -> None:
        """Have happen what is to happen while this step is at work."""
        self.steps_until_fate -= 1
        if self.steps_until_fate == 0:
            # As in another thread: what runs there is not inside this step.
            contextvars.Context().run(self.fate)

    @staticmethod
    def _live() -> int:
        return Run.objects.live().count()

    # -- verbs

    @precondition(lambda self: self._live() < MANY)
    @rule(plan=PLANS, limit=st.sampled_from(sorted(LIMITS)), delay=st.sampled_from([None, "4s"]))
    def trigger(self, plan: list[str], limit: str, delay: str | None) -> None:
        started = planned.trigger(plan, flow_control=LIMITS[limit], delay=delay)
        assert not started.deduplicated

    @precondition(lambda self: self._live() < MANY)
    @rule(plan=PLANS, run_id=st.sampled_from(["one", "two"]), commits=st.booleans())
    def trigger_named(self, plan: list[str], run_id: str, *, commits: bool) -> None:
        """7."""
        there = Run.objects.filter(live_id=run_id).exists()
        before = (Run.objects.count(), Message.objects.count())
        with transaction.atomic():
            started = planned.trigger(plan, workflow_run_id=run_id)
            transaction.set_rollback(not commits)
        assert started.workflow_run_id == run_id
        assert started.deduplicated == there
        new = 1 if commits and not there else 0
        assert (Run.objects.count(), Message.objects.count()) == (before[0] + new, before[1] + new)

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        found = leases.claim(limit)
        assert len(found) <= limit
        for lease in found:
            self._check_claimed(lease)
        self.held += found

    def _check_claimed(self, lease: Lease) -> None:
        """2, 6."""
        token, until = self.live.get(lease.message_id, ("", self.now))
        assert until <= self.now, f"message {lease.message_id} is under the lease {token}"
        self.live[lease.message_id] = (lease.token, self.now + get_settings().LEASE)
        control = Message.objects.get(pk=lease.message_id).flow_control
        if control is not None and control.rate is not None:
            begun, count = self.windows.get(control.key, (self.now, 0))
            if begun + control.period <= self.now:
                begun, count = self.now, 0
            self.windows[control.key] = (begun, count + 1)
            assert count + 1 <= control.rate

    @rule(limit=st.integers(1, 4))
    def work(self, limit: int) -> None:
        """As a worker does that waits until something is due and that nothing befalls."""
        self.advance_to_what_is_due()
        already = len(self.held)
        self.claim(limit)
        for lease in self.held[already:]:
            self._deliver(lease)

    @precondition(lambda self: self._live())
    @rule(data=st.data(), fate=st.sampled_from(MEANWHILE), after=st.integers(1, 3))
    def deliver(self, data: st.DataObject, fate: str, after: int) -> None:
        if not self.held:
            self.advance_to_what_is_due()
            self.claim(4)
        if not self.held:
            return
        lease = self._one_of(data, self.held)
        self.steps_until_fate, self.fate_kind = after, fate
        self.fate = partial(self._meanwhile, fate, lease)
        with suppress(Killed):
            self._deliver(lease)
        self.steps_until_fate = 0

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def die_at_once(self, data: st.DataObject) -> None:
        self.held.remove(self._one_of(data, self.held))

    def _meanwhile(self, fate: str, lease: Lease) -> None:
        match fate:
            case "death":
                raise Killed
            case "another delivery":
                self.claim(4)
                for other in [each for each in self.held if each.run_id == lease.run_id][:1]:
                    self._deliver(other)
            case "a cancel":
                self._cancel(lease.run)
            case "a wake":
                with suppress(Refused):
                    run_moves.wake(lease.run)
            case "a pause" | "a pause and its end":
                with suppress(RunEnded):
                    pausing.pause(lease.run)
                    if "end" in fate:
                        pausing.resume(lease.run)
            case "a takeover" | "a takeover that delivers":
                self._take_over(lease, fate)

    def _take_over(self, lease: Lease, fate: str) -> None:
        self._move_to(self.now + get_settings().LEASE)
        already = len(self.held)
        self.claim(4)
        taken = [each for each in self.held[already:] if each.message_id == lease.message_id]
        self.stale = bool(taken) or self.stale
        if taken and "delivers" in fate:
            self._deliver(taken[0])

    def _deliver(self, lease: Lease) -> None:
        """2. Nothing comes of a delivery whose lease another worker has, or whose run has ended.
        Nor is begun what was claimed of a paused run.
        """
        self.held.remove(lease)
        before, self.stale = self.stale, not self._is_held(lease)
        stored = self._rows() if self.stale else None
        recorded = self._recorded(lease) if lease.run.is_paused else None
        deliver(lease)
        if stored is not None and self.steps_until_fate > 0:
            assert self._rows() == stored
        assert recorded is None or self._recorded(lease) == recorded
        self.stale = before
        self._forget_lease(lease)

    @staticmethod
    def _recorded(lease: Lease) -> tuple[int, int]:
        return lease.run.steps.count(), lease.run.attempts.exclude(outcome="superseded").count()

    @staticmethod
    def _is_held(lease: Lease) -> bool:
        return Message.objects.held(lease.message_id, lease.token).exists()

    def _forget_lease(self, lease: Lease) -> None:
        if self.live.get(lease.message_id, ("",))[0] == lease.token:
            del self.live[lease.message_id]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), renews=st.booleans())
    def come_back_late(self, data: st.DataObject, *, renews: bool) -> None:
        """From a pause longer than the lease, in which others went on."""
        lease = self._one_of(data, self.held)
        self._move_to(self.now + get_settings().LEASE)
        self.claim(4)
        if renews:
            self._renew(lease)
            self.no_key_exceeds_its_parallelism()
        self._deliver(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        self._renew(self._one_of(data, self.held))

    def _renew(self, lease: Lease) -> None:
        leases.renew([lease])
        if Message.objects.leased(self.now).filter(token=lease.token, pk=lease.message_id).exists():
            self.live[lease.message_id] = (lease.token, self.now + get_settings().LEASE)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        lease = self._one_of(data, self.held)
        leases.give_back([lease])
        self.held.remove(lease)
        self._forget_lease(lease)

    @rule(seconds=st.sampled_from([1, 3, 7, 16]))
    def advance(self, seconds: int) -> None:
        self._move_to(self.now + timedelta(seconds=seconds))

    def advance_to_what_is_due(self) -> None:
        due = leases.next_due()
        if due is not None and due > self.now:
            self._move_to(due)

    @precondition(lambda self: self._live() == MANY)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self._cancel(self._one_of(data, list(Run.objects.order_by("pk"))))

    def _cancel(self, run: Run) -> None:
        if Run.objects.live().filter(pk=run.pk).exists():
            run_moves.cancel(run)
            self.canceled.add(run.pk)
            assert Run.objects.get(pk=run.pk).status == "canceled"
        else:
            with pytest.raises(RunEnded):
                run_moves.cancel(run)

    @precondition(lambda self: Run.objects.exists())
    @rule(data=st.data())
    def wake(self, data: st.DataObject) -> None:
        run = self._one_of(data, list(Run.objects.order_by("pk")))
        if run.is_live and not run.is_paused:
            run_moves.wake(run)
        else:
            with pytest.raises(Refused):
                run_moves.wake(run)

    @precondition(lambda self: self._live())
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        pausing.pause(self._one_of(data, list(Run.objects.live().order_by("pk"))))

    @precondition(lambda self: Run.objects.exists())
    @rule(data=st.data())
    def end_pause(self, data: st.DataObject) -> None:
        run = self._one_of(data, list(Run.objects.order_by("pk")))
        with nullcontext() if run.is_live else pytest.raises(RunEnded):
            pausing.resume(run)

    @precondition(lambda self: DeadLetter.objects.exists())
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        self._succeed(self._letter(data), dead_letters.resume)

    @precondition(lambda self: DeadLetter.objects.exists())
    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        new = self._succeed(self._letter(data), dead_letters.restart)
        assert not new.steps.exists()

    def _succeed(self, letter: DeadLetter, verb: Any) -> Run:
        new: Run = verb(letter)
        assert (new.status, new.origin_id) == ("running", letter.run_id)
        assert not DeadLetter.objects.filter(pk=letter.pk).exists()
        return new

    @precondition(lambda self: DeadLetter.objects.exists())
    @rule(data=st.data())
    def delete_dead_letter(self, data: st.DataObject) -> None:
        letter = self._letter(data)
        assert dead_letters.delete(DeadLetter.objects.filter(pk=letter.pk)) == 1

    @precondition(lambda self: DeadLetter.objects.exists())
    @rule(
        data=st.data(), verb=st.sampled_from(["retry_failure_callback", "cancel_failure_callback"])
    )
    def failure_callback(self, data: st.DataObject, verb: str) -> None:
        with suppress(Refused):
            getattr(dead_letters, verb)(self._letter(data))

    def _letter(self, data: st.DataObject) -> DeadLetter:
        found: DeadLetter = self._one_of(data, list(DeadLetter.objects.order_by("pk")))
        return found

    @staticmethod
    def _one_of(data: st.DataObject, things: list[Any]) -> Any:
        return things[data.draw(st.integers(0, len(things) - 1))]

    # -- what must hold

    @invariant()
    def all_holds(self) -> None:
        self.the_journal_only_grows()
        self.each_step_has_one_result()
        self.what_an_atomic_step_wrote_is_there_once_it_is_recorded_and_not_before()
        self.a_live_run_has_one_turn_and_an_ended_one_nothing()
        self.an_ended_run_stays_as_it_ended()
        self.no_key_exceeds_its_parallelism()
        self.something_due_is_announced()

    def _rows(self) -> list[list[dict[str, Any]]]:
        """All but what an attempt that was superseded may leave."""
        tables: list[QuerySet[Any]] = [
            Run.objects.all(),
            Step.objects.all(),
            Message.objects.all(),
            Order.objects.all(),
            Attempt.objects.exclude(outcome="superseded"),
        ]
        return [list(table.order_by("pk").values()) for table in tables]

    def the_journal_only_grows(self) -> None:
        """1. All that may change is the end of a sleep: waking its run does, and losing a race."""
        rows = {}
        for row in map(dict, Step.objects.values()):
            row.pop("ended_at")
            if row["kind"] == "sleep" and is_cancellation(str(row["error"])):
                row["error"] = None
            rows[row["id"]] = row
        assert {pk: rows.get(pk) for pk in self.journal} == self.journal
        self.journal = rows

    def each_step_has_one_result(self) -> None:
        """1."""
        counted = Counter(Step.objects.values_list("run", "key"))
        assert set(counted.values()) <= {1}

    def what_an_atomic_step_wrote_is_there_once_it_is_recorded_and_not_before(self) -> None:
        """3."""
        written = Counter(Order.objects.values_list("run_id", flat=True))
        copies = Q(run__origin__isnull=False, started_at__lt=F("run__created_at"))
        recorded = Step.objects.filter(kind="atomic").exclude(copies)
        assert written == Counter(recorded.values_list("run__run_id", flat=True))

    def a_live_run_has_one_turn_and_an_ended_one_nothing(self) -> None:
        """5. The failure callback is owed by the dead letter of a run that has ended."""
        turns = Counter(Message.objects.filter(kind="turn").values_list("run", flat=True))
        live = Run.objects.live()
        assert turns == Counter(live.values_list("pk", flat=True))
        others = Message.objects.exclude(run__in=live)
        assert set(others.values_list("kind", flat=True)) <= {"failure"}
        telling = DeadLetter.objects.filter(callback_state="in_progress")
        assert set(others.values_list("run", flat=True)) == set(
            telling.values_list("run", flat=True)
        )

    def an_ended_run_stays_as_it_ended(self) -> None:
        """5."""
        ended = dict(Run.objects.ended().values_list("pk", "status"))
        assert {pk: ended.get(pk) for pk in self.ended} == self.ended
        self.ended = ended

    def no_key_exceeds_its_parallelism(self) -> None:
        """6."""
        leased = Message.objects.leased(self.now).filter(flow_control__parallelism__isnull=False)
        in_flight = Counter(leased.values_list("flow_control__key", flat=True))
        for key, deliveries in in_flight.items():
            spec = LIMITS[key]
            assert spec is not None
            assert deliveries <= (spec.parallelism or deliveries)

    def something_due_is_announced(self) -> None:
        """3. The doorbell rings no later than when something can be claimed."""
        free = Message.objects.due(self.now).filter(flow_control=None)
        if free.exists():
            due = leases.next_due()
            assert due is not None
            assert due <= self.now

    def _everything_ends(self) -> None:
        """3. Whatever was done to it, each run ends once workers are left in peace."""
        self.stale = False
        for run in Run.objects.live():
            pausing.resume(run)
        for _ in range(400):
            due = leases.next_due()
            if due is None:
                break
            if due > self.now:
                self._move_to(due)
            for lease in leases.claim(4):
                deliver(lease)
        assert not Run.objects.live().exists()
        assert not Message.objects.exists()
        self.all_holds()
        for run in Run.objects.exclude(pk__in=self.canceled):
            plan = json.loads(bytes(run.payload))
            assert run.status == (ENDS.get(plan[-1], "succeeded") if plan else "succeeded")


EXAMPLES = os.environ.get("MACHINE_EXAMPLES")
"""How many random examples to try instead of the usual ones, which are always the same."""


@pytest.mark.django_db
@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_whatever_is_done_in_whatever_order_the_invariants_hold() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=int(EXAMPLES or 40),
            stateful_step_count=50,
            derandomize=EXAMPLES is None,
            phases=[Phase.generate, Phase.shrink],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
