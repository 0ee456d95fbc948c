"""Starting runs: a run and its first message, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.database import joining
from workflows_app.engine.flow_control import flow_control_of
from workflows_app.engine.inserting import insert_many
from workflows_app.engine.leases import new_token
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.retention import check_retention
from workflows_app.engine.terms import Terms, first_known, terms_of
from workflows_app.errors import InvalidInput, LimitExceeded, PayloadTooLarge
from workflows_app.models import Account, FlowControl, Message, Run, RunLabel
from workflows_app.models.flow_control import NO_LIMIT, OF_WORKFLOWS
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.durations import format_duration
from workflows_app.protocol.exchange import check_headers
from workflows_app.protocol.expressions import parse_expression
from workflows_app.protocol.ids import check_run_id, new_run_id
from workflows_app.protocol.runs import FlowControlSpec, RunRequest
from workflows_app.protocol.texts import check_storable
from workflows_app.protocol.urls import check_url

_LONGEST_TEXT = 200
_LONGEST_LABEL = 255
_LONGEST_PERIOD = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run that now exists; `deduplicated` when a live run of that id was there before."""

    run: Run
    deduplicated: bool = False


def trigger(account: Account, requests: Sequence[RunRequest]) -> list[Started]:
    """Start runs, all or none. Joins the caller's transaction, and commits or vanishes with it.

    Raises InvalidInput for what cannot be run.
    """
    now = clock.now()
    for request in requests:
        check(request)
    with joining():
        return start(account, requests, now)


def trigger_leased(account: Account, request: RunRequest) -> tuple[Started, Message | None]:
    """Start a run whose first message is already leased to the caller; None if the run was there
    before.
    """
    now = clock.now()
    check(request)
    with joining():
        ((run, deduplicated),) = _store(account, [request], now)
        if deduplicated:
            return Started(run=run, deduplicated=True), None
        message = first_message(run, now + get_settings().LEASE, now)
        message.token, message.claims = new_token(), 1
        message.save(force_insert=True)
    return Started(run=run), message


def start(account: Account, requests: Sequence[RunRequest], now: datetime) -> list[Started]:
    """The runs and their first messages; `trigger` without its checks and its transaction."""
    stored = _store(account, requests, now)
    new = [
        (run, request)
        for request, (run, deduplicated) in zip(requests, stored, strict=True)
        if not deduplicated
    ]
    begin(new, now)
    return [Started(run=run, deduplicated=deduplicated) for run, deduplicated in stored]


def begin(new: Sequence[tuple[Run, RunRequest]], now: datetime) -> None:
    """Owe the first messages of stored runs."""
    if new:
        insert_many([first_message(run, due_at(request, now), now) for run, request in new])
        get_dispatcher().ring()


def check(request: RunRequest) -> None:
    """Raises InvalidInput, with a sentence for the caller, when the request cannot become a run."""
    check_url(request.url)
    check_payload(request.body)
    if len(request.content_type) > _LONGEST_TEXT:
        raise InvalidInput(f"a content type has at most {_LONGEST_TEXT} characters")
    check_storable("a content type", request.content_type)
    check_headers(request.headers)
    if request.run_id is not None:
        check_run_id(request.run_id)
    _check_times(request)
    check_retention(request.success_retention)
    check_retention(request.error_retention)
    check_policy(
        retries=request.retries,
        retry_delay=request.retry_delay,
        failure_url=request.failure_url,
        labels=request.labels,
        flow_control=request.flow_control,
    )


def check_payload(payload: bytes) -> None:
    """Raises PayloadTooLarge."""
    most = get_settings().MAX_PAYLOAD_BYTES
    if len(payload) > most:
        raise PayloadTooLarge(f"the payload has {len(payload)} bytes; this server accepts {most}")


def _check_times(request: RunRequest) -> None:
    most = get_settings().MAX_DELAY
    check_delay(request.delay)
    if request.not_before is not None and request.not_before - clock.now() > most:
        raise LimitExceeded(
            f"a run can be delayed by at most {format_duration(most)}; "
            f"{request.not_before.isoformat()} is later"
        )
    if request.timeout is not None and request.timeout > most:
        raise LimitExceeded(
            f"a timeout is at most {format_duration(most)}, not {format_duration(request.timeout)}"
        )


def check_delay(delay: timedelta | None) -> None:
    most = get_settings().MAX_DELAY
    if delay is not None and delay > most:
        raise LimitExceeded(
            f"a run can be delayed by at most {format_duration(most)}, not {format_duration(delay)}"
        )


def check_policy(
    *,
    retries: int | None,
    retry_delay: str | None,
    failure_url: str | None,
    labels: Sequence[str],
    flow_control: FlowControlSpec | None,
) -> None:
    """Raises InvalidInput for what cannot be the policy of a run, new or resumed."""
    most = get_settings().MAX_RETRIES
    if retries is not None and not 0 <= retries <= most:
        raise LimitExceeded(f"retries must be 0 to {most}, not {retries}")
    if retry_delay:
        parse_expression(retry_delay)
    if failure_url:
        check_url(failure_url)
    for label in labels:
        if not 0 < len(label) <= _LONGEST_LABEL or "," in label:
            raise InvalidInput(
                f"a label is a text of 1 to {_LONGEST_LABEL} characters without a comma, not "
                f"{label!r:.80}"
            )
        check_storable("a label", label)
    if flow_control is not None:
        check_flow_control(flow_control)


def check_flow_control(control: FlowControlSpec) -> None:
    """Raises InvalidInput."""
    limits = [limit for limit in (control.parallelism, control.rate) if limit is not None]
    if not limits or min(limits) < 1 or max(limits) > NO_LIMIT:
        raise InvalidInput(
            f"flow control needs at least one of parallelism and rate, each 1 to {NO_LIMIT}; "
            f"got {control}"
        )
    if not 0 < len(control.key) <= _LONGEST_LABEL:
        raise InvalidInput(f"a flow control key is a text of 1 to {_LONGEST_LABEL} characters")
    check_storable("a flow control key", control.key)
    if control.key.startswith(OF_WORKFLOWS):
        raise InvalidInput(
            f'a flow control key does not begin with "{OF_WORKFLOWS}": such keys hold the limits '
            "that workflows have themselves"
        )
    if not timedelta() < control.period <= _LONGEST_PERIOD:
        raise InvalidInput(
            "the period of flow control must be more than 0s and at most "
            f"{format_duration(_LONGEST_PERIOD)}; got {control}"
        )


def _store(
    account: Account, requests: Sequence[RunRequest], now: datetime
) -> list[tuple[Run, bool]]:
    """A stored run for each request, and whether it was there before."""
    runs = new_runs(account, requests, now)
    Run.objects.bulk_create(
        [run for run, request in zip(runs, requests, strict=True) if request.run_id is None]
    )
    named = {id(run): _store_named(run) for run in sorted(runs, key=_run_id) if not run.pk}
    stored = [named.get(id(run), (run, False)) for run in runs]
    label([run for run, deduplicated in stored if not deduplicated])
    return stored


def label(runs: Iterable[Run]) -> None:
    """Make stored runs findable by their labels."""
    RunLabel.objects.bulk_create(
        RunLabel(run=run, name=name) for run in runs for name in run.label_list
    )


def _run_id(run: Run) -> str:
    """The order in which named runs are stored, so that triggers that race cannot deadlock."""
    return run.run_id


def _store_named(run: Run) -> tuple[Run, bool]:
    """The unique `live_id` decides between triggers that race."""
    while True:
        try:
            with joining():
                run.save(force_insert=True)
        except IntegrityError:
            live = Run.objects.filter(account=run.account, live_id=run.live_id).first()
            if live is not None:
                return live, True
            # It ended between the two statements: the id is free again.
        else:
            return run, False


def new_runs(account: Account, requests: Sequence[RunRequest], now: datetime) -> list[Run]:
    """Not stored yet; but the limits that they share are."""
    controls = {
        request.flow_control: flow_control_of(account, request.flow_control) for request in requests
    }
    workflows = {request.workflow for request in requests}
    terms = {workflow: terms_of(account.pk, workflow) for workflow in workflows}
    return [
        _new_run(account, request, terms[request.workflow], controls[request.flow_control], now)
        for request in requests
    ]


def _new_run(
    account: Account,
    request: RunRequest,
    terms: Terms,
    control: FlowControl | None,
    now: datetime,
) -> Run:
    settings = get_settings()
    run = Run(
        account=account,
        run_id=request.run_id or new_run_id(),
        workflow=request.workflow,
        named_within=request.named_within,
        version_id=terms.version_id,
        url=request.url,
        payload=request.body,
        content_type=request.content_type,
        headers=encode_json(dict(request.headers)),
        labels=encode_labels(request.labels),
        retries=settings.RETRIES if request.retries is None else request.retries,
        retry_delay=settings.RETRY_DELAY if request.retry_delay is None else request.retry_delay,
        timeout=request.timeout or settings.STEP_TIMEOUT,
        failure_url=request.failure_url or "",
        failure_options=request.failure_options.encode(),
        endpoint_check=request.endpoint_check,
        redaction=request.redaction,
        flow_control_id=terms.flow_control_id if control is None else control.pk,
        caller_ip=request.caller_ip,
        source=request.source,
        schedule=request.schedule,
        success_retention=first_known(request.success_retention, terms.success_retention),
        error_retention=first_known(request.error_retention, terms.error_retention),
        created_at=now,
    )
    run.live_id = run.id_while_live
    return run


def encode_labels(labels: Iterable[str]) -> str:
    """As `Run.labels` holds them: each once."""
    return encode_json(list(dict.fromkeys(labels)))


def due_at(request: RunRequest, now: datetime) -> datetime:
    if request.not_before is not None:
        return max(now, request.not_before)
    return now + request.delay if request.delay is not None else now


def first_message(run: Run, due_at: datetime, now: datetime) -> Message:
    """What starts a run: its turn, or the first delivery to its endpoint."""
    return Message(
        account_id=run.account_id,
        run=run,
        kind=Message.Kind.DELIVERY if run.is_remote else Message.Kind.TURN,
        due_at=due_at,
        flow_control_id=run.flow_control_id,
        created_at=now,
    )
