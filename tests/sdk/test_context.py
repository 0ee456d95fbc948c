"""What a workflow function may know about its run, by both shells alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import finished


def test_a_function_may_know_what_its_run_is(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return {
            "payload": context.request_payload,
            "headers": dict(context.headers),
            "id": context.workflow_run_id,
            "url": context.url,
            "labels": context.labels,
            "attempt": context.attempt,
            "key": context.idempotency_key,
        }

    rehearsal = rehearse(
        story,
        run_id="order-7",
        url="https://app.example/serve/story",
        payload=b'{"order": 7}',
        headers={"X-Tenant": "north"},
        labels=("north", "vip"),
        created_at=datetime(2030, 1, 2, 12, 0, 0, 123_999, tzinfo=UTC),
    )

    assert rehearsal.play() == finished(
        {
            "payload": {"order": 7},
            "headers": {"X-Tenant": "north"},
            "id": "order-7",
            "url": "https://app.example/serve/story",
            "labels": ["north", "vip"],
            "attempt": 1,
            "key": "order-7:1893585600123",
        }
    )


@pytest.mark.parametrize(
    ("payload", "seen"),
    [
        (b"", None),
        (b"null", None),
        (b'{"a": [1]}', {"a": [1]}),
        (b'"text"', "text"),
        (b"7", 7),
        (b"not JSON", "not JSON"),
        ("größe".encode(), "größe"),
        (b"\xff\x00", b"\xff\x00"),
        (b"NaN", "NaN"),
    ],
    ids=["nothing", "null", "object", "JSON text", "number", "text", "UTF-8", "bytes", "NaN"],
)
def test_the_payload_is_decoded_as_far_as_it_can_be(
    payload: bytes, seen: Any, rehearse: Rehearse
) -> None:
    saw = []

    async def story(context: Any) -> Any:
        saw.append(context.request_payload)

    rehearse(story, payload=payload).play()

    assert saw == [seen]


def test_a_payload_that_the_function_changes_is_as_it_was_in_the_next_turn(
    rehearse: Rehearse,
) -> None:
    async def story(context: Any) -> Any:
        context.request_payload.append("changed")
        await context.sleep("nap", "1h")
        return context.request_payload

    assert rehearse(story, payload=b"[]").play() == finished(["changed"])


def test_every_step_of_every_run_has_an_idempotency_key_of_its_own(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        def key() -> Any:
            return context.idempotency_key

        one = await context.run("pay", key)
        two = await context.run("pay", key)
        branches = await context.parallel(
            lambda: context.run("pay", key), lambda: context.atomic("pay", key)
        )
        return [context.idempotency_key, one, two, *branches]

    assert rehearse(story).play() == finished(
        [
            "wfr_1:1893585600000",
            "wfr_1:1893585600000:pay",
            "wfr_1:1893585600000:pay#2",
            "wfr_1:1893585600000:pay@1",
            "wfr_1:1893585600000:pay@2",
        ]
    )


def test_a_run_that_uses_an_id_again_has_other_idempotency_keys(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return context.idempotency_key

    first = rehearse(story, created_at=datetime(2030, 1, 1, tzinfo=UTC)).play()
    second = rehearse(story, created_at=datetime(2030, 1, 2, tzinfo=UTC)).play()

    assert first != second


def test_a_context_with_other_options_knows_the_same_run(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        other = context.options(retries=1)
        return [other.workflow_run_id, await other.run("a", lambda: other.attempt)]

    assert rehearse(story).play() == finished(["wfr_1", 1])
