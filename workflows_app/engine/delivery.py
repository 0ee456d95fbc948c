"""One delivery: load, hand over, settle. What a worker does with each message it has claimed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from django.db import InterfaceError, OperationalError

from workflows_app.engine import calls, clock, invoking, leases, pruning, schedules, terminating
from workflows_app.engine.crashes import give_up_if_crashed_too_often
from workflows_app.engine.database import drop_broken_connections, joining, settling
from workflows_app.engine.events import settle_timeout
from workflows_app.engine.failures import failure_exchange
from workflows_app.engine.history import add_attempts, load_history
from workflows_app.engine.leases import Lease, hold
from workflows_app.engine.locks import lock
from workflows_app.engine.outcomes import answer_for
from workflows_app.engine.pausing import park
from workflows_app.engine.ports import Exchange, Turn, TurnFailed, get_transport
from workflows_app.engine.prepared import fetch_prepared
from workflows_app.engine.publication_delivery import publication_exchange
from workflows_app.engine.remote import calling
from workflows_app.engine.remote import invoking as remote_invoking
from workflows_app.engine.remote.delivering import step_exchange
from workflows_app.engine.settling import fail, retry, settle_turn
from workflows_app.engine.withdrawing import is_withdrawn
from workflows_app.errors import LeaseLost, RollbackAsked, Stopping
from workflows_app.models import Attempt, Message, Run
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.exchange import Answer, SendFailed
from workflows_app.protocol.faults import describe_error
from workflows_app.protocol.runs import FailedAttempt, History, Suspended

logger = logging.getLogger("workflows_app")

_IS_LIVE = "SELECT 1 FROM workflows_app_run WHERE id = %s AND status || '' = 'running'"

DATABASE_PAUSE = timedelta(seconds=1)
"""How long a message rests after the database failed under its delivery."""


def begin(lease: Lease, stopping: threading.Event | None = None) -> Exchange | None:
    """Work on a claimed message, and settle it unless there is an exchange to be made first. What
    goes wrong is recorded or logged.
    """
    return _recording_faults(lease, partial(_begin_or_give_up, lease, stopping))


def exchange(pending: Exchange) -> Answer:
    """Make the exchange; what stands for an answer when none came. Uses no database."""
    try:
        return get_transport().send(pending.request)
    except SendFailed as failure:
        return answer_for(failure)
    except Exception:
        logger.exception("the request to %s could not be sent", pending.request.url)
        return answer_for(SendFailed("unreachable", "This server could not send the request."))


def settle(lease: Lease, pending: Exchange, answer: Answer) -> None:
    """Settle a message by the answer. What goes wrong is recorded or logged."""
    _recording_faults(lease, partial(pending.settle, answer))


def deliver(lease: Lease, stopping: threading.Event | None = None) -> None:
    """Deliver and settle in this thread, whatever the exchange takes."""
    pending = begin(lease, stopping)
    if pending is not None:
        settle(lease, pending, exchange(pending))


def _recording_faults(lease: Lease, work: Callable[[], Exchange | None]) -> Exchange | None:
    try:
        return work()
    except LeaseLost:
        _superseded(lease)
    except (Stopping, RollbackAsked):
        leases.give_back([lease])
    except (OperationalError, InterfaceError):
        logger.exception("the database failed during the delivery of message %s", lease.message_id)
        drop_broken_connections()
        _rest(lease)
    except Exception:
        logger.exception("the delivery of message %s failed", lease.message_id)
        _rest(lease)
    return None


def _begin_or_give_up(lease: Lease, stopping: threading.Event | None) -> Exchange | None:
    if lease.owner is not None and lease.owner.is_paused:
        park(lease)
        return None
    if lease.lapses and give_up_if_crashed_too_often(lease):
        return None
    return _begin(lease, stopping)


def _begin(lease: Lease, stopping: threading.Event | None) -> Exchange | None:
    match lease.kind:
        case Message.Kind.TURN:
            deliver_turn(lease, stopping)
            return None
        case Message.Kind.DELIVERY:
            return step_exchange(lease)
        case Message.Kind.CALL:
            return _call_exchange(lease)
        case Message.Kind.FAILURE:
            return failure_exchange(lease)
        case Message.Kind.PUBLICATION:
            return publication_exchange(lease)
    _WITHOUT_EXCHANGE[lease.kind](lease)
    return None


def _call_exchange(lease: Lease) -> Exchange:
    if lease.run.is_remote:
        return calling.call_exchange(lease)
    return calls.call_exchange(lease)


def _settle_report(lease: Lease) -> None:
    if lease.run.is_remote:
        remote_invoking.settle_report(lease)
    else:
        invoking.settle_report(lease)


_WITHOUT_EXCHANGE: dict[str, Callable[[Lease], None]] = {
    Message.Kind.TIMEOUT: settle_timeout,
    Message.Kind.REPORT: _settle_report,
    Message.Kind.SCHEDULE: schedules.fire,
    Message.Kind.TERMINATION: terminating.settle,
    Message.Kind.PRUNING: pruning.settle,
}


def deliver_turn(lease: Lease, stopping: threading.Event | None = None) -> None:
    """Have the workflow function go on, and settle how that ended. Raises LeaseLost, Stopping."""
    run = lease.run
    # Nothing can have been recorded before the first claim of a message.
    history = load_history(run, lease.request) if lease.claims > 1 else History()
    if run.undoing_at is not None:
        history = replace(history, roll_back=True, is_cut_short=lease.lapses > 0)
    started_at = clock.now()
    turn = Turn(run=run, history=history, lease=lease, stopping=stopping)
    try:
        settle_turn(lease, run, _rest_of(history) or get_transport().take_turn(turn))
    except (LeaseLost, Stopping, RollbackAsked, OperationalError, InterfaceError):
        raise
    except Exception as error:  # noqa: BLE001 - an endpoint may fail in any way
        described = error.error if isinstance(error, TurnFailed) else describe_error(error)
        _turn_failed(lease, run, history, described, started_at)


def _rest_of(history: History) -> Suspended | None:
    """For a run whose function has failed and was woken before the time of its next attempt."""
    failures = None if history.roll_back else history.failures.get("")
    if failures is None or failures.retry_at is None or failures.retry_at <= clock.now():
        return None
    return Suspended(wake_at=failures.retry_at)


def _turn_failed(
    lease: Lease, run: Run, history: History, error: str, started_at: datetime
) -> None:
    """The function could not be reached, or broke: try again by the run's policy, else fail the
    run.
    """
    failures = history.failures.get("")
    number = 1 + (failures.count if failures else 0)
    policy = RetryPolicy(retries=run.retries, delay_expression=run.retry_delay)
    delay = policy.delay_after(number - _failed_before_rollback(run))
    now = clock.now()
    attempt = FailedAttempt(
        key="",
        number=number,
        error=error,
        started_at=started_at,
        ended_at=now,
        retry_at=None if delay is None else now + delay,
    )
    with settling():
        hold(lease)
        add_attempts(run.pk, [attempt])
        if attempt.retry_at is None:
            fail(run, error)
        else:
            retry(lease, attempt.retry_at)


def _failed_before_rollback(run: Run) -> int:
    """The attempts at the function that came before that: what is done then has its own."""
    if run.undoing_at is None:
        return 0
    failed = Attempt.objects.filter(run=run, key="", outcome=Attempt.Outcome.FAILED)
    return failed.filter(ended_at__lte=run.undoing_at).count()


def _superseded(lease: Lease) -> None:
    """Show the attempt whose lease was lost, unless the run has simply ended meanwhile, or its
    branch has lost a race.
    """
    if lease.owner is None or not fetch_prepared(_IS_LIVE, [lease.run_id]):
        return
    with joining():
        lock(lease.run_id)
        run = Run.objects.live().filter(pk=lease.run_id).first()
        if run is not None and not is_withdrawn(run.pk, lease.key):
            _show_superseded(run, lease)


def _show_superseded(run: Run, lease: Lease) -> None:
    now = clock.now()
    logger.warning("run %s: another worker has taken over; this attempt is dropped", run.run_id)
    Attempt.objects.create(
        run=run,
        key=lease.key,
        outcome=Attempt.Outcome.SUPERSEDED,
        number=lease.claims,
        error=describe_error(LeaseLost()),
        started_at=now,
        ended_at=now,
    )


def _rest(lease: Lease) -> None:
    try:
        retry(lease, clock.now() + DATABASE_PAUSE)
    except Exception:
        logger.warning("message %s rests until its lease runs out", lease.message_id, exc_info=True)
