"""Plain messages as REST tests make and see them."""

from __future__ import annotations

from typing import Any

from tests.rest.conftest import Api

URL = "https://shop.example.org/orders"
NOON = 1_893_585_600_000
"""At which the tests' clock stands, in unix milliseconds."""


def publish(api: Api, url: str = URL, body: bytes | str = "hello", **headers: str) -> str:
    """The id of the message."""
    response = api.post(f"/v2/publish/{url}", body, **headers)
    assert response.status_code == 200, response.content
    message_id: str = response.json()["messageId"]
    return message_id


def enqueue(api: Api, queue: str, body: bytes | str = "hello", **headers: str) -> str:
    response = api.post(f"/v2/enqueue/{queue}/{URL}", body, **headers)
    assert response.status_code == 200, response.content
    message_id: str = response.json()["messageId"]
    return message_id


def events(api: Api, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/v2/events{query}").json()["events"]
    return found


def dead(api: Api, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/v2/dlq{query}").json()["messages"]
    return found
