"""Workflows served to a server in memory, in both shells."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.serving.cloud import CURRENT, HOST, NEXT, Cloud
from tests.serving.cloud_runs import CloudRun
from tests.shells import Define, Shell, Story, define, registry, shell
from workflows_app import Workflow
from workflows_app.serving import Receiver, serve

__all__ = ["Shell", "define", "registry", "shell"]

KEYS = Receiver(current_signing_key=CURRENT, next_signing_key=NEXT)

ServeStory = Callable[..., "Site"]


class Site:
    """A workflow at `/story`, and the server that it is served to."""

    def __init__(self, cloud: Cloud, workflow: Workflow, **options: Any) -> None:
        self.cloud = cloud
        self.workflow = workflow
        given = {"publisher": cloud, "receiver": KEYS, "env": {}, **options}
        self.view = cloud.views["/story"] = serve(workflow, **given)

    def trigger(self, body: Any = None, **headers: str) -> CloudRun:
        """Start a run as a client of the server does."""
        return self.cloud.start(
            {
                "destination": f"{HOST}/story",
                "headers": {
                    "upstash-workflow-init": "true",
                    "upstash-workflow-runid": f"wfr_{len(self.cloud.runs) + 1}",
                    "upstash-forward-upstash-workflow-sdk-version": "1",
                    **headers,
                },
                "body": "" if body is None else json.dumps(body),
            }
        )

    def run(self, body: Any = None, **headers: str) -> CloudRun:
        """Start one, and deliver until nothing is owed."""
        run = self.trigger(body, **headers)
        self.cloud.deliver_all()
        return run


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def serve_story(cloud: Cloud, define: Define) -> ServeStory:
    """Serve a story, by each of the shells; keywords are options of `serve`, or `workflow`, those
    of `@workflow`.
    """

    def serve_story(story: Story, workflow: dict[str, Any] | None = None, **options: Any) -> Site:
        return Site(cloud, define(**(workflow or {}))(story), **options)

    return serve_story
