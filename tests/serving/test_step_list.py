"""The step list of the protocol as a history: numbers and plans one way, keys and branches the
other.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from workflows_app.errors import IncompatibleHistory, InvalidInput
from workflows_app.protocol.published import PublishedStep, step_of
from workflows_app.protocol.runs import StepKind
from workflows_app.serving.asking import Asked
from workflows_app.serving.numbering import number
from workflows_app.serving.step_list import Past, past_of, read_step_list


def element(message_id: str, body: object, call_type: str = "step") -> dict[str, str]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    encoded = base64.b64encode(content).decode()
    return {"messageId": message_id, "body": encoded, "callType": call_type}


def said(name: str, step_id: int, **details: Any) -> PublishedStep:
    step = step_of(
        {"stepId": step_id, "stepName": name, "stepType": "Run", "concurrent": 1, **details}
    )
    assert step is not None
    return step


def plan(name: str, number: int, branch: str, key: str = "", size: int = 2) -> PublishedStep:
    details = {"key": key or f"{name}@{branch}", "branch": branch, "concurrent": size}
    return said(name, 0, targetStep=number, **details)


def result(name: str, step_id: int, out: Any = None, **details: Any) -> PublishedStep:
    return said(name, step_id, out=json.dumps(out), **details)


def keys(past: Past) -> list[tuple[str, str]]:
    return [(record.key, record.branch) for record in past.records]


# -- reading


def test_a_list_is_a_payload_and_steps():
    body = json.dumps(
        [
            element("msg_0", b'{"n":1}'),
            element("msg_1", {"stepId": 1, "stepName": "ü", "stepType": "Run", "out": "7"}),
            element("msg_2", b"what is called", "toCallback"),
            element("msg_3", b"what was answered", "fromCallback"),
        ]
    ).encode()

    steps = read_step_list(body, "msg_3")

    assert steps.payload == b'{"n":1}'
    assert [(step.step_id, step.name, step.out) for step in steps.steps] == [(1, "ü", "7")]


def test_what_came_after_the_delivered_message_is_left_out():
    step = {"stepName": "run", "stepType": "Run", "out": "7"}
    body = json.dumps(
        [element("msg_0", b""), *(element(f"msg_{n}", {**step, "stepId": n}) for n in (1, 2, 3))]
    ).encode()

    assert [step.step_id for step in read_step_list(body, "msg_2").steps] == [1, 2]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"[1]", b'[{"messageId":"a"}]', b'[{"messageId":"a","body":"%"}]'],
)
def test_what_is_no_step_list_is_refused(body: bytes):
    with pytest.raises(InvalidInput):
        read_step_list(body, "a")


def test_a_list_without_the_delivered_message_is_refused():
    body = json.dumps([element("msg_0", b""), element("msg_1", {})]).encode()

    with pytest.raises(InvalidInput, match="does not hold the message"):
        read_step_list(body, "msg_2")


def test_what_is_no_step_cannot_be_gone_on_from():
    body = json.dumps([element("msg_0", b""), element("msg_1", {"unknown": 1})]).encode()

    with pytest.raises(IncompatibleHistory):
        read_step_list(body, "msg_1")


# -- steps as records


def test_steps_without_plans_are_the_functions_own_in_their_order():
    past = past_of([result("mail", 1, "a"), result("mail", 2), result("other", 3)])

    assert keys(past) == [("mail", ""), ("mail#2", ""), ("other", "")]
    assert [record.result for record in past.records] == ['"a"', None, None]
    assert (past.delivered, past.is_repeated) == (None, False)


def test_a_plan_says_where_the_result_of_its_number_belongs():
    past = past_of(
        [
            plan("left", 1, "1"),
            plan("right", 2, "2"),
            result("right", 2, concurrent=2),
            plan("right", 3, "2", key="right@2#2"),
        ]
    )

    assert keys(past) == [("right@2", "2")]
    assert set(past.plans) == set(past.begun) == {"left@1", "right@2#2"}
    assert past.delivered is not None
    assert past.delivered.key == "right@2#2"
    assert past.numbers == {1, 2, 3}


def test_of_two_plans_for_a_step_the_first_holds():
    twice = [plan("left", 1, "1"), plan("right", 2, "2"), plan("left", 9, "1")]

    assert past_of(twice).is_repeated
    late = past_of([*twice, result("left", 1, "first", concurrent=2)])
    assert keys(late) == [("left@1", "1")]
    void = past_of([*twice, result("left", 9, "second", concurrent=2)])
    assert (keys(void), void.is_repeated) == ([], True)


@pytest.mark.parametrize(
    "repeated",
    [
        [result("mail", 1, "a"), result("mail", 1, "b")],
        [plan("left", 1, "1"), plan("left", 1, "1")],
    ],
)
def test_what_is_published_twice_counts_once(repeated: list[PublishedStep]):
    past = past_of(repeated)

    assert past.is_repeated
    assert [record.result for record in past.records] in ([], ['"a"'])


def test_plans_of_another_sdk_cannot_be_placed():
    with pytest.raises(IncompatibleHistory, match='"left" was announced by another SDK'):
        past_of([said("left", 0, targetStep=1, concurrent=2)])


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"out": base64.b64encode(b'{"a":1}').decode()}, {"timeout": False, "data": '{"a":1}'}),
        (
            {"out": base64.b64encode(b"\xff").decode()},
            {"timeout": False, "data": '{"$bytes":"/w=="}'},
        ),
        ({}, {"timeout": False}),
        ({"waitTimeout": True}, {"timeout": True}),
    ],
)
@pytest.mark.parametrize("kind", ["Wait", "WaitForWebhook"])
def test_how_a_wait_ended_is_read(kind: str, details: dict[str, Any], expected: dict[str, Any]):
    (record,) = past_of([said("wait", 1, stepType=kind, **details)]).records

    assert json.loads(record.result or "") == expected


def test_the_failure_of_a_step_is_read_with_its_attempts():
    error = {"type": "ValueError", "message": "broken", "stack": "", "attempts": 4}

    (record,) = past_of([result("breaks", 1, error=error)]).records

    assert (record.result, record.attempts) == (None, 4)
    assert json.loads(record.error or "")["message"] == "broken"


# -- numbers


def asked(key: str) -> Asked:
    name, _, branch = key.partition("@")
    return Asked(key=key, name=name, kind=StepKind.RUN, branch=branch.partition("#")[0])


def numbers(past: Past, *names: str) -> list[tuple[int, int]]:
    return [(step.number, step.concurrent) for step in number([asked(n) for n in names], past)]


def test_steps_that_nothing_is_beside_are_numbered_one_by_one():
    assert numbers(past_of([]), "first") == [(1, 1)]
    assert numbers(past_of([result("first", 1)]), "second") == [(2, 1)]


def test_a_group_has_numbers_in_a_row():
    past = past_of([result("first", 1)])

    assert numbers(past, "left@1", "middle@2", "right@3") == [(2, 3), (3, 3), (4, 3)]


def test_the_steps_of_a_branch_are_a_groups_size_apart():
    group = [plan("left", 2, "1"), plan("right", 3, "2")]
    left = past_of([*group, result("left", 2, concurrent=2)])
    right = past_of([*group, result("right", 3, concurrent=2)])

    assert numbers(left, "more@1") == [(4, 2)]
    assert numbers(right, "more@2") == [(5, 2)]


def test_deliveries_that_know_different_parts_give_a_step_the_same_number():
    group = [plan("left", 1, "1"), plan("right", 2, "2")]
    less = past_of([*group, result("left", 1, concurrent=2)])
    more = past_of([*group, result("left", 1, concurrent=2), result("right", 2, concurrent=2)])

    assert numbers(less, "more@1", "deep@1.1") == numbers(more, "more@1", "deep@1.1")


def test_a_branch_that_begins_later_does_not_take_the_numbers_of_others():
    past = past_of(
        [
            *[plan("left", 1, "1"), plan("right", 2, "2")],
            *[result("left", 1, concurrent=2), result("right", 2, concurrent=2)],
        ]
    )

    ((going_on, _), (begun, _)) = numbers(past, "more@2", "left@3")

    assert (going_on, begun > 4) == (4, True)


def test_a_number_that_is_taken_is_not_given_out_again():
    group = [plan("left", 1, "1"), plan("right", 2, "2")]
    ((deep, _),) = numbers(past_of(group), "deep@1.1")
    taken = past_of([*group, plan("other", deep, "1.2"), result("left", 3)])

    ((other, _), (next_left, _)) = numbers(taken, "deep@1.1", "more@1")

    assert other != deep
    assert next_left not in {1, 2, 3, deep}
