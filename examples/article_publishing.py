"""Workflows that run others: articles are analyzed side by side, and the good ones are published.

Shows `invoke`, whose run has steps, retries and a page of its own; that its failure is a result,
not an error; and limits that all runs of a workflow share (flow control).

    manage.py workflows trigger publish-articles --wait --body '["On kettles", ""]'
"""

from __future__ import annotations

from typing import TypedDict

from workflows_app import (
    Context,
    FlowControlSpec,
    InvokeResponse,
    WorkflowNonRetryableError,
    workflow,
)


class Analysis(TypedDict):
    words: int
    language: str


@workflow("analyze-content", retries=1, flow_control=FlowControlSpec(key="analysis", parallelism=2))
def analyze_content(context: Context) -> Analysis:
    text: str = context.request_payload
    words = context.run("count-words", count_words, text)
    return {"words": words, "language": context.run("guess-language", guess_language, text)}


@workflow("publish-articles")
def publish_articles(context: Context) -> list[str]:
    """Returns those that were published."""
    articles: list[str] = context.request_payload

    def analysis_of(article: str) -> InvokeResponse:
        return context.invoke(
            "analyze", workflow=analyze_content, body=article, headers={"X-Priority": "low"}
        )

    analyses = context.map(analysis_of, articles)
    published: list[str] = []
    for article, analysis in zip(articles, analyses, strict=True):
        if not (analysis.is_failed or analysis.is_canceled):
            published.append(context.run("publish", publish, article, analysis.body))
    return published


def count_words(text: str) -> int:
    if not text:
        raise WorkflowNonRetryableError("there is nothing to read")
    return len(text.split())


def guess_language(text: str) -> str:
    return "en" if text.isascii() else "unknown"


def publish(text: str, analysis: Analysis) -> str:
    return f"{text} ({analysis['words']} words, {analysis['language']})"
