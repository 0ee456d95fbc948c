"""Plain messages to the endpoint of a workflow registered here: each starts a run."""

from __future__ import annotations

from http import HTTPStatus

from workflows_app.engine.message_runs import find_message, run_id_of, start_once
from workflows_app.errors import InvalidSignature, WorkflowsError
from workflows_app.models import Publication
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.runs import RunRequest
from workflows_app.protocol.signing import verify
from workflows_app.protocol.wire import TURN_CONTENT_TYPE
from workflows_app.rest.errors import STATUS_OF_CODE
from workflows_app.sdk.authoring import get_workflow, with_defaults
from workflows_app.sdk.serving import SIGNATURE_HEADER, Host, ServeRequest, ServeResponse

MESSAGE_HEADER = "upstash-message-id"


def is_message(request: ServeRequest) -> bool:
    """Whether it is no turn of a run that exists."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    return MESSAGE_HEADER in request.headers and content_type != TURN_CONTENT_TYPE


def start_run(request: ServeRequest, host: Host) -> ServeResponse:
    """Answer as the endpoint of an SDK does that has started a run (Upstash reference 3.5)."""
    try:
        publication = _verified(request, host)
        get_workflow(request.workflow)
        run = start_once(publication, _run_request(publication, request.workflow))
    except WorkflowsError as error:
        return _answer(STATUS_OF_CODE[error.code], {"error": error.message})
    return _answer(HTTPStatus.OK, {"workflowRunId": run.run_id, "finishCondition": "success"})


def _verified(request: ServeRequest, host: Host) -> Publication:
    """The message, if this is its delivery, signed by its account.

    The header that names the message is not signed, so the body has to be the one that it has.
    """
    signature = request.headers.get(SIGNATURE_HEADER, "")
    publication = find_message(request.headers[MESSAGE_HEADER]) if signature else None
    keys = publication.account.signing_keys if publication else ()
    verify(signature, request.body, url=host.url, keys=keys, now=host.now())
    if publication is None or bytes(publication.body) != request.body:
        raise InvalidSignature("The signature is for another message than Upstash-Message-Id says.")
    return publication


def _run_request(publication: Publication, workflow: str) -> RunRequest:
    return with_defaults(
        RunRequest(
            url=publication.url,
            workflow=workflow,
            body=bytes(publication.body),
            content_type=publication.content_type or "application/json",
            headers=publication.header_map,
            run_id=run_id_of(publication),
            redaction=publication.redaction,
            caller_ip=publication.caller_ip,
        )
    )


def _answer(status: HTTPStatus, body: dict[str, str]) -> ServeResponse:
    return ServeResponse(
        status=status,
        headers={"Content-Type": "application/json"},
        body=encode_json(body).encode(),
    )
