"""What tests do with instances, by whichever client."""

from __future__ import annotations

import json
from typing import Any

from tests.compat.cloudflare.clients import Client
from tests.compat.world import eventually

ENDED = ("complete", "errored", "terminated")

Detail = dict[str, Any]


def start(client: Client, workflow: str, payload: Any = None, **params: Any) -> str:
    """The id of a new instance."""
    if payload is not None:
        params["params"] = json.dumps(payload)
    return str(client.call("instances.create", workflow, **params)["id"])


def detail(client: Client, workflow: str, instance: str, **params: Any) -> Detail:
    found: Detail = client.call("instances.get", instance, workflow_name=workflow, **params)
    return found


def until(client: Client, workflow: str, instance: str, *statuses: str) -> Detail:
    """As it is when it first has one of these statuses."""
    return eventually(
        lambda: detail(client, workflow, instance),
        lambda found: found["status"] in statuses,
        f"{workflow} {instance} {'/'.join(statuses)}",
    )


def end_of(client: Client, workflow: str, instance: str) -> Detail:
    return until(client, workflow, instance, *ENDED)


def result(client: Client, workflow: str, payload: Any = None, **params: Any) -> Any:
    """What a new instance returns, decoded."""
    ended = end_of(client, workflow, start(client, workflow, payload, **params))
    assert ended["status"] == "complete", ended
    return decoded(ended["output"])


def decoded(output: Any) -> Any:
    """A text that is no JSON is itself."""
    try:
        return json.loads(output)
    except (TypeError, ValueError):
        return output


def until_at(client: Client, workflow: str, instance: str, step: str) -> Detail:
    """Once it is at this step, which has begun and not ended."""

    def is_there(found: Detail) -> bool:
        return any(each.get("name") == step and not is_over(each) for each in found["steps"])

    return eventually(lambda: detail(client, workflow, instance), is_there, f"{instance} at {step}")


def is_over(step: dict[str, Any]) -> bool:
    return bool(step["finished"] if "finished" in step else step.get("success") is not None)


def command(client: Client, workflow: str, instance: str, status: str, **params: Any) -> str:
    """The status that it answers."""
    answer = client.call(
        "instances.status.edit", instance, workflow_name=workflow, status=status, **params
    )
    assert set(answer) == {"status", "timestamp"}
    return str(answer["status"])


def send(client: Client, workflow: str, instance: str, event: str, body: Any = None) -> Any:
    return client.call(
        "instances.events.create", event, workflow_name=workflow, instance_id=instance, body=body
    )


def steps_of(found: Detail, kind: str) -> list[dict[str, Any]]:
    return [step for step in found["steps"] if step["type"] == kind]


def names(found: Detail) -> list[str]:
    return [step.get("name", step["type"]) for step in found["steps"]]
