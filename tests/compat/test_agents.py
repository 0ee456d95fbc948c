"""Agents of @upstash/workflow-agents, against a language model of few words."""

from __future__ import annotations

from tests.compat.features import AGENTS_JS, feature
from tests.compat.world import World


@feature(AGENTS_JS, "an agent with tools: tool calls and a final answer")
def test_an_agent_calls_its_tools_and_answers(world: World) -> None:
    run = world.run("", {"prompt": "Köln"}, url=f"{world.agents.url}/alone")

    assert run.result == {"text": "Köln: sun over Köln and Köln in the news"}
    assert [step["stepName"] for step in run.steps] == [
        "init",
        "Call Agent reporter",
        "Run tool weather",
        "Call Agent reporter",
        "Run tool news",
        "Call Agent reporter",
    ]
    asked = run.steps[1]
    assert asked["callHeaders"]["Upstash-Agent-Name"] == ["reporter"]
    assert asked["callResponseStatus"] == 200


@feature(AGENTS_JS, "a manager with several agents")
def test_agents_work_together(world: World) -> None:
    run = world.run("", {"prompt": "Köln"}, url=f"{world.agents.url}/together")

    weather, judgement = "Köln: sun over Köln", "Köln: nothing to add"
    assert weather in run.result["text"]
    assert judgement in run.result["text"]
    names = [step["stepName"] for step in run.steps]
    assert names.count("Call Agent Manager LLM") == 3
    assert names.count("Call Agent meteorologist") == 2
    assert names.count("Call Agent critic") == 1
    assert names.count("Run tool weather") == 1
