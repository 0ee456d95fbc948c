"""Each kind of node is one that the published models of the Python client know, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cloudflare.types.workflows.version_graph_response import GraphWorkflow, GraphWorkflowNode
from pydantic import BaseModel, TypeAdapter

from tests.sdk.graph.outlines import in_class

EVERY_CONSTRUCT = """
task = asyncio.create_task(step.do("beside", f))
beside = asyncio.create_task(self.helped(step))
await step.sleep("nap", "1 hour")
await step.sleep_until("morning", event["payload"]["morning"]["at"])
answer = await step.wait_for_event("go", "gone", timeout=5000)
for each in answer["payload"]["items"]:
    await step.do(f"item {each}", f, {"retries": {"limit": 3, "delay": 50, "backoff": "linear"}})
    if each:
        break
await asyncio.gather(step.do("left", f), step.do("right", f))
await asyncio.gather(task, helped(step), return_exceptions=True)
await asyncio.wait([step.do("x", f), step.sleep("y", 5)], return_when="FIRST_COMPLETED")
await asyncio.wait([step.do("z", f)])
try:
    await step.do("risky", f, timeout)
except ValueError:
    await step.do("mend", f)
finally:
    await step.do("tidy", f)
match event["payload"]["kind"]:
    case "a":
        await self.helped(step)
    case _:
        return "early"
await beside
"""
HELPED = """
    async def helped(self, step):
        await helped(step)

async def helped(step):
    await step.do("help", f)
"""
NODES: TypeAdapter[Any] = TypeAdapter(GraphWorkflowNode)
ALL = {
    *("step_do", "step_sleep", "step_sleep_until", "step_wait_for_event", "function_call"),
    *("loop", "parallel", "try", "block", "if", "switch", "break", "function_def"),
}


def test_the_models_know_each_node_of_a_graph() -> None:
    workflow = in_class(EVERY_CONSTRUCT, HELPED)

    GraphWorkflow.model_validate(workflow, strict=True)
    nodes = list(all_nodes(workflow))
    for node in nodes:
        assert unknown_of(NODES.validate_python(node, strict=True)) == {}, node
    assert {node["type"] for node in nodes} == ALL
    assert {node["kind"] for node in nodes if node["type"] == "parallel"} == {
        *("all", "all_settled", "race")
    }


def all_nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Whatever is a node, at any depth."""
    if isinstance(value, dict):
        if value.get("type") in ALL:
            yield value
        for each in value.values():
            yield from all_nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from all_nodes(each)


def unknown_of(model: Any) -> dict[str, Any]:
    """What the client would not show a type checker."""
    found = dict(model.model_extra or {})
    for value in dict(model).values():
        if isinstance(value, BaseModel):
            found |= unknown_of(value)
    return found
