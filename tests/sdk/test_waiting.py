"""Events and webhooks: what a run leaves to the server, by both shells alike."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import assert_failed, finished
from workflows_app import EventResult, WebhookRequest, WebhookResult
from workflows_app.protocol.runs import EventWait, Notification, StepKind, StepRecord, Suspended
from workflows_app.sdk.replay import Extent


def wait(**changes: Any) -> EventWait:
    usual: dict[str, Any] = {
        "key": "approval",
        "name": "approval",
        "branch": "",
        "kind": StepKind.WAIT,
        "event_id": "approved",
        "timeout": timedelta(days=7),
    }
    return EventWait(**{**usual, **changes})


def test_a_wait_is_left_to_the_server_until_it_has_ended(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.wait_for_event("approval", "approved")

    rehearsal = rehearse(story)

    assert [rehearsal.turn(), rehearsal.turn()] == [Suspended(waits=(wait(),))] * 2
    assert rehearsal.journal.steps == []


@pytest.mark.parametrize(
    ("timeout", "length"),
    [
        ("1h30m", timedelta(minutes=90)),
        (timedelta(days=2), timedelta(days=2)),
        (5, timedelta(0, 5)),
    ],
    ids=["text", "timedelta", "seconds"],
)
def test_a_timeout_is_a_duration_or_a_number_of_seconds(
    timeout: Any, length: timedelta, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.wait_for_event("approval", "approved", timeout=timeout)

    assert rehearse(story).turn() == Suspended(waits=(wait(timeout=length),))


@pytest.mark.parametrize(
    ("event_id", "timeout", "error", "message"),
    [
        ("", "1h", "InvalidInput", "an event id is a text of 1 to 512 printable characters"),
        (
            "approved",
            timedelta.max,
            "InvalidInput",
            'the timeout of step "approval" ends after the year 9999',
        ),
    ],
    ids=["no event", "for ever"],
)
def test_what_cannot_be_waited_for_fails_the_run_at_once(
    event_id: str, timeout: Any, error: str, message: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.wait_for_event("approval", event_id, timeout)

    assert_failed(rehearse(story, retries=3).turn(), error, message)


def test_an_event_id_that_is_no_text_fails_the_run_at_once(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.notify("tell", 7)

    assert_failed(
        rehearse(story, retries=3).turn(),
        "InvalidInput",
        "an event id is a text of 1 to 512 printable characters",
    )


def test_branches_wait_side_by_side_in_one_turn(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.parallel(
            lambda: context.wait_for_event("approval", "approved"),
            lambda: context.wait_for_event("approval", "denied"),
        )

    assert rehearse(story).turn() == Suspended(
        waits=(
            wait(key="approval@1", branch="1"),
            wait(key="approval@2", branch="2", event_id="denied"),
        )
    )


def test_a_notification_is_left_to_the_server(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.notify("tell", "approved", {"by": "Ann"}, "wfr_2")

    told = Notification(
        key="tell",
        name="tell",
        branch="",
        event_id="approved",
        data=b'{"by":"Ann"}',
        run_id="wfr_2",
    )
    assert rehearse(story).turn() == Suspended(notifications=(told,))


def test_event_data_that_json_cannot_hold_fails_the_run_at_once(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.notify("tell", "approved", {"ids": {1}})

    assert_failed(
        rehearse(story, retries=3).turn(),
        "NotSerializable",
        "the event data cannot be sent: ids is a set, which JSON cannot hold; convert it first",
    )


def test_nothing_is_waited_for_where_only_what_is_recorded_counts(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return (await context.create_webhook("hook")).event_id

    assert isinstance(rehearse(story).turn(Extent.RECORDED), Suspended)


def recorded(kind: StepKind, result: str, rehearsal: Any) -> None:
    now = rehearsal.clock.now
    rehearsal.journal.add(
        StepRecord(
            key="step",
            name="step",
            kind=kind,
            branch="",
            input=None,
            result=result,
            error=None,
            attempts=1,
            started_at=now,
            ended_at=now,
        )
    )


def test_a_wait_that_has_ended_is_answered_from_the_journal(rehearse: Rehearse) -> None:
    results: list[EventResult] = []

    async def story(context: Any) -> Any:
        results.append(await context.wait_for_event("step", "approved"))

    rehearsal = rehearse(story)
    recorded(StepKind.WAIT, '{"timeout":false,"data":"no JSON"}', rehearsal)

    assert rehearsal.turn() == finished(None)
    assert results == [EventResult(event_data="no JSON", timeout=False)]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"timeout": True}, WebhookResult(request=None, timeout=True)),
        (
            {"timeout": False, "data": '{"paid": 1}'},
            WebhookResult(
                request=WebhookRequest(method="", url="", headers={}, body=b'{"paid":1}'),
                timeout=False,
            ),
        ),
        (
            {
                "timeout": False,
                "data": '{"method":"GET","header":{"Accept":["a","b"]},"proto":"https",'
                '"host":"h","url":"/x?y=1"}',
            },
            WebhookResult(
                request=WebhookRequest(
                    method="GET", url="https://h/x?y=1", headers={"Accept": "a, b"}, body=b""
                ),
                timeout=False,
            ),
        ),
    ],
    ids=["timeout", "notified by its event", "a request"],
)
def test_what_a_webhook_brought_is_a_request(result: Any, said: WebhookResult) -> None:
    assert WebhookResult.from_result(result) == said
