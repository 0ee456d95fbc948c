"""Workflows that fail, wait and sleep when a test wants them to."""

from __future__ import annotations

from typing import Any

from tests.browser.app.flags import is_up
from workflows_app import Context, workflow


@workflow("charge", retries=0)
def charge(context: Context) -> str:
    """Fails where its payload says so."""
    cart = context.run("load-cart", dict, context.request_payload)
    return context.run("charge-card", pay, cart)


def pay(cart: dict[str, Any]) -> str:
    if cart.get("declined"):
        raise ConnectionError("the bank does not answer <b>at all</b>")
    return f"paid {cart.get('total')}"


@workflow("parcel", retries=0)
def parcel(context: Context) -> str:
    """Cannot be sent until the carrier is up."""
    address = context.run("read-address", dict, context.request_payload)
    return context.run("hand-over", hand_over, address)


def hand_over(address: dict[str, Any]) -> str:
    if not is_up("carrier-up"):
        raise TimeoutError("the carrier did not take the parcel")
    return f"on its way to {address['city']}"


@workflow("approval")
def approval(context: Context) -> Any:
    """Goes on with the event that its payload names."""
    context.run("prepare", str, "prepared")
    answer = context.wait_for_event("manager", context.request_payload["event"], timeout="1h")
    return context.run("publish", dict, answer.event_data)


@workflow("ticks")
def ticks(context: Context) -> int:
    """A step, a wait for the flag that the payload names, and a last step."""
    flag = context.request_payload["flag"]
    context.run("tick-1", int, 1)
    looks = 0
    while not context.run("look", is_up, flag):
        looks += 1
        context.sleep("pause", "1s")
    return context.run("tick-last", int, looks)


@workflow("nap")
def nap(context: Context) -> None:
    context.run("pillow", str, "soft")
    context.sleep("night", "1d")


@workflow("family")
def family(context: Context) -> list[Any]:
    """Parallel branches, one of which is another run."""
    return context.parallel(
        lambda: context.run("left", int, 1),
        lambda: context.run("right", int, 2),
        lambda: context.invoke("child", workflow=nap),
    )
