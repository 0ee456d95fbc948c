"""The dead letter queue: list, resume, restart, delete, and the failure callbacks of its entries
(Upstash reference 1.5).
"""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import dead_letters
from workflows_app.engine.dead_letters import Overrides, find_dead_letter
from workflows_app.errors import DeadLetterNotFound, InvalidInput
from workflows_app.models import Account, DeadLetter, Run
from workflows_app.protocol.headers import parse_headers
from workflows_app.rest.authentication import account_of
from workflows_app.rest.pagination import Page, PageRequest, paginate
from workflows_app.rest.parameters import Parameters
from workflows_app.rest.upstash import operations
from workflows_app.rest.upstash.bodies import DeletedBody, SuccessorsBody
from workflows_app.rest.upstash.dead_letters import (
    NAMES,
    DeadLetterFilter,
    render_letter,
    render_letters,
)
from workflows_app.rest.upstash.trigger import render_run_id
from workflows_app.rest.views import ApiView, read_bulk_parameters, read_parameters

DEFAULT_COUNT = 100
MOST_LISTED = 100
MOST_DELETED = 1000
MOST_SUCCEEDED = 50
"""Resumed or restarted by one request (Upstash reference 5.9)."""
FILTERS = ("count", "cursor", *NAMES)


class DeadLettersView(ApiView):
    @operations.list_dead_letters
    def get(self, request: Request) -> Response:
        wanted, page = read_list(read_parameters(request))
        return Response(render_letters(find(account_of(request), wanted, page)))

    @operations.delete_dead_letters
    def delete(self, request: Request) -> Response:
        wanted, page = read_bulk(read_bulk_parameters(request), most=MOST_DELETED)
        found = find(account_of(request), wanted, page)
        deleted = dead_letters.delete(
            DeadLetter.objects.filter(pk__in=[letter.pk for letter in found.rows])
        )
        return Response(render_deleted(deleted, found.cursor))


class DeadLetterView(ApiView):
    @operations.show_dead_letter
    def get(self, request: Request, dlq_id: str) -> Response:
        return Response(render_letter(find_dead_letter(account_of(request), dlq_id)))

    @operations.delete_dead_letter
    def delete(self, request: Request, dlq_id: str) -> Response:
        letter = find_dead_letter(account_of(request), dlq_id)
        return Response({"deleted": dead_letters.delete(DeadLetter.objects.filter(pk=letter.pk))})


class ResumeView(ApiView):
    @operations.resume
    def post(self, request: Request, dlq_id: str) -> Response:
        letter = find_dead_letter(account_of(request), dlq_id)
        return Response(render_run_id(dead_letters.resume(letter, read_overrides(request))))


class RestartView(ApiView):
    @operations.restart
    def post(self, request: Request, dlq_id: str) -> Response:
        letter = find_dead_letter(account_of(request), dlq_id)
        return Response(render_run_id(dead_letters.restart(letter, read_overrides(request))))


class ResumeManyView(ApiView):
    @operations.resume_many
    def post(self, request: Request) -> Response:
        found = find_named(request)
        runs = dead_letters.resume_all(found.rows, read_overrides(request))
        return Response(render_successors(runs, found))


class RestartManyView(ApiView):
    @operations.restart_many
    def post(self, request: Request) -> Response:
        found = find_named(request)
        runs = dead_letters.restart_all(found.rows, read_overrides(request))
        return Response(render_successors(runs, found))


class FailureCallbackView(ApiView):
    @operations.retry_callback
    def post(self, request: Request, dlq_id: str) -> Response:
        letter = find_dead_letter(account_of(request), dlq_id)
        dead_letters.retry_failure_callback(letter)
        return Response(render_run_id(letter.run))

    @operations.cancel_callback
    def delete(self, request: Request, dlq_id: str) -> Response:
        letter = find_dead_letter(account_of(request), dlq_id)
        dead_letters.cancel_failure_callback(letter)
        return Response(render_run_id(letter.run))


# -- reading


def read_list(given: Parameters) -> tuple[DeadLetterFilter, PageRequest]:
    return DeadLetterFilter.read(given), given.page(default=DEFAULT_COUNT, most=MOST_LISTED)


def read_bulk(given: Parameters, *, most: int) -> tuple[DeadLetterFilter, PageRequest]:
    """Unknown filters are refused, since "all" would be the answer to them (Upstash reference 1.1
    (12)).
    """
    given.require_known(FILTERS)
    wanted = DeadLetterFilter.read(given)
    if len(wanted.ids) > most:
        raise InvalidInput(f"dlqIds has {len(wanted.ids)} ids; at most {most} are taken at once")
    return wanted, given.page(default=max(len(wanted.ids), min(DEFAULT_COUNT, most)), most=most)


def read_overrides(request: Request) -> Overrides:
    """From the headers of section 2.2 that may differ in a new run (Upstash reference 1.5, E18)."""
    options = parse_headers(request.headers.items())
    return Overrides(
        retries=options.retries,
        retry_delay=options.retry_delay,
        delay=options.delay,
        failure_url=options.failure_callback_url,
        labels=options.labels or None,
        flow_control=options.flow_control,
    )


# -- finding


def find(account: Account, wanted: DeadLetterFilter, page: PageRequest) -> Page[DeadLetter]:
    letters = wanted.letters_of(account).select_related("run__account", "run__flow_control")
    return paginate(letters, page)


def find_named(request: Request) -> Page[DeadLetter]:
    """Raises DeadLetterNotFound unless each entry that is named is there."""
    wanted, page = read_bulk(read_bulk_parameters(request), most=MOST_SUCCEEDED)
    found = find(account_of(request), wanted, page)
    missing = set(wanted.ids) - {letter.public_id for letter in found.rows}
    if missing:
        raise DeadLetterNotFound(
            f'there is no entry "{min(missing)[:100]}" in the dead letter queue of this account '
            "that the other filters match; nothing was started"
        )
    return found


# -- rendering


def render_deleted(deleted: int, cursor: str | None) -> DeletedBody:
    return {"deleted": deleted} if cursor is None else {"deleted": deleted, "cursor": cursor}


def render_successors(runs: list[Run], found: Page[DeadLetter]) -> SuccessorsBody:
    started = list(map(render_run_id, runs))
    if found.cursor is None:
        return {"workflowRuns": started}
    return {"workflowRuns": started, "cursor": found.cursor}
