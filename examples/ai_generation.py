"""All in one: download a data set, have an AI summarize it chunk by chunk, and mail a report.

Shows a download of hours without a worker, calls of OpenAI side by side, ten at a time (`map`), and
a call of Resend.

    manage.py workflows trigger ai-generation --body '{"dataset_id": "sales", "user_id": "ada"}'
"""

from __future__ import annotations

import json
import os
from typing import TypedDict

from workflows_app import AsyncContext, CallResponse, WorkflowNonRetryableError, workflow

CHUNK_SIZE = 1000
"""Rows."""
AT_A_TIME = 10
"""Chunks whose calls are under way."""
TASK = "Summarize the data of the user in a few sentences, and name what stands out."


class Request(TypedDict):
    dataset_id: str
    user_id: str


@workflow("ai-generation", retries=3)
async def ai_generation(context: AsyncContext) -> str:
    request: Request = context.request_payload
    url = await context.run("get-dataset-url", get_dataset_url, request["dataset_id"])
    downloaded = checked(await context.call("download-dataset", url=url, timeout="2h", retries=3))
    rows: list[object] = downloaded.body
    chunks = [rows[start : start + CHUNK_SIZE] for start in range(0, len(rows), CHUNK_SIZE)]

    async def process(chunk: list[object]) -> str:
        return await summary_of(context, chunk)

    summaries = await context.map(process, chunks, concurrency=AT_A_TIME)
    findings = await context.run("aggregate-results", aggregate, summaries)
    report = await context.run("generate-report", generate_report, request["dataset_id"], findings)
    sent = await context.api.resend.call(
        "send-report",
        token=os.environ.get("RESEND_API_KEY", ""),
        body={
            "from": "reports@example.org",
            "to": f"{request['user_id']}@example.org",
            "subject": f"Report on {request['dataset_id']}",
            "text": report,
        },
        retries=5,
    )
    mail_id: str = checked(sent).body["id"]
    return mail_id


async def summary_of(context: AsyncContext, chunk: list[object]) -> str:
    answer = await context.api.openai.call(
        "process-chunk",
        token=os.environ.get("OPENAI_API_KEY", ""),
        operation="chat.completions.create",
        body={
            "model": "gpt-4o",
            "messages": [
                {"role": "system", "content": TASK},
                {"role": "user", "content": json.dumps(chunk)},
            ],
            "max_tokens": 150,
        },
        retries=5,
        retry_delay="20s",
    )
    text: str = checked(answer).body["choices"][0]["message"]["content"]
    return text


def checked(answer: CallResponse) -> CallResponse:
    """Raises unless it is the one that was hoped for: any answer is a result of a call."""
    if answer.status >= 300:
        raise WorkflowNonRetryableError(f"refused with {answer.status}: {answer.body}")
    return answer


async def get_dataset_url(dataset_id: str) -> str:
    return f"https://data.example.org/{dataset_id}.json"


def aggregate(summaries: list[str]) -> str:
    return " ".join(summaries)


def generate_report(dataset_id: str, findings: str) -> str:
    return f"What {dataset_id} says: {findings}"
