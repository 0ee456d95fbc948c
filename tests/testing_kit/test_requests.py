"""Requests are answered by the test, and never reach the network."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.shells import Define
from workflows_app.testing import WorkflowTest

pytestmark = pytest.mark.django_db

URL = "https://rates.example.org/latest"
SECOND = timedelta(seconds=1)


async def asking(context: Any) -> Any:
    answer = await context.call(
        "latest", url=f"{URL}?day=1", method="POST", body={"base": "EUR"}, retries=2
    )
    return {"status": answer.status, "body": answer.body, "type": answer.header.get("X-Type")}


@pytest.mark.parametrize("target", ["latest", URL, f"{URL}?day=1"])
def test_a_call_is_answered_by_its_name_or_its_url(
    define: Define, flows: WorkflowTest, target: str
):
    flows.answer_call(target, status=201, body={"rate": 2}, headers={"x-type": "daily"})

    run = flows.start(define()(asking))

    assert run.result == {"status": 201, "body": {"rate": 2}, "type": ["daily"]}
    run.assert_steps("latest")


@pytest.mark.parametrize("body", ["plain", b"plain"], ids=["text", "bytes"])
def test_texts_and_bytes_are_answered_as_they_are(define: Define, flows: WorkflowTest, body: Any):
    flows.answer_call("latest", body=body)

    assert flows.start(define()(asking)).result["body"] == "plain"


def test_what_was_sent_can_be_looked_at(define: Define, flows: WorkflowTest):
    flows.answer_call("latest")

    flows.start(define()(asking))

    (sent,) = flows.sent
    assert (sent.step, sent.method, sent.url) == ("latest", "POST", f"{URL}?day=1")
    assert sent.payload == {"base": "EUR"}
    assert sent.headers["Content-Type"] == "application/json"


def test_answers_are_given_in_their_order_and_the_last_one_stays(
    define: Define, flows: WorkflowTest
):
    flows.answer_call("latest", status=500)
    flows.answer_call("latest", status=503, headers={"Retry-After": "60"})
    flows.answer_call("latest", body="fine")
    workflow = define(retry_delay="1000")(asking)

    run = flows.start(workflow)
    (wait,) = run.waits
    assert (wait.step, wait.kind, wait.until) == ("latest", "call", flows.now + SECOND)
    flows.advance("1s")
    flows.advance("59s")
    assert run.status == "running"
    flows.advance("1s")

    assert run.result["body"] == "fine"
    run.assert_step("latest", attempts=3)
    assert flows.start(workflow).result["body"] == "fine"


@pytest.mark.parametrize(("kind", "status"), [("timeout", 504), ("unreachable", 502)])
def test_a_call_may_find_nobody_or_take_too_long(
    define: Define, flows: WorkflowTest, kind: Any, status: int
):
    flows.fail_call("latest", kind)

    run = flows.start(define()(asking))
    flows.advance_to_end(run)

    assert run.result["status"] == status


def test_a_call_that_nothing_answers_fails_the_test_and_says_what_to_do(
    define: Define, flows: WorkflowTest
):
    with pytest.raises(AssertionError) as raised:
        flows.start(define("rates")(asking))

    assert str(raised.value) == (
        f'step "latest" of workflow "rates" asked for POST {URL}?day=1, and nothing answers it '
        "here, as a test does not reach the network: say before what comes back, by "
        'answer_call("latest", status=200, body=…)'
    )


def test_so_does_any_other_request(define: Define, flows: WorkflowTest):
    @define(retries=0, failure_url="https://app.example/failed")
    async def broken(context: Any) -> None:
        raise ValueError("no")

    with pytest.raises(AssertionError, match=r"POST https://app.example/failed was asked for"):
        flows.start(broken)


def test_a_failure_url_is_answered_by_its_url(define: Define, flows: WorkflowTest):
    flows.answer_call("https://app.example/failed")

    @define(retries=0, failure_url="https://app.example/failed")
    async def broken(context: Any) -> None:
        raise ValueError("no")

    flows.start(broken)

    (sent,) = flows.sent
    assert (sent.step, sent.payload["status"]) == (None, 500)
