"""Reading JSON objects that say what is to be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request

from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.texts import check_storable
from workflows_app.rest.views import read_body


def read_object(request: Request, example: str) -> Mapping[str, Any]:
    """Raises InvalidInput, which shows the example."""
    said = decode_json(read_body(request))
    if not isinstance(said, Mapping):
        raise InvalidInput(f"the body must be a JSON object such as {example}")
    return said


def read_text(said: Mapping[str, Any], name: str) -> str:
    """What is missing is an empty text."""
    value = said.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be a text, not {value!r:.80}")
    check_storable(name, value)
    return value
