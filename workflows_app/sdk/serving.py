"""Answering signed deliveries: verify, replay, answer. Knows no framework; adapters are thin.

What an endpoint needs of its surroundings comes in through `Host`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus

from workflows_app.errors import (
    InvalidInput,
    InvalidSignature,
    PayloadTooLarge,
    StepMisuse,
    UnknownWorkflow,
    WorkflowsError,
)
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.faults import describe_error
from workflows_app.protocol.runs import (
    Failed,
    History,
    RunInfo,
    TurnOutcome,
)
from workflows_app.protocol.signing import verify
from workflows_app.protocol.wire import ANSWER_CONTENT_TYPE, TurnAnswer, decode_turn, encode_answer
from workflows_app.sdk.authoring import Workflow, get_workflow, registered_workflows
from workflows_app.sdk.base_context import Ports, StandIn, no_stand_in
from workflows_app.sdk.collecting import Collecting
from workflows_app.sdk.replay import Extent
from workflows_app.sdk.turn import run_turn

SIGNATURE_HEADER = "upstash-signature"
RUN_ID_HEADER = "upstash-workflow-runid"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """A request to the endpoint of a workflow. Header names are in lower case.

    `body` may end one byte beyond what the host allows: that much tells that it is too large.
    """

    method: str
    workflow: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeResponse:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where an endpoint lives.

    `url` is where it is reached, as signers write it. `keys_of` gives the signing keys, current
    first, that may sign for the run of that id; none if there is no such run. `webhook_url` is
    that of an event of a run. `begun`, of a run, `threads`, `thread_ends` and `stand_in` are those
    of `sdk.base_context.Ports`.
    """

    url: str
    keys_of: Callable[[str], Sequence[str]]
    webhook_url: Callable[[str, str], str]
    now: Callable[[], datetime]
    max_body_bytes: int
    max_result_bytes: int
    begun: Callable[[str], Collection[str]] = lambda run_id: ()
    threads: bool = True
    thread_ends: Callable[[], None] = lambda: None
    stand_in: StandIn = no_stand_in


def serve(request: ServeRequest, host: Host) -> ServeResponse:
    """Execute the next step of the run that is delivered, and answer with what came of it.

    Whatever cannot be served is refused in JSON; the workflow's own errors are part of the answer.
    """
    if request.method != "POST":
        sentence = f"{request.method} is not served here; a workflow takes signed POST requests"
        return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, sentence, {"Allow": "POST"})
    try:
        answer = encode_answer(_take_turn(request, host))
    except WorkflowsError as error:
        return _refusal(_status(error), error.message, {})
    return ServeResponse(
        status=HTTPStatus.OK, headers={"Content-Type": ANSWER_CONTENT_TYPE}, body=answer
    )


def _take_turn(request: ServeRequest, host: Host) -> TurnAnswer:
    workflow = _served(request.workflow)
    if len(request.body) > host.max_body_bytes:
        raise PayloadTooLarge(
            f"the delivery is larger than the {host.max_body_bytes} bytes that this server accepts"
        )
    run, history = _verified(request, host)
    did = Collector()
    outcome = _run(workflow, run, history, did, host)
    return TurnAnswer(steps=tuple(did.steps), attempts=tuple(did.attempts), outcome=outcome)


def _served(name: str) -> Workflow:
    """Who has not shown a signature is not told which other names there are."""
    if name not in registered_workflows():
        raise UnknownWorkflow(f'no workflow "{name[:200]}" is served here; check the URL')
    return get_workflow(name)


def _verified(request: ServeRequest, host: Host) -> tuple[RunInfo, History]:
    """The delivery, if it is signed for this endpoint by the owner of its run.

    The header that names the run is not signed, so the body has to name the same.
    """
    signature = request.headers.get(SIGNATURE_HEADER, "")
    run_id = request.headers.get(RUN_ID_HEADER, "")
    keys = host.keys_of(run_id) if signature else ()
    verify(signature, request.body, url=host.url, keys=keys, now=host.now())
    run, history = decode_turn(request.body)
    if run.run_id != run_id:
        raise InvalidSignature("The signature is for another run than Upstash-Workflow-RunId says.")
    return run, history


def _run(
    workflow: Workflow, run: RunInfo, history: History, did: Collector, host: Host
) -> TurnOutcome:
    ports = Ports(
        recorder=did,
        webhook_url=partial(host.webhook_url, run.run_id),
        threads=host.threads,
        thread_ends=host.thread_ends,
        begun=partial(host.begun, run.run_id),
        stand_in=host.stand_in,
    )
    try:
        return run_turn(
            workflow,
            run,
            history,
            ports,
            now=host.now,
            max_result_bytes=host.max_result_bytes,
            extent=Extent.ONE_BATCH,
        )
    except StepMisuse as error:
        return Failed(error=describe_error(error))


class Collector(Collecting):
    """The server that sent the delivery stores it, from the answer."""

    NO_ATOMIC = (
        "context.atomic needs the local transport: only there do the step and its result share "
        'a transaction. Use context.run, or @workflow(..., transport="local")'
    )


# -- refusing


def _status(error: WorkflowsError) -> HTTPStatus:
    match error:
        case InvalidSignature():
            return HTTPStatus.UNAUTHORIZED
        case UnknownWorkflow():
            return HTTPStatus.NOT_FOUND
        case PayloadTooLarge():
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        case InvalidInput():
            return HTTPStatus.BAD_REQUEST
    raise error


def _refusal(status: HTTPStatus, sentence: str, headers: Mapping[str, str]) -> ServeResponse:
    return ServeResponse(
        status=status,
        headers={"Content-Type": "application/json", **headers},
        body=encode_json({"error": sentence}).encode(),
    )
