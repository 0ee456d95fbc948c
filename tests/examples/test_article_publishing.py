"""Runs that run others."""

from __future__ import annotations

from collections import Counter

from examples.article_publishing import analyze_content, publish_articles
from workflows_app.testing import WorkflowTest


def test_what_can_be_analyzed_is_published(workflows: WorkflowTest):
    run = workflows.start(publish_articles, ["On kettles", "", "Über Kannen"])

    assert run.result == ["On kettles (2 words, en)", "Über Kannen (2 words, unknown)"]
    analyses = Counter(each.status for each in workflows.runs(analyze_content))
    assert analyses == {"succeeded": 2, "failed": 1}


def test_the_analyses_are_told_what_they_are_for(workflows: WorkflowTest):
    run = workflows.start(publish_articles, ["On kettles"])

    analysis = run.invoked("analyze")
    assert analysis.result == {"words": 2, "language": "en"}
    assert analysis.row.flow_control is not None
    assert analysis.row.flow_control.key == "analysis"
