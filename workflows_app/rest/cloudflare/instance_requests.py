"""Instances as callers ask for them (Cloudflare reference 1.6)."""

from __future__ import annotations

import re
import uuid
from typing import Any

from rest_framework.request import Request

from workflows_app.conf import get_settings
from workflows_app.engine.addresses import serve_url
from workflows_app.errors import InvalidInput, LimitExceeded
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.runs import RunRequest
from workflows_app.rest.callers import caller_ip
from workflows_app.rest.cloudflare.names import check_name
from workflows_app.rest.cloudflare.reading import Fields, fields_of, read_fields, read_json
from workflows_app.rest.cloudflare.retention import read_retention
from workflows_app.sdk.authoring import get_workflow, with_defaults

MOST_IN_BATCH = 100
LONGEST_ID = 100
LOCATIONS = ("wnam", "weur", "enam", "eeur", "apac", "apac-ne", "apac-se", "oc", "sam", "afr", "me")
"""Regions of Cloudflare's network; here they mean nothing."""
_RESERVED = re.compile("batch|terminate|terminateAll|cf_[0-9a-f]{64}")


def read_instance(workflow: str, request: Request) -> RunRequest:
    """Raises InvalidInput; UnknownWorkflow when the code of the workflow is gone."""
    get_workflow(workflow)
    return _read(workflow, read_fields(request), caller_ip(request))


def read_batch(workflow: str, request: Request) -> list[RunRequest]:
    """The same for many; when one is refused, all are."""
    get_workflow(workflow)
    ip = caller_ip(request)
    return [
        _read(workflow, fields_of(f"item {index}", item, f"item {index}: "), ip)
        for index, item in enumerate(read_items(request))
    ]


def read_items(request: Request) -> list[Any]:
    """What a batch consists of."""
    items = read_json(request, absent=None)
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_IN_BATCH:
        raise InvalidInput(f"the body must be a JSON array of 1 to {MOST_IN_BATCH} items")
    return items


def _read(workflow: str, fields: Fields, ip: str) -> RunRequest:
    retention = fields.object("instance_retention")
    fields.choice("location_hint", LOCATIONS)
    return with_defaults(
        RunRequest(
            url=serve_url(workflow),
            workflow=workflow,
            body=_payload(fields),
            run_id=_id(fields),
            named_within=True,
            caller_ip=ip,
            success_retention=read_retention(retention, "success_retention"),
            error_retention=read_retention(retention, "error_retention"),
        )
    )


def _id(fields: Fields) -> str:
    text = fields.text("instance_id", most=LONGEST_ID)
    if text is None:
        return str(uuid.uuid4())
    if _RESERVED.fullmatch(text):
        raise InvalidInput(f"{fields.name_of('instance_id')} {text!r} is reserved; choose another")
    return check_name(fields.name_of("instance_id"), text, most=LONGEST_ID)


def _payload(fields: Fields) -> bytes:
    """A text is JSON, as the SDKs send it; anything else is the payload itself (Cloudflare
    reference 6, 3).
    """
    name, params = fields.name_of("params"), fields.value("params")
    if isinstance(params, str):
        try:
            params = decode_json(params)
        except InvalidInput as error:
            raise InvalidInput(
                f"{name} is a text, which must be the JSON of the payload: {error.message}"
            ) from None
    elif params is None:
        params = {}
    return check_size(name, encode_json(params).encode())


def check_size(name: str, payload: bytes) -> bytes:
    most = get_settings().MAX_INSTANCE_PAYLOAD_BYTES
    if len(payload) > most:
        raise LimitExceeded(f"{name} has {len(payload)} bytes of JSON; at most {most} are taken")
    return payload
