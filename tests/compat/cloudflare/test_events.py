"""instances.events.create."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compat.cloudflare.instances import decoded, end_of, result, send, start, until
from tests.compat.features import CLOUDFLARE_JS, by_each_client
from tests.compat.programs import SdkError
from tests.compat.world import World

VALUES = [{"ü": ["😀", None, 1.5]}, [], "text", 7]
FALSE_VALUES = [0, False]
"""For these the JavaScript client sends nothing at all."""


@by_each_client("instances.events.create: before and after the wait, of every JSON kind")
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_event_reaches_the_step_that_waits_for_it(world: World, sdk: str, when: str) -> None:
    client, values = world.cloudflare(sdk), VALUES
    if sdk != CLOUDFLARE_JS:
        values = [*VALUES, *FALSE_VALUES]
    got = []

    for value in values:
        instance = start(client, "patient", "wait")
        if when == "after":
            until(client, "patient", instance, "waiting")
        sent = send(client, "patient", instance, "news", value)
        assert (set(sent), sent["instanceId"]) == ({"instanceId", "timestamp"}, instance)
        got.append(decoded(end_of(client, "patient", instance)["output"]))

    assert [each["payload"] for each in got] == values
    assert {each["type"] for each in got} == {"news"}


@by_each_client("instances.events.create: an empty body")
def test_an_event_may_have_no_payload(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "patient", "wait")

    send(client, "patient", instance, "news", None)

    assert decoded(end_of(client, "patient", instance)["output"])["payload"] is None


@by_each_client("instances.events.create: kept by type, in order")
def test_events_are_kept_until_a_step_waits_for_their_type(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "twice")

    for event, value in (("b", 1), ("a", 2), ("a", 3)):
        send(client, "twice", instance, event, value)

    assert decoded(end_of(client, "twice", instance)["output"]) == [2, 3, 1]


@by_each_client("step.wait_for_event: timeout")
def test_a_step_waits_no_longer_than_it_says(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)

    said = result(client, "impatient")

    assert said == "WorkflowTimeoutError: Execution timed out after 1000ms"


@by_each_client("instances.events.create: refusals")
def test_an_event_that_nobody_can_receive_is_refused(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    ended = start(client, "plain", 1)
    end_of(client, "plain", ended)

    def refusal(instance: str, event: str) -> Any:
        with pytest.raises(SdkError) as refused:
            send(client, "plain", instance, event, 1)
        return (refused.value.name, refused.value.codes)

    assert refusal(ended, "news") == ("BadRequestError", [10002])
    assert refusal("nobody", "news") == ("NotFoundError", [10400])
    assert refusal(ended, "with.dot") == ("BadRequestError", [10002])
