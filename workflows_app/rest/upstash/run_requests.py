"""Runs as SDKs and callers ask for them: by the headers of a message that starts one."""

from __future__ import annotations

from dataclasses import replace

from workflows_app.engine.addresses import served_name
from workflows_app.protocol.delivery_options import DeliveryOptions
from workflows_app.protocol.endpoints import UNKNOWN_SDK, started_for_sdk
from workflows_app.protocol.headers import MessageOptions
from workflows_app.protocol.runs import RunRequest
from workflows_app.protocol.urls import check_url
from workflows_app.sdk.authoring import get_workflow, with_defaults

_JSON = "application/json"


def run_request(url: str, options: MessageOptions, body: bytes, caller_ip: str) -> RunRequest:
    """A run as an SDK asks for it. Raises UnknownWorkflow for one that is not served here."""
    name = served_name(check_url(url))
    if name is not None:
        get_workflow(name)
    detected = "WF_DetectTrigger" in options.features
    return with_defaults(
        RunRequest(
            url=url,
            workflow=name or "",
            body=body,
            content_type=options.content_type or _JSON,
            headers=options.forward,
            run_id=options.workflow_run_id,
            delay=options.delay,
            not_before=options.not_before,
            labels=options.labels,
            retries=options.retries,
            retry_delay=options.retry_delay,
            timeout=options.timeout,
            flow_control=options.flow_control,
            failure_url=_failure_url(url, options),
            failure_options=delivery_options(options.failure_callback),
            endpoint_check="detect" if detected and name is None else "",
            redaction=options.redaction.encode() if options.redaction else "",
            caller_ip=caller_ip,
        )
    )


def triggered_request(url: str, options: MessageOptions, body: bytes, caller_ip: str) -> RunRequest:
    """A run that this server starts in an SDK's place (Upstash reference 3.6)."""
    asked = run_request(url, options, body, caller_ip)
    if asked.workflow:
        return asked
    if options.workflow_unknown_sdk:
        asked = replace(asked, headers={**asked.headers, UNKNOWN_SDK: "true"})
    return started_for_sdk(asked)


def delivery_options(options: MessageOptions | None) -> DeliveryOptions:
    """How one delivery is to differ, of what was said about a message."""
    if options is None:
        return DeliveryOptions()
    return DeliveryOptions(
        headers=options.forward,
        content_type=options.content_type,
        method=options.method or "POST",
        delay=options.delay,
        retries=options.retries,
        retry_delay=options.retry_delay,
        timeout=options.timeout,
    )


def _failure_url(url: str, options: MessageOptions) -> str | None:
    """The URL of a workflow served here stands for its failure function, as when there is none
    (Upstash reference 1.2, E4).
    """
    own = served_name(url) is not None and options.failure_callback_url == url
    return "" if own else options.failure_callback_url
