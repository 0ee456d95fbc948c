"""Forgetting runs that ended long ago."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from tests.engine.publishing import send, stored
from tests.engine.reading import letter_of
from tests.engine.world import World
from tests.shells import Define
from workflows_app import FlowControlSpec
from workflows_app.engine import dead_letters, retention
from workflows_app.engine.drain import drain_here
from workflows_app.engine.publication_moves import cancel
from workflows_app.models import (
    Account,
    Attempt,
    DeadLetter,
    Deduplication,
    FlowControl,
    Message,
    Publication,
    PublicationEvent,
    Run,
    RunLabel,
    Step,
)

pytestmark = pytest.mark.django_db

MONTH = timedelta(days=30)


@pytest.fixture
def story(define: Define, clock: Clock) -> Any:
    @define(retries=0)
    async def story(context: Any) -> Any:
        await context.run("a", lambda: None)
        if context.request_payload == "sleep":
            await context.sleep("nap", "60d")
        if context.request_payload == "fail":
            await context.run("b", lambda: 1 / 0)

    @story.on_failure
    def page(failure: Any) -> None:
        raise OSError

    return story


def test_what_ended_long_ago_is_forgotten_with_all_that_belongs_to_it(
    story: Any, clock: Clock
) -> None:
    story.trigger_many(["succeed", "fail"], labels="vip")
    drain_here()
    clock.advance(MONTH + timedelta(seconds=1))

    assert retention.prunable(MONTH) == 2
    assert retention.prune(MONTH) == 2
    for rows in (Run, Step, Attempt, RunLabel, Message, DeadLetter):
        assert not rows.objects.exists(), rows.__name__
    assert Account.objects.exists()


def test_what_ended_lately_is_kept(story: Any, clock: Clock) -> None:
    story.trigger_many(["succeed", "fail"])
    drain_here()
    clock.advance(MONTH)

    assert retention.prunable(MONTH) == 0
    assert retention.prune(MONTH) == 0
    assert Run.objects.count() == 2


@pytest.mark.parametrize("prune", [retention.prune, retention.prune_some, retention.prune_messages])
def test_what_is_kept_for_longer_than_there_are_dates_is_kept(
    prune: Callable[[timedelta], int], story: Any, clock: Clock
) -> None:
    story.trigger()
    drain_here()
    clock.advance("1y")

    assert prune(timedelta(days=365 * 3000)) == 0


def test_what_is_alive_is_kept_however_old_it_is(story: Any, clock: Clock) -> None:
    story.trigger("sleep")
    drain_here()
    clock.advance(MONTH * 1.5)

    assert retention.prune(MONTH) == 0
    clock.advance(MONTH)
    drain_here()
    assert Run.objects.get().status == "succeeded"


def test_a_run_whose_end_another_is_yet_to_be_told_of_is_kept(define: Define, clock: Clock) -> None:
    @define("pack")
    async def pack(context: Any) -> Any:
        return "packed"

    @define("order")
    async def order(context: Any) -> Any:
        return (await context.invoke("pack", workflow=pack)).body

    order.trigger()
    drain_here(limit=2)
    assert list(Message.objects.filter(due_at__isnull=False).values_list("kind")) == [("report",)]
    clock.advance(MONTH + timedelta(seconds=1))

    assert retention.prune(MONTH) == 0
    drain_here()
    assert list(Run.objects.values_list("status", flat=True)) == [Run.Status.SUCCEEDED] * 2
    assert retention.prune(MONTH) == 1


def test_a_run_outlives_the_one_it_resumed(story: Any, clock: Clock) -> None:
    story.trigger("fail")
    drain_here()
    new = dead_letters.restart(letter_of(Run.objects.get()))
    clock.advance(MONTH + timedelta(seconds=1))

    assert retention.prune(MONTH) == 1
    new.refresh_from_db()
    assert new.origin is None
    drain_here()
    new.refresh_from_db()
    assert new.status == "failed"


def test_limits_are_kept(story: Any, clock: Clock) -> None:
    story.trigger(flow_control=FlowControlSpec(key="k", parallelism=1))
    drain_here()
    clock.advance(MONTH * 2)
    retention.prune(MONTH)

    assert FlowControl.objects.count() == 1


def test_many_are_forgotten_a_few_at_a_time(
    story: Any, clock: Clock, django_assert_max_num_queries: Any
) -> None:
    now = clock.now
    Run.objects.bulk_create(
        Run(
            account_id=1,
            run_id=f"{number}",
            url="https://app.example",
            status="succeeded",
            retries=0,
            created_at=now,
            ended_at=now,
        )
        for number in range(1_200)
    )
    clock.advance(MONTH * 2)

    assert retention.prune(MONTH) == 1_200
    assert not Run.objects.exists()


# -- plain messages


def test_messages_that_ended_long_ago_are_forgotten_with_their_logs(
    account: Account, world: World, clock: Clock
) -> None:
    world.answers(200, 500)
    send(account)
    drain_here()
    send(account, retries="0")
    drain_here()
    cancel(stored(send(account)))
    waiting = send(account, delay="60d")
    clock.advance(MONTH + timedelta(seconds=1))

    assert retention.prunable_messages(MONTH) == 3
    assert retention.prune_messages(MONTH) == 3
    assert [left.public_id for left in Publication.objects.all()] == [waiting]
    assert {event.publication.public_id for event in PublicationEvent.objects.all()} == {waiting}


def test_messages_that_ended_of_late_are_kept(account: Account, world: World, clock: Clock) -> None:
    world.answers(200)
    send(account)
    drain_here()
    clock.advance(MONTH)

    assert retention.prune_messages(MONTH) == 0


def test_deduplication_is_forgotten_after_its_window(account: Account, clock: Clock) -> None:
    send(account, deduplication_id="old", delay="60d")
    clock.advance("10m")
    send(account, deduplication_id="new", delay="60d")

    retention.prune_messages(MONTH)

    assert Deduplication.objects.count() == 1
