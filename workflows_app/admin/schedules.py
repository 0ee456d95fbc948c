"""Schedules: what they do, when, and what has come of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from workflows_app.admin.activity import activities_of
from workflows_app.admin.cron_words import cron_in_words
from workflows_app.admin.displays import (
    Tone,
    badge,
    changelist_link,
    row_link,
    run_link,
    when,
)
from workflows_app.admin.row_page import RowAdmin, RowPage, Table, known, show_content, shown
from workflows_app.admin.schedule_verbs import PAUSE_SCHEDULE, RESUME_SCHEDULE, TRIGGER_SCHEDULE
from workflows_app.admin.values import Shown, show
from workflows_app.engine import schedules
from workflows_app.engine.scheduled_runs import runs_of
from workflows_app.engine.schedules import next_slot_of
from workflows_app.models import Publication, Run, Schedule
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.header_values import Redaction
from workflows_app.protocol.redaction import Redactor

MOST_SHOWN = 10
"""Of what a schedule has done, on its page."""


def state_of(schedule: Schedule) -> SafeString:
    if schedule.paused:
        return badge(_("paused"), Tone.QUIET)
    if schedule.error:
        return badge(_("goes wrong"), Tone.BAD)
    return badge(_("at work"), Tone.GOOD)


@admin.register(Schedule)
class ScheduleAdmin(RowAdmin):
    workflow_path = "definition__name"
    linked_by = ("public_id",)
    verbs = (PAUSE_SCHEDULE, RESUME_SCHEDULE, TRIGGER_SCHEDULE)
    list_display = ("state", "goes_to", "times", "due")
    list_display_links = ("goes_to",)
    list_filter = ("paused", "account")
    list_select_related = ("account", "definition")
    search_fields = ("public_id", "destination", "definition__name")
    ordering = ("-id",)

    @admin.display(description=_lazy("state"))
    def state(self, schedule: Schedule) -> SafeString:
        return state_of(schedule)

    @admin.display(description=_lazy("cron"))
    def times(self, schedule: Schedule) -> SafeString:
        words = cron_in_words(schedule.cron)
        return format_html('{}<br><span class="wf-words">{}</span>', schedule.cron, words)

    @admin.display(description=_lazy("schedule"))
    def goes_to(self, schedule: Schedule) -> SafeString:
        workflow = schedule.definition
        name = schedule.destination if workflow is None else workflow.name
        return format_html('{}<br><span class="wf-id">{}</span>', name, schedule.public_id)

    @admin.display(description=_lazy("next, and last"))
    def due(self, schedule: Schedule) -> SafeString:
        """With what went wrong then."""
        return format_html(
            '{}<br>{}<br><span class="wf-words">{}</span>',
            when(next_slot_of(schedule)),
            when(schedule.last_slot_at),
            schedule.error,
        )

    def context_of(self, request: HttpRequest, row: Schedule) -> dict[str, Any]:
        say, model = (_published_by, Publication) if row.definition is None else (_started_by, Run)
        theirs = self.admin_site.get_model_admin(model)
        is_seen = theirs.has_view_permission(request)
        return {"page": _page_of(row, say(row, theirs.get_queryset(request)) if is_seen else None)}


def _page_of(schedule: Schedule, done: Table | None) -> RowPage:
    """What its publications hide is hidden here too."""
    redactor = Redactor(schedules.options_of(schedule).redaction or Redaction())
    workflow = schedule.definition
    return RowPage(
        name=schedule.public_id,
        badge=state_of(schedule),
        facts=known(
            [
                (_("Cron"), schedule.cron),
                (_("In words"), cron_in_words(schedule.cron)),
                (_("Destination"), schedule.destination),
                (_("Starts"), workflow and row_link(workflow, workflow.name)),
                (_("Queue"), schedule.queue),
                (_("Last"), when(schedule.last_slot_at)),
                (_("Next"), when(next_slot_of(schedule))),
                (_("Goes wrong"), schedule.error),
                (_("Made"), when(schedule.created_at)),
                (_("Account"), schedule.account),
                (_("Caller"), schedule.caller_ip),
                (_("Messages"), workflow is None and _all_published_by(schedule)),
            ]
        ),
        values=shown(
            [
                (_("Body"), show_content(bytes(schedule.body), redactor)),
                (_("Headers"), _headers(schedule, redactor)),
            ]
        ),
        tables=[done] if done else [],
    )


def _started_by(schedule: Schedule, allowed: QuerySet[Any]) -> Table:
    found = runs_of(schedule, MOST_SHOWN).values("pk")
    runs = list(allowed.filter(pk__in=found).order_by("-id")[:MOST_SHOWN])
    doing = activities_of(runs)
    rows = [
        [doing[run.pk].badge, run_link(run), when(run.created_at), doing[run.pk].sentence]
        for run in runs
    ]
    head = (_("State"), _("Run"), _("Started"), _("Where it is"))
    return Table(title=_("Runs of its last slots"), head=head, rows=rows)


def _published_by(schedule: Schedule, allowed: QuerySet[Any]) -> Table:
    of_it = allowed.filter(account=schedule.account_id, schedule_id=schedule.public_id)
    rows = [
        [each.get_status_display(), row_link(each, each.public_id), when(each.created_at)]
        for each in of_it.order_by("-id")[:MOST_SHOWN]
    ]
    head = (_("State"), _("Message"), _("Published"))
    return Table(title=_("Its last messages"), head=head, rows=rows)


def _headers(schedule: Schedule, redactor: Redactor) -> Shown | None:
    """As they were given: those that are forwarded have a prefix."""
    said: dict[str, str] = {}
    for name, value in schedule.header_map.items():
        _before, is_forwarded, own = name.rpartition("forward-")
        said[name] = redactor.header_texts({own: value})[own] if is_forwarded else value
    return show(encode_json(said)) if said else None


def _all_published_by(schedule: Schedule) -> SafeString:
    return changelist_link(Publication, _("all of them"), schedule_id=schedule.public_id)
