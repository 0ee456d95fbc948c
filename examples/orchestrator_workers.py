"""Orchestrator and workers: an AI splits a question, others answer its parts, one sums them up.

Shows calls of Anthropic side by side, as many as an earlier answer says, with credentials that are
shown to nobody and forgotten once the call is answered.

    manage.py workflows trigger orchestrator-workers --body '{"question":
        "How do kettles whistle?"}'
"""

from __future__ import annotations

import asyncio
import os

from workflows_app import AsyncContext, WorkflowNonRetryableError, workflow

MODEL = "claude-sonnet-4-5"
MOST_WORKERS = 5


@workflow("orchestrator-workers")
async def orchestrator_workers(context: AsyncContext) -> str:
    question: str = context.request_payload["question"]
    plan = await ask(
        context, "plan", "Split this question into smaller ones, one in each line.", question
    )
    parts = [line for line in plan.splitlines() if line.strip()][:MOST_WORKERS]
    answers = await asyncio.gather(
        *(
            ask(context, f"worker-{n}", "Answer in one sentence.", part)
            for n, part in enumerate(parts)
        )
    )
    return await ask(context, "sum-up", f"Answer from these notes: {question}", "\n".join(answers))


async def ask(context: AsyncContext, step: str, task: str, text: str) -> str:
    answer = await context.api.anthropic.call(
        step,
        token=os.environ.get("ANTHROPIC_API_KEY", ""),
        operation="messages.create",
        body={
            "model": MODEL,
            "max_tokens": 500,
            "system": task,
            "messages": [{"role": "user", "content": text}],
        },
        retries=5,
        retry_delay="10s",
        timeout="5m",
    )
    if answer.status != 200:
        raise WorkflowNonRetryableError(f"{step} was answered {answer.status}: {answer.body}")
    said: str = answer.body["content"][0]["text"]
    return said
