"""Workflows as classes: how they are registered, and what their `run` is given."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse, RehearseClass
from tests.sdk.rehearsal import CREATED_AT, assert_failed, finished
from workflows_app import Workflow, WorkflowEntrypoint, get_workflow
from workflows_app.errors import InvalidInput
from workflows_app.sdk.context import Context


class Base(WorkflowEntrypoint):
    def greeting(self) -> str:
        return "hello"


def test_a_class_is_registered_under_its_name(registry: dict[str, Workflow]) -> None:
    class Greet(Base):
        """Says hello."""

        def run(self, event: Any, step: Any) -> Any:
            return self.greeting()

    assert get_workflow("Greet") is Greet.workflow
    assert Greet.workflow.entrypoint is Greet
    assert (Greet.workflow.__name__, Greet.workflow.__doc__) == ("Greet", "Says hello.")


def test_it_may_have_another_name_and_the_options_of_a_workflow(
    registry: dict[str, Workflow],
) -> None:
    class Greet(Base, name="greet", retries=1, timeout="1m"):
        def run(self, event: Any, step: Any) -> Any: ...

    assert get_workflow("greet").policy == {
        "retries": 1,
        "retry_delay": "10000 * pow(2, retried)",
        "timeout": timedelta(minutes=1),
    }


def test_a_class_without_a_run_registers_nothing(registry: dict[str, Workflow]) -> None:
    class Abstract(Base):
        @abstractmethod
        def run(self, event: Any, step: Any) -> Any: ...

    assert not {"Base", "Abstract"} & registry.keys()
    assert not hasattr(Abstract, "workflow")


def test_a_class_that_inherits_its_run_is_a_workflow_of_its_own(
    registry: dict[str, Workflow], rehearse_workflow: Rehearse
) -> None:
    class Greet(Base):
        def run(self, event: Any, step: Any) -> Any:
            return f"{self.greeting()} {event.workflowName}"

    class Welcome(Greet):
        def greeting(self) -> str:
            return "welcome"

    assert rehearse_workflow(Greet.workflow).play() == finished("hello Greet")
    assert rehearse_workflow(Welcome.workflow).play() == finished("welcome Welcome")


def test_two_classes_of_one_name_are_refused(registry: dict[str, Workflow]) -> None:
    def define(qualname: str) -> None:
        members = {"run": lambda self, event, step: None, "__qualname__": qualname}
        type("Greet", (Base,), members)

    define("Greet")
    with pytest.raises(InvalidInput) as refused:
        define("Other.Greet")

    assert str(refused.value) == (
        'workflow "Greet" is defined twice: by Greet, and by Other.Greet. Give one of them another '
        "name."
    )


def test_each_turn_has_an_instance_with_the_context_and_its_environment(
    registry: dict[str, Workflow], rehearse_workflow: Rehearse
) -> None:
    instances: list[Any] = []

    class Greet(WorkflowEntrypoint):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            instances.append(self)

        def run(self, event: Any, step: Any) -> Any:
            step.sleep("nap", 1000)

    rehearse_workflow(Greet.workflow).play()

    first, second = instances
    assert first is not second
    assert isinstance(first.ctx, Context)
    assert first.env is first.ctx.env


def test_the_event_says_what_started_the_run(rehearse_class: RehearseClass) -> None:
    async def story(event: Any, step: Any) -> Any:
        assert event.timestamp == event["timestamp"] == CREATED_AT
        assert "schedule" not in event
        return [event["payload"], event.payload, event["instanceId"], event.workflowName]

    outcome = rehearse_class(story, payload=b'{"id":7}').play()

    assert outcome == finished([{"id": 7}, {"id": 7}, "wfr_1", "story"])


def test_what_is_changed_in_the_payload_is_not_kept(rehearse_class: RehearseClass) -> None:
    async def story(event: Any, step: Any) -> Any:
        seen = dict(event.payload)
        event.payload["id"] = 8
        await step.sleep("nap", "1 hour")
        return seen

    assert rehearse_class(story, payload=b'{"id":7}').play() == finished({"id": 7})


def test_a_run_of_a_schedule_knows_its_slot(rehearse_class: RehearseClass) -> None:
    async def story(event: Any, step: Any) -> Any:
        return [event.schedule, event["schedule"]["cron"], event.schedule.scheduledTime]

    outcome = rehearse_class(
        story, schedule='{"cron":"0 * * * *","scheduledTime":1893499200000}'
    ).play()

    said = {"cron": "0 * * * *", "scheduledTime": 1893499200000}
    assert outcome == finished([said, "0 * * * *", 1893499200000])


def test_what_an_event_has_not_is_named(rehearse_class: RehearseClass) -> None:
    async def story(event: Any, step: Any) -> Any:
        return event.schedule

    sentence = 'there is no "schedule" here, but payload, timestamp, instanceId, workflowName'
    assert_failed(rehearse_class(story).play(), "AttributeError", sentence)


def test_what_run_raises_fails_the_run_at_once(rehearse_class: RehearseClass) -> None:
    async def story(event: Any, step: Any) -> Any:
        raise LookupError("sold out")

    rehearsal = rehearse_class(story, retries=3)

    assert_failed(rehearsal.turn(), "LookupError", "sold out")
    assert rehearsal.journal.attempts == []
