"""A language model of few words, behind the two interfaces that agents speak to.

It follows its system prompt: a prompt that names a tool in square brackets, as in "[weather]", has
it call that tool once with the user's words; after that, and without one, it answers what it knows.
"""

from __future__ import annotations

import json
import re
from typing import Any


def answer(request: dict[str, Any]) -> dict[str, Any]:
    return _answer_responses(request) if "input" in request else _answer_chat(request)


def _decide(system: str, said: str, results: list[str]) -> tuple[str | None, str]:
    """Which tool to call with which words; or none, and what to say."""
    wanted = re.findall(r"\[(\w+)\]", system)
    if len(results) < len(wanted):
        return wanted[len(results)], said
    return None, f"{said}: {' and '.join(results) or 'nothing to add'}"


def _answer_chat(request: dict[str, Any]) -> dict[str, Any]:
    by_role: dict[str, list[str]] = {}
    for said in request["messages"]:
        by_role.setdefault(said["role"], []).append(_text(said.get("content")))
    tool, words = _decide(_system(by_role), by_role["user"][-1], by_role.get("tool", []))
    message: dict[str, Any] = {"role": "assistant", "content": None if tool else words}
    if tool:
        function = {"name": tool, "arguments": json.dumps({"prompt": words})}
        message["tool_calls"] = [{"id": f"call_{tool}", "type": "function", "function": function}]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": request["model"],
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if tool else "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _answer_responses(request: dict[str, Any]) -> dict[str, Any]:
    by_role: dict[str, list[str]] = {}
    for item in request["input"]:
        if item.get("type") == "function_call_output":
            by_role.setdefault("tool", []).append(_text(item["output"]))
        elif "role" in item:
            by_role.setdefault(item["role"], []).append(_text(item["content"]))
    tool, words = _decide(_system(by_role), by_role["user"][-1], by_role.get("tool", []))
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": request["model"],
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "output": [_call(tool, words) if tool else _message(words)],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    }


def _call(tool: str, words: str) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{tool}",
        "call_id": f"call_{tool}",
        "name": tool,
        "arguments": json.dumps({"prompt": words}),
        "status": "completed",
    }


def _message(words: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": words, "annotations": []}],
    }


def _system(by_role: dict[str, list[str]]) -> str:
    return " ".join([*by_role.get("system", []), *by_role.get("developer", [])])


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return "" if content is None else str(content)
