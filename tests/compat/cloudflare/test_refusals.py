"""What is refused, by which error of each client; and how often a client asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.compat.cloudflare.clients import Client
from tests.compat.cloudflare.instances import command, detail, start
from tests.compat.features import CLOUDFLARE_TENANTS, by_each_client
from tests.compat.programs import SdkError
from tests.compat.world import World, unique

Case = tuple[Callable[[Client], Any], str, int]

BAD_REQUEST, NOT_FOUND = "BadRequestError", "NotFoundError"

CASES: dict[str, Case] = {
    "an unknown workflow": (lambda client: client.call("get", "nobody"), NOT_FOUND, 10200),
    "an instance of an unknown workflow": (
        lambda client: detail(client, "nobody", "one"),
        NOT_FOUND,
        10200,
    ),
    "an unknown instance": (lambda client: detail(client, "plain", "nobody"), NOT_FOUND, 10400),
    "a command to an unknown instance": (
        lambda client: command(client, "plain", "nobody", "pause"),
        NOT_FOUND,
        10400,
    ),
    "an unknown version": (
        lambda client: client.call(
            "versions.get", "00000000-0000-4000-8000-000000000000", workflow_name="plain"
        ),
        NOT_FOUND,
        10300,
    ),
    "a page before the first": (
        lambda client: client.call("instances.list", "plain", page=0),
        BAD_REQUEST,
        10002,
    ),
    "too long a page": (
        lambda client: client.call("instances.list", "plain", per_page=101),
        BAD_REQUEST,
        10002,
    ),
    "an unknown status": (
        lambda client: client.call("instances.list", "plain", status="unknown"),
        BAD_REQUEST,
        10002,
    ),
    "a cursor that never was": (
        lambda client: client.call("instances.list", "plain", cursor="made up"),
        BAD_REQUEST,
        10002,
    ),
    "a date that is none": (
        lambda client: client.call("instances.list", "plain", date_start="yesterday"),
        BAD_REQUEST,
        10002,
    ),
    "params that are no JSON": (
        lambda client: client.call("instances.create", "plain", params="{"),
        BAD_REQUEST,
        10002,
    ),
    "an id with a blank": (
        lambda client: start(client, "plain", instance_id="a b"),
        BAD_REQUEST,
        10002,
    ),
    "an id that is a route": (
        lambda client: start(client, "plain", instance_id="batch"),
        BAD_REQUEST,
        10002,
    ),
    "an unknown place": (
        lambda client: start(client, "plain", location_hint="moon"),
        BAD_REQUEST,
        10002,
    ),
    "a payload of more than 1 MiB": (
        lambda client: start(client, "plain", "x" * (1 << 20)),
        BAD_REQUEST,
        10002,
    ),
    "a retention of more than 30 days": (
        lambda client: start(client, "plain", instance_retention={"success_retention": "2 months"}),
        BAD_REQUEST,
        10002,
    ),
}


@by_each_client("errors: classes, statuses and codes, each after one request")
@pytest.mark.parametrize("case", CASES)
def test_what_is_refused_says_why_and_is_asked_once(world: World, sdk: str, case: str) -> None:
    client = world.cloudflare(sdk)
    ask, name, code = CASES[case]

    with pytest.raises(SdkError) as refused:
        ask(client)

    assert (refused.value.name, refused.value.codes) == (name, [code])
    assert client.requests == 1


@by_each_client("instances.create: the id of an instance that exists")
def test_an_id_is_used_once(world: World, sdk: str) -> None:
    client, name = world.cloudflare(sdk), unique("once")
    start(client, "patient", "sleep", instance_id=name)

    asked = client.requests
    with pytest.raises(SdkError) as refused:
        start(client, "patient", "sleep", instance_id=name)

    assert (refused.value.name, refused.value.codes) == (BAD_REQUEST, [10405])
    assert client.requests == asked + 1
    assert start(client, "plain", instance_id=name) == name


@by_each_client("errors: accounts, unknown and read-only tokens")
def test_a_token_opens_its_own_account_alone(world: World, sdk: str) -> None:
    client, own = world.cloudflare(sdk), CLOUDFLARE_TENANTS[sdk]
    instance = start(client, "patient", "sleep")
    looking = world.cloudflare(sdk, tenant="python:read-only")

    def refusal(stranger: Client) -> tuple[str, list[int]]:
        with pytest.raises(SdkError) as refused:
            start(stranger, "patient", instance_id=instance)
        return refused.value.name, refused.value.codes

    nobody = world.cloudflare(sdk, tenant="nobody", account_of=own)
    assert refusal(nobody) == ("AuthenticationError", [10000])
    foreign = world.cloudflare(sdk, tenant="books", account_of=own)
    assert refusal(foreign) == (NOT_FOUND, [7003])
    assert refusal(looking) == ("PermissionDeniedError", [10000])
    assert looking.every("list")
