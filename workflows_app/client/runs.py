"""Watching runs, cancelling, pausing and resuming them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from urllib.parse import quote

from workflows_app.client.api import Api
from workflows_app.client.errors import NotOnServer
from workflows_app.client.exchange import Flow, Outcome, Pause, Repeat, Request
from workflows_app.client.filters import RunFilter, page, query, value_pairs
from workflows_app.client.reading import Fields
from workflows_app.client.run_logs import RunLog, RunPage
from workflows_app.errors import InvalidInput
from workflows_app.protocol.ids import check_run_id

_LOGS = "/v2/workflows/logs"
_RUNS = "/v2/workflows/runs"
_AT_ONCE = 100
"""Cancelled by one request, of those that a filter matches."""
EVERY_RUN = RunFilter()


def list_runs(api: Api, where: RunFilter, cursor: str | None, count: int | None) -> Flow[RunPage]:
    wanted = where.to_look(api.connection.workflow_url)
    target = query(_LOGS, [*wanted, *page(cursor, count)])
    said = yield from api.ask(Request(method="GET", target=target, repeat=Repeat.ALWAYS))
    return RunPage.read(said)


def get_run(api: Api, run_id: str) -> Flow[RunLog]:
    """The newest of this id. Raises NotOnServer."""
    where = RunFilter(workflow_run_id=check_run_id(run_id))
    found = yield from list_runs(api, where, None, 1)
    if not found.runs:
        raise NotOnServer(f'there is no run "{run_id}" in this account', status=404)
    return found.runs[0]


def pause(api: Api, run_id: str) -> Flow[str]:
    return (yield from _tell(api, run_id, "pause"))


def resume(api: Api, run_id: str) -> Flow[str]:
    return (yield from _tell(api, run_id, "resume"))


def _tell(api: Api, run_id: str, verb: str) -> Flow[str]:
    """Which state it is in then. To say it again changes nothing."""
    target = _path(run_id, verb)
    said = yield from api.ask(Request(method="POST", target=target, repeat=Repeat.ALWAYS))
    return Fields(said).required("state")


def restart(api: Api, run_id: str, step: str | None, count: int, kind: str) -> Flow[str]:
    """Which state it is in then. To say it again restarts it again."""
    named = [] if step is None else [("step", step), ("count", str(count)), ("kind", kind)]
    target = query(_path(run_id, "restart"), named)
    said = yield from api.ask(Request(method="POST", target=target))
    return Fields(said).required("state")


def _path(run_id: str, verb: str) -> str:
    return f"{_RUNS}/{quote(check_run_id(run_id), safe='')}/{verb}"


def cancel(api: Api, run_ids: str | Iterable[str]) -> Flow[int]:
    """How many were live."""
    wanted = [run_ids] if isinstance(run_ids, str) else list(run_ids)
    pairs = value_pairs("workflowRunIds", "run_ids", wanted) if wanted else []
    cancelled = 0
    for start in range(0, len(pairs), _AT_ONCE):
        cancelled += yield from _cancel(api, pairs[start : start + _AT_ONCE])
    return cancelled


def cancel_where(api: Api, where: RunFilter) -> Flow[int]:
    if where == EVERY_RUN:
        raise InvalidInput("the filter is empty; to cancel every run, call cancel_all()")
    return (yield from _cancel_matching(api, where))


def cancel_all(api: Api) -> Flow[int]:
    return (yield from _cancel_matching(api, EVERY_RUN))


def _cancel_matching(api: Api, where: RunFilter) -> Flow[int]:
    pairs = where.to_cancel(api.connection.workflow_url)
    cancelled = 0
    while True:
        number = yield from _cancel(api, pairs)
        cancelled += number
        if number < _AT_ONCE:
            return cancelled


def _cancel(api: Api, pairs: Sequence[tuple[str, str]]) -> Generator[Request | Pause, Outcome, int]:
    target = query(_RUNS, [*pairs, ("count", str(_AT_ONCE))])
    said = yield from api.ask(Request(method="DELETE", target=target))
    return Fields(said).number("cancelled") or 0
