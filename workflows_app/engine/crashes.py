"""Messages whose delivery ends its worker, again and again: given up, lest they do so for ever.

A crash shows only as a lease that ran out unsettled. Steps that were recorded meanwhile are
progress, and the count begins anew.
"""

from __future__ import annotations

from http import HTTPStatus

from django.db.models import Max

from workflows_app.conf import get_settings
from workflows_app.engine.database import settling
from workflows_app.engine.failures import give_up_telling
from workflows_app.engine.leases import Lease, hold
from workflows_app.engine.publication_delivery import give_up_publication
from workflows_app.engine.settling import fail
from workflows_app.models import Attempt, Message, Run, Step
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.exchange import Answer
from workflows_app.protocol.faults import describe_answer

_NAME = "WorkerCrashed"
_NEVER_GIVEN_UP = (Message.Kind.SCHEDULE, Message.Kind.TERMINATION, Message.Kind.PRUNING)


def give_up_if_crashed_too_often(lease: Lease) -> bool:
    """Whether it was, and its run has failed instead of being worked on. Raises LeaseLost."""
    crashes = _crashes_in_a_row(lease)
    if crashes < get_settings().MAX_CRASHES or lease.kind in _NEVER_GIVEN_UP:
        return False
    sentence = (
        f"{crashes} workers in a row ended, or lost their lease, while they worked on this; it is "
        "not tried again. See their logs for what ended them: often memory ran out"
    )
    answer = Answer(status=HTTPStatus.BAD_GATEWAY, headers={}, body=sentence.encode(), came=False)
    match lease.kind:
        case Message.Kind.PUBLICATION:
            give_up_publication(lease, answer)
        case Message.Kind.FAILURE:
            give_up_telling(lease, answer, encode_json(_described(sentence)))
        case _:
            _fail_run(lease, sentence)
    return True


def _crashes_in_a_row(lease: Lease) -> int:
    """Since the newest step of its run; no step is newer for what belongs to none."""
    held = Message.objects.held(lease.message_id, lease.token)
    newest = 0
    if lease.owner is not None:
        newest = Step.objects.filter(run=lease.run_id).aggregate(newest=Max("pk"))["newest"] or 0
    if held.exclude(lapsed_after=newest).update(lapses=1, lapsed_after=newest):
        return 1
    return lease.lapses


def _described(sentence: str) -> dict[str, object]:
    return {"type": _NAME, "message": sentence, "stack": ""}


def _fail_run(lease: Lease, sentence: str) -> None:
    with settling():
        if lease.run.is_remote:
            Run.objects.lock(lease.run_id)
        else:
            Message.objects.lock_turn(lease.run_id)
        hold(lease)
        fail(lease.run, _error_of(lease, sentence))


def _error_of(lease: Lease, sentence: str) -> str:
    if not lease.run.is_remote:
        return encode_json(_described(sentence))
    failed = Attempt.objects.filter(run=lease.run, key=lease.key, outcome=Attempt.Outcome.FAILED)
    body = encode_json({"error": _NAME, "message": sentence})
    described = describe_answer(HTTPStatus.BAD_GATEWAY, {}, body, sentence)
    more = {"key": lease.key, "retried": failed.count()}
    return encode_json({**decode_json(described), **more})
