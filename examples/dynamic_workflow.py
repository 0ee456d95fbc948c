"""A dynamic workflow: the payload says which functions are called, and in which order.

Shows steps whose names are computed, and an error that no retry mends. Names may depend on the
payload, which is the same on every replay.

    manage.py workflows trigger dynamic-workflow --wait --body '{"version": "0.1",
        "functions": ["AddOne", "MultiplyWithTwo", "AddOne"]}'
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from workflows_app import Context, WorkflowNonRetryableError, workflow


class Plan(TypedDict):
    version: str
    functions: list[str]


@workflow("dynamic-workflow", retries=3)
def dynamic_workflow(context: Context) -> int:
    plan: Plan = context.request_payload
    result = 0
    for index, name in enumerate(plan["functions"]):
        result = context.run(f"step-{index}:{name}", call_function, name, result)
    return result


def add_one(value: int) -> int:
    return value + 1


def multiply_with_two(value: int) -> int:
    return value * 2


FUNCTIONS: dict[str, Callable[[int], int]] = {
    "AddOne": add_one,
    "MultiplyWithTwo": multiply_with_two,
}


def call_function(name: str, value: int) -> int:
    if name not in FUNCTIONS:
        raise WorkflowNonRetryableError(f"unknown step {name}; known are {', '.join(FUNCTIONS)}")
    return FUNCTIONS[name](value)
