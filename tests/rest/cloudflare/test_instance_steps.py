"""The steps of an instance: every field of every kind of entry."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from tests.rest.cloudflare.conftest import CloudflareApi, result_of
from tests.rest.cloudflare.shapes import DETAIL, checked
from tests.rest.cloudflare.test_instance_detail import (
    NOON,
    PLAIN,
    Work,
    attempt,
    detail,
    start,
    steps,
)
from tests.rest.conftest import Api, Register, ThirdParty
from workflows_app import WorkflowEntrypoint
from workflows_app.engine import leases, pausing
from workflows_app.engine.addresses import serve_url
from workflows_app.engine.keeping import keeper
from workflows_app.models import Run
from workflows_app.protocol.redaction import redacted
from workflows_app.sdk import authoring

# -- names


def test_names_count_by_kind_and_in_parallel_code_too(
    cloudflare: CloudflareApi, registry: Register, clock: Clock, work: Work
) -> None:
    def sell() -> str:
        clock.advance("1s")
        return "sold"

    @registry("orders")
    def orders(context: Any) -> None:
        context.run("sell", sell)
        context.run("sell", sell)
        context.sleep("sell", "1s")
        context.run("sell#2", sell)
        context.parallel(lambda: context.run("sell", sell), lambda: context.run("sell", sell))

    start(cloudflare)
    work()
    clock.advance("1m")
    work()

    assert [(step["type"], step["name"]) for step in steps(cloudflare)] == [
        ("step", "sell-1"),
        ("step", "sell-2"),
        ("sleep", "sell-1"),
        ("step", "sell#2-1"),
        ("step", "sell-3"),
        ("step", "sell-4"),
    ]


# -- steps and their attempts


def test_each_attempt_tells_how_it_went(
    cloudflare: CloudflareApi, registry: Register, clock: Clock, work: Work
) -> None:
    tries = iter([ConnectionError("closed"), ConnectionError("still closed"), None])

    def sell() -> str:
        if error := next(tries):
            raise error
        return "sold"

    @registry("orders", retries=4, retry_delay="10s")
    def orders(context: Any) -> None:
        context.run("sell", sell)

    start(cloudflare)
    work()
    first = attempt(NOON, NOON, {"name": "ConnectionError", "message": "closed"})
    (step,) = steps(cloudflare)
    assert (step["success"], step["end"], step["attempts"]) == (None, None, [first])
    assert step["config"]["retries"] == {"limit": 4, "delay": 10_000, "backoff": "constant"}

    clock.advance("10s")
    leases.claim(1)
    (step,) = steps(cloudflare)
    assert step["attempts"] == [first, attempt("2030-01-02T12:00:10.000Z")]

    clock.advance("1m")
    work()
    clock.advance("1m")
    work()
    (step,) = steps(cloudflare)
    assert (step["start"], step["success"], step["output"]) == (NOON, True, "sold")
    assert [each["success"] for each in step["attempts"]] == [False, False, True]


def test_a_step_on_its_first_attempt_is_listed_once_its_worker_has_said_so(
    cloudflare: CloudflareApi, registry: Register, clock: Clock, work: Work
) -> None:
    seen: list[Any] = []

    def sell() -> str:
        clock.advance("10s")
        seen.append(steps(cloudflare))
        keeper().renew()
        seen.append(steps(cloudflare))
        answer = cloudflare.get("orders/instances/order-7/step", name="sell-1", type="step")
        seen.append(result_of(answer))
        return "sold"

    @registry("orders")
    def orders(context: Any) -> None:
        context.run("sell", sell)

    start(cloudflare)
    work()

    before, during, alone = seen
    assert before == []
    assert during == [
        {
            "type": "step",
            "name": "sell-1",
            "start": NOON,
            "end": None,
            "success": None,
            "output": None,
            "config": PLAIN,
            "attempts": [attempt(NOON)],
        }
    ]
    assert alone == {"status": "running", "error": None, "output": None}
    (after,) = steps(cloudflare)
    assert (after["start"], after["success"], len(after["attempts"])) == (NOON, True, 1)


@pytest.mark.parametrize(
    ("options", "config"),
    [
        ({}, PLAIN),
        (
            {"retries": 1, "retry_delay": "1.5s", "backoff": "exponential", "timeout": "1m"},
            {
                "retries": {"limit": 1, "delay": 1500, "backoff": "exponential"},
                "timeout": 60_000,
            },
        ),
        (
            {"retry_delay": "2s", "backoff": "linear"},
            {"retries": {"limit": 3, "delay": 2000, "backoff": "linear"}, "timeout": "none"},
        ),
        ({"retry_delay": "1000 * sqrt(retried)"}, PLAIN),
    ],
)
def test_the_policy_of_the_run_is_that_of_its_steps(
    cloudflare: CloudflareApi,
    registry: Register,
    work: Work,
    options: dict[str, Any],
    config: dict[str, Any],
) -> None:
    registry("orders", **options)(lambda context: context.run("sell", int))
    start(cloudflare)
    work()

    assert [step["config"] for step in steps(cloudflare)] == [config]


def test_a_step_of_a_class_shows_the_policy_it_was_given(
    cloudflare: CloudflareApi, registry: Register, work: Work
) -> None:
    class Orders(WorkflowEntrypoint, name="orders"):
        def run(self, event: Any, step: Any) -> None:
            retries = {"limit": 2, "delay": "1 minute", "backoff": "linear"}
            step.do("sell", int, {"retries": retries, "timeout": "30 seconds"})
            step.do("plain", int)

    start(cloudflare)
    work()

    assert [step["config"] for step in steps(cloudflare)] == [
        {"retries": {"limit": 2, "delay": 60_000, "backoff": "linear"}, "timeout": 30_000},
        {"retries": {"limit": 5, "delay": 10_000, "backoff": "exponential"}, "timeout": 600_000},
    ]
    assert "orders" in authoring.registered_workflows()


LONG = "ä" * 1025
ESCAPED = '"\\\0'
CUT = "[truncated output]"


@pytest.mark.parametrize(
    ("result", "output"),
    [
        ("x" * 1024, "x" * 1024),
        (LONG, "ä" * 1024 + CUT),
        (ESCAPED * 400, ESCAPED * 341 + ESCAPED[:1] + CUT),
        ([LONG], '["' + "ä" * 1022 + CUT),
        ("x" * 100_000, "x" * 1024 + CUT),
        (None, None),
        ({"a": [1, None]}, '{"a":[1,null]}'),
    ],
)
def test_outputs_of_steps_are_texts_that_are_cut(
    cloudflare: CloudflareApi, registry: Register, work: Work, result: Any, output: str | None
) -> None:
    registry("orders")(lambda context: context.run("sell", lambda: result) and None)
    start(cloudflare)
    work()

    assert steps(cloudflare)[0]["output"] == output


def test_outputs_are_whole_where_the_setting_says_so(
    cloudflare: CloudflareApi, registry: Register, work: Work, settings: Settings
) -> None:
    settings.WORKFLOWS = {"SHOWN_OUTPUT": None}
    registry("orders")(lambda context: context.run("sell", lambda: LONG) and None)
    start(cloudflare)
    work()

    assert steps(cloudflare)[0]["output"] == LONG


# -- what is hidden


def test_the_output_of_a_sensitive_step_is_never_shown(
    cloudflare: CloudflareApi, registry: Register, work: Work
) -> None:
    @registry("orders")
    def orders(context: Any) -> None:
        context.options(sensitive=True).run("card", lambda: "4111")

    start(cloudflare)
    work()

    (step,) = steps(cloudflare)
    assert (step["output"], step["config"]["sensitive"]) == ("[REDACTED]", "output")
    answer = cloudflare.get("orders/instances/order-7/step", name="card-1", type="step")
    assert result_of(answer)["output"] == "[REDACTED]"


def test_what_a_run_asked_to_be_hidden_is_shown_as_its_hash(
    cloudflare: CloudflareApi, registry: Register, api: Api, work: Work
) -> None:
    @registry("orders", retries=0)
    def orders(context: Any) -> None:
        context.run("sell", lambda: "secret" * 1000)
        context.wait_for_event("payment", "paid")
        context.run("fail", lambda: int("secret"))

    api.post(
        f"/v2/trigger/{serve_url('orders')}",
        '"secret"',
        upstash_workflow_runid="order-7",
        upstash_redact_fields="body",
    )
    work()
    cloudflare.post("orders/instances/order-7/events/paid", "secret")
    work()

    answers = [
        cloudflare.get("orders/instances/order-7"),
        cloudflare.get("orders/instances/order-7/step", name="sell-1", type="step"),
        cloudflare.get("orders/instances/order-7/step", name="payment-1", type="waitForEvent"),
        cloudflare.get("orders/instances/order-7/step", name="fail-1", type="step"),
    ]
    assert not any(b"secret" in answer.content for answer in answers)
    shown = checked(DETAIL, result_of(answers[0]))
    assert shown["params"] == redacted(b'"secret"')
    assert shown["steps"][0]["output"].startswith("REDACTED:")
    assert shown["error"]["message"].startswith("REDACTED:")


# -- sleeps and waits


def test_a_sleep_ends_when_it_is_planned_to(
    cloudflare: CloudflareApi, registry: Register, clock: Clock, work: Work
) -> None:
    registry("orders")(lambda context: context.sleep("nap", "1h"))
    start(cloudflare)
    work()
    sleep = {
        "type": "sleep",
        "name": "nap-1",
        "start": NOON,
        "end": "2030-01-02T13:00:00.000Z",
        "finished": False,
        "error": None,
    }
    assert steps(cloudflare) == [sleep]

    clock.advance("30m")
    pausing.pause(Run.objects.get())
    clock.advance("2h")
    assert steps(cloudflare) == [sleep]

    pausing.resume(Run.objects.get())
    assert steps(cloudflare) == [{**sleep, "end": "2030-01-02T15:00:00.000Z"}]
    clock.advance("30m")
    assert steps(cloudflare) == [{**sleep, "end": "2030-01-02T15:00:00.000Z", "finished": True}]


def test_a_wait_ends_with_its_event_or_its_deadline(
    cloudflare: CloudflareApi, registry: Register, clock: Clock, work: Work
) -> None:
    @registry("orders")
    def orders(context: Any) -> None:
        context.wait_for_event("payment", "paid", timeout="1h")
        context.wait_for_event("payment", "paid", timeout="90s")

    start(cloudflare)
    work()
    wait = {"type": "waitForEvent", "start": NOON, "error": None, "event_type": "paid"}
    first = {**wait, "name": "payment-1", "end": "2030-01-02T13:00:00.000Z", "finished": False}
    assert steps(cloudflare) == [first]

    cloudflare.post("orders/instances/order-7/events/paid", {"sum": 5})
    work()
    clock.advance("90s")
    work()

    came = f'{{"payload":{{"sum":5}},"timestamp":"{NOON}","type":"paid"}}'
    message = "Execution timed out after 90000ms"
    assert steps(cloudflare) == [
        {**first, "end": NOON, "finished": True, "output": came},
        {
            **wait,
            "name": "payment-2",
            "end": "2030-01-02T12:01:30.000Z",
            "finished": True,
            "error": {"name": "WorkflowTimeoutError", "message": message},
        },
    ]


# -- other kinds of steps


def test_every_kind_of_step_is_one_of_the_four(
    cloudflare: CloudflareApi,
    registry: Register,
    third_party: ThirdParty,
    clock: Clock,
    work: Work,
) -> None:
    third_party.answers_with(200, b"hello")

    @registry("child")
    def child(context: Any) -> str:
        return "from the child"

    @registry("orders")
    def orders(context: Any) -> None:
        context.atomic("atomic", int)
        context.call("call", url="https://peer.example/")
        context.invoke("invoke", workflow=child)
        context.notify("notify", "nobody")
        context.patched("change")
        context.race(lambda: context.run("quick", int), lambda: context.sleep("slow", "1h"))
        webhook = context.create_webhook("create")
        context.wait_for_webhook("webhook", webhook, timeout="1h")

    start(cloudflare)
    work()

    known = {(step["type"], step["name"]) for step in steps(cloudflare)}
    assert known == {
        ("step", "atomic-1"),
        ("step", "call-1"),
        ("step", "invoke-1"),
        ("step", "notify-1"),
        ("step", "quick-1"),
        ("step", "create-1"),
        ("waitForEvent", "webhook-1"),
    }


def test_a_call_under_way_and_a_run_that_is_waited_for_are_attempts_without_an_end(
    cloudflare: CloudflareApi,
    registry: Register,
    third_party: ThirdParty,
    clock: Clock,
    work: Work,
) -> None:
    third_party.answers_with(500, b"away")

    @registry("child")
    def child(context: Any) -> None:
        context.sleep("nap", "1h")

    @registry("orders")
    def orders(context: Any) -> None:
        context.parallel(
            lambda: context.call("call", url="https://peer.example/", retries=2, timeout="5s"),
            lambda: context.invoke("invoke", workflow=child),
        )

    start(cloudflare)
    work()

    call, invoke = sorted(steps(cloudflare), key=lambda step: str(step["name"]))
    assert (call["name"], call["success"], call["end"]) == ("call-1", None, None)
    assert (call["config"]["retries"]["limit"], call["config"]["timeout"]) == (2, 5000)
    assert [each["success"] for each in call["attempts"]] == [False]
    assert (invoke["name"], invoke["success"]) == ("invoke-1", None)
    assert invoke["attempts"] == [attempt(NOON)]


# -- rolling back


@pytest.mark.parametrize("stuck", [None, ValueError("stuck")])
def test_the_undoing_of_a_step_goes_by_its_name(
    cloudflare: CloudflareApi, registry: Register, work: Work, stuck: Exception | None
) -> None:
    def undo(_: Any) -> None:
        if stuck is not None:
            raise stuck

    @registry("orders", retries=0)
    def orders(context: Any) -> None:
        undoable = context.options(rollback=undo)
        undoable.run("reserve", int)
        undoable.run("reserve", int)
        context.run("fail", lambda: 1 / 0)

    start(cloudflare)
    work()

    shown = detail(cloudflare)
    undone = [step for step in shown["steps"] if step["type"] == "rollback"]
    assert [step["name"] for step in undone] == ["reserve-2", "reserve-1"]
    assert {step["success"] for step in undone} == {stuck is None}
    assert shown["rollback"] == (
        {"outcome": "complete", "error": None}
        if stuck is None
        else {"outcome": "failed", "error": {"name": "ValueError", "message": "stuck"}}
    )
