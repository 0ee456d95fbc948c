"""What people may do with runs, and with their entries in the dead letter queue."""

from __future__ import annotations

from dataclasses import replace

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.verbs import Deed, Verb
from workflows_app.engine import dead_letters, deleting, pausing, run_moves
from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.restarting import restart
from workflows_app.engine.states import State
from workflows_app.engine.step_targets import StepTarget, target_of
from workflows_app.errors import DeadLetterNotFound
from workflows_app.models import DeadLetter, Run, Step

# -- runs


def _is_live(run: Run) -> bool:
    return run.is_live


def _is_dead(run: Run) -> bool:
    return DeadLetter.objects.filter(run=run).exists()


def _letter_of(run: Run) -> DeadLetter:
    letter = DeadLetter.objects.select_related("run__account").filter(run=run).first()
    if letter is None:
        raise DeadLetterNotFound(
            f"run {run.run_id} is not in the dead letter queue: it has not failed, or has been "
            "resumed, restarted or deleted from there already"
        )
    return letter


def _cancel(run: Run) -> Deed:
    run_moves.cancel(run)
    return Deed(sentence=gettext("Run %(id)s was cancelled.") % {"id": run.run_id}, subject=run)


def _wake(run: Run) -> Deed:
    run_moves.wake(run)
    return Deed(
        sentence=gettext("Run %(id)s was woken and goes on now.") % {"id": run.run_id}, subject=run
    )


def _pause(run: Run) -> Deed:
    state = pausing.pause(run)
    sentence = gettext("Run %(id)s is paused.")
    if state is State.PAUSING:
        sentence = gettext("Run %(id)s is paused, once its step in flight has ended.")
    return Deed(sentence=sentence % {"id": run.run_id}, subject=run)


def _resume_run(run: Run) -> Deed:
    if not run.is_paused:
        return _resume(_letter_of(run))
    pausing.resume(run)
    return Deed(
        sentence=gettext("Run %(id)s was resumed and goes on.") % {"id": run.run_id}, subject=run
    )


def _resume(letter: DeadLetter) -> Deed:
    new = dead_letters.resume(letter)
    sentence = gettext("Run %(id)s was resumed: it goes on as %(new)s.") % {
        "id": letter.run.run_id,
        "new": new.run_id,
    }
    return Deed(sentence=sentence, subject=letter.run, successor=new)


def _roll_back(run: Run) -> Deed:
    if run_moves.cancel(run, roll_back=True) is State.CANCELED:
        sentence = gettext("Run %(id)s was cancelled: there was nothing to undo.") % {
            "id": run.run_id
        }
    else:
        sentence = gettext("Run %(id)s ends as cancelled once its steps have been undone.") % {
            "id": run.run_id
        }
    return Deed(sentence=sentence, subject=run)


def _restart(run: Run, target: StepTarget | None = None) -> Deed:
    new = restart(run, target)
    sentence = gettext("Run %(id)s was restarted: it begins again.") % {"id": run.run_id}
    return Deed(sentence=sentence, subject=run, successor=new)


def _delete(run: Run) -> Deed:
    deleting.delete(run)
    sentence = gettext("Run %(id)s was deleted.") % {"id": run.run_id}
    return Deed(sentence=sentence, subject=run, gone=True)


_RESUMES = _(
    "A new run begins with the same payload; the failed one stays to be looked at. Finished steps "
    "keep their results, the failed step is tried again."
)
_RESTARTS = _(
    "The run begins again under its id, and ends first if it is live; what it did stays to be "
    "looked at. All steps run again, also those that had finished."
)
_FROM = _(
    "The run begins again under its id, and ends first if it is live; what it did stays to be "
    "looked at. Steps that began before this one keep their results."
)

CANCEL = Verb(
    name="cancel",
    permission="cancel_run",
    label=_("Cancel"),
    done=_("cancelled"),
    consequence=_("The run ends now. A step at work may still finish, but its result is dropped."),
    act=_cancel,
    offered=_is_live,
)
WAKE = Verb(
    name="wake",
    permission="wake_run",
    label=_("Run now"),
    done=_("woken"),
    consequence=_("The run goes on now: its sleeps end and its retries fall due."),
    act=_wake,
    offered=lambda run: run.is_live and not run.is_paused,
)
PAUSE = Verb(
    name="pause",
    permission="pause_run",
    label=_("Pause"),
    done=_("paused"),
    consequence=_(
        "Nothing of the run starts until it is resumed; a step in flight goes on to its end. What "
        "it waits for takes as much longer."
    ),
    act=_pause,
    offered=lambda run: run.is_live and not run.is_paused,
)
RESUME = Verb(
    name="resume",
    permission="resume_run",
    label=_("Resume"),
    done=_("resumed"),
    consequence=_(
        "If it is paused, the run goes on, with as much time left of what it waits for as when it "
        "was paused. If it has failed: a new run begins with the same payload; the failed one "
        "stays to be looked at. Finished steps keep their results, the failed step is tried again."
    ),
    act=_resume_run,
    offered=lambda run: run.is_paused or _is_dead(run),
)
ROLL_BACK = Verb(
    name="roll-back",
    permission="cancel_run",
    label=_("Cancel and roll back"),
    done=_("to be rolled back"),
    consequence=_(
        "The run goes no further: what its steps did is undone, the latest first, by the rollback "
        "functions that they have. Then it ends as cancelled. A step at work is waited for."
    ),
    act=_roll_back,
    offered=lambda run: run.is_live and not run.is_remote and run.undoing_at is None,
)
RESTART = Verb(
    name="restart",
    permission="restart_run",
    label=_("Restart"),
    done=_("restarted"),
    consequence=_RESTARTS,
    act=_restart,
    offered=lambda run: continuation_of(run) is None,
)


DELETE = Verb(
    name="delete",
    permission="delete_run",
    is_apart=True,
    label=_("Delete"),
    done=_("deleted"),
    consequence=_(
        "The run is forgotten, with its steps and its entry in the dead letter queue; so are the "
        "other runs of its workflow that have its id. If it is live, it ends at once, and nothing "
        "is undone. This cannot be taken back."
    ),
    act=_delete,
    offered=lambda _: True,
)


def restart_from(step: Step) -> Verb:
    target = target_of(step)
    return replace(
        RESTART,
        label=gettext("Restart from %(step)s") % {"step": target.name},
        consequence=_FROM,
        act=lambda run: _restart(run, target),
    )


# -- dead letters


def _fresh(letter: DeadLetter) -> DeadLetter:
    """The entry with all of its run; lists load only what they show."""
    return dead_letters.find_dead_letter(letter.account, letter.public_id)


def _retry_callback(letter: DeadLetter) -> Deed:
    dead_letters.retry_failure_callback(letter)
    sentence = gettext("The failure callback of run %(id)s is made again.") % {
        "id": letter.run.run_id
    }
    return Deed(sentence=sentence, subject=letter)


RESUME_LETTER = Verb(
    name="resume",
    permission="resume_run",
    label=_("Resume"),
    done=_("resumed"),
    consequence=_RESUMES,
    act=lambda letter: _resume(_fresh(letter)),
    offered=lambda _: True,
)
RESTART_LETTER = Verb(
    name="restart",
    permission="restart_run",
    label=_("Restart"),
    done=_("restarted"),
    consequence=_RESTARTS,
    act=lambda letter: _restart(_fresh(letter).run),
    offered=lambda _: True,
)
RETRY_CALLBACK = Verb(
    name="retry-callback",
    permission="retry_callback_deadletter",
    label=_("Retry failure callback"),
    done=_("told again"),
    consequence=_("The failure function, or failure URL, is told again that the run has failed."),
    act=lambda letter: _retry_callback(_fresh(letter)),
    offered=lambda letter: letter.callback_state == DeadLetter.CallbackState.FAILED,
)
