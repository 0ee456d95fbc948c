"""Local runs that wait for events: `context.wait_for_event`, `context.notify`, webhooks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import transaction

import workflows_app
from tests.conftest import Clock
from tests.engine.reading import error_of, journal_of, loaded, only_run, owed_to, result_of
from tests.shells import Define
from workflows_app import NotifiedRun
from workflows_app.engine import dead_letters, events, run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.models import Account, DeadLetter, Event, Message, Run, Step, Waiter
from workflows_app.protocol.published import base64_text

pytestmark = pytest.mark.django_db


def waits(define: Define, name: str = "story", **options: Any) -> Any:
    """A workflow that waits for `approved` and returns what came of it."""

    @define(name)
    async def story(context: Any) -> Any:
        approval = await context.wait_for_event("approval", "approved", **options)
        return [approval.event_data, approval.timeout]

    return story


def test_a_run_that_waits_holds_no_worker(define: Define, clock: Clock) -> None:
    waits(define, timeout="1h").trigger()
    drain_here()

    run = only_run()
    assert run.is_live
    waiter = Waiter.objects.get()
    assert (waiter.run, waiter.key, waiter.event_id) == (run, "approval", "approved")
    assert owed_to(run) == [("turn", "", None), ("timeout", "approval", clock.advance("1h"))]


def test_an_event_ends_the_wait_and_wakes_the_run_at_once(define: Define, clock: Clock) -> None:
    waits(define).trigger()
    drain_here()
    began = clock.now
    clock.advance("1h")

    notified = workflows_app.notify("approved", {"by": "Ann"})
    drain_here()

    run = only_run()
    assert notified == [
        NotifiedRun(workflow_run_id=run.run_id, workflow_url=run.url, step="approval")
    ]
    assert result_of(run) == [{"by": "Ann"}, False]
    step = Step.objects.get()
    assert (step.key, step.name, step.kind, step.attempts) == ("approval", "approval", "wait", 1)
    assert (step.started_at, step.ended_at) == (began, clock.now)
    assert loaded(step.input) == {"event": "approved", "timeout": "7d"}
    assert not Waiter.objects.exists()
    assert not Message.objects.exists()


def test_the_deadline_ends_the_wait_without_data(define: Define, clock: Clock) -> None:
    waits(define, timeout=90).trigger()
    drain_here()
    clock.advance("89s")
    drain_here()
    assert only_run().is_live

    clock.advance("1s")
    drain_here()

    assert result_of(only_run()) == [None, True]
    assert workflows_app.notify("approved") == []


def test_a_wait_ends_after_seven_days_unless_it_says_otherwise(
    define: Define, clock: Clock
) -> None:
    waits(define).trigger()
    drain_here()

    assert Waiter.objects.get().deadline == clock.advance("7d")


@pytest.mark.parametrize(
    ("sent", "came"),
    [
        ({"a": [1]}, {"a": [1]}),
        ("5", "5"),
        (None, None),
        (b"\xff", {"$bytes": "/w=="}),
        ([b"5"], [{"$bytes": "NQ=="}]),
        (0, 0),
    ],
    ids=["object", "text", "nothing", "bytes", "bytes inside", "zero"],
)
def test_event_data_arrives_as_it_was_sent(sent: Any, came: Any, define: Define) -> None:
    waits(define).trigger()
    drain_here()

    workflows_app.notify("approved", sent)
    drain_here()

    assert result_of(only_run()) == [came, False]


def test_event_data_from_elsewhere_is_bytes_where_it_is_no_text(
    account: Account, define: Define
) -> None:
    waits(define).trigger()
    drain_here()

    events.notify(account, "approved", b"\xff\x00")
    drain_here()

    assert result_of(only_run()) == [{"$bytes": "/wA="}, False]


def test_an_event_that_was_sent_to_the_run_before_it_waited_is_found(define: Define) -> None:
    started = waits(define).trigger()

    notified = workflows_app.notify("approved", 1, started.workflow_run_id)
    drain_here()

    assert [each.step for each in notified] == [None]
    assert result_of(only_run()) == [1, False]
    assert not Event.objects.exists()


def test_an_event_for_nobody_in_particular_is_not_kept(define: Define) -> None:
    waits(define).trigger()

    assert workflows_app.notify("approved", 1) == []
    drain_here()

    assert only_run().is_live


def test_an_early_event_does_not_start_a_delayed_run(define: Define, clock: Clock) -> None:
    started = waits(define).trigger(delay="1h")

    workflows_app.notify("approved", 1, started.workflow_run_id)
    drain_here()

    assert only_run().is_live
    clock.advance("1h")
    drain_here()
    assert result_of(only_run()) == [1, False]


def test_a_notification_vanishes_with_its_transaction(define: Define) -> None:
    waits(define).trigger()
    drain_here()

    with transaction.atomic():
        workflows_app.notify("approved")
        transaction.set_rollback(True)
    drain_here()

    assert only_run().is_live
    assert Waiter.objects.count() == 1


def test_an_unknown_or_ended_run_is_not_notified(define: Define) -> None:
    started = waits(define).trigger()
    run_moves.cancel(only_run())

    assert workflows_app.notify("approved", None, started.workflow_run_id) == []
    assert workflows_app.notify("approved", None, "unknown") == []
    assert not Event.objects.exists()


def test_all_that_wait_are_notified_but_those_of_other_accounts(
    define: Define, account: Account, other_account: Account
) -> None:
    story = waits(define)
    story.trigger_many([1, 2])
    drain_here()

    assert events.notify(other_account, "approved", b"") == []
    assert len(events.notify(account, "approved", b"1")) == 2
    drain_here()

    assert [loaded(run.result) for run in Run.objects.all()] == [[1, False]] * 2


def test_waits_in_parallel_end_each_with_its_own_event(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def one(event_id: str) -> Any:
            return (await context.wait_for_event("wait", event_id)).event_data

        return await context.parallel(lambda: one("a"), lambda: one("b"), lambda: one("a"))

    started = story.trigger()
    drain_here()
    for data in (1, 2):
        workflows_app.notify("a", data, started.workflow_run_id)
        drain_here()
    assert only_run().is_live

    workflows_app.notify("b", 3)
    drain_here()

    assert result_of(only_run()) == [1, 3, 2]


def test_a_wait_that_the_function_abandons_ends_with_the_run(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def fail() -> Any:
            await context.sleep("pause", "1m")
            raise ValueError("enough")

        await context.parallel(lambda: context.wait_for_event("wait", "never"), fail)

    story.trigger(retries=0)
    drain_here()
    assert Waiter.objects.count() == 1

    run_moves.wake(only_run())
    drain_here()

    assert not Waiter.objects.exists() or only_run().is_live


def test_what_is_kept_for_a_run_ends_with_it(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.sleep("pause", "1m")

    started = story.trigger()
    workflows_app.notify("never", 1, started.workflow_run_id)
    drain_here()
    assert Event.objects.count() == 1

    run_moves.wake(only_run())
    drain_here()

    assert result_of(only_run()) is None
    assert not Event.objects.exists()


def test_cancelling_ends_the_wait(define: Define) -> None:
    waits(define).trigger()
    drain_here()

    run_moves.cancel(only_run())

    assert not Waiter.objects.exists()
    assert not Message.objects.exists()
    assert workflows_app.notify("approved") == []


def test_waking_a_run_does_not_end_its_wait(define: Define, clock: Clock) -> None:
    waits(define, timeout="1h").trigger()
    drain_here()
    clock.advance("1m")

    run_moves.wake(only_run())
    drain_here()

    run = only_run()
    assert run.is_live
    assert owed_to(run) == [("turn", "", None), ("timeout", "approval", clock.advance("59m"))]


def test_a_resumed_run_keeps_what_came_and_waits_for_what_did_not(define: Define) -> None:
    works: list[bool] = []

    def check() -> None:
        if not works:
            raise ValueError

    @define(retries=0)
    async def story(context: Any) -> Any:
        first = await context.wait_for_event("first", "a")
        await context.run("check", check)
        second = await context.wait_for_event("second", "b")
        return [first.event_data, second.event_data]

    story.trigger()
    drain_here()
    workflows_app.notify("a", 1)
    drain_here()
    works.append(True)

    run = dead_letters.resume(DeadLetter.objects.get())
    drain_here()
    workflows_app.notify("b", 2, run.run_id)
    drain_here()

    assert result_of(run) == [1, 2]


# -- notifying from a run


def test_a_run_notifies_another_and_is_told_whom(define: Define) -> None:
    waits(define, "waiting").trigger(workflow_run_id="waiting")

    @define("notifying")
    async def notifying(context: Any) -> Any:
        sent = await context.notify("tell", "approved", {"by": "Ann"})
        (notified,) = sent.notify_response
        return [sent.event_id, sent.event_data, notified.workflow_run_id, notified.step]

    drain_here()
    notifying.trigger(workflow_run_id="notifying")
    drain_here()

    told = result_of(Run.objects.get(run_id="notifying"))
    assert told == ["approved", {"by": "Ann"}, "waiting", "approval"]
    assert result_of(Run.objects.get(run_id="waiting")) == [{"by": "Ann"}, False]
    step = Step.objects.get(key="tell")
    assert (step.kind, step.attempts) == ("notify", 1)
    assert loaded(step.input) == {"event": "approved", "data": '{"by":"Ann"}'}


def test_a_run_may_notify_itself(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        sent = await context.notify("tell", "approved", 1, context.workflow_run_id)
        approval = await context.wait_for_event("approval", "approved")
        return [[each.step for each in sent.notify_response], approval.event_data]

    story.trigger()
    drain_here()

    assert result_of(only_run()) == [[None], 1]


def test_a_branch_may_wake_another(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        woken, sent = await context.parallel(
            lambda: context.wait_for_event("approval", "approved"),
            lambda: context.notify("tell", "approved", 1),
        )
        return [woken.event_data, len(sent.notify_response)]

    story.trigger()
    drain_here()

    assert result_of(only_run()) == [1, 1]


def test_nobody_waits_and_nobody_is_told(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        everyone = await context.notify("everyone", "approved")
        one = await context.notify("one", "approved", None, "unknown")
        return [list(everyone.notify_response), list(one.notify_response)]

    story.trigger()
    drain_here()

    assert result_of(only_run()) == [[], []]


def test_a_notification_that_is_refused_fails_its_step(define: Define, settings: Any) -> None:
    settings.WORKFLOWS = {"MAX_EVENTS": 1}

    @define()
    async def story(context: Any) -> Any:
        await context.notify("first", "approved", None, context.workflow_run_id)
        await context.notify("second", "approved", None, context.workflow_run_id)

    story.trigger(workflow_run_id="full")
    drain_here()

    assert error_of(only_run()) == (
        "StepError",
        'step "second" failed after 1 attempt: LimitExceeded: run full has 1 events already that '
        "wait for it",
    )


# -- webhooks


def hook(body: bytes = b"") -> bytes:
    """A request as it is kept for the run that waits for it."""
    said: dict[str, Any] = {
        "method": "POST",
        "header": {"Content-Type": ["application/json"], "X-Two": ["a", "b"]},
        "proto": "https",
        "host": "hooks.example",
        "url": "/v2/workflows/hooks/u/r/e?a=1",
    }
    if body:
        said["body"] = base64_text(body)
    return json.dumps(said).encode()


def test_each_wait_takes_one_request_of_the_webhook(
    define: Define, account: Account, clock: Clock
) -> None:
    @define()
    async def story(context: Any) -> Any:
        webhook = await context.create_webhook("hook")
        first = await context.wait_for_webhook("first", webhook)
        second = await context.wait_for_webhook("second", webhook, "1h")
        third = await context.wait_for_webhook("third", webhook, "1m")
        request = first.request
        return {
            "url": webhook.webhook_url,
            "event": webhook.event_id,
            "request": [request.method, request.url, request.headers, request.payload],
            "second": second.request.body.decode(),
            "third": [third.request, third.timeout],
        }

    story.trigger(workflow_run_id="order")
    drain_here()
    event_id = Waiter.objects.get().event_id
    for body in (b'{"paid":1}', b"again"):
        events.notify_run(only_run(), event_id, hook(body))
    drain_here()
    clock.advance("1m")
    drain_here()

    result = result_of(only_run())
    assert event_id.startswith("evt_")
    assert result == {
        "url": f"http://127.0.0.1:8000/v2/workflows/hooks/{account.user_id}/order/{event_id}",
        "event": event_id,
        "request": [
            "POST",
            "https://hooks.example/v2/workflows/hooks/u/r/e?a=1",
            {"Content-Type": "application/json", "X-Two": "a, b"},
            {"paid": 1},
        ],
        "second": "again",
        "third": [None, True],
    }
    assert list(journal_of(only_run())) == ["hook", "first", "second", "third"]
