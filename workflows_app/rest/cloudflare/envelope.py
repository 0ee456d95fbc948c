"""What every answer of the dialect is put in (Cloudflare reference 1.2).

Annotations are evaluated here, so that `NotRequired` is seen at runtime.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from django.http import HttpResponse
from rest_framework.response import Response

from workflows_app.rest.cloudflare.codes import Code

RAW = "application/octet-stream"


class MessageBody(TypedDict):
    code: int
    message: str


class PageBody(TypedDict):
    count: int
    per_page: int
    total_count: int
    page: NotRequired[int]
    total_pages: NotRequired[int]
    cursor: NotRequired[str]


def success(
    result: Any, *, messages: Sequence[MessageBody] = (), page: PageBody | None = None
) -> Response:
    """`messages` tell what was left out of a result that is a success all the same."""
    body = {"success": True, "errors": [], "messages": list(messages), "result": result}
    return Response(body if page is None else {**body, "result_info": page})


def raw(content: bytes) -> HttpResponse:
    """In no envelope."""
    answer = HttpResponse(content, content_type=RAW)
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def failure(code: Code, sentence: str) -> Response:
    answer = Response(failure_body(code, sentence), status=code.status)
    if code.is_final:
        answer["x-should-retry"] = "false"
    return answer


def failure_body(code: Code, sentence: str) -> dict[str, Any]:
    """Programs read the code and its text; the sentence, for people, stands in `messages`."""
    error = {"code": code.number, "message": code.text}
    return {"success": False, "errors": [error], "messages": [sentence], "result": None}
