"""What people may do from the admin: engine verbs, with the words to offer and report them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Model
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from workflows_app.engine import accounts, flow_control, publication_moves, queues
from workflows_app.errors import DeadLetterNotFound, Refused, WorkflowsError
from workflows_app.models import Account, FlowControl, Publication, Queue, Token

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What was done, for the person who asked and for the history of `subject`."""

    sentence: str
    subject: Model
    successor: Model | None = None
    """The run, or message, that now exists because of it."""
    gone: bool = False
    """Whether it has deleted `subject`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """`act` raises WorkflowsError when it is refused; `offered` only decides about a button."""

    name: str
    label: Words
    done: Words
    """As in "3 cancelled"."""
    consequence: Words
    """What will happen, said before it is confirmed."""
    act: Callable[[Any], Deed]
    offered: Callable[[Any], bool]
    permission: str = ""
    """The codename of the permission to use this verb alone, as "cancel_run"."""
    is_apart: bool = False
    """Whether it needs this permission even of those who may change rows."""


_REASONS = {
    "run_ended": _("already ended"),
    "dead_letter_not_found": _("not in the dead letter queue"),
    "not_found": _("already ended, or gone"),
}


def reason_of(refusal: WorkflowsError) -> str:
    """The same for all rows that are refused because of it, where that can be said."""
    return str(_REASONS.get(refusal.code, refusal.message))


# -- plain messages and queues


def _cancel_publication(publication: Publication) -> Deed:
    publication_moves.cancel(publication)
    sentence = gettext("Message %(id)s was cancelled.") % {"id": publication.public_id}
    return Deed(sentence=sentence, subject=publication)


def _retry_publication(publication: Publication) -> Deed:
    again = publication_moves.retry(publication)
    sentence = gettext("Message %(id)s was published again as %(new)s.") % {
        "id": publication.public_id,
        "new": again.public_id,
    }
    return Deed(sentence=sentence, subject=publication, successor=again)


def _dismiss(publication: Publication) -> Deed:
    if not publication_moves.dismiss_all(Publication.objects.filter(pk=publication.pk)):
        raise DeadLetterNotFound(
            f"message {publication.public_id} has been retried or deleted from the dead letter "
            "queue already"
        )
    sentence = gettext("Message %(id)s was taken out of the dead letter queue.") % {
        "id": publication.public_id
    }
    return Deed(sentence=sentence, subject=publication)


def _pause_queue(queue: Queue) -> Deed:
    queues.pause(queue.account, queue.name)
    return Deed(
        sentence=gettext("Queue %(name)s was paused.") % {"name": queue.name}, subject=queue
    )


def _resume_queue(queue: Queue) -> Deed:
    queues.resume(queue.account, queue.name)
    return Deed(sentence=gettext("Queue %(name)s goes on.") % {"name": queue.name}, subject=queue)


def _has_failed(publication: Publication) -> bool:
    return publication.status == Publication.Status.FAILED


CANCEL_PUBLICATION = Verb(
    name="cancel",
    label=_("Cancel"),
    done=_("cancelled"),
    consequence=_("It is not delivered again. A request under way may still be answered."),
    act=_cancel_publication,
    offered=lambda publication: publication.status == Publication.Status.WAITING,
)
RETRY_PUBLICATION = Verb(
    name="retry",
    label=_("Publish again"),
    done=_("published again"),
    consequence=_(
        "It is published once more, as another message, and leaves the dead letter queue."
    ),
    act=_retry_publication,
    offered=_has_failed,
)
DISMISS = Verb(
    name="dismiss",
    label=_("Dismiss"),
    done=_("dismissed"),
    consequence=_("It leaves the dead letter queue and is not delivered any more."),
    act=_dismiss,
    offered=_has_failed,
)
PAUSE_QUEUE = Verb(
    name="pause",
    label=_("Pause"),
    done=_("paused"),
    consequence=_(
        "What is under way goes on; nothing more of the queue starts until it is resumed."
    ),
    act=_pause_queue,
    offered=lambda queue: not queue.paused,
)
RESUME_QUEUE = Verb(
    name="resume",
    label=_("Resume"),
    done=_("resumed"),
    consequence=_("The queue delivers its messages again."),
    act=_resume_queue,
    offered=lambda queue: queue.paused,
)


# -- flow control


def _pause_key(control: FlowControl) -> Deed:
    flow_control.pause(control)
    return Deed(
        sentence=gettext("Nothing of the key “%(key)s” starts now.") % {"key": control},
        subject=control,
    )


def _resume_key(control: FlowControl) -> Deed:
    flow_control.resume(control)
    return Deed(sentence=gettext("The key “%(key)s” goes on.") % {"key": control}, subject=control)


def _pin_key(control: FlowControl) -> Deed:
    flow_control.pin(
        control.account,
        control.key,
        parallelism=control.parallelism,
        rate=control.rate,
        period=control.period,
    )
    return Deed(
        sentence=gettext("The limits of the key “%(key)s” were pinned.") % {"key": control},
        subject=control,
    )


def _unpin_key(control: FlowControl) -> Deed:
    flow_control.unpin(control, parallelism=True, rate=True)
    return Deed(
        sentence=gettext("The limits of the key “%(key)s” were unpinned.") % {"key": control},
        subject=control,
    )


def _reset_rate(control: FlowControl) -> Deed:
    flow_control.reset_rate(control)
    return Deed(
        sentence=gettext("The key “%(key)s” begins a new period.") % {"key": control},
        subject=control,
    )


PAUSE_KEY = Verb(
    name="pause",
    label=_("Pause"),
    done=_("paused"),
    consequence=_(
        "What is in flight goes on; nothing more with this key starts until it is resumed."
    ),
    act=_pause_key,
    offered=lambda control: not control.paused,
)
RESUME_KEY = Verb(
    name="resume",
    label=_("Resume"),
    done=_("resumed"),
    consequence=_("What waits for this key starts again, within its limits."),
    act=_resume_key,
    offered=lambda control: control.paused,
)
PIN_KEY = Verb(
    name="pin",
    label=_("Pin"),
    done=_("pinned"),
    consequence=_("Its limits stay as they are now, whatever triggers say, until it is unpinned."),
    act=_pin_key,
    offered=lambda control: not (control.parallelism_pinned or control.rate_pinned),
)
UNPIN_KEY = Verb(
    name="unpin",
    label=_("Unpin"),
    done=_("unpinned"),
    consequence=_("The next trigger that names this key sets its limits; until then they stay."),
    act=_unpin_key,
    offered=lambda control: control.parallelism_pinned or control.rate_pinned,
)
RESET_RATE = Verb(
    name="reset-rate",
    label=_("Reset rate"),
    done=_("reset"),
    consequence=_("A new period begins: as many may start as if nothing had started yet."),
    act=_reset_rate,
    offered=lambda control: control.rate is not None,
)


# -- access


def _rotate(account: Account) -> Deed:
    accounts.rotate_signing_keys(account)
    sentence = gettext(
        "The signing keys of %(account)s were rotated: the next key is now the current one."
    ) % {"account": account}
    return Deed(sentence=sentence, subject=account)


def _revoke(token: Token) -> Deed:
    if token.revoked_at is not None:
        raise Refused(f"token “{token}” has been revoked already")
    accounts.revoke_token(token)
    return Deed(
        sentence=gettext("Token “%(token)s” was revoked.") % {"token": token}, subject=token
    )


ROTATE = Verb(
    name="rotate-keys",
    label=_("Rotate signing keys"),
    done=_("rotated"),
    consequence=_(
        "The next key becomes the current one, and a new next key is made. Receivers that know "
        "both keys miss nothing; give them the new next key before you rotate again."
    ),
    act=_rotate,
    offered=lambda _: True,
)
REVOKE = Verb(
    name="revoke",
    label=_("Revoke"),
    done=_("revoked"),
    consequence=_("Whoever uses the token is refused from now on. This cannot be undone."),
    act=_revoke,
    offered=lambda token: token.revoked_at is None,
)
