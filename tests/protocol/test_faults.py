"""Exceptions and answers as they are stored and sent."""

from __future__ import annotations

import json

from workflows_app.errors import StepError
from workflows_app.protocol.faults import describe_answer, describe_error


def caught(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as raised:
        return raised


def test_an_exception_is_described_by_its_type_message_and_stack() -> None:
    described = json.loads(describe_error(caught(ConnectionError("no route to größe"))))

    stack = described.pop("stack")
    assert described == {"type": "ConnectionError", "message": "no route to größe"}
    assert stack.startswith("Traceback (most recent call last):\n")
    assert "in caught\n    raise error\n" in stack
    assert stack.endswith("ConnectionError: no route to größe\n")


def test_the_stack_tells_what_led_to_the_exception() -> None:
    error = RuntimeError("no such order")
    error.__cause__ = caught(KeyError("order"))
    stack = json.loads(describe_error(caught(error)))["stack"]

    assert "KeyError: 'order'\n\nThe above exception was the direct cause" in stack


def test_a_step_that_led_to_it_is_named() -> None:
    step = StepError("charge", "OSError", "no funds", 3, "charge@2")
    described = json.loads(describe_error(RuntimeError("void"), step))
    del described["stack"]

    assert described == {
        "type": "RuntimeError",
        "message": "void",
        "step": "charge",
        "key": "charge@2",
    }


def test_branches_around_the_step_are_counted_where_there_were_any() -> None:
    step = StepError("charge", "OSError", "no funds", 3, "charge@2.1")
    step.opened = {"": 3, "2": 1}
    described = json.loads(describe_error(step, step))

    assert (described["key"], described["opened"]) == ("charge@2.1", {"": 3, "2": 1})


def test_what_utf8_cannot_hold_is_escaped() -> None:
    described = describe_error(ValueError("half a pair: \ud800"))

    assert described.encode()
    assert json.loads(described)["message"] == "half a pair: \ud800"


def test_an_exception_without_words_has_an_empty_message() -> None:
    assert json.loads(describe_error(ValueError()))["message"] == ""


def test_an_answer_is_described_in_the_same_shape() -> None:
    described = describe_answer(503, {"Retry-After": ["5"]}, "busy", "GET / answered 503")

    assert json.loads(described) == {
        "type": "HttpError",
        "message": "GET / answered 503",
        "stack": "",
        "status": 503,
        "headers": {"Retry-After": ["5"]},
        "body": "busy",
    }
