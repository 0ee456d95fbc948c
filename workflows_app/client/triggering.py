"""Starting runs.

A trigger whose answer is lost must be neither forgotten nor started twice. So each run has its id
before it is asked for, and the server is asked for the run before it is triggered again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import Any

from workflows_app.client.api import Api
from workflows_app.client.contents import encode_content
from workflows_app.client.errors import (
    AnswerLost,
    ClientError,
    ServerFailed,
    ServerUnreachable,
    UnreadableAnswer,
)
from workflows_app.client.exchange import Flow, Outcome, Pause, Request
from workflows_app.client.filters import Moment, RunFilter
from workflows_app.client.options import Duration, option_headers, split_content_type
from workflows_app.client.reading import Fields, read_list
from workflows_app.client.run_logs import RunLog
from workflows_app.client.runs import list_runs
from workflows_app.errors import InvalidInput, WorkflowsError
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.ids import new_run_id
from workflows_app.protocol.runs import FlowControlSpec, TriggeredRun


@dataclass(frozen=True, slots=True)
class Trigger:
    """A run to be started: of a workflow, by its name or its URL, with a payload and options."""

    workflow: str
    body: Any = None
    _: KW_ONLY
    headers: Mapping[str, str] | None = None
    workflow_run_id: str | None = None
    delay: Duration | None = None
    not_before: Moment | None = None
    labels: str | Sequence[str] = ()
    retries: int | None = None
    retry_delay: Duration | None = None
    timeout: Duration | None = None
    flow_control: FlowControlSpec | None = None
    failure_url: str | None = None
    redact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """A run that has its id. One that was given may have been a run's before."""

    run_id: str
    is_given: bool


def trigger_many(api: Api, triggers: Iterable[Trigger]) -> Flow[tuple[TriggeredRun, ...]]:
    wanted = list(triggers)
    named = [_named(trigger) for trigger in wanted]
    if not named:
        return ()
    items = [_item(api, trigger, name.run_id) for trigger, name in zip(wanted, named, strict=True)]
    request = Request(
        method="POST",
        target="/v2/batch/trigger",
        headers={"Content-Type": "application/json"},
        content=encode_json(items).encode(),
    )
    return (yield from _started(api, request, named))


def trigger(api: Api, wanted: Trigger) -> Flow[TriggeredRun]:
    (started,) = yield from trigger_many(api, [wanted])
    return started


def _named(wanted: Trigger) -> _Named:
    given = wanted.workflow_run_id
    return _Named(run_id=new_run_id() if given is None else given, is_given=given is not None)


def _item(api: Api, wanted: Trigger, run_id: str) -> dict[str, Any]:
    content, content_type = encode_content("the body of a trigger", wanted.body)
    said = {each.name: getattr(wanted, each.name) for each in fields(wanted)}
    own_type, _ = split_content_type(wanted.headers or {})
    headers = option_headers({**said, "workflow_run_id": run_id})
    try:
        body = content.decode()
    except UnicodeDecodeError:
        raise InvalidInput(
            "the body of a trigger must be text or JSON; write other bytes as base64"
        ) from None
    return {
        "destination": api.connection.workflow_url(wanted.workflow),
        "headers": {"Content-Type": own_type or content_type, **headers},
        "body": body,
    }


# -- when the answer is lost


def _started(
    api: Api, request: Request, named: Sequence[_Named]
) -> Generator[Request | Pause, Outcome, tuple[TriggeredRun, ...]]:
    lost: ClientError | None = None
    number = 0
    while True:
        try:
            return _read((yield from api.ask(request)), named)
        except ServerUnreachable as error:
            if lost is None:
                raise
            # This one has done nothing, which says nothing of the one before.
            raise _unknown(lost, named) from error
        except (AnswerLost, ServerFailed) as error:
            lost = error
        number += 1
        if number > api.backoff.retries:
            raise _unknown(lost, named) from lost
        yield Pause(length=api.backoff.pause(number, {}))
        found = yield from _look(api, named, lost)
        if found:
            return found


def _look(api: Api, named: Sequence[_Named], lost: ClientError) -> Flow[tuple[TriggeredRun, ...]]:
    """The runs, once they are there; none when none is. Raises AnswerLost for all else."""
    found: list[TriggeredRun] = []
    for each in named:
        try:
            listed = yield from list_runs(api, RunFilter(workflow_run_id=each.run_id), None, 1)
        except WorkflowsError:
            raise _unknown(lost, named) from lost
        runs = [run for run in listed.runs if run.workflow_run_id == each.run_id]
        if any(each.is_given and not run.is_live for run in runs):
            # It may be an older one.
            raise _unknown(lost, named) from lost
        found += [_triggered(each, run) for run in runs]
    if found and len(found) < len(named):
        raise _unknown(lost, named) from lost
    return tuple(found)


def _triggered(each: _Named, run: RunLog) -> TriggeredRun:
    """What the server says of the id of a live run when it is asked to start another."""
    return TriggeredRun(
        workflow_run_id=run.workflow_run_id, created_at=run.created_at, deduplicated=each.is_given
    )


def _unknown(lost: ClientError, named: Sequence[_Named]) -> AnswerLost:
    ids = ", ".join(each.run_id for each in named[:3])
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return AnswerLost(
        f"{lost.message} Look with get_run before you trigger again: the run would be {ids}{more}."
    )


# -- reading


def _read(said: Any, named: Sequence[_Named]) -> tuple[TriggeredRun, ...]:
    runs = read_list(said, read_triggered)
    if len(runs) != len(named):
        raise UnreadableAnswer(
            f"the server answered with {len(runs)} runs to {len(named)} triggers"
        )
    # Of an id that was made for it, what was there before is the same trigger, sent twice.
    return tuple(
        replace(run, deduplicated=run.deduplicated and each.is_given)
        for run, each in zip(runs, named, strict=True)
    )


def read_triggered(said: Any) -> TriggeredRun:
    answer = Fields(said)
    error = answer.text("error")
    if error is not None and answer.text("workflowRunId") is None:
        raise UnreadableAnswer(f"the server did not start one of the runs: {error}")
    return TriggeredRun(
        workflow_run_id=answer.required("workflowRunId"),
        created_at=answer.required_milliseconds("workflowCreatedAt"),
        deduplicated=answer.truth("deduplicated"),
    )
