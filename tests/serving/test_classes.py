"""Class-based workflows over the protocol, in both shells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.serving.cloud import Cloud
from tests.serving.conftest import Site
from tests.shells import ClassStory, Shell, class_for
from workflows_app import Workflow

ServeClass = Callable[[ClassStory], Site]


@pytest.fixture
def serve_class(cloud: Cloud, shell: Shell, registry: dict[str, Workflow]) -> ServeClass:
    return lambda story: Site(cloud, class_for(shell, story, "story"))


def test_steps_are_published_and_retried_after_their_own_delay(
    serve_class: ServeClass, cloud: Cloud
) -> None:
    async def story(event: Any, step: Any) -> Any:
        def price(ctx: Any) -> int:
            if ctx.attempt == 1:
                raise ConnectionError("busy")
            return int(ctx["attempt"])

        config = {"retries": {"limit": 3, "delay": "10 seconds"}}
        found = await step.do("price", price, config)
        await step.sleep("nap", "1 hour")
        return [found, event["payload"]]

    cloud.retries = 3
    run = serve_class(story).run({"id": 7})

    assert run.result == [2, {"id": 7}]
    assert [each["stepName"] for each in run.steps] == ["price", "nap"]
    refused = [answer for answer in cloud.answers if answer.status_code == 429]
    assert [answer["Retry-After"] for answer in refused] == ["10"]


def test_a_failed_run_undoes_its_steps(serve_class: ServeClass) -> None:
    undone: list[Any] = []

    async def story(event: Any, step: Any) -> Any:
        def sell_out() -> None:
            raise LookupError("sold out")

        await step.do("reserve", lambda: "r-1", rollback=undone.append)
        await step.do("ship", sell_out, {"retries": {"limit": 0, "delay": 0}})

    run = serve_class(story).run()

    assert run.status == "failed"
    assert [(each.output, str(each.error)) for each in undone] == [("r-1", "sold out")]
