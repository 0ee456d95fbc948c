"""What a published message is, by its headers: the start of a run, work of a run, or plain (Upstash
reference 1.2, 2.4, 4.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from workflows_app.engine import publications, triggering
from workflows_app.engine.database import joining
from workflows_app.engine.remote import adopting, invoking
from workflows_app.engine.remote import publishing as remote
from workflows_app.engine.triggering import check_flow_control
from workflows_app.errors import InvalidInput, LimitExceeded, UnknownWorkflow
from workflows_app.models import Account
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.delivery_options import DeliveryOptions
from workflows_app.protocol.headers import MessageOptions, parse_headers
from workflows_app.protocol.ids import check_run_id, start_message_id
from workflows_app.protocol.published import read_number
from workflows_app.protocol.publishing import (
    Accepted,
    CallStepRequest,
    InvokeRequest,
    StepRequest,
)
from workflows_app.protocol.urls import check_url
from workflows_app.rest.upstash.bodies import PublishedBody
from workflows_app.rest.upstash.items import Item, is_work_of_a_run
from workflows_app.rest.upstash.run_requests import delivery_options, run_request

_SDK_VERSION = "Upstash-Workflow-Sdk-Version"
_STEP_ID = "Upstash-Workflow-Stepid"
_STEP_NAME = "Upstash-Workflow-Stepname"


def publish(account: Account, item: Item, ip: str) -> PublishedBody | list[PublishedBody]:
    """Accept it, in the caller's transaction if there is one; a list is of the endpoints of a URL
    group.

    Raises RunEnded, and LimitExceeded for what an endpoint must not publish again.
    """
    return publish_read(account, item, read_options(item), ip)


def read_options(item: Item) -> MessageOptions:
    """Raises InvalidInput, as LimitExceeded for what an endpoint must not publish again."""
    with _final_for_endpoints(item):
        options = parse_headers(item.headers)
        if options.flow_control is not None:
            check_flow_control(options.flow_control)
    return options


def publish_read(
    account: Account, item: Item, options: MessageOptions, ip: str
) -> PublishedBody | list[PublishedBody]:
    """`publish` what was read before."""
    with _final_for_endpoints(item):
        return _publish(account, item, options, ip)


def is_plain(options: MessageOptions) -> bool:
    """Whether it belongs to no run, and starts none."""
    of_a_run = options.workflow_run_id is not None
    return not (options.workflow_invoke or options.workflow_init or of_a_run)


@contextmanager
def _final_for_endpoints(item: Item) -> Iterator[None]:
    try:
        yield
    except (InvalidInput, UnknownWorkflow) as error:
        if is_work_of_a_run(item.headers):
            raise LimitExceeded(error.message) from None
        raise


def _publish(
    account: Account, item: Item, options: MessageOptions, ip: str
) -> PublishedBody | list[PublishedBody]:
    if options.workflow_invoke:
        return render_accepted(_invoke(account, item, options, ip))
    if options.workflow_init:
        return _start(account, item, options, ip)
    if options.workflow_run_id is not None:
        return render_accepted(_publish_work(account, item, options, options.workflow_run_id))
    with joining():
        published = publications.publish(
            account, item.destination, options, item.body or b"", caller_ip=ip, queue=item.queue
        )
    return [_render(each) for each in published] if _is_group(item) else _render(published[0])


def _start(account: Account, item: Item, options: MessageOptions, ip: str) -> PublishedBody:
    wanted = run_request(item.destination, options, item.body or b"", ip)
    with joining():
        if options.workflow_trigger_by_sdk:
            adopted = adopting.adopt(account, wanted)
            if adopted is not None:
                return {"messageId": start_message_id(adopted.pk)}
        (started,) = triggering.trigger(account, [wanted])
    return render_accepted(
        Accepted(message_id=start_message_id(started.run.pk), deduplicated=started.deduplicated)
    )


def _publish_work(account: Account, item: Item, options: MessageOptions, run_id: str) -> Accepted:
    match options.workflow_call_type:
        case None | "step":
            return remote.publish_step(account, _step(item, options, run_id))
        case "toCallback":
            return remote.publish_call(account, _call(item, options, run_id))
    raise LimitExceeded("Upstash-Workflow-CallType: only steps and calls can be published")


def _step(item: Item, options: MessageOptions, run_id: str) -> StepRequest:
    return StepRequest(
        run_id=run_id,
        raw=item.body or b"",
        delay=options.delay,
        not_before=options.not_before,
        options=step_options(options),
        flow_control=options.flow_control,
    )


def step_options(options: MessageOptions) -> DeliveryOptions:
    """What a step says of its own delivery, without what every step's has."""
    said = delivery_options(options)
    usual = said.content_type == "application/json"
    return replace(
        said,
        content_type=None if usual else said.content_type,
        delay=None,
        headers={name: value for name, value in said.headers.items() if name != _SDK_VERSION},
    )


def _call(item: Item, options: MessageOptions, run_id: str) -> CallStepRequest:
    callback = options.callback.forward if options.callback else {}
    step_id = read_number(callback.get(_STEP_ID, ""))
    if not step_id:
        raise LimitExceeded(
            "a call needs Upstash-Callback-Forward-Upstash-Workflow-StepId, the number of its step"
        )
    check_url(item.destination)
    headers = dict(options.forward)
    if options.content_type:
        headers["Content-Type"] = options.content_type
    return CallStepRequest(
        run_id=run_id,
        step_id=str(step_id),
        step_name=callback.get(_STEP_NAME, ""),
        url=item.destination,
        method=options.method or "POST",
        headers=headers,
        body=item.body,
        retries=options.retries or 0,
        retry_delay=options.retry_delay or "",
        timeout=options.timeout,
        flow_control=options.flow_control,
        callback_headers=callback,
    )


# -- invocations


def _invoke(account: Account, item: Item, options: MessageOptions, ip: str) -> Accepted:
    request = _invocation(item, options, ip)
    return invoking.invoke(account, request, options.workflow_invoke_count)


def _invocation(item: Item, options: MessageOptions, ip: str) -> InvokeRequest:
    said = _envelope(item.body or b"")
    payload = said.get("body")
    body = b"" if payload is None else _text("body", payload).encode(errors="replace")
    return InvokeRequest(
        parent_run_id=check_run_id(_text("workflowRunId", said.get("workflowRunId"))),
        step=encode_json(said.get("step")),
        run=run_request(item.destination, options, body, ip),
    )


def _envelope(body: bytes) -> Mapping[str, Any]:
    said = decode_json(body)
    if not isinstance(said, Mapping):
        raise InvalidInput("the body of an invocation must be an object")
    return said


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{name} of an invocation must be a text")
    return value


# -- rendering


def render_accepted(accepted: Accepted) -> PublishedBody:
    body: PublishedBody = {"messageId": accepted.message_id}
    return {**body, "deduplicated": True} if accepted.deduplicated else body


def _render(published: publications.Published) -> PublishedBody:
    body: PublishedBody = {"messageId": published.message_id}
    if published.url is not None:
        body["url"] = published.url
    if published.deduplicated:
        body["deduplicated"] = True
    return body


def _is_group(item: Item) -> bool:
    return not item.destination.lower().startswith(("http://", "https://"))
