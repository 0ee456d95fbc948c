"""What can be done with failed runs: resume, restart, delete, tell their failure function again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet

from workflows_app.engine import clock
from workflows_app.engine.database import joining
from workflows_app.engine.flow_control import flow_control_of
from workflows_app.engine.invoking import take_over
from workflows_app.engine.ports import get_dispatcher, get_transport
from workflows_app.engine.remote import resuming as remote_resuming
from workflows_app.engine.resuming import is_all_undone, steps_to_keep
from workflows_app.engine.settling import owe_failure_callback
from workflows_app.engine.successors import store, successor
from workflows_app.engine.triggering import (
    check_delay,
    check_payload,
    check_policy,
    encode_labels,
    first_message,
)
from workflows_app.errors import DeadLetterNotFound, Refused
from workflows_app.models import Account, DeadLetter, Message, Run, Step
from workflows_app.protocol.ids import new_run_id, parse_dead_letter_id
from workflows_app.protocol.runs import FlowControlSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a resumed or restarted run does differently from the one that failed; None means
    nothing.
    """

    retries: int | None = None
    retry_delay: str | None = None
    delay: timedelta | None = None
    failure_url: str | None = None
    labels: tuple[str, ...] | None = None
    flow_control: FlowControlSpec | None = None
    payload: tuple[bytes, str] | None = None
    """With its content type."""


NOTHING = Overrides()


def find_dead_letter(account: Account, public_id: str) -> DeadLetter:
    """Raises DeadLetterNotFound."""
    _, pk = parse_dead_letter_id(public_id)
    letter = DeadLetter.objects.of(account).select_related("run").filter(pk=pk).first()
    if letter is None or letter.public_id != public_id:
        raise DeadLetterNotFound(
            f'there is no entry "{public_id}" in the dead letter queue of this account'
        )
    return letter


def resume(letter: DeadLetter, overrides: Overrides = NOTHING) -> Run:
    """Start a run that goes on where this one failed: finished steps keep their results.

    One that was being rolled back goes on with that, and is refused when nothing is left to undo.
    Raises InvalidInput, Refused, and DeadLetterNotFound when someone else was faster.
    """
    return _succeed(letter, overrides, _go_on)


def restart(letter: DeadLetter, overrides: Overrides = NOTHING) -> Run:
    """Start a run with the same payload and options that runs all steps again; raises as `resume`
    does.
    """
    return _succeed(letter, overrides, _begin_anew)


def resume_all(letters: Iterable[DeadLetter], overrides: Overrides = NOTHING) -> list[Run]:
    """Resume all of them or, when one raises, none."""
    with joining():
        return [resume(letter, overrides) for letter in letters]


def restart_all(letters: Iterable[DeadLetter], overrides: Overrides = NOTHING) -> list[Run]:
    """Restart all of them or, when one raises, none."""
    with joining():
        return [restart(letter, overrides) for letter in letters]


def delete(letters: QuerySet[DeadLetter]) -> int:
    """Remove the entries; their runs stay, as failed. How many there were."""
    with joining():
        runs = list(letters.values_list("run_id", flat=True))
        callbacks = Message.objects.filter(kind=Message.Kind.FAILURE, run__in=runs)
        callbacks.delete()
        deleted = letters.delete()[0]
        # Only now can nobody have them told again.
        callbacks.delete()
        return deleted


def retry_failure_callback(letter: DeadLetter) -> None:
    """Tell the failure function or URL again. Raises Refused unless telling it had failed."""
    state = DeadLetter.CallbackState
    with joining():
        failed = DeadLetter.objects.filter(pk=letter.pk, callback_state=state.FAILED)
        if not get_transport().handles_failure(letter.run) or not failed.update(
            callback_state=state.IN_PROGRESS
        ):
            raise Refused(f"run {letter.run.run_id} has no failed failure callback to retry")
        owe_failure_callback(letter.run, clock.now())


def cancel_failure_callback(letter: DeadLetter) -> None:
    """Stop telling the failure function or URL. Raises Refused unless that is under way."""
    state = DeadLetter.CallbackState
    with joining():
        owed = Message.objects.filter(run_id=letter.run_id, kind=Message.Kind.FAILURE)
        telling = DeadLetter.objects.filter(pk=letter.pk, callback_state=state.IN_PROGRESS)
        if not owed.delete()[0] or not telling.update(callback_state=state.CANCELED):
            raise Refused(f"run {letter.run.run_id} has no failure callback under way to cancel")


def _succeed(
    letter: DeadLetter, overrides: Overrides, begin: Callable[[Run, Run, timedelta], None]
) -> Run:
    """Make the failed run's successor. Who deletes the entry makes it, so there is one."""
    check_delay(overrides.delay)
    if overrides.payload is not None:
        check_payload(overrides.payload[0])
    check_policy(
        retries=overrides.retries,
        retry_delay=overrides.retry_delay,
        failure_url=overrides.failure_url,
        labels=overrides.labels or (),
        flow_control=overrides.flow_control,
    )
    with joining():
        # The failed run keeps its own end.
        if not delete(DeadLetter.objects.filter(pk=letter.pk)):
            raise DeadLetterNotFound(
                f"entry {letter.public_id} has been resumed, restarted or deleted already"
            )
        old = letter.run
        new = _successor(old, overrides)
        store(new)
        begin(old, new, overrides.delay or timedelta())
        get_dispatcher().ring()
    return new


def _successor(old: Run, overrides: Overrides) -> Run:
    new = successor(old, new_run_id(), clock.now())
    new.live_id = new.id_while_live
    new.flow_control = flow_control_of(old.account, overrides.flow_control) or old.flow_control
    if overrides.payload is not None:
        new.payload, new.content_type = overrides.payload
    if overrides.labels is not None:
        new.labels = encode_labels(overrides.labels)
    if overrides.retries is not None:
        new.retries = overrides.retries
    if overrides.retry_delay is not None:
        new.retry_delay = overrides.retry_delay
    if overrides.failure_url is not None:
        new.failure_url = overrides.failure_url
    return new


def _begin_anew(_old: Run, new: Run, delay: timedelta) -> None:
    now = clock.now()
    first_message(new, now + delay, now).save(force_insert=True)


def _go_on(old: Run, new: Run, delay: timedelta) -> None:
    if new.is_remote:
        remote_resuming.resume(old, new, delay)
        return
    now = clock.now()
    turn = first_message(new, now + delay, now)
    turn.claims = 1  # so that its first delivery reads the journal
    turn.save(force_insert=True)
    if old.undoing_at is not None:
        new.undoing_at = now
        new.save(update_fields=["undoing_at"])
    _copy_finished_steps(old, new)


def _copy_finished_steps(old: Run, new: Run) -> None:
    """In their order. A sleep that was cut short by the failure keeps its end."""
    steps, error = list(Step.objects.filter(run=old).order_by("id")), old.error_info or {}
    if is_all_undone(steps):
        raise Refused(
            f"run {old.run_id} was rolled back: what its steps had done has been undone, so there "
            "is nothing to go on with; restart it, to run all steps again"
        )
    kept = steps_to_keep(steps, error)
    take_over(old, new, steps, {step.key for step in kept})
    for step in kept:
        step.pk, step.run = None, new
    Step.objects.bulk_create(kept)
