"""Webhooks are called without a server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shells import Define
from workflows_app.errors import InvalidInput, NotFound
from workflows_app.testing import RunUnderTest, WorkflowTest

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(define: Define, flows: WorkflowTest) -> RunUnderTest:
    @define()
    async def story(context: Any) -> Any:
        webhook = await context.create_webhook("create")
        call = await context.wait_for_webhook("wait", webhook, timeout="1h")
        if call.timeout:
            return "no answer"
        request = call.request
        return [request.method, request.url, request.payload, request.headers.get("X-Kind")]

    return flows.start(story)


def test_a_call_of_its_webhook_wakes_the_run(flows: WorkflowTest, waiting: RunUnderTest):
    assert [wait.kind for wait in waiting.waits] == ["wait for webhook"]

    flows.deliver_webhook(waiting, body={"paid": 12}, headers={"X-Kind": "payment"})

    url = waiting.webhook().webhook_url
    assert waiting.result == ["POST", url, {"paid": 12}, "payment"]


def test_any_method_and_body_will_do(flows: WorkflowTest, waiting: RunUnderTest):
    flows.deliver_webhook(waiting, method="PUT", body="as it is")

    assert waiting.result[0::2] == ["PUT", "as it is"]


def test_a_url_will_do_with_a_query(flows: WorkflowTest, waiting: RunUnderTest):
    url = f"{waiting.webhook('create').webhook_url}?day=1"

    flows.deliver_webhook(url, method="GET")

    assert waiting.result[:3] == ["GET", url, None]


def test_the_webhook_itself_will_do(flows: WorkflowTest, waiting: RunUnderTest):
    flows.deliver_webhook(waiting.webhook(), body=b"bytes")

    assert waiting.result[2] == "bytes"


def test_without_a_call_its_time_runs_out(flows: WorkflowTest, waiting: RunUnderTest):
    flows.advance("1h")

    assert waiting.result == "no answer"


def test_a_call_that_no_run_can_take_fails_the_test(flows: WorkflowTest, waiting: RunUnderTest):
    flows.advance("1h")

    with pytest.raises(AssertionError, match=r"the webhook answered 404: .*its run has ended"):
        flows.deliver_webhook(waiting)


def test_another_url_is_refused(flows: WorkflowTest):
    with pytest.raises(InvalidInput, match=r"https://app.example/hook is not the URL of a webhook"):
        flows.deliver_webhook("https://app.example/hook")


def test_of_several_webhooks_the_one_that_is_waited_for_is_meant(
    define: Define, flows: WorkflowTest
):
    @define()
    async def story(context: Any) -> Any:
        one = await context.create_webhook("one")
        other = await context.create_webhook("other")
        first = await context.wait_for_event("go", "go")
        answer = await context.wait_for_webhook("wait", other)
        return [first.event_data, answer.request.payload, one.event_id]

    run = flows.start(story)
    with pytest.raises(NotFound, match="there are 2 webhooks, name the step of one"):
        run.webhook()
    flows.notify("go", 1)
    flows.deliver_webhook(run, body=2)

    assert run.result == [1, 2, run.webhook("one").event_id]


def test_a_run_without_webhooks_is_told(define: Define, flows: WorkflowTest):
    @define()
    async def story(context: Any) -> None: ...

    with pytest.raises(NotFound, match="there is no such webhook"):
        flows.deliver_webhook(flows.start(story))
