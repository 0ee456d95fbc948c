"""versions.list, get and graph; and a server that comes back with other code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing
from typing import Any

import pytest

from tests.compat.cloudflare.clients import Client, Python
from tests.compat.cloudflare.instances import end_of, send, start, until
from tests.compat.features import CLOUDFLARE_PY, by_each_client, feature
from tests.compat.programs import SdkError
from tests.compat.server import Server, importing, own_database, running
from tests.compat.world import World
from tests.faults.databases import Database

CONSTRUCTS = {
    *("step_do", "step_sleep", "step_sleep_until", "step_wait_for_event"),
    *("loop", "parallel", "try", "if", "switch", "function_call", "break"),
}


@by_each_client("versions.list, versions.get")
def test_a_workflow_has_a_version(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)

    (listed,) = client.every("versions.list", "every-construct")
    shown = client.call("versions.get", listed["id"], workflow_name="every-construct")

    assert shown == listed
    assert (shown["class_name"], shown["language"], shown["has_dag"]) == ("Every", "python", True)
    assert shown["workflow_id"] == client.call("get", "every-construct")["id"]
    with pytest.raises(SdkError) as unknown:
        client.call("versions.get", listed["id"], workflow_name="plain")
    assert unknown.value.codes == [10300]


@by_each_client("versions.graph: every construct")
def test_the_graph_of_a_version_is_read_from_its_source(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    (version,) = client.every("versions.list", "every-construct")

    shown = client.call("versions.graph", version["id"], workflow_name="every-construct")

    workflow = shown["graph"]["workflow"]
    nodes = list(all_nodes(workflow))
    assert workflow["class_name"] == shown["class_name"] == "Every"
    assert {node["type"] for node in nodes} >= CONSTRUCTS
    steps = {node["name"]: node for node in nodes if node["type"] == "step_do"}
    assert {"first", "left", "right", "mend", "tidy", "help", "once"} <= set(steps)
    assert steps["first"]["config"] == {
        "retries": {"limit": 3, "delay": 50, "backoff": "constant"},
        "timeout": "5 seconds",
    }
    assert steps["beside"].get("starts") is not None
    (function,) = workflow["functions"].values()
    assert function["type"] == "function_def"


def all_nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """Whatever has a type, at any depth."""
    if isinstance(value, Mapping):
        if isinstance(value.get("type"), str):
            yield value
        for each in value.values():
            yield from all_nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from all_nodes(each)


CODE = """
from workflows_app import workflow

@workflow("changing")
def changing(context):
    context.run("say", lambda: {said!r})
    return [{said!r}, context.wait_for_event("wait", "go", timeout="1h").event_data]
"""


@feature(CLOUDFLARE_PY, "versions: a server that comes back with other code")
def test_other_code_is_another_version(world: World) -> None:
    directory = world.directory("changing")
    app = directory / "changing"
    app.mkdir()
    (app / "__init__.py").touch()

    def served(database: Database, said: str) -> AbstractContextManager[Server]:
        (app / "workflows.py").write_text(CODE.format(said=said))
        return running(database, directory, **importing("changing", directory))

    with own_database(world.kind, directory) as database:
        with served(database, "one") as server, closing(client_of(server)) as client:
            (first,) = client.every("versions.list", "changing")
            begun = start(client, "changing")
            until(client, "changing", begun, "waiting")

        with served(database, "two") as server, closing(client_of(server)) as client:
            second, *others = client.every("versions.list", "changing")
            later = start(client, "changing")
            for instance in (begun, later):
                send(client, "changing", instance, "go", instance)
            ended = [end_of(client, "changing", instance) for instance in (begun, later)]

    assert others == [first]
    assert second["id"] != first["id"]
    assert [each["versionId"] for each in ended] == [first["id"], second["id"]]
    assert [each["steps"][0]["output"] for each in ended] == ["one", "two"]


def client_of(server: Server) -> Client:
    return Python(f"{server.url}/client/v4", server.main)
