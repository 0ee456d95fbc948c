"""What the page of one run shows, read in a fixed number of queries however long the run is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from workflows_app.admin.activity import activity_of
from workflows_app.admin.asked import Asked
from workflows_app.admin.displays import (
    ago,
    changelist_link,
    dead_letter_link,
    row_link,
    run_link,
    span,
    when,
)
from workflows_app.admin.doing import Activity
from workflows_app.admin.graph_drawing import Drawing as Graph
from workflows_app.admin.graph_path import graph_of_run
from workflows_app.admin.owed import Owed, read_owed
from workflows_app.admin.remote_steps import read_remote_steps
from workflows_app.admin.run_attempts import (
    AttemptRow,
    Unfinished,
    read_attempts,
    read_unfinished,
)
from workflows_app.admin.run_errors import read_error
from workflows_app.admin.run_steps import StepList, details_of, read_steps
from workflows_app.admin.timeline_drawing import Drawing, draw
from workflows_app.admin.timeline_local import read_journal, read_tracks
from workflows_app.admin.timeline_remote import tracks_of
from workflows_app.admin.values import (
    ErrorShown,
    Shown,
    head,
    length,
    show,
    show_bytes,
)
from workflows_app.engine import clock
from workflows_app.engine.continuing import has_continued
from workflows_app.engine.failures import KEY as FAILURE_KEY
from workflows_app.engine.undoing import rollback_of
from workflows_app.models import DeadLetter, Event, Invocation, Run, Waiter
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.hiding import hidden_headers, hidden_value
from workflows_app.protocol.redaction import Redactor, redactor_of
from workflows_app.sdk.replay import FUNCTION

MOST_SUCCESSORS = 20

UrlOf = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Next:
    """A moment that a script counts down to; by the clock of this machine, as far as it goes."""

    at: str
    now: str
    distance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    run: Run
    activity: Activity
    next: Next | None
    lasted: str
    facts: list[tuple[str, Any]]
    labels: list[str]
    links: list[tuple[str, SafeString]]
    payload: Shown | None
    headers: Shown | None
    result: Shown | None
    error: ErrorShown | None
    owed: list[Owed]
    drawing: Drawing
    graph: Graph | None
    steps: StepList
    unfinished: list[Unfinished]
    deliveries: list[Unfinished]
    """Of a remote run: those that failed."""
    function_attempts: list[AttemptRow]
    failure_attempts: list[AttemptRow]


def build(run: Run, asked: Asked, url_of: UrlOf) -> RunPage:
    around = read_attempts(run, [FUNCTION, FAILURE_KEY])
    told = _told_remotely(run, asked, url_of) if run.is_remote else _told(run, asked, url_of)
    activity = activity_of(run)
    return RunPage(
        run=run,
        activity=activity,
        next=_next(activity.until),
        lasted=_lasted(run),
        facts=_facts(run),
        labels=run.label_list,
        links=_links(run),
        graph=graph_of_run(run),
        error=read_error(run),
        owed=read_owed(run),
        function_attempts=[] if run.is_remote else around.get(FUNCTION, []),
        failure_attempts=around.get(FAILURE_KEY, []),
        **told,
        **_values(run, url_of),
    )


def _told(run: Run, asked: Asked, url_of: UrlOf) -> dict[str, Any]:
    journal = read_journal(run)
    steps = read_steps(run, journal, asked.steps, url_of)
    kept = sum(entry.begin < run.created_at for entry in journal)
    keys = [entry.pk for entry in journal]
    details = details_of(keys, steps.page, asked)
    return {
        "steps": steps,
        "unfinished": read_unfinished(run),
        "deliveries": [],
        "drawing": draw(run, read_tracks(run, journal), kept, asked, details),
    }


def _told_remotely(run: Run, asked: Asked, url_of: UrlOf) -> dict[str, Any]:
    told = read_remote_steps(run, asked.steps, url_of)
    program = told.situation.program
    kept = sum(step.began_at < run.created_at for step in program)
    keys = [step.newest.pk if step.newest is not None else 0 for step in program]
    details = details_of(keys, told.steps.page, asked)
    return {
        "steps": told.steps,
        "unfinished": [],
        "deliveries": told.deliveries,
        "drawing": draw(run, tracks_of(told.situation), kept, asked, details),
    }


def _values(run: Run, url_of: UrlOf) -> dict[str, Any]:
    redactor = redactor_of(run.redaction)
    headers = Run.objects.filter(pk=run.pk).values_list("headers", flat=True).get()
    shown = None if headers == "{}" else show(hidden_headers(headers, redactor))
    if redactor.hides_bodies:
        return {**_hidden_values(run, redactor), "headers": shown}
    return {**_heads(run, url_of), "headers": shown}


def _hidden_values(run: Run, redactor: Redactor) -> dict[str, Shown | None]:
    row = Run.objects.filter(pk=run.pk).values("payload", "result").get()
    return {
        "payload": show(redactor.content(bytes(row["payload"]))),
        "result": show(hidden_value(row["result"], redactor)),
    }


def _heads(run: Run, url_of: UrlOf) -> dict[str, Shown | None]:
    """As much of payload and result as is shown."""
    row = (
        Run.objects.filter(pk=run.pk)
        .annotate(
            payload_head=head("payload"),
            payload_size=length("payload"),
            result_head=head("result"),
            result_size=length("result"),
        )
        .values("payload_head", "payload_size", "result_head", "result_size")
        .get()
    )
    payload: Any = row["payload_head"]  # PostgreSQL gives a memoryview
    return {
        "payload": show_bytes(
            bytes(payload or b""),
            row["payload_size"],
            url_of("value", run.pk, "payload"),
        ),
        "result": show(row["result_head"], row["result_size"], url_of("value", run.pk, "result")),
    }


def _next(moment: datetime | None) -> Next | None:
    if moment is None:
        return None
    return Next(moment.isoformat(), clock.now().isoformat(), ago(moment))


def _lasted(run: Run) -> str:
    if run.ended_at is None:
        return _("started %(distance)s") % {"distance": ago(run.created_at)}
    return _("took %(length)s") % {"length": span(run.ended_at - run.created_at)}


def _facts(run: Run) -> list[tuple[str, Any]]:
    """What was asked for when the run was triggered; what was not asked for is left out."""
    facts: list[tuple[str, Any]] = [
        (_("URL"), run.url),
        (_("Started"), when(run.created_at)),
        (_("Ended"), run.ended_at and when(run.ended_at)),
        (_("Triggered by"), _trigger(run)),
        (_("Caller"), run.caller_ip),
        (_("Account"), run.account),
        (_("Version"), run.version and row_link(run.version, str(run.version))),
        (_("Retries"), _retries(run)),
        (_("Step timeout"), run.timeout and span(run.timeout)),
        (_("Flow control"), run.flow_control),
        (_("Failure URL"), run.failure_url),
        (_("Redacted"), run.redaction),
        (_("Rolled back"), _rolled_back(run)),
    ]
    return [(name, value) for name, value in facts if value]


def _trigger(run: Run) -> str:
    words = {
        Run.Source.API: _("the API"),
        Run.Source.PYTHON: _("Python"),
        Run.Source.SCHEDULE: _("a schedule"),
        Run.Source.RUN: _("another run"),
    }
    told = words[Run.Source(run.source)]
    if not run.schedule:
        return told
    return _("%(trigger)s, %(cron)s") % {"trigger": told, "cron": decode_json(run.schedule)["cron"]}


def _rolled_back(run: Run) -> str:
    rollback = rollback_of(run)
    if rollback is None:
        return ""
    return _("all that was done") if rollback.is_complete else _("not all that was done")


def _links(run: Run) -> list[tuple[str, SafeString]]:
    """Where the run's story comes from, and where it goes on."""
    links = [(_("Invoked by"), run_link(invoker)) for invoker in _invokers(run)]
    if run.origin:
        links.append((_from(run, run.origin), run_link(run.origin)))
    letter = DeadLetter.objects.filter(run=run).first()
    if letter is not None:
        links.append((_("Dead letter"), dead_letter_link(letter)))
    successors = run.successors.order_by("id")[:MOST_SUCCESSORS]
    links.extend((_as(run, new), run_link(new)) for new in successors)
    return [*links, *_related(run)]


def _from(run: Run, origin: Run) -> str:
    if run.run_id != origin.run_id:
        return _("Forked from") if run.forked else _("Goes on from")
    return _("Continued from") if has_continued(origin, run) else _("Restarted from")


def _as(run: Run, successor: Run) -> str:
    if run.run_id != successor.run_id:
        return _("Forked as") if successor.forked else _("Goes on as")
    return _("Continued as new") if has_continued(run, successor) else _("Restarted as")


def _related(run: Run) -> list[tuple[str, SafeString]]:
    """What else there is about it, on pages of its own."""
    counts = [
        (_("Waiters"), Waiter, run.waiters.count(), "run__id__exact"),
        (_("Unclaimed events"), Event, run.events.count(), "run__id__exact"),
        (_("Invoked runs"), Invocation, run.invocations.count(), "parent__id__exact"),
    ]
    return [
        (title, changelist_link(model, str(count), **{column: run.pk}))
        for title, model, count, column in counts
        if count
    ]


def _invokers(run: Run) -> list[Run]:
    found = run.invokers.select_related("parent").defer("parent__payload").order_by("pk")
    return [invocation.parent for invocation in found[:MOST_SUCCESSORS]]


def _retries(run: Run) -> str:
    if not run.retry_delay:
        return f"{run.retries}"
    return _("%(count)d, delayed by %(delay)s ms") % {
        "count": run.retries,
        "delay": run.retry_delay,
    }
