"""Turns, answers and calls on their way between server and endpoint: what goes in comes out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.errors import InvalidInput
from workflows_app.protocol.delivery_options import DeliveryOptions
from workflows_app.protocol.runs import (
    CallRequest,
    Canceled,
    EventWait,
    Failed,
    FailedAttempt,
    Failures,
    Finished,
    FlowControlSpec,
    History,
    InvocationRequest,
    Notification,
    RunInfo,
    RunRequest,
    StepKind,
    StepRecord,
    Suspended,
)
from workflows_app.protocol.wire import (
    TurnAnswer,
    decode_answer,
    decode_turn,
    encode_answer,
    encode_turn,
)
from workflows_app.protocol.wire_requests import decode_call, encode_call

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.datetimes(timezones=st.just(UTC))
durations = st.timedeltas(timedelta(), timedelta(days=365))
headers = st.dictionaries(texts, texts, max_size=3)

runs = st.builds(
    RunInfo,
    run_id=texts,
    workflow=texts,
    url=texts,
    payload=st.binary(max_size=50),
    content_type=texts,
    headers=headers,
    labels=st.lists(texts, max_size=3).map(tuple),
    retries=st.integers(0, 1000),
    retry_delay=texts,
    timeout=st.none() | durations,
    created_at=moments,
    schedule=texts,
    step_limit=st.none() | st.integers(1, 25_000),
)
steps = st.builds(
    StepRecord,
    key=texts,
    name=texts,
    kind=st.sampled_from(StepKind),
    branch=texts,
    input=st.none() | texts,
    result=st.none() | texts,
    error=st.none() | texts,
    attempts=st.integers(1, 1000),
    started_at=moments,
    ended_at=moments,
    sensitive=st.booleans(),
    config=st.none() | texts,
)
histories = st.builds(
    History,
    steps=st.lists(steps, max_size=3).map(tuple),
    failures=st.dictionaries(
        texts,
        st.builds(
            Failures,
            count=st.integers(1, 1000),
            retry_at=st.none() | moments,
            started_at=st.none() | moments,
            config=st.none() | texts,
        ),
        max_size=3,
    ),
    observed=texts,
    roll_back=st.booleans(),
    is_cut_short=st.booleans(),
)
attempts = st.builds(
    FailedAttempt,
    key=texts,
    number=st.integers(1, 1000),
    error=texts,
    started_at=moments,
    ended_at=moments,
    retry_at=st.none() | moments,
    config=st.none() | texts,
)
calls = st.builds(
    CallRequest,
    key=texts,
    name=texts,
    branch=texts,
    url=texts,
    method=texts,
    headers=headers,
    body=st.none() | st.binary(max_size=50),
    retries=st.integers(0, 1000),
    retry_delay=texts,
    timeout=st.none() | durations,
)
flow_controls = st.builds(
    FlowControlSpec,
    key=texts,
    parallelism=st.none() | st.integers(1, 9),
    rate=st.none() | st.integers(1, 9),
    period=durations,
)
invoked_runs = st.builds(
    RunRequest,
    url=texts,
    workflow=texts,
    body=st.binary(max_size=50),
    content_type=texts,
    headers=headers,
    run_id=st.none() | texts,
    labels=st.lists(texts, max_size=2).map(tuple),
    retries=st.none() | st.integers(0, 9),
    retry_delay=st.none() | texts,
    timeout=st.none() | durations,
    flow_control=st.none() | flow_controls,
    failure_url=st.none() | texts,
    failure_options=st.builds(DeliveryOptions, headers=headers, retries=st.none() | st.just(2)),
    endpoint_check=texts,
)
invocations = st.builds(InvocationRequest, key=texts, name=texts, branch=texts, run=invoked_runs)
event_ids = st.text("ab/é€", min_size=1, max_size=20)
waits = st.builds(
    EventWait,
    key=texts,
    name=texts,
    branch=texts,
    kind=st.sampled_from([StepKind.WAIT, StepKind.WAIT_FOR_WEBHOOK]),
    event_id=event_ids,
    timeout=durations,
)
notifications = st.builds(
    Notification,
    key=texts,
    name=texts,
    branch=texts,
    event_id=event_ids,
    data=st.binary(max_size=50),
    run_id=st.none() | texts,
)
outcomes = (
    st.builds(
        Suspended,
        calls=st.lists(calls, max_size=2).map(tuple),
        invocations=st.lists(invocations, max_size=2).map(tuple),
        waits=st.lists(waits, max_size=2).map(tuple),
        notifications=st.lists(notifications, max_size=2).map(tuple),
        wake_at=st.none() | moments,
        observed=st.none() | texts,
    )
    | st.builds(Finished, result=st.none() | texts)
    | st.builds(Failed, error=texts)
    | st.just(Canceled())
)
answers = st.builds(
    TurnAnswer,
    steps=st.lists(steps, max_size=3).map(tuple),
    attempts=st.lists(attempts, max_size=3).map(tuple),
    outcome=outcomes,
)


@given(runs, histories)
def test_a_turn_arrives_as_it_was_sent(run: RunInfo, history: History) -> None:
    assert decode_turn(encode_turn(run, history)) == (run, history)


@given(answers)
def test_an_answer_arrives_as_it_was_sent(answer: TurnAnswer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


@given(calls)
def test_a_call_is_read_as_it_was_stored(call: CallRequest) -> None:
    assert decode_call(encode_call(call)) == call


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=10,
    )
)
def test_any_other_json_is_refused(value: Any) -> None:
    body = json.dumps(value, allow_nan=True).encode()

    for decode in (decode_turn, decode_answer):
        with pytest.raises(InvalidInput):
            decode(body)


@given(st.binary(max_size=50))
def test_any_other_bytes_are_refused(body: bytes) -> None:
    for decode in (decode_turn, decode_answer):
        with pytest.raises(InvalidInput):
            decode(body)


RUN = RunInfo(
    run_id="order-7",
    workflow="orders",
    url="https://app.example/serve/orders",
    payload=b"\xff{}",
    content_type="application/json",
    headers={"X-Tenant": "north"},
    labels=("vip",),
    retries=3,
    retry_delay="1000",
    timeout=timedelta(milliseconds=1500),
    created_at=NOON,
    schedule='{"cron":"* * * * *"}',
    step_limit=25,
)
STEP = StepRecord(
    key="nap@1",
    name="nap",
    kind=StepKind.SLEEP,
    branch="1",
    input='"1h"',
    result=None,
    error=None,
    attempts=1,
    started_at=NOON,
    ended_at=NOON + timedelta(hours=1),
)
INVOCATION = InvocationRequest(
    key="pack@1",
    name="pack",
    branch="1",
    run=RunRequest(
        url="https://peer.example/pack",
        body=b"\xff",
        content_type="application/octet-stream",
        headers={"X-Key": "k"},
        run_id="pack-7",
        labels=("vip",),
        retries=2,
        retry_delay="1000",
        timeout=timedelta(seconds=30),
        flow_control=FlowControlSpec(key="packing", parallelism=2),
        failure_url="https://peer.example/pack",
        failure_options=DeliveryOptions(headers={"X-Key": "k"}, retries=2),
        endpoint_check="api",
    ),
)
CALL = CallRequest(
    key="ask",
    name="ask",
    branch="",
    url="https://peer.example",
    method="POST",
    headers={"X-Key": "k"},
    body=b"\xff",
    retries=2,
    retry_delay="1000",
    timeout=timedelta(seconds=30),
)


def test_this_is_how_a_turn_looks() -> None:
    history = History(
        steps=(STEP,),
        failures={
            "a": Failures(count=2, retry_at=NOON, started_at=NOON, config="{}"),
            "": Failures(count=1, retry_at=None),
        },
        observed='["nap@1"]',
    )

    assert json.loads(encode_turn(RUN, history)) == {
        "run": {
            "runId": "order-7",
            "workflow": "orders",
            "url": "https://app.example/serve/orders",
            "payload": "/3t9",
            "contentType": "application/json",
            "headers": {"X-Tenant": "north"},
            "labels": ["vip"],
            "retries": 3,
            "retryDelay": "1000",
            "timeout": 1.5,
            "createdAt": "2030-01-02T12:00:00+00:00",
            "schedule": '{"cron":"* * * * *"}',
            "stepLimit": 25,
        },
        "steps": [
            {
                "key": "nap@1",
                "name": "nap",
                "kind": "sleep",
                "branch": "1",
                "input": '"1h"',
                "result": None,
                "error": None,
                "attempts": 1,
                "startedAt": "2030-01-02T12:00:00+00:00",
                "endedAt": "2030-01-02T13:00:00+00:00",
                "sensitive": False,
                "config": None,
            }
        ],
        "failures": {
            "a": {
                "count": 2,
                "retryAt": "2030-01-02T12:00:00+00:00",
                "startedAt": "2030-01-02T12:00:00+00:00",
                "config": "{}",
            },
            "": {"count": 1, "retryAt": None, "startedAt": None, "config": None},
        },
        "observed": '["nap@1"]',
        "rollBack": False,
        "isCutShort": False,
    }


WAIT = EventWait(
    key="approval",
    name="approval",
    branch="",
    kind=StepKind.WAIT,
    event_id="approved",
    timeout=timedelta(minutes=1),
)
NOTIFICATION = Notification(
    key="tell", name="tell", branch="", event_id="approved", data=b"\xff", run_id="wfr_1"
)


@pytest.mark.parametrize(
    ("outcome", "wire"),
    [
        (Finished(result='"7"'), {"type": "finished", "result": '"7"'}),
        (Finished(), {"type": "finished", "result": None}),
        (Failed(error="{}"), {"type": "failed", "error": "{}"}),
        (Canceled(), {"type": "canceled"}),
        (
            Suspended(
                calls=(CALL,),
                waits=(WAIT,),
                notifications=(NOTIFICATION,),
                wake_at=NOON,
                observed='["ask"]',
            ),
            {
                "type": "suspended",
                "calls": [
                    {
                        "key": "ask",
                        "name": "ask",
                        "branch": "",
                        "url": "https://peer.example",
                        "method": "POST",
                        "headers": {"X-Key": "k"},
                        "body": "/w==",
                        "retries": 2,
                        "retryDelay": "1000",
                        "timeout": 30.0,
                    }
                ],
                "invocations": [],
                "waits": [
                    {
                        "key": "approval",
                        "name": "approval",
                        "branch": "",
                        "kind": "wait",
                        "eventId": "approved",
                        "timeout": 60.0,
                    }
                ],
                "notifications": [
                    {
                        "key": "tell",
                        "name": "tell",
                        "branch": "",
                        "eventId": "approved",
                        "data": "/w==",
                        "runId": "wfr_1",
                    }
                ],
                "wakeAt": "2030-01-02T12:00:00+00:00",
                "observed": '["ask"]',
            },
        ),
        (
            Suspended(invocations=(INVOCATION,)),
            {
                "type": "suspended",
                "calls": [],
                "invocations": [
                    {
                        "key": "pack@1",
                        "name": "pack",
                        "branch": "1",
                        "url": "https://peer.example/pack",
                        "workflow": "",
                        "body": "/w==",
                        "contentType": "application/octet-stream",
                        "headers": {"X-Key": "k"},
                        "runId": "pack-7",
                        "labels": ["vip"],
                        "retries": 2,
                        "retryDelay": "1000",
                        "timeout": 30.0,
                        "flowControl": {
                            "key": "packing",
                            "parallelism": 2,
                            "rate": None,
                            "period": 1.0,
                        },
                        "failureUrl": "https://peer.example/pack",
                        "failureOptions": '{"headers":{"X-Key":"k"},"retries":2}',
                        "endpointCheck": "api",
                    }
                ],
                "waits": [],
                "notifications": [],
                "wakeAt": None,
                "observed": None,
            },
        ),
    ],
    ids=["finished", "finished with nothing", "failed", "canceled", "suspended", "invoking"],
)
def test_this_is_how_an_answer_looks(outcome: Any, wire: Any) -> None:
    attempt = FailedAttempt(
        key="a", number=1, error="{}", started_at=NOON, ended_at=NOON, retry_at=None
    )
    answer = TurnAnswer(steps=(), attempts=(attempt,), outcome=outcome)

    assert json.loads(encode_answer(answer)) == {
        "steps": [],
        "attempts": [
            {
                "key": "a",
                "number": 1,
                "error": "{}",
                "startedAt": "2030-01-02T12:00:00+00:00",
                "endedAt": "2030-01-02T12:00:00+00:00",
                "retryAt": None,
                "config": None,
            }
        ],
        "outcome": wire,
    }


def test_what_is_missing_or_of_another_kind_is_named() -> None:
    turn = json.loads(encode_turn(RUN, History()))
    del turn["run"]["runId"]
    with pytest.raises(InvalidInput) as refusal:
        decode_turn(json.dumps(turn).encode())
    assert refusal.value.message == "the body is not a delivery of a turn: KeyError('runId')"

    answer = {"steps": [], "attempts": [], "outcome": {"type": "exploded"}}
    with pytest.raises(InvalidInput) as refusal:
        decode_answer(json.dumps(answer).encode())
    assert refusal.value.message == (
        "the endpoint's answer is not that of a turn: ValueError(\"unknown outcome 'exploded'\")"
    )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("runId", 7),
        ("payload", "not base64!"),
        ("payload", 7),
        ("headers", []),
        ("headers", {"X": 1}),
        ("labels", "vip"),
        ("labels", [1]),
        ("retries", "3"),
        ("retries", -1),
        ("timeout", "1.5"),
        ("timeout", -1),
        ("timeout", 1e300),
        ("createdAt", "yesterday"),
        ("createdAt", "2030-01-02T12:00:00"),
        ("createdAt", 0),
    ],
    ids=repr,
)
def test_a_field_of_another_kind_is_refused(place: str, value: Any) -> None:
    turn = json.loads(encode_turn(RUN, History()))
    turn["run"][place] = value

    with pytest.raises(InvalidInput):
        decode_turn(json.dumps(turn).encode())


def test_moments_elsewhere_are_the_same_moments() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    turn = encode_turn(RUN, History()).replace(
        NOON.isoformat().encode(), elsewhere.isoformat().encode()
    )

    assert decode_turn(turn)[0].created_at == NOON
