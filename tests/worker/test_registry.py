"""What the engine is told of the code that is registered here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.shells import registry
from workflows_app import Context, Workflow, WorkflowEntrypoint, workflow
from workflows_app.engine.ports import Code, get_catalogue

__all__ = ["registry"]


@pytest.fixture(autouse=True)
def nothing_else(registry: dict[str, Workflow]) -> None:
    registry.clear()


def code_of(name: str) -> Code:
    code = get_catalogue().code_of(name)
    assert code is not None
    return code


def test_a_function_is_known_by_its_name_its_module_and_its_source() -> None:
    @workflow("order", retries=7)
    def order(context: Context) -> None: ...

    code = code_of("order")
    assert code.class_name.endswith(".order")
    assert code.script_name == __name__
    assert len(code.digest) == 64
    request = get_catalogue().request_for("order")
    assert request is not None
    assert (request.workflow, request.retries) == ("order", 7)


def test_a_class_is_known_as_what_it_is() -> None:
    class Order(WorkflowEntrypoint, name="order"):
        def run(self, event: Any, step: Any) -> None:
            step.sleep("nap", "1 day")

    assert code_of("order").class_name.endswith(".Order")
    assert '"nap"' in (get_catalogue().graph_of("order") or "")


@pytest.mark.parametrize(
    ("namespace", "module"), [({"__name__": "__console__"}, "__console__"), ({}, "")]
)
def test_what_was_typed_into_a_shell_has_no_graph_but_can_be_started(
    namespace: dict[str, Any], module: str
) -> None:
    exec("def order(context):\n    context.sleep('nap', 1)", namespace)
    workflow("order")(namespace["order"])

    assert code_of("order").script_name == module
    assert get_catalogue().graph_of("order") is None


def test_an_object_that_can_be_called_but_not_hashed_can_be_started() -> None:
    @dataclass
    class Order:
        rate: int

        def __call__(self, context: Context) -> int:
            return self.rate

    workflow("order")(Order(rate=7))

    assert code_of("order").class_name.endswith(".Order")


def test_what_is_not_registered_is_not_known() -> None:
    assert list(get_catalogue().names()) == []
    assert get_catalogue().code_of("order") is None
    assert get_catalogue().graph_of("order") is None
    assert get_catalogue().request_for("order") is None
