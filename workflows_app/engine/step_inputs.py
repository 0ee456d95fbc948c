"""What people are shown as the input of a step that the server carries out."""

from __future__ import annotations

from typing import Any

from workflows_app.engine.outcomes import readable
from workflows_app.models import Run
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.redaction import without_credentials
from workflows_app.protocol.runs import CallRequest


def input_of_call(call: CallRequest) -> str:
    shown: dict[str, Any] = {
        "url": call.url,
        "method": call.method,
        "headers": without_credentials(call.headers),
    }
    if call.body is not None:
        shown["body"] = readable(call.body)
    return encode_json(shown)


def input_of_wait(event_id: str, timeout: str) -> str:
    return encode_json({"event": event_id, "timeout": timeout})


def input_of_invocation(child: Run) -> str:
    return encode_json({"workflow": child.workflow or child.url, "run": child.run_id})
