"""What people may do with schedules."""

from __future__ import annotations

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.verbs import Deed, Verb
from workflows_app.engine import schedules
from workflows_app.models import Schedule


def _pause_schedule(schedule: Schedule) -> Deed:
    schedules.pause(schedule)
    return Deed(
        sentence=gettext("Schedule %(id)s was paused.") % {"id": schedule.public_id},
        subject=schedule,
    )


def _resume_schedule(schedule: Schedule) -> Deed:
    schedules.resume(schedule)
    return Deed(
        sentence=gettext("Schedule %(id)s goes on.") % {"id": schedule.public_id}, subject=schedule
    )


def _trigger_schedule(schedule: Schedule) -> Deed:
    run = schedules.trigger(schedule)
    names = {"id": schedule.public_id, "run": run and run.run_id}
    sentence = gettext("Schedule %(id)s has published now.") % names
    if run is not None:
        sentence = gettext("Schedule %(id)s has started run %(run)s now.") % names
    return Deed(sentence=sentence, subject=schedule, successor=run)


PAUSE_SCHEDULE = Verb(
    name="pause",
    label=_("Pause"),
    done=_("paused"),
    consequence=_("Its times pass by, and nothing is published, until it is resumed."),
    act=_pause_schedule,
    offered=lambda schedule: not schedule.paused,
)
RESUME_SCHEDULE = Verb(
    name="resume",
    label=_("Resume"),
    done=_("resumed"),
    consequence=_("It publishes again, from its next time on."),
    act=_resume_schedule,
    offered=lambda schedule: schedule.paused,
)
TRIGGER_SCHEDULE = Verb(
    name="trigger",
    label=_("Trigger now"),
    done=_("triggered"),
    consequence=_("It publishes, or starts its run, now as well; its times stay as they are."),
    act=_trigger_schedule,
    offered=lambda _: True,
)
