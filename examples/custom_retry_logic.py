"""Custom retry logic: wait as long as the service says, and longer and longer when it says nothing.

Shows retries that the workflow decides about itself, by the answer: an answer of any status is a
result of `context.api.openai.call`, which is not retried unless it says so.

    manage.py workflows trigger custom-retry-logic --body '{"user_data": "War and Peace"}'
"""

from __future__ import annotations

import os
from datetime import timedelta

from workflows_app import AsyncContext, CallResponse, WorkflowNonRetryableError, workflow

ATTEMPTS = 10
TOO_MANY_REQUESTS = 429


@workflow("custom-retry-logic")
async def custom_retry_logic(context: AsyncContext) -> str:
    user_data: str = context.request_payload["user_data"]
    for attempt in range(ATTEMPTS):
        answer = await context.api.openai.call(
            "call-openai",
            token=os.environ.get("OPENAI_API_KEY", ""),
            operation="chat.completions.create",
            body={"model": "gpt-4o", "messages": [{"role": "user", "content": user_data}]},
        )
        if answer.status < 300:
            text: str = answer.body["choices"][0]["message"]["content"]
            return await context.run("store-response", store_response, text)
        if answer.status == TOO_MANY_REQUESTS:
            await context.sleep("sleep-until-limit-is-over", limit_ends_in(answer))
        else:
            await context.sleep("pause-to-avoid-spam", timedelta(seconds=1 << attempt))
    raise WorkflowNonRetryableError(f"no answer after {ATTEMPTS} attempts")


def limit_ends_in(answer: CallResponse) -> str:
    """As the service writes it, such as "6m0s"."""
    for name in ("X-Ratelimit-Reset-Tokens", "X-Ratelimit-Reset-Requests"):
        if values := answer.header.get(name):
            return values[0]
    return "10s"


async def store_response(text: str) -> str:
    """Would write it down; returns the beginning."""
    return text[:40]
