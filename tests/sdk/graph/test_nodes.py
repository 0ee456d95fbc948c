"""What the nodes of a graph say of a step."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk.graph.outlines import in_class, in_function

RETRIES = {"limit": 5, "delay": 10_000, "backoff": "exponential"}


def config_in_class(call: str) -> Any:
    (node,) = in_class(f"await {call}", rest=CONSTANTS)["nodes"]
    return node["config"]


CONSTANTS = """
PATIENT = {"retries": {"limit": 9, "delay": "1 minute", "backoff": "linear"}, "timeout": "1 hour"}
MINUTE = 60 * 1000
"""


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("", {"retries": RETRIES, "timeout": "10 minutes"}),
        (", {}", {"retries": RETRIES, "timeout": "10 minutes"}),
        (", {'timeout': 500}", {"retries": RETRIES, "timeout": 500}),
        (
            ", {'retries': {'limit': 0, 'delay': '1 second'}}",
            {
                "retries": {"limit": 0, "delay": "1 second", "backoff": "exponential"},
                "timeout": "10 minutes",
            },
        ),
        (
            ", config=PATIENT",
            {
                "retries": {"limit": 9, "delay": "1 minute", "backoff": "linear"},
                "timeout": "1 hour",
            },
        ),
        (
            ", config={**PATIENT, 'timeout': 2 * MINUTE}",
            {
                "retries": {"limit": 9, "delay": "1 minute", "backoff": "linear"},
                "timeout": 120_000,
            },
        ),
        (
            ", config={'retries': {'limit': n, 'delay': lambda given: 5}, 'timeout': t}",
            {
                "retries": {"limit": 5, "delay": "[dynamic]", "backoff": "exponential"},
                "timeout": "[dynamic]",
            },
        ),
        (
            ", config={'retries': retries, 'timeout': timedelta(minutes=1.5)}",
            {"retries": {**RETRIES, "delay": "[dynamic]"}, "timeout": 90_000},
        ),
        (
            ", config=config_of(event)",
            {"retries": {**RETRIES, "delay": "[dynamic]"}, "timeout": "[dynamic]"},
        ),
    ],
)
def test_a_step_of_a_class_has_the_policy_that_is_written(config: str, expected: object) -> None:
    assert config_in_class(f"step.do('charge', charge{config})") == expected


def test_a_decorated_step_has_the_policy_of_its_decorator() -> None:
    (node,) = in_class(
        """
        @step.do("charge", config={"retries": {"limit": 1, "delay": 5}, "timeout": 7})
        async def charge(): ...
        await charge()
        """
    )["nodes"]

    assert node == {
        "type": "step_do",
        "name": "charge",
        "config": {
            "retries": {"limit": 1, "delay": 5, "backoff": "exponential"},
            "timeout": 7,
        },
        "nodes": [],
    }


@pytest.mark.parametrize(
    ("call", "limit", "delay", "backoff", "timeout"),
    [
        ("context.run('a', f)", 3, "[dynamic]", "exponential", "[dynamic]"),
        ("context.call('a', url=u)", 0, "[dynamic]", "exponential", "[dynamic]"),
        ("context.call('a', url=u, retries=2, timeout='3s')", 2, "[dynamic]", "exponential", "3s"),
        (
            "context.options(retries=7, retry_delay='5s', backoff='linear').run('a', f)",
            *(7, "5s", "linear", "[dynamic]"),
        ),
        (
            "context.options(retries=7).options(timeout=timedelta(seconds=1)).run('a', f)",
            *(7, "[dynamic]", "exponential", 1000),
        ),
        (
            "context.options(retry_delay=DELAY, retries=None).run('a', f)",
            3,
            "9s",
            "constant",
            "[dynamic]",
        ),
    ],
)
def test_a_step_of_a_function_has_the_policy_that_is_written(
    call: str, limit: int, delay: str, backoff: str, timeout: object
) -> None:
    (node,) = in_function(call, rest="DELAY = '9s'")["nodes"]

    assert node["config"] == {
        "retries": {"limit": limit, "delay": delay, "backoff": backoff},
        "timeout": timeout,
    }


@pytest.mark.parametrize(
    ("written", "duration"),
    [
        ("'1 hour'", "1 hour"),
        ("3000", 3000),
        ("-3000", -3000),
        ("self.LONG", "1 year"),
        ("Order.LONG", "1 year"),
        ("self.SHORT", "[dynamic]"),
        ("-DAY", "[dynamic]"),
        ("1.5", 1.5),
        ("timedelta(days=1, hours=1)", 90_000_000),
        ("datetime.timedelta(0, 1)", 1000),
        ("DAY", "1 day"),
        ("2 * 60 * 1000", 120_000),
        ("10 / 0", "[dynamic]"),
        ("1e999", "[dynamic]"),
        ("10 ** 400", "[dynamic]"),
        ("timedelta(days=10 * 100000000000)", "[dynamic]"),
        ("timedelta(moons=1)", "[dynamic]"),
        ("event['payload']['for']", "[dynamic]"),
        ("SOMETIMES", "[dynamic]"),
        ("True", "[dynamic]"),
    ],
)
def test_a_sleep_has_its_duration(written: str, duration: object) -> None:
    (node,) = in_class(
        f"await step.sleep('nap', {written})",
        rest="    LONG = '1 year'\n\nDAY = '1 day'\nSOMETIMES = 1\nif monday:\n    SOMETIMES = 2",
    )["nodes"]

    assert node == {"type": "step_sleep", "name": "nap", "duration": duration}


@pytest.mark.parametrize(
    ("written", "timestamp"),
    [
        ("'2030-01-01T00:00:00Z'", "2030-01-01T00:00:00Z"),
        ("1893456000000", "1893456000000"),
        ("event['payload']['at']", "{event['payload']['at']}"),
        ("f'2030-01-{day}'", "2030-01-{day}"),
    ],
)
def test_a_sleep_has_its_end(written: str, timestamp: str) -> None:
    (node,) = in_class(f"await step.sleep_until('nap', {written})")["nodes"]

    assert node == {"type": "step_sleep_until", "name": "nap", "timestamp": timestamp}


@pytest.mark.parametrize(
    ("workflow", "options"),
    [
        (in_class("await step.wait_for_event('w', 'ok')"), ("ok", "24 hours")),
        (in_class("await step.wait_for_event('w', event_type='ok', timeout=5)"), ("ok", 5)),
        (in_class("await step.wait_for_event('w', 'ok', t)"), ("ok", "[dynamic]")),
        (in_function("context.wait_for_event('w', 'ok')"), ("ok", "7d")),
        (in_function("context.wait_for_event('w', f'ok-{n}', timeout='1h')"), ("ok-{n}", "1h")),
        (in_function("context.wait_for_webhook('w', hook)"), ("{hook}", "7d")),
    ],
)
def test_a_wait_has_its_event_and_timeout(workflow: Any, options: tuple[str, object]) -> None:
    event_type, timeout = options
    assert workflow["nodes"] == [
        {
            "type": "step_wait_for_event",
            "name": "w",
            "options": {"event_type": event_type, "timeout": timeout},
        }
    ]


def test_what_is_read_of_an_event_is_the_shape_of_its_payload() -> None:
    of_class = in_class(
        """
        answer = await step.wait_for_event("w", "ok")
        if answer["payload"]["by"]["name"] and answer["payload"].get("approved"):
            await step.do("go on", f)
        """
    )
    of_function = in_function("answer = context.wait_for_event('w', 'ok').event_data['by']['name']")

    by = {"type": "object", "fields": {"name": {"type": "unknown"}}}
    assert of_class["nodes"][0]["payload"] == {
        "type": "object",
        "fields": {"by": by, "approved": {"type": "unknown"}},
    }
    assert of_function["nodes"][0]["payload"] == {"type": "object", "fields": {"by": by}}


@pytest.mark.parametrize(
    "workflow",
    [
        in_class("a = event['payload']['user']['id']\nb = event['payload']['sum']"),
        in_class("payload = event.payload\nuser = payload['user']\nuser.get('id')\npayload['sum']"),
        in_class("pay(event)", "def pay(it):\n    it.payload['user']['id'], it.payload['sum']"),
        in_function(
            "given = context.request_payload\npaid, user = given['sum'], given['user']\nuser['id']"
        ),
        in_function(
            "pay(context.request_payload)", "def pay(it):\n    it['user']['id'], it['sum']"
        ),
    ],
)
def test_what_is_read_of_the_payload_is_its_shape(workflow: Any) -> None:
    user = {"type": "object", "fields": {"id": {"type": "unknown"}}}
    assert workflow["payload"] == {
        "type": "object",
        "fields": {"user": user, "sum": {"type": "unknown"}},
    }


def test_a_payload_of_which_nothing_is_read_has_no_shape() -> None:
    assert "payload" not in in_class("print(event['payload'])")
    assert "payload" not in in_function(
        "print(context.request_payload, context.request_payload[k])"
    )


def test_texts_are_such_as_can_be_stored_and_sent() -> None:
    broken, long = in_class(
        r"""
        await step.do("\ud800", f)
        await step.do("x" * 5000 if x else 'y' + '"""
        + "y" * 3000
        + """', f)
        """
    )["nodes"]

    assert broken["name"] == "?"
    assert len(long["name"]) == 1000
