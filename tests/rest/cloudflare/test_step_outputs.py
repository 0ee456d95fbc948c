"""What a single step has come to, with all of its output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.cloudflare.conftest import CloudflareApi, refusal_of, result_of
from tests.rest.cloudflare.shapes import DETAIL, STEP_OUTPUT, checked
from tests.rest.conftest import Register
from workflows_app.engine import run_moves
from workflows_app.models import Run

ORDER = "orders/instances/order-7"
Work = Callable[[], int]


@pytest.fixture(autouse=True)
def orders(registry: Register) -> None:
    tries = iter([ConnectionError("closed"), ConnectionError("still closed"), None])

    def sell() -> list[str]:
        if error := next(tries):
            raise error
        return ["sold" * 1000]

    @registry("orders", retries=2, retry_delay="10s")
    def orders(context: Any) -> None:
        context.run("sell", sell)
        context.run("nothing", lambda: None)
        context.wait_for_event("payment", "paid", timeout="1m")
        context.wait_for_event("payment", "paid", timeout="1m")
        context.options(retries=0).run("fail", lambda: 1 / 0)


@pytest.fixture
def step(cloudflare: CloudflareApi, clock: Clock, work: Work) -> Callable[..., Any]:
    cloudflare.post("orders/instances", {"instance_id": "order-7"})
    work()

    def show(name: str, kind: str = "step", **query: object) -> Any:
        answer = cloudflare.get(f"{ORDER}/step", name=name, type=kind, **query)
        return checked(STEP_OUTPUT, result_of(answer))

    return show


def retry(clock: Clock, work: Work) -> None:
    clock.advance("10s")
    work()


def test_a_step_that_is_tried_again_is_running_and_shows_what_was_wrong(
    step: Callable[..., Any], clock: Clock, work: Work
) -> None:
    closed = {"name": "ConnectionError", "message": "closed"}
    assert step("sell-1") == {"status": "running", "error": closed, "output": None}

    retry(clock, work)

    still = {"name": "ConnectionError", "message": "still closed"}
    assert step("sell-1") == {"status": "running", "error": still, "output": None}
    assert step("sell-1", attempt=1) == {"status": "errored", "error": closed, "output": None}


def test_bytes_that_a_step_returned_are_the_whole_answer(
    cloudflare: CloudflareApi, registry: Register, work: Work
) -> None:
    @registry("pictures")
    def pictures(context: Any) -> None:
        context.run("draw", lambda: b"\x89PNG" * 5_000)
        context.run("frame", lambda: {"picture": b"\xff"})
        context.run("write", lambda: ("é" * 2_000).encode())
        context.options(sensitive=True).run("hide", lambda: b"secret")

    cloudflare.post("pictures/instances", {"instance_id": "one"})
    work()

    def show(name: str) -> Any:
        return cloudflare.get("pictures/instances/one/step", name=name, type="step")

    drawn = show("draw-1")
    assert (drawn.status_code, drawn["Content-Type"]) == (200, "application/octet-stream")
    assert drawn.content == b"\x89PNG" * 5_000
    assert result_of(show("frame-1"))["output"] == {"picture": {"$bytes": "/w=="}}
    assert result_of(show("hide-1"))["output"] == "[REDACTED]"
    detail = checked(DETAIL, result_of(cloudflare.get("pictures/instances/one")))
    assert [step["output"] for step in detail["steps"]] == [
        "[20000 bytes]",
        '{"picture":{"$bytes":"/w=="}}',
        "é" * 1_024 + "[truncated output]",
        "[REDACTED]",
    ]


def test_a_step_that_is_complete_shows_all_of_its_output(
    step: Callable[..., Any], clock: Clock, work: Work
) -> None:
    retry(clock, work)
    retry(clock, work)

    sold = {"status": "complete", "error": None, "output": ["sold" * 1000]}
    assert step("sell-1") == step("sell-1", attempt=3) == step("sell-1", attempt="3.0") == sold
    assert step("sell-1", attempt=2)["status"] == "errored"
    assert step("nothing-1") == {"status": "complete", "error": None, "output": None}


def test_a_wait_is_waiting_then_complete_or_errored(
    cloudflare: CloudflareApi, step: Callable[..., Any], clock: Clock, work: Work
) -> None:
    retry(clock, work)
    retry(clock, work)
    waiting = {"status": "waiting", "error": None, "output": None, "event_type": "paid"}
    assert step("payment-1", "waitForEvent") == waiting

    cloudflare.post(f"{ORDER}/events/paid", {"sum": 5})
    work()
    clock.advance("1m")
    work()

    came = {"payload": {"sum": 5}, "timestamp": "2030-01-02T12:00:20.000Z", "type": "paid"}
    assert step("payment-1", "waitForEvent") == {
        "status": "complete",
        "error": None,
        "output": came,
        "event_type": "paid",
    }
    message = "Execution timed out after 60000ms"
    assert step("payment-2", "waitForEvent") == {
        "status": "errored",
        "error": {"name": "WorkflowTimeoutError", "message": message},
        "output": None,
        "event_type": "paid",
    }
    assert step("fail-1") == {
        "status": "errored",
        "error": {"name": "ZeroDivisionError", "message": "division by zero"},
        "output": None,
    }


def test_what_was_not_over_when_its_instance_ended_did_not_end_otherwise(
    step: Callable[..., Any],
) -> None:
    run_moves.cancel(Run.objects.get())

    assert step("sell-1")["status"] == "terminated"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"type": "step"}, "name is missing"),
        ({"name": "", "type": "step"}, "name is missing"),
        ({"name": "sell-1"}, "type is missing"),
        ({"name": "sell-1", "type": "sleep"}, "type is 'sleep' but must be one of step, waitForE"),
        ({"name": "sell-1", "type": "rollback"}, "type is 'rollback' but must be one of"),
        ({"name": "sell-1", "type": "step", "attempt": "0"}, "attempt is "),
        ({"name": "sell-1", "type": "step", "attempt": "x"}, "attempt is "),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_name(
    cloudflare: CloudflareApi, step: Any, query: dict[str, str], sentence: str
) -> None:
    status, code, said = refusal_of(cloudflare.get(f"{ORDER}/step", **query))

    assert (status, code) == (400, 10002)
    assert said.startswith(sentence)


@pytest.mark.parametrize(
    "query",
    [
        {"name": "sell", "type": "step"},
        {"name": "sell-2", "type": "step"},
        {"name": "sell-1", "type": "waitForEvent"},
        {"name": "sell-1", "type": "step", "attempt": "2"},
        {"name": "fail-1", "type": "step"},
    ],
)
def test_a_step_that_is_not_known_is_not_found(
    cloudflare: CloudflareApi, step: Any, query: dict[str, str]
) -> None:
    assert refusal_of(cloudflare.get(f"{ORDER}/step", **query))[:2] == (404, 10406)


def test_a_step_of_an_unknown_instance_is_not_found(cloudflare: CloudflareApi) -> None:
    refused = cloudflare.get("orders/instances/none/step", name="sell-1", type="step")

    assert refusal_of(refused)[:2] == (404, 10400)
