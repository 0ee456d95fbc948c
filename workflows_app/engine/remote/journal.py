"""The journal of remote runs: what was published, in the order in which it was accepted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.database import fetch_sql, for_update
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.prepared import fetch_prepared, fetch_row, insert
from workflows_app.errors import LimitExceeded, Refused, RunEnded
from workflows_app.models import Account, FlowControl, Message, Run, Step
from workflows_app.protocol.delivery_options import DeliveryOptions
from workflows_app.protocol.durations import format_duration
from workflows_app.protocol.ids import step_message_id
from workflows_app.protocol.published import Element
from workflows_app.protocol.publishing import Accepted
from workflows_app.protocol.runs import StepKind
from workflows_app.protocol.texts import storable

_LONGEST_NAME = 255

_LIVE = "WHERE live_id = %s AND account_id + 0 = %s "
_STEP = "SELECT id FROM workflows_app_step WHERE run_id = %s AND key = %s"


def lock_live(account: Account, run_id: str) -> Run:
    """The live remote run, locked: what it accepts has one order. In a transaction.

    Raises RunEnded, for an unknown run too: its endpoint can do nothing about either.
    """
    live = fetch_row(Run, _LIVE + for_update(), [run_id, account.pk])
    if live is None:
        raise RunEnded(f'run "{run_id}" is unknown here or has ended; it accepts nothing more')
    if not live.is_remote:
        raise Refused(
            f'run "{run_id}" is worked on by this server, which records its steps and its end '
            "itself: leave both to it"
        )
    return live


def accepted_as(run: Run, key: str) -> Accepted | None:
    """What was accepted for this step of a locked run, if anything was."""
    found = fetch_prepared(_STEP, [run.pk, key])
    return Accepted(message_id=step_message_id(found[0][0]), deduplicated=True) if found else None


def append(  # noqa: PLR0913 - the columns of a step
    run: Run,
    *,
    key: str,
    name: str,
    kind: StepKind,
    raw: bytes,
    details: str | None = None,
    due_at: datetime | None = None,
) -> Step:
    """Add an element to the step list of a locked run."""
    now = clock.now()
    step = Step(
        run=run,
        key=key,
        name=shown_name(name),
        kind=kind.value,
        input=details,
        raw=raw,
        started_at=now,
        ended_at=max(now, due_at or now),
    )
    insert(step)
    return step


def owe_delivery(
    run: Run,
    step: Step,
    options: DeliveryOptions | None = None,
    flow_control: FlowControl | None = None,
) -> None:
    """Have the endpoint get the list up to this step, once that is due."""
    owed = Message(
        account_id=run.account_id,
        run=run,
        kind=Message.Kind.DELIVERY,
        key=step.key,
        request=encode_options(options) if options is not None else "",
        due_at=step.ended_at,
        flow_control_id=flow_control.pk if flow_control else run.flow_control_id,
        created_at=step.started_at,
    )
    insert(owed)
    get_dispatcher().ring()


def shown_name(name: str) -> str:
    """A step's name as the journal has it; the published bytes keep it whole."""
    return storable(name)[:_LONGEST_NAME]


def encode_options(options: DeliveryOptions) -> str:
    """Nothing, where they say nothing."""
    encoded = options.encode()
    return "" if encoded == "{}" else encoded


def due_at(delay: timedelta | None, not_before: datetime | None) -> datetime:
    """Raises LimitExceeded."""
    now, most = clock.now(), get_settings().MAX_DELAY
    moment = not_before if not_before is not None else now + (delay or timedelta())
    if moment - now > most:
        raise LimitExceeded(f"a step can be delayed by at most {format_duration(most)}")
    return max(now, moment)


_UP_TO = """
    SELECT id, raw, kind FROM workflows_app_step
    WHERE run_id = %s
    AND id + 0 <= (SELECT id FROM workflows_app_step WHERE run_id = %s AND key = %s)
    ORDER BY id + 0
"""
_ALL = "SELECT id, raw, kind FROM workflows_app_step WHERE run_id = %s ORDER BY id"


def elements_up_to(run: Run, key: str) -> list[Element]:
    """The step list after the run's start, as it was when the step of this key was accepted; the
    same however often it is delivered.
    """
    return _elements(fetch_prepared(_UP_TO, [run.pk, run.pk, key])) if key else []


def all_elements(run: Run) -> list[Element]:
    return _elements(fetch_sql(_ALL, [run.pk]))


def _elements(rows: Iterable[tuple[int, bytes | None, str]]) -> list[Element]:
    return [Element(step_message_id(pk), bytes(raw or b""), kind) for pk, raw, kind in rows]
