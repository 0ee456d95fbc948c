"""Pausing, resuming and terminating instances in every state, and sending them events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from tests.rest.cloudflare.conftest import CloudflareApi, refusal_of, result_of
from tests.rest.cloudflare.shapes import INSTANCE_CHANGE, STATUS_CHANGE, checked
from tests.rest.conftest import Register
from workflows_app.engine import leases, pausing, run_moves
from workflows_app.models import Event, Run

ORDER = "orders/instances/order-7"


@pytest.fixture(autouse=True)
def orders(registry: Register) -> None:
    @registry("orders", retries=0)
    def orders(context: Any) -> Any:
        if context.request_payload == "fail":
            raise ZeroDivisionError
        context.options(rollback=lambda undo: None).run("reserve", lambda: 1)
        if context.request_payload == "wait":
            return context.wait_for_event("payment", "paid", timeout="1h").event_data
        return "sold"


@pytest.fixture
def in_status(
    cloudflare: CloudflareApi, work: Callable[[], int], clock: Clock
) -> Callable[[str], Run]:
    def create(params: str) -> Run:
        result_of(cloudflare.post("orders/instances", {"instance_id": "order-7", "params": params}))
        return Run.objects.get()

    def make(status: str) -> Run:
        run = create('"fail"' if status == "errored" else '"wait"')
        match status:
            case "running" | "waitingForPause":
                leases.claim(1)
            case "waiting" | "paused" | "errored" | "rollingBack" | "terminated":
                work()
            case "complete":
                work()
                cloudflare.post(f"{ORDER}/events/paid", 1)
                work()
        match status:
            case "paused" | "waitingForPause":
                pausing.pause(run)
            case "rollingBack":
                run_moves.cancel(run, roll_back=True)
            case "terminated":
                run_moves.cancel(run)
        assert result_of(cloudflare.get(ORDER))["status"] == status
        return run

    return make


LIVE = ["queued", "running", "waiting", "waitingForPause", "paused", "rollingBack"]
ENDED = ["complete", "errored", "terminated"]
ANY = LIVE + ENDED


@pytest.mark.parametrize(
    ("before", "command", "after"),
    [
        ("queued", "pause", "paused"),
        ("running", "pause", "waitingForPause"),
        ("waiting", "pause", "paused"),
        ("waitingForPause", "pause", "waitingForPause"),
        ("paused", "pause", "paused"),
        ("rollingBack", "pause", "paused"),
        ("queued", "resume", "queued"),
        ("running", "resume", "running"),
        ("waiting", "resume", "waiting"),
        ("waitingForPause", "resume", "running"),
        ("paused", "resume", "queued"),
        ("rollingBack", "resume", "rollingBack"),
        *((status, "terminate", "terminated") for status in LIVE),
        *((status, "restart", "queued") for status in ANY if status != "rollingBack"),
    ],
)
def test_a_command_says_what_the_instance_does_then(
    cloudflare: CloudflareApi,
    in_status: Callable[[str], Run],
    before: str,
    command: str,
    after: str,
) -> None:
    in_status(before)

    changed = checked(
        STATUS_CHANGE, result_of(cloudflare.patch(f"{ORDER}/status", {"status": command}))
    )

    assert changed == {"status": after, "timestamp": "2030-01-02T12:00:00.000Z"}


def test_what_is_rolled_back_is_not_restarted(
    cloudflare: CloudflareApi, in_status: Callable[[str], Run]
) -> None:
    in_status("rollingBack")

    answer = cloudflare.patch(f"{ORDER}/status", {"status": "restart"})

    assert refusal_of(answer)[:2] == (409, 10404)
    assert answer["x-should-retry"] == "false"


def test_a_restarted_instance_is_one_instance_with_a_new_history(
    cloudflare: CloudflareApi, in_status: Callable[[str], Run], work: Callable[[], int]
) -> None:
    in_status("complete")

    cloudflare.patch(f"{ORDER}/status", {"status": "restart"})

    before = result_of(cloudflare.get(ORDER))
    assert (before["status"], before["params"], before["steps"]) == ("queued", "wait", [])
    work()
    assert result_of(cloudflare.get(ORDER))["step_count"] == 2
    assert [each["status"] for each in result_of(cloudflare.get("orders/instances"))] == ["waiting"]


def test_a_restart_from_a_step_keeps_what_came_before_it(
    cloudflare: CloudflareApi, in_status: Callable[[str], Run], work: Callable[[], int]
) -> None:
    in_status("complete")
    target = {"name": "payment", "count": 1, "type": "waitForEvent"}

    cloudflare.patch(f"{ORDER}/status", {"status": "restart", "from": target})

    (step,) = result_of(cloudflare.get(ORDER))["steps"]
    assert (step["name"], step["success"]) == ("reserve-1", True)
    cloudflare.post(f"{ORDER}/events/paid", "again")
    work()
    assert result_of(cloudflare.get(ORDER))["output"] == "again"


@pytest.mark.parametrize("status", ENDED)
@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        ("pause", 10402, "run order-7 has ended, and can be neither paused nor resumed"),
        ("resume", 10403, "run order-7 has ended, and can be neither paused nor resumed"),
        ("terminate", 10401, "run order-7 has ended already and cannot be cancelled"),
    ],
)
def test_what_has_ended_takes_no_command_and_need_not_be_asked_again(
    cloudflare: CloudflareApi,
    in_status: Callable[[str], Run],
    status: str,
    command: str,
    code: int,
    sentence: str,
) -> None:
    in_status(status)

    answer = cloudflare.patch(f"{ORDER}/status", {"status": command})

    assert refusal_of(answer) == (409, code, sentence)
    assert answer["x-should-retry"] == "false"
    assert result_of(cloudflare.get(ORDER))["status"] == status


def test_a_paused_instance_goes_on_when_it_is_resumed(
    cloudflare: CloudflareApi, in_status: Callable[[str], Run], work: Callable[[], int]
) -> None:
    in_status("paused")
    cloudflare.post(f"{ORDER}/events/paid", {"sum": 5})
    work()
    assert result_of(cloudflare.get(ORDER))["status"] == "paused"

    cloudflare.patch(f"{ORDER}/status", {"status": "resume"})
    work()

    detail = result_of(cloudflare.get(ORDER))
    assert (detail["status"], detail["output"]) == ("complete", '{"sum":5}')


def test_terminating_with_rollback_undoes_what_was_done(
    cloudflare: CloudflareApi, in_status: Callable[[str], Run], work: Callable[[], int]
) -> None:
    in_status("waiting")

    changed = result_of(
        cloudflare.patch(f"{ORDER}/status", {"status": "terminate", "rollback": True})
    )
    work()

    assert changed["status"] == "rollingBack"
    detail = result_of(cloudflare.get(ORDER))
    assert (detail["status"], detail["success"]) == ("terminated", False)
    assert detail["rollback"] == {"outcome": "complete", "error": None}
    assert [step["type"] for step in detail["steps"]][-2:] == ["rollback", "termination"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, "status is missing; it is one of pause, resume, terminate, restart"),
        ({"status": "paused"}, "status is 'paused' but must be one of pause"),
        ({"status": ["pause"]}, "status is ['pause'] but must be one of pause"),
        ({"status": "terminate", "rollback": "yes"}, "rollback is 'yes' but must be true or false"),
        ({"status": "restart", "from": {}}, "from.name is missing"),
        ({"status": "restart", "from": "reserve"}, "from must be a JSON object"),
        ({"status": "restart", "from": {"name": "a" * 257}}, "from.name must be a text of 1 to"),
        ({"status": "restart", "from": {"name": "reserve", "count": 0}}, "from.count is 0 but"),
        (
            {"status": "restart", "from": {"name": "reserve", "type": "step"}},
            "from.type is 'step' but must be one of do, sleep, waitForEvent",
        ),
        (
            {"status": "restart", "from": {"name": "reserve", "count": 2}},
            'run order-7 has begun 1 steps of the kind "work" that are called "reserve"',
        ),
        (
            {"status": "restart", "from": {"name": "reserve", "type": "sleep"}},
            'run order-7 has begun 0 steps of the kind "sleep"',
        ),
        ([], "the body must be a JSON object"),
    ],
)
def test_a_command_that_nobody_knows_changes_nothing(
    cloudflare: CloudflareApi, in_status: Callable[[str], Run], body: Any, sentence: str
) -> None:
    in_status("waiting")

    status, code, said = refusal_of(cloudflare.patch(f"{ORDER}/status", body))

    assert (status, code) == (400, 10002)
    assert said.startswith(sentence)
    assert result_of(cloudflare.get(ORDER))["status"] == "waiting"


def test_an_instance_that_is_not_there_takes_no_command(cloudflare: CloudflareApi) -> None:
    status, code, sentence = refusal_of(cloudflare.patch(f"{ORDER}/status", {"status": "pause"}))

    assert (status, code) == (404, 10400)
    assert sentence == 'there is no run "order-7" of workflow "orders" in this account'


# -- events


@pytest.mark.parametrize("payload", [{"sum": 5}, [1], "text", 0, False, 1.5])
def test_an_event_completes_the_wait_for_it_with_any_payload(
    cloudflare: CloudflareApi,
    in_status: Callable[[str], Run],
    work: Callable[[], int],
    payload: Any,
) -> None:
    in_status("waiting")

    sent = checked(INSTANCE_CHANGE, result_of(cloudflare.post(f"{ORDER}/events/paid", payload)))
    work()

    assert sent == {"instanceId": "order-7", "timestamp": "2030-01-02T12:00:00.000Z"}
    answer = cloudflare.get(f"{ORDER}/step", name="payment-1", type="waitForEvent")
    assert result_of(answer)["output"] == {
        "payload": payload,
        "timestamp": "2030-01-02T12:00:00.000Z",
        "type": "paid",
    }


@pytest.mark.parametrize("body", [b"", b"null"])
def test_an_event_without_a_body_has_no_payload(
    cloudflare: CloudflareApi,
    in_status: Callable[[str], Run],
    work: Callable[[], int],
    body: bytes,
) -> None:
    in_status("waiting")

    result_of(cloudflare.post(f"{ORDER}/events/paid", body))
    work()

    assert result_of(cloudflare.get(ORDER))["status"] == "complete"
    assert Run.objects.get().result in (None, "null")


def test_an_event_that_comes_early_waits(
    cloudflare: CloudflareApi, in_status: Callable[[str], Run], work: Callable[[], int]
) -> None:
    in_status("queued")

    result_of(cloudflare.post(f"{ORDER}/events/paid", 7))
    work()

    assert result_of(cloudflare.get(ORDER))["output"] == 7


@pytest.mark.parametrize("status", ENDED)
def test_what_has_ended_takes_no_event(
    cloudflare: CloudflareApi, in_status: Callable[[str], Run], status: str
) -> None:
    in_status(status)

    assert refusal_of(cloudflare.post(f"{ORDER}/events/paid", 1)) == (
        400,
        10002,
        f'instance "order-7" is {status}; only one that has not ended takes events',
    )


@pytest.mark.parametrize(
    ("event_type", "body", "sentence"),
    [
        ("a.b", 1, "the type of an event must be 1 to 100 letters"),
        ("a%2Fb", 1, "the type of an event must be 1 to 100 letters"),
        ("-a", 1, "the type of an event must be 1 to 100 letters"),
        ("a" * 101, 1, "the type of an event must be 1 to 100 letters"),
        ("paid", b"{", "This is not JSON"),
        ("paid", b"\xff", "The JSON is not UTF-8"),
        ("paid", b"NaN", "This is not JSON"),
    ],
)
def test_an_event_that_cannot_be_is_refused(
    cloudflare: CloudflareApi,
    in_status: Callable[[str], Run],
    event_type: str,
    body: Any,
    sentence: str,
) -> None:
    in_status("waiting")

    status, code, said = refusal_of(cloudflare.post(f"{ORDER}/events/{event_type}", body))

    assert (status, code) == (400, 10002)
    assert said.startswith(sentence)
    assert not Event.objects.exists()


def test_an_event_has_at_most_the_size_that_is_set(
    cloudflare: CloudflareApi, in_status: Callable[[str], Run], settings: Settings
) -> None:
    in_status("waiting")
    settings.WORKFLOWS = {"MAX_INSTANCE_PAYLOAD_BYTES": 10}

    refused = cloudflare.post(f"{ORDER}/events/paid", "ten letters")

    assert refusal_of(refused) == (
        400,
        10002,
        "the event has 13 bytes of JSON; at most 10 are taken",
    )
