"""What people may do with entries of the dead letter queue besides resuming and restarting them."""

from __future__ import annotations

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.asking import Payload
from workflows_app.admin.verbs import Deed, Verb
from workflows_app.engine import dead_letters
from workflows_app.engine.dead_letters import Overrides
from workflows_app.errors import DeadLetterNotFound
from workflows_app.models import DeadLetter


def edit_and_retry(letter: DeadLetter, payload: Payload | None = None) -> Deed:
    new = dead_letters.restart(letter, Overrides(payload=payload))
    sentence = gettext("Run %(run)s is done again as %(new)s, with the same payload.")
    if payload is not None:
        sentence = gettext("Run %(run)s is done again as %(new)s, with another payload.")
    named = {"run": letter.run.run_id, "new": new.run_id}
    return Deed(sentence=sentence % named, subject=letter.run, successor=new)


def _dismiss(letter: DeadLetter) -> Deed:
    run = letter.run
    if not dead_letters.delete(DeadLetter.objects.filter(pk=letter.pk)):
        raise DeadLetterNotFound(
            f"entry {letter.public_id} has been resumed, restarted or deleted already"
        )
    sentence = gettext("Run %(run)s was taken out of the dead letter queue.") % {"run": run.run_id}
    return Deed(sentence=sentence, subject=run)


EDIT_AND_RETRY = Verb(
    name="edit",
    permission="restart_run",
    label=_("Edit and retry"),
    done=_("retried"),
    consequence=_(
        "Another run begins, with an id of its own and the payload below, and does all steps anew. "
        "The failed one stays to be looked at, and leaves the dead letter queue."
    ),
    act=edit_and_retry,
    offered=lambda _: True,
)
DISMISS_LETTER = Verb(
    name="dismiss",
    permission="delete_deadletter",
    is_apart=True,
    label=_("Dismiss"),
    done=_("dismissed"),
    consequence=_(
        "The entry leaves the dead letter queue, and nobody is told of the failure any more. Its "
        "run stays, as failed."
    ),
    act=_dismiss,
    offered=lambda _: True,
)
