"""How /schema/ describes operations of the dialect: what they answer stands in an envelope."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import OpenApiParameter

from workflows_app.rest.cloudflare.codes import Code
from workflows_app.rest.cloudflare.envelope import MessageBody, PageBody, failure_body
from workflows_app.rest.schema import (
    Access,
    Description,
    Refusals,
    Schema,
    in_query,
    operation,
    schema_of,
)

BAD = HTTPStatus.BAD_REQUEST
UNKNOWN = HTTPStatus.NOT_FOUND
CONFLICT = HTTPStatus.CONFLICT
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

_MESSAGES: Schema = {"type": "array", "items": schema_of(MessageBody)}
_FAILURE: Schema = {
    "type": "object",
    "properties": {
        "success": {"type": "boolean", "enum": [False]},
        "errors": {**_MESSAGES, "minItems": 1},
        "messages": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What is wrong and what to do.",
        },
        "result": {"nullable": True, "enum": [None]},
    },
    "required": ["success", "errors", "messages", "result"],
}
REFUSALS = Refusals(
    schema=_FAILURE,
    examples={
        code.status: failure_body(code, sentence)
        for code, sentence in {
            Code.BODY: "per_page is '0' but must be a whole number, 1 to 100",
            Code.NOT_AUTHENTICATED: "this token is unknown or has been revoked; "
            "ask whoever runs this server for another",
            Code.READ_ONLY: "This token may only read; use a full token to change anything.",
            Code.UNKNOWN_WORKFLOW: 'no workflow "orders" is registered here',
            Code.CANNOT_TERMINATE: 'the instance "order-7" has ended',
            Code.TOO_LARGE: "the body is larger than the 104857600 bytes that this server accepts",
        }.items()
    },
)
PAGE_PARAMETERS = [
    in_query("page", "Which page, from 1.", int),
    in_query("per_page", "How many to a page, 1 to 100.", int),
]


def described(  # noqa: PLR0913 - the parts of an operation
    access: Access,
    *,
    name: str,
    summary: str,
    result: Any,
    example: Any,
    page: PageBody | None = None,
    refused: Sequence[HTTPStatus] = (),
    parameters: Sequence[OpenApiParameter] = (),
    body: Schema | None = None,
    body_example: Any = None,
    raw: str = "",
) -> Description:
    """Describe the method of a view that answers with the `result`, and with a `page` if it is one,
    or with bytes of the content type `raw`.

    `name` is that of the resource and, after "_", of the operation. That an account, and what a
    path names, may not be there is said for every operation.
    """
    properties = {
        "success": {"type": "boolean", "enum": [True]},
        "errors": {**_MESSAGES, "maxItems": 0},
        "messages": _MESSAGES,
        "result": schema_of(result),
    }
    value = {"success": True, "errors": [], "messages": [], "result": example}
    if page is not None:
        properties["result_info"] = schema_of(PageBody)
        value["result_info"] = page
    return operation(
        access,
        name=name,
        summary=summary,
        group=f"Cloudflare: {name.partition('_')[0]}",
        answer={"type": "object", "properties": properties, "required": list(properties)},
        example=value,
        refusals=REFUSALS,
        refused=sorted({UNKNOWN, *refused}),
        parameters=parameters,
        body=body,
        body_example=body_example,
        raw=raw,
    )
