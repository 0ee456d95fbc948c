"""An instance: what is said of it beside its steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import Clock
from tests.rest.cloudflare.conftest import CloudflareApi, refusal_of, result_of
from tests.rest.cloudflare.shapes import DETAIL, checked
from tests.rest.conftest import Api, Register
from workflows_app.engine import run_moves
from workflows_app.engine.addresses import serve_url
from workflows_app.models import Account, Run

NOON = "2030-01-02T12:00:00.000Z"
PLAIN = {
    "retries": {"limit": 3, "delay": "[dynamic]", "backoff": "constant"},
    "timeout": "none",
}
Work = Callable[[], int]


def start(api: CloudflareApi, params: Any = None) -> None:
    result_of(api.post("orders/instances", {"instance_id": "order-7", "params": params}))


def detail(api: CloudflareApi, **query: str) -> Any:
    return checked(DETAIL, result_of(api.get("orders/instances/order-7", **query)))


def steps(api: CloudflareApi) -> Any:
    return detail(api)["steps"]


def attempt(start: str, end: str | None = None, error: Any = None) -> Any:
    success = None if end is None else error is None
    return {"start": start, "end": end, "success": success, "error": error}


# -- the instance itself


def test_a_finished_instance_shows_what_came_in_and_out(
    cloudflare: CloudflareApi, account: Account, registry: Register, clock: Clock, work: Work
) -> None:
    @registry("orders")
    def orders(context: Any) -> Any:
        return {"sold": context.run("sell", lambda: context.request_payload["order"])}

    start(cloudflare, {"order": 7})
    clock.advance("90s")
    work()

    later = "2030-01-02T12:01:30.000Z"
    assert detail(cloudflare) == {
        "status": "complete",
        "params": {"order": 7},
        "trigger": {"source": "api"},
        "versionId": str(Run.objects.select_related("version").get().version.public_id),  # type: ignore[union-attr]  # it has one
        "queued": NOON,
        "start": later,
        "end": later,
        "success": True,
        "error": None,
        "output": '{"sold":7}',
        "rollback": None,
        "step_count": 1,
        "steps": [
            {
                "type": "step",
                "name": "sell-1",
                "start": later,
                "end": later,
                "success": True,
                "output": "7",
                "config": PLAIN,
                "attempts": [attempt(later, later)],
            }
        ],
    }


@pytest.mark.parametrize(
    ("result", "output"),
    [("text", "text"), (7, 7), (1.5, 1.5), (True, "true"), ([1], "[1]"), (None, ""), ("", "")],
)
def test_an_output_is_a_text_or_a_number(
    cloudflare: CloudflareApi, registry: Register, work: Work, result: Any, output: Any
) -> None:
    registry("orders")(lambda context: result)
    start(cloudflare)
    assert detail(cloudflare)["output"] == ""
    work()

    assert detail(cloudflare)["output"] == output


def test_a_failed_instance_shows_its_error(
    cloudflare: CloudflareApi, registry: Register, work: Work
) -> None:
    @registry("orders", retries=0)
    def orders(context: Any) -> Any:
        context.run("sell", lambda: 1 / 0)

    start(cloudflare)
    work()

    shown = detail(cloudflare)
    assert (shown["status"], shown["success"], shown["output"]) == ("errored", False, "")
    assert shown["error"]["name"] == "StepError"
    (step,) = shown["steps"]
    error = {"name": "ZeroDivisionError", "message": "division by zero"}
    assert (step["success"], step["output"]) == (False, None)
    assert [each["error"] for each in step["attempts"]] == [error]


def test_a_terminated_instance_ends_its_list_with_that(
    cloudflare: CloudflareApi, registry: Register, clock: Clock, work: Work
) -> None:
    registry("orders")(lambda context: context.sleep("nap", "1h"))
    start(cloudflare)
    work()
    run_moves.cancel(Run.objects.get())

    shown = detail(cloudflare)

    assert (shown["status"], shown["success"], shown["end"]) == ("terminated", False, NOON)
    sleep, end = shown["steps"]
    assert (sleep["end"], sleep["finished"]) == ("2030-01-02T13:00:00.000Z", False)
    assert end == {"type": "termination", "trigger": {"source": "unknown"}}
    assert shown["step_count"] == 1


def test_steps_are_listed_in_either_order_or_left_out(
    cloudflare: CloudflareApi, registry: Register, work: Work
) -> None:
    @registry("orders")
    def orders(context: Any) -> None:
        context.run("first", int)
        context.run("second", int)

    start(cloudflare)
    work()

    def names(**query: str) -> list[str]:
        return [step["name"] for step in detail(cloudflare, **query)["steps"]]

    assert names() == names(order="asc", simple="false") == ["first-1", "second-1"]
    assert names(order="desc") == ["second-1", "first-1"]
    simple = detail(cloudflare, simple="true")
    assert (simple["steps"], simple["step_count"]) == ([], 2)


@pytest.mark.parametrize("query", [{"order": "newest"}, {"simple": "yes"}])
def test_other_words_are_refused(
    cloudflare: CloudflareApi, registry: Register, query: dict[str, str]
) -> None:
    registry("orders")(lambda context: None)
    start(cloudflare)

    refused = cloudflare.get("orders/instances/order-7", **query)

    assert refusal_of(refused)[:2] == (400, 10002)


def test_an_id_that_a_schedule_made_is_found_with_its_slashes(
    cloudflare: CloudflareApi, registry: Register
) -> None:
    registry("orders")(lambda context: None)
    start(cloudflare)
    odd = "*/30 * * * *-1786001400000"
    said = '{"cron":"*/30 * * * *","scheduledTime":1786001400000}'
    Run.objects.update(run_id=odd, source=Run.Source.SCHEDULE, schedule=said)

    for path in ("*/30%20*%20*%20*%20*-1786001400000", "%2A%2F30%20*%20*%20*%20*-1786001400000/"):
        shown = checked(DETAIL, result_of(cloudflare.get(f"orders/instances/{path}")))
        assert shown["trigger"] == {"source": "cron"}
        assert shown["schedule"] == {"cron": "*/30 * * * *", "scheduledTime": 1786001400000}


def test_runs_of_other_surfaces_may_have_payloads_that_are_no_json(
    cloudflare: CloudflareApi, registry: Register, api: Api
) -> None:
    registry("orders")(lambda context: None)
    for run_id, body in (("text", b"plain text"), ("none", b""), ("bytes", b"\xff")):
        api.post(f"/v2/trigger/{serve_url('orders')}", body, upstash_workflow_runid=run_id)

    params = {
        each: result_of(cloudflare.get(f"orders/instances/{each}"))["params"]
        for each in ("text", "none", "bytes")
    }

    assert params == {"text": "plain text", "none": None, "bytes": "\xff"}


def test_a_detail_takes_a_fixed_number_of_queries(
    cloudflare: CloudflareApi, registry: Register, work: Work
) -> None:
    @registry("orders", retries=5, retry_delay="1h")
    def orders(context: Any) -> None:
        for name in range(context.request_payload):
            context.run(str(name), int)
        context.run("fails", lambda: 1 / 0)

    counts = []
    for number in (1, 20):
        run_id = f"of-{number}"
        cloudflare.post("orders/instances", {"instance_id": run_id, "params": number})
        work()
        with CaptureQueriesContext(connection) as queries:
            result_of(cloudflare.get(f"orders/instances/{run_id}"))
        counts.append(len(queries))

    assert counts[0] == counts[1]
