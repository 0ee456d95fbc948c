"""instances.status.edit: each command in each status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.compat.cloudflare.clients import Client
from tests.compat.cloudflare.instances import (
    command,
    decoded,
    detail,
    end_of,
    send,
    start,
    steps_of,
    until,
    until_at,
)
from tests.compat.features import by_each_client
from tests.compat.programs import SdkError
from tests.compat.world import World, eventually

COMMANDS = ("pause", "resume", "terminate", "restart")


def waiting(client: Client) -> tuple[str, str]:
    instance = start(client, "patient", "sleep")
    until(client, "patient", instance, "waiting")
    return "patient", instance


def running(client: Client) -> tuple[str, str]:
    instance = start(client, "slow", {"seconds": 2})
    until(client, "slow", instance, "running")
    return "slow", instance


def waiting_for_pause(client: Client) -> tuple[str, str]:
    workflow, instance = running(client)
    assert command(client, workflow, instance, "pause") == "waitingForPause"
    return workflow, instance


def paused(client: Client) -> tuple[str, str]:
    workflow, instance = waiting(client)
    assert command(client, workflow, instance, "pause") == "paused"
    return workflow, instance


def complete(client: Client) -> tuple[str, str]:
    instance = start(client, "plain", 1)
    end_of(client, "plain", instance)
    return "plain", instance


def errored(client: Client) -> tuple[str, str]:
    instance = start(client, "broken", "in the function")
    end_of(client, "broken", instance)
    return "broken", instance


def terminated(client: Client) -> tuple[str, str]:
    workflow, instance = waiting(client)
    assert command(client, workflow, instance, "terminate") == "terminated"
    return workflow, instance


ENDED = (complete, errored, terminated)
LIVE = (waiting, running, waiting_for_pause, paused)
ANSWERS: dict[tuple[str, Callable[[Client], tuple[str, str]]], str] = {
    ("pause", waiting): "paused",
    ("pause", running): "waitingForPause",
    ("pause", waiting_for_pause): "waitingForPause",
    ("pause", paused): "paused",
    ("resume", waiting): "waiting",
    ("resume", running): "running",
    ("resume", waiting_for_pause): "running",
    ("resume", paused): "queued",
    **{("terminate", state): "terminated" for state in LIVE},
    **{("restart", state): "queued" for state in (*LIVE, *ENDED)},
}
REFUSALS = {"terminate": 10401, "pause": 10402, "resume": 10403}


@by_each_client("instances.status.edit: pause, resume, terminate, restart in every status")
@pytest.mark.parametrize(
    ("word", "state"), ANSWERS, ids=[f"{word} {state.__name__}" for word, state in ANSWERS]
)
def test_a_command_answers_with_what_came_of_it(
    world: World, sdk: str, word: str, state: Callable[[Client], tuple[str, str]]
) -> None:
    client = world.cloudflare(sdk)
    workflow, instance = state(client)

    assert command(client, workflow, instance, word) == ANSWERS[word, state]

    if word in ("pause", "terminate"):
        until(client, workflow, instance, *{"pause": ["paused"]}.get(word, ["terminated"]))


@by_each_client("instances.status.edit: commands that come too late, without needless retries")
@pytest.mark.parametrize("state", ENDED, ids=lambda state: state.__name__)
def test_an_ended_instance_takes_no_command_but_to_restart(
    world: World, sdk: str, state: Callable[[Client], tuple[str, str]]
) -> None:
    client = world.cloudflare(sdk)
    workflow, instance = state(client)
    before = detail(client, workflow, instance)

    for word, code in REFUSALS.items():
        asked = client.requests
        with pytest.raises(SdkError) as refused:
            command(client, workflow, instance, word)
        assert (refused.value.name, refused.value.status) == ("ConflictError", 409)
        assert refused.value.codes == [code]
        assert client.requests == asked + 1

    assert detail(client, workflow, instance) == before


@by_each_client("pause: the step in flight ends, and nothing begins")
def test_a_paused_instance_rests_after_its_step(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    workflow, instance = waiting_for_pause(client)

    shown = until(client, workflow, instance, "paused")

    assert [(step["name"], step["output"]) for step in shown["steps"]] == [("work-1", "worked")]
    command(client, workflow, instance, "resume")
    ended = end_of(client, workflow, instance)
    assert decoded(ended["output"])[0] == "worked"


@by_each_client("pause: a sleep goes on where it was, events are kept")
def test_what_comes_while_an_instance_is_paused_is_kept(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "patient", "wait")
    until(client, "patient", instance, "waiting")
    command(client, "patient", instance, "pause")

    send(client, "patient", instance, "news", "good")

    assert until(client, "patient", instance, "paused")["success"] is None
    command(client, "patient", instance, "resume")
    ended = end_of(client, "patient", instance)
    assert decoded(ended["output"])["payload"] == "good"


@by_each_client("rollback of a failed instance")
@pytest.mark.parametrize(
    ("stuck", "outcome"), [(False, "complete"), (True, "failed")], ids=["complete", "failed"]
)
def test_a_failed_instance_undoes_what_it_did(
    world: World, sdk: str, *, stuck: bool, outcome: str
) -> None:
    client = world.cloudflare(sdk)

    shown = end_of(client, "trip", start(client, "trip", {"fails": True, "stuck": stuck}))

    assert shown["status"] == "errored"
    assert shown["error"] == {"name": "ValueError", "message": "no car"}
    assert shown["rollback"]["outcome"] == outcome
    undone = steps_of(shown, "rollback")
    assert [step["name"] for step in undone] == ["hotel-1", "flight-1"]
    assert {step["success"] for step in undone} == {not stuck}
    if stuck:
        assert shown["rollback"]["error"] == {"name": "RuntimeError", "message": "no cancellation"}


@by_each_client("terminate with rollback")
@pytest.mark.parametrize("state", ["waiting", "paused"])
def test_a_terminated_instance_undoes_what_it_did(world: World, sdk: str, state: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "trip", {})
    until(client, "trip", instance, "waiting")
    if state == "paused":
        command(client, "trip", instance, "pause")

    assert command(client, "trip", instance, "terminate", rollback=True) == "rollingBack"

    shown = until(client, "trip", instance, "terminated")
    assert shown["rollback"] == {"outcome": "complete", "error": None}
    undone = steps_of(shown, "rollback")
    assert [(step["name"], step["success"]) for step in undone] == [
        ("hotel-1", True),
        ("flight-1", True),
    ]
    assert steps_of(shown, "termination")


@by_each_client("terminate without rollback")
def test_a_terminated_instance_leaves_what_it_did(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "trip", {})
    until(client, "trip", instance, "waiting")

    assert command(client, "trip", instance, "terminate") == "terminated"

    shown = detail(client, "trip", instance)
    assert (shown["rollback"], steps_of(shown, "rollback")) == (None, [])
    assert shown["success"] is False
    (end,) = steps_of(shown, "termination")
    assert end == {"type": "termination", "trigger": end["trigger"]}


def counted(client: Client, news: Any) -> tuple[str, list[float]]:
    """A complete instance, and when each of its three steps ran."""
    instance = start(client, "counted")
    until_at(client, "counted", instance, "news-1")
    send(client, "counted", instance, "news", news)
    return instance, decoded(end_of(client, "counted", instance)["output"])["times"]


@by_each_client("restart")
def test_a_restarted_instance_does_everything_again(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance, before = counted(client, "first")

    assert command(client, "counted", instance, "restart") == "queued"

    until_at(client, "counted", instance, "news-1")
    send(client, "counted", instance, "news", "second")
    again = decoded(end_of(client, "counted", instance)["output"])
    assert again["news"] == "second"
    assert all(later > earlier for later, earlier in zip(again["times"], before, strict=True))
    ids = [each["id"] for each in client.every("instances.list", "counted")]
    assert ids.count(instance) == 1


@by_each_client("restart from a step")
@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ({"name": "tick", "count": 2}, 1),
        ({"name": "tick"}, 0),
        ({"name": "pause", "type": "sleep"}, 1),
        ({"name": "news", "type": "waitForEvent"}, 2),
    ],
    ids=["the second of its name", "the first", "a sleep", "an event"],
)
def test_an_instance_restarts_from_a_step(
    world: World, sdk: str, target: dict[str, Any], kept: int
) -> None:
    client = world.cloudflare(sdk)
    instance, before = counted(client, "first")

    command(client, "counted", instance, "restart", from_=target)

    until_at(client, "counted", instance, "news-1")
    send(client, "counted", instance, "news", "second")
    times = decoded(end_of(client, "counted", instance)["output"])["times"]
    same = [later == earlier for later, earlier in zip(times, before, strict=True)]
    assert same == [True] * kept + [False] * (3 - kept)


@by_each_client("restart from an unknown step")
def test_an_unknown_step_is_nothing_to_restart_from(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance, _ = counted(client, "first")
    before = detail(client, "counted", instance)

    with pytest.raises(SdkError) as refused:
        command(client, "counted", instance, "restart", from_={"name": "tick", "count": 4})

    assert (refused.value.name, refused.value.status) == ("BadRequestError", 400)
    assert eventually(lambda: detail(client, "counted", instance), bool) == before
