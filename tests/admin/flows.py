"""Workflows whose runs the admin shows in these tests."""

from __future__ import annotations

from functools import partial
from typing import Any

from workflows_app import Context, Failure, StepError, workflow


@workflow("admin-order")
def order(context: Context) -> dict[str, Any]:
    """Two steps and a result."""
    number = context.run("create", int, 7)
    return {"order": context.run("confirm", abs, number)}


@workflow("admin-charge", retries=1, retry_delay="60000")
def charge(context: Context) -> str:
    """A step that goes well, and one that always fails, with one retry after a minute."""
    context.run("load-cart", list, ("teapot",))
    return context.run("charge-card", decline, "<b>no funds</b>")


def decline(reason: str) -> str:
    raise ConnectionError(reason)


@workflow("admin-wrap", retries=0)
def wrap(context: Context) -> None:
    """Raises an error of its own when its step has failed."""
    try:
        context.run("charge-card", decline, "no funds")
    except StepError as error:
        raise ValueError("the order cannot be paid") from error


@workflow("admin-alarm", retries=0)
def alarm(context: Context) -> None:
    """Fails, and so does its failure function."""
    raise KeyError("pager")


@alarm.on_failure
def tell(failure: Failure) -> None:
    raise RuntimeError("nobody answers")


@workflow("admin-draw")
def draw(context: Context) -> bytes:
    return context.run("draw", bytes, 12_000)


@workflow("admin-nap")
def nap(context: Context) -> str:
    context.run("undress", int, 0)
    context.sleep("night", "8h")
    return "rested"


@workflow("admin-branches")
def branches(context: Context) -> list[int]:
    return context.parallel(
        *(partial(context.run, f"branch-{number}", int, number) for number in range(3))
    )


@workflow("admin-many")
def many(context: Context) -> int:
    """As many steps as the payload says."""
    for number in range(context.request_payload):
        context.run(f"step-{number}", int, number)
    return int(context.request_payload)


@workflow("admin-ask")
def ask(context: Context) -> int:
    """Waits for the answer of another server."""
    answer = context.call(
        "ask-registry",
        url="https://registry.example/people",
        method="POST",
        headers={"Authorization": "Bearer top-secret"},
        body={"name": "Ada"},
    )
    return answer.status


@workflow("admin-echo")
def echo(context: Context) -> Any:
    return context.run("echo", same, context.request_payload)


def same(value: Any) -> Any:
    return value


@workflow("admin-secret", retries=1, retry_delay="0")
def secret(context: Context) -> bool:
    """A sensitive step that goes well, and one that fails for good."""
    hidden = context.options(sensitive=True)
    token = hidden.run("get-token", same, "hunter2")
    hidden.run("use-token", decline, f"{token} has expired")
    return True


@workflow("admin-undo", retries=0)
def undo(context: Context) -> None:
    """Fails, is rolled back, and cannot be quite undone."""
    context.options(rollback=lambda undo: None).run("reserve", same, "a table")
    context.options(rollback=lambda undo: decline("the bank is closed")).run("charge", same, 7)
    context.run("confirm", decline, "no such guest")


@workflow("admin-undone", retries=0)
def undone(context: Context) -> None:
    """Fails, and is rolled back."""
    context.options(rollback=lambda undo: None).run("reserve", same, "a table")
    context.run("confirm", decline, "no such guest")


@workflow("admin-undoable")
def undoable(context: Context) -> None:
    """Can be undone while it waits."""
    context.options(rollback=lambda undo: None).run("charge", same, 7)
    context.sleep("think", "1d")


@workflow("admin-wait")
def wait(context: Context) -> Any:
    return context.wait_for_event("payment", "paid", timeout="1h").event_data


@workflow("admin-invoke")
def invoke(context: Context) -> list[Any]:
    """Invokes what sleeps, and what echoes."""
    return [
        context.invoke("echo", workflow=echo, body="tea").body,
        context.invoke("rest", workflow=nap, workflow_run_id="nap-1").body,
    ]


@workflow("admin-race")
def race(context: Context) -> str:
    """A sleep of an hour against all that a step can wait for; then another sleep."""

    def nap(name: str, length: str) -> str:
        context.sleep(name, length)
        return f"a {name} has passed"

    patient = context.options(retries=3, retry_delay="2h")
    first: str = context.race(
        lambda: str(context.wait_for_event("approval", "approved", timeout="2d")),
        lambda: str(context.call("ask-registry", url="https://registry.example/people")),
        lambda: str(context.invoke("rest", workflow=nap_for_long, workflow_run_id="nap-1")),
        lambda: str(patient.run("charge-card", decline, "no funds")),
        partial(nap, "month", "30d"),
        partial(nap, "hour", "1h"),
    )
    context.sleep("later", "1d")
    return first


@workflow("admin-long-nap")
def nap_for_long(context: Context) -> None:
    context.sleep("night", "2d")
