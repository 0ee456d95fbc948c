"""What comes of doing something at the same time, on a real database, with real commits."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.db.models import Model

from tests.conftest import Clock
from workflows_app import Context, FlowControlSpec, workflow
from workflows_app.conf import get_settings
from workflows_app.engine import clock as engine_clock
from workflows_app.engine import dead_letters, leases, ports, run_moves
from workflows_app.engine.delivery import deliver
from workflows_app.engine.drain import Crew
from workflows_app.engine.group_commit import GroupCommit
from workflows_app.engine.journal import Journal
from workflows_app.engine.leases import Lease
from workflows_app.engine.settling import retry, settle_turn
from workflows_app.engine.triggering import trigger
from workflows_app.engine.turn_writes import end_run, insert_steps
from workflows_app.errors import LeaseLost, Refused, RunEnded
from workflows_app.models import Account, Attempt, DeadLetter, FlowControl, Message, Run, Step
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.protocol.runs import (
    Canceled,
    Failed,
    FailedAttempt,
    Finished,
    StepKind,
    StepRecord,
    Suspended,
    TurnOutcome,
)
from workflows_app.worker.transport import WorkflowTransport

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")

PATIENCE = 20
"""Seconds after which a thread that still waits has deadlocked."""


@workflow("races-one-step")
def one_step(context: Context) -> int:
    return context.run("only", int, 1)


@workflow("races-two-calls")
def two_calls(context: Context) -> list[int]:
    def ask(name: str) -> Callable[[], int]:
        return lambda: context.call(name, url="http://peer.example/").status

    return context.parallel(ask("first"), ask("second"))


@workflow("races-retried-call")
def retried_call(context: Context) -> int:
    return context.call("ask", url="http://peer.example/", retries=3, retry_delay="0").status


@workflow("races-flaky", retries=1, retry_delay="60000")
def flaky(context: Context) -> None:
    if context.attempt == 1:
        raise ConnectionError


def always_fails(_: object = None) -> None:
    raise ZeroDivisionError


@workflow("races-failing", retries=0, failure_function=always_fails)
def failing(context: Context) -> None:
    context.run("fail", always_fails)


class ScriptedPeer(WorkflowTransport):
    """The rest of the world: answers every call the same way."""

    def __init__(self) -> None:
        self.status = 200
        self.before_settling: Callable[[], None] = lambda: None

    def take_turn(self, turn: ports.Turn) -> TurnOutcome:
        outcome = super().take_turn(turn)
        self.before_settling()
        return outcome

    def send(self, request: Outgoing) -> Answer:
        return Answer(status=self.status, headers={}, body=b"")


@pytest.fixture
def peer() -> Iterator[ScriptedPeer]:
    usual, scripted = ports.get_transport(), ScriptedPeer()
    ports.install_transport(scripted)
    try:
        yield scripted
    finally:
        ports.install_transport(usual)


def at_once(*functions: Callable[[], T]) -> list[T]:
    """Call each in a thread of its own, all let go at the same moment."""
    barrier = threading.Barrier(len(functions))

    def call(function: Callable[[], T]) -> T:
        try:
            barrier.wait(PATIENCE)
            return function()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(functions)) as pool:
        futures = [pool.submit(call, function) for function in functions]
        return [future.result(PATIENCE) for future in futures]


def in_thread(function: Callable[[], T]) -> T:
    return at_once(function)[0]


def claim_one() -> Lease:
    (lease,) = leases.claim(1)
    return lease


def a_step(key: str = "only", **changes: Any) -> StepRecord:
    now = engine_clock.now()
    record = StepRecord(
        key=key,
        name=key,
        kind=StepKind.RUN,
        branch="",
        input=None,
        result="1",
        error=None,
        attempts=1,
        started_at=now,
        ended_at=now,
    )
    return replace(record, **changes)


def rows() -> dict[str, list[dict[str, Any]]]:
    """All that the engine has stored."""
    models: list[type[Model]] = [Run, Step, Message, Attempt]
    return {
        model.__name__: [dict(row) for row in model._default_manager.order_by("pk").values()]
        for model in models
    }


# -- claiming


def test_two_claimers_never_get_the_same_message() -> None:
    one_step.trigger_many([None] * 120)

    def claim_all() -> list[int]:
        claimed: list[int] = []
        while found := leases.claim(3):
            claimed += [lease.message_id for lease in found]
        return claimed

    claimed = Counter(pk for each in at_once(*[claim_all] * 6) for pk in each)

    assert claimed == Counter(Message.objects.values_list("pk", flat=True))


# -- fencing


@pytest.fixture
def stolen(clock: Clock) -> tuple[Lease, Lease]:
    """The lease of a worker that was away too long, and that of the one that took over."""
    one_step.trigger()
    stale = claim_one()
    clock.advance(get_settings().LEASE)
    return stale, claim_one()


def fenced_verbs() -> dict[str, Callable[[Lease], object]]:
    now = engine_clock.now()
    attempt = FailedAttempt(
        key="only", number=1, error="{}", started_at=now, ended_at=now, retry_at=now
    )
    return {
        "record": lambda lease: Journal(lease).record([a_step()], []),
        "record an attempt": lambda lease: Journal(lease).record([], [attempt]),
        "atomic": lambda lease: Journal(lease).atomic(a_step),
        "suspend": lambda lease: settle_turn(lease, lease.run, Suspended(wake_at=now)),
        "finish": lambda lease: settle_turn(lease, lease.run, Finished(result="1")),
        "cancel": lambda lease: settle_turn(lease, lease.run, Canceled()),
        "fail": lambda lease: settle_turn(lease, lease.run, Failed(error="{}")),
        "retry": lambda lease: retry(lease, now),
    }


@pytest.mark.parametrize("verb", fenced_verbs())
def test_a_worker_that_lost_its_lease_can_write_nothing(
    verb: str, stolen: tuple[Lease, Lease]
) -> None:
    stale, _ = stolen
    before = rows()

    with pytest.raises(LeaseLost):
        fenced_verbs()[verb](stale)

    assert rows() == before


@pytest.mark.parametrize("verb", [leases.renew, leases.give_back])
def test_a_worker_that_lost_its_lease_can_neither_prolong_nor_release_it(
    verb: Callable[[list[Lease]], None], stolen: tuple[Lease, Lease], clock: Clock
) -> None:
    stale, _ = stolen
    before = rows()
    clock.advance("1s")

    verb([stale])

    assert rows() == before


def test_the_effects_of_an_atomic_step_vanish_with_its_lease(stolen: tuple[Lease, Lease]) -> None:
    stale, _ = stolen
    before = rows()

    def execute() -> StepRecord:
        FlowControl.objects.create(account_id=1, key="left behind", rate=1)
        return a_step()

    with pytest.raises(LeaseLost):
        Journal(stale).atomic(execute)

    assert rows() == before
    assert not FlowControl.objects.exists()


def test_a_lease_stolen_while_an_atomic_step_runs_has_to_wait_for_it(clock: Clock) -> None:
    one_step.trigger()
    lease = claim_one()
    inside, stolen_meanwhile = threading.Event(), []

    def execute() -> StepRecord:
        inside.set()
        # SQLite has one writer at a time: there the thief waits for the step's commit.
        time.sleep(0.3)
        return a_step()

    def steal() -> None:
        inside.wait(PATIENCE)
        with engine_clock.travel(engine_clock.now() + get_settings().LEASE):
            stolen_meanwhile.extend(leases.claim(1))

    at_once(lambda: Journal(lease).atomic(execute), steal)

    assert Step.objects.filter(key="only").count() == 1
    if connection.vendor == "postgresql":
        assert stolen_meanwhile == []


@contextmanager
def writes_held_up() -> Iterator[None]:
    """No one else can write a step while the block lasts."""
    table = "" if connection.vendor == "sqlite" else "LOCK TABLE workflows_app_step"
    with transaction.atomic(), connection.cursor() as cursor:
        if table:
            cursor.execute(table)
        yield


def write_together(*writes: Callable[[], int]) -> list[int | Exception]:
    """Have the writes share one commit: they queue up behind one that cannot go on yet."""
    one_step.trigger(workflow_run_id="the one that is waited for")
    first = claim_one()

    def outcome(write: Callable[[], int]) -> int | Exception:
        try:
            return write()
        except Exception as error:  # noqa: BLE001 - what came of it
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(writes) + 1) as pool:
        with writes_held_up():
            held_up = pool.submit(outcome, lambda: insert_steps(first, [a_step()]))
            time.sleep(0.2)
            queued = [pool.submit(outcome, write) for write in writes]
            time.sleep(0.2)
        assert held_up.result(PATIENCE) == 1
        return [each.result(PATIENCE) for each in queued]


def test_a_stale_lease_writes_nothing_even_in_one_commit_with_the_live_one(
    stolen: tuple[Lease, Lease],
) -> None:
    stale, live = stolen

    written = write_together(
        lambda: insert_steps(stale, [a_step("of the stale")]),
        lambda: insert_steps(live, [a_step("of the live")]),
    )

    assert written == [0, 1]
    keys = Step.objects.filter(run=live.run_id).values_list("key", flat=True)
    assert list(keys) == ["of the live"]


def test_of_two_results_for_a_step_in_one_commit_only_the_live_lease_has_written_one(
    stolen: tuple[Lease, Lease],
) -> None:
    stale, live = stolen

    written = write_together(
        lambda: insert_steps(stale, [a_step(result='"stale"')]),
        lambda: insert_steps(live, [a_step(result='"live"')]),
    )

    assert written == [0, 1]
    assert Step.objects.get(run=live.run_id).result == '"live"'


# -- sharing a commit


def test_a_write_that_the_database_refuses_does_not_fail_its_neighbours() -> None:
    one_step.trigger_many([None] * 3)
    good, bad, other = leases.claim(3)
    refused = a_step(attempts=-1)

    written = write_together(
        lambda: insert_steps(good, [a_step()]),
        lambda: insert_steps(bad, [refused]),
        lambda: insert_steps(other, [a_step()]),
    )

    assert (written[0], written[2]) == (1, 1)
    assert isinstance(written[1], DatabaseError)
    stored = Step.objects.filter(run__in=[good.run_id, bad.run_id, other.run_id])
    assert {step.run_id for step in stored} == {good.run_id, other.run_id}


def test_no_write_counts_as_stored_when_its_commit_was_interrupted() -> None:
    interrupt, begun, stored = KeyboardInterrupt(), threading.Event(), []

    def store(writes: list[str]) -> None:
        if writes == ["first"]:
            begun.wait(PATIENCE)
            return
        if "interrupted" in writes:
            raise interrupt
        stored.extend(writes)

    group: GroupCommit[str] = GroupCommit(store)

    def outcome(text: str) -> str | BaseException:
        try:
            return group.write(text)
        except BaseException as error:  # noqa: BLE001 - an interrupt is what this is about
            return error

    with ThreadPoolExecutor(3) as pool:
        pool.submit(outcome, "first")
        time.sleep(0.1)
        others = [pool.submit(outcome, text) for text in ("interrupted", "neighbour")]
        time.sleep(0.1)
        begun.set()
        results = [other.result(PATIENCE) for other in others]

    assert "neighbour" not in results or "neighbour" in stored
    assert group.write("later") == "later"


def test_many_runs_that_step_at_once_record_each_step_once() -> None:
    one_step.trigger_many([None] * 40)
    found = leases.claim(40)

    def record(lease: Lease) -> None:
        for number in range(5):
            Journal(lease).record([a_step(f"step {number}")], [])
        end_run(lease, Run.Status.SUCCEEDED, None, engine_clock.now())

    def record_all(some: list[Lease]) -> None:
        for lease in some:
            record(lease)

    at_once(*[partial(record_all, found[start::8]) for start in range(8)])

    recorded = Counter(Step.objects.values_list("run", flat=True))
    assert recorded == Counter(dict.fromkeys(Run.objects.values_list("pk", flat=True), 5))
    assert not Message.objects.exists()


# -- starting


def test_triggers_with_one_id_at_once_start_one_run() -> None:
    started = at_once(*[lambda: one_step.trigger(workflow_run_id="the-one")] * 8)

    assert sorted(each.deduplicated for each in started) == [False] + [True] * 7
    assert Run.objects.count() == 1
    assert Message.objects.count() == 1


def test_a_trigger_never_misses_both_the_run_that_ends_and_its_own() -> None:
    """The id is taken when the trigger wants it, and free again when it looks for who has it."""
    stop = threading.Event()

    def start_again_and_again() -> int:
        started = 0
        try:
            for _ in range(60):
                started += not one_step.trigger(workflow_run_id="the-one").deduplicated
        finally:
            stop.set()
        return started

    def end_again_and_again() -> int:
        ended = 0
        while not stop.is_set():
            ended += run_moves.cancel_all(Run.objects.filter(run_id="the-one"))
        return ended

    first, second, _ = at_once(start_again_and_again, start_again_and_again, end_again_and_again)

    assert first + second == Run.objects.count()
    assert Run.objects.live().count() == Message.objects.count() <= 1


def test_triggers_of_the_same_ids_in_another_order_do_not_wait_for_each_other_in_a_circle() -> None:
    ids = [f"run-{number}" for number in range(40)]
    account = Account.objects.default()

    def trigger_all(order: list[str]) -> list[str]:
        requests = [one_step.request(workflow_run_id=run_id) for run_id in order]
        return [started.run.run_id for started in trigger(account, requests)]

    assert at_once(lambda: trigger_all(ids), lambda: trigger_all(ids[::-1])) == [ids, ids[::-1]]
    assert Run.objects.count() == len(ids)


# -- notifications


def test_an_answer_that_comes_while_the_turn_is_at_work_is_not_lost(peer: ScriptedPeer) -> None:
    two_calls.trigger()
    deliver(claim_one())
    first, second = leases.claim(2)
    deliver(first)
    turn = claim_one()

    peer.before_settling = lambda: deliver(second)
    deliver(turn)
    deliver(claim_one())

    run = Run.objects.get()
    assert (run.status, run.result) == ("succeeded", "[200,200]")


def test_answers_and_turns_that_race_never_leave_a_run_asleep(peer: ScriptedPeer) -> None:
    two_calls.trigger_many([None] * 25)
    crew = Crew(6)
    try:
        crew.ring()
        deadline = time.monotonic() + PATIENCE
        while Run.objects.live().exists() and time.monotonic() < deadline:
            time.sleep(0.02)
            if leases.next_due() is not None:
                crew.ring()
    finally:
        crew.stop(grace=5)

    assert set(Run.objects.values_list("status", "result")) == {("succeeded", "[200,200]")}
    assert Counter(Step.objects.values_list("key", flat=True)) == {"first@1": 25, "second@2": 25}


# -- stopping in the middle


def test_a_function_that_failed_is_not_tried_again_early_because_its_worker_stops(
    clock: Clock,
) -> None:
    flaky.trigger()
    stopping = threading.Event()
    stopping.set()

    deliver(claim_one(), stopping)

    assert Attempt.objects.count() == 1
    assert leases.claim(1) == []

    clock.advance("1m")
    deliver(claim_one())
    assert Run.objects.get().status == "succeeded"


# -- limits


def limited(spec: FlowControlSpec, count: int) -> None:
    one_step.trigger_many([None] * count, flow_control=spec)


def test_claims_at_once_never_exceed_a_key_s_parallelism() -> None:
    limited(FlowControlSpec(key="narrow", parallelism=2), 30)
    lock, in_flight, most = threading.Lock(), [0], [0]

    def work() -> None:
        deadline = time.monotonic() + PATIENCE
        while Run.objects.live().exists() and time.monotonic() < deadline:
            for lease in leases.claim(3):
                with lock:
                    in_flight[0] += 1
                    most[0] = max(most[0], in_flight[0])
                time.sleep(0.002)
                with lock:
                    in_flight[0] -= 1
                end_run(lease, Run.Status.SUCCEEDED, None, engine_clock.now())

    at_once(*[work] * 5)

    assert most[0] <= 2
    assert Run.objects.filter(status="succeeded").count() == 30


def test_claims_at_once_never_exceed_a_key_s_rate(clock: Clock) -> None:
    limited(FlowControlSpec(key="slow", rate=4, period=timedelta(seconds=10)), 20)

    def claimed_by_six() -> int:
        return sum(len(found) for found in at_once(*[lambda: leases.claim(3)] * 6))

    started = [claimed_by_six() + claimed_by_six()]
    clock.advance("10s")
    started.append(claimed_by_six() + claimed_by_six())

    assert started == [4, 4]


def test_a_lease_that_ran_out_does_not_come_back_when_its_slot_is_taken(clock: Clock) -> None:
    limited(FlowControlSpec(key="narrow", parallelism=1), 2)
    late = claim_one()
    clock.advance(get_settings().LEASE)
    in_its_place = next(lease for lease in leases.claim(5))

    leases.renew([late, in_its_place])

    assert Message.objects.leased(clock.now).count() == 1


def end_all(found: list[Lease]) -> set[int]:
    for lease in found:
        end_run(lease, Run.Status.SUCCEEDED, None, engine_clock.now())
    return {lease.run_id for lease in found}


@pytest.mark.parametrize("backlog", [0, 300])
def test_a_limited_run_gets_its_turn_among_ever_new_ones_without_limits(backlog: int) -> None:
    limited(FlowControlSpec(key="narrow", parallelism=1), 1)
    run = Run.objects.get()
    one_step.trigger_many([None] * backlog)

    ended: set[int] = set()
    for _ in range(20):
        one_step.trigger()
        ended |= end_all(leases.claim(4))

    assert run.pk in ended


def test_a_key_with_a_long_backlog_does_not_hold_up_another() -> None:
    limited(FlowControlSpec(key="crowded", parallelism=100), 50)
    limited(FlowControlSpec(key="quiet", parallelism=1), 1)
    quiet = Run.objects.latest("pk")
    limited(FlowControlSpec(key="crowded", parallelism=100), 50)

    ended: set[int] = set()
    while quiet.pk not in ended:
        ended |= end_all(leases.claim(8))

    assert len(ended) <= 50 + 2 * 8


# -- ending


def test_of_finishing_and_cancelling_exactly_one_wins() -> None:
    wins: Counter[str] = Counter()
    for _ in range(30):
        one_step.trigger()
        lease = claim_one()
        run = Run.objects.get(pk=lease.run_id)

        def finish(lease: Lease = lease) -> str | None:
            try:
                end_run(lease, Run.Status.SUCCEEDED, "1", engine_clock.now())
            except LeaseLost:
                return None
            return "succeeded"

        def cancel(run: Run = run) -> str | None:
            try:
                run_moves.cancel(run)
            except RunEnded:
                return None
            return "canceled"

        winners = [each for each in at_once(finish, cancel) if each]
        run.refresh_from_db()
        assert winners == [run.status]
        wins[run.status] += 1

    assert sum(wins.values()) == 30
    assert not Message.objects.exists()


@pytest.mark.parametrize("ending", ["cancel", "fail"])
def test_a_run_can_end_while_one_of_its_calls_settles(ending: str, peer: ScriptedPeer) -> None:
    """Both write the run's rows and its messages; neither may wait for the other in a circle."""
    peer.status = 500
    for _ in range(15):
        retried_call.trigger()
        deliver(claim_one())
        call = claim_one()
        Message.objects.filter(run=call.run_id, kind="turn").update(due_at=engine_clock.now())
        turn = claim_one()

        def end(turn: Lease = turn) -> None:
            if ending == "cancel":
                run_moves.cancel(turn.run)
            else:
                settle_turn(turn, turn.run, Failed(error="{}"))

        at_once(partial(deliver, call), end)

    assert not Run.objects.live().exists()
    assert not Message.objects.exists()


@pytest.mark.postgres
@pytest.mark.parametrize("verb", [leases.renew, leases.give_back])
def test_a_lease_that_someone_has_locked_holds_up_no_other(
    verb: Callable[[list[Lease]], None],
) -> None:
    one_step.trigger_many([None] * 2)
    locked, other = leases.claim(2)
    before = Message.objects.in_bulk()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        Message.objects.select_for_update().get(pk=locked.message_id)
        pool.submit(at_once, lambda: verb([locked, other])).result(PATIENCE)

    after = Message.objects.in_bulk()
    assert after[locked.message_id].due_at == before[locked.message_id].due_at
    assert after[other.message_id].due_at != before[other.message_id].due_at


# -- dead letters


def failed_letter() -> DeadLetter:
    """Of a run whose failure function failed too."""
    failing.trigger()
    deliver(claim_one())
    deliver(claim_one())
    return DeadLetter.objects.latest("pk")


def test_nobody_is_told_of_a_failure_that_has_been_resumed() -> None:
    for _ in range(15):
        letter = failed_letter()

        def tell_again(letter: DeadLetter = letter) -> None:
            with suppress(Refused):
                dead_letters.retry_failure_callback(letter)

        at_once(partial(dead_letters.resume, letter), tell_again)

        assert not Message.objects.filter(kind="failure").exists()
        run_moves.cancel_all(Run.objects.live())
