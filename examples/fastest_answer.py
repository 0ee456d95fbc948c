"""A race: two AIs are asked at once, and the first answer wins.

Shows `race`, with a branch that ends it after a minute. Who has won is recorded: no replay finds
another winner. What ends first wins, so one that is refused must not end before the other.

    manage.py workflows trigger fastest-answer --body '{"question": "Why is the sky blue?"}'
"""

from __future__ import annotations

import os
from functools import partial

from workflows_app import Context, WorkflowNonRetryableError, workflow

Messages = list[dict[str, str]]


@workflow("fastest-answer")
def fastest_answer(context: Context) -> str:
    asked = [{"role": "user", "content": context.request_payload["question"]}]
    said = context.race(
        partial(ask_openai, context, asked),
        partial(ask_anthropic, context, asked),
        partial(nobody, context),
    )
    if said is None:
        raise WorkflowNonRetryableError("nobody answered in time")
    return said


def ask_openai(context: Context, asked: Messages) -> str | None:
    answer = context.api.openai.call(
        "ask-openai",
        token=os.environ.get("OPENAI_API_KEY", ""),
        operation="chat.completions.create",
        body={"model": "gpt-4o", "messages": asked},
        retries=1,
        retry_delay="5s",
    )
    if answer.status != 200:
        return nobody(context)
    text: str = answer.body["choices"][0]["message"]["content"]
    return text


def ask_anthropic(context: Context, asked: Messages) -> str | None:
    answer = context.api.anthropic.call(
        "ask-anthropic",
        token=os.environ.get("ANTHROPIC_API_KEY", ""),
        operation="messages.create",
        body={"model": "claude-sonnet-4-5", "max_tokens": 500, "messages": asked},
        retries=1,
        retry_delay="10s",
    )
    if answer.status != 200:
        return nobody(context)
    text: str = answer.body["content"][0]["text"]
    return text


def nobody(context: Context) -> str | None:
    context.sleep("patience", "1m")
    return None
