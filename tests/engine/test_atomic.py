"""`context.atomic`: what a step writes and its result are one, by both shells alike."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from pytest_django import Settings

from tests.conftest import Clock
from tests.engine.reading import attempts_of, error_of, journal_of, only_run, result_of
from tests.shells import Define
from workflows_app.engine import clock, leases
from workflows_app.engine.delivery import deliver
from workflows_app.engine.drain import drain_here
from workflows_app.models import Message, Run

pytestmark = pytest.mark.django_db(transaction=True)


def names() -> list[str]:
    return sorted(Group.objects.values_list("name", flat=True))


def test_what_an_atomic_step_writes_is_there_with_its_result(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        return await context.atomic("book", lambda: Group.objects.create(name="booked").name)

    story.trigger()
    drain_here()

    assert result_of(only_run()) == "booked"
    assert names() == ["booked"]


def test_what_an_atomic_step_wrote_before_it_raised_is_undone(define: Define, clock: Clock) -> None:
    @define(retries=1, retry_delay="1000")
    async def story(context: Any) -> Any:
        def book() -> int:
            Group.objects.create(name=f"attempt {context.attempt}")
            if context.attempt == 1:
                raise ConnectionError("no route")
            return int(context.attempt)

        return await context.atomic("book", book)

    story.trigger()
    drain_here()

    run = only_run()
    assert names() == []
    assert attempts_of(run) == [("book", 1, "no route", clock.advance("1s"))]
    drain_here()
    assert result_of(run) == 2
    assert names() == ["attempt 2"]


def test_a_plain_step_keeps_what_it_wrote_before_it_raised(define: Define, clock: Clock) -> None:
    """The difference that `atomic` makes."""

    @define(retries=1, retry_delay="1000")
    async def story(context: Any) -> Any:
        def book() -> None:
            Group.objects.create(name=f"attempt {context.attempt}")
            if context.attempt == 1:
                raise ConnectionError("no route")

        await context.run("book", book)

    story.trigger()
    drain_here()
    clock.advance("1s")
    drain_here()

    assert names() == ["attempt 1", "attempt 2"]


@pytest.mark.parametrize("result", [{1, 2}, "x" * (11 * 1024 * 1024)], ids=["a set", "11 MB"])
def test_what_an_atomic_step_wrote_is_undone_when_its_result_cannot_be_kept(
    result: Any, define: Define
) -> None:
    @define(retries=3)
    async def story(context: Any) -> Any:
        def book() -> Any:
            Group.objects.create(name="booked")
            return result

        await context.atomic("book", book)

    story.trigger()
    drain_here()

    assert error_of(only_run())[0] == "StepError"
    assert names() == []


def test_what_an_atomic_step_wrote_is_undone_when_its_lease_is_lost(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        def book() -> None:
            Group.objects.create(name="booked")
            Message.objects.update(token="another worker's")

        await context.atomic("book", book)

    story.trigger()
    drain_here()

    assert journal_of(only_run()) == {}
    assert names() == []


def test_the_lease_of_a_long_atomic_step_runs_from_its_end(
    define: Define, settings: Settings
) -> None:
    settings.WORKFLOWS = {"LEASE": "1s"}
    left: list[float] = []

    @define()
    async def story(context: Any) -> Any:
        def book() -> None:
            time.sleep(0.5)

        def look() -> None:
            due_at = Message.objects.get().due_at
            assert due_at is not None
            left.append((due_at - clock.now()).total_seconds())

        await context.atomic("book", book)
        await context.run("look", look)

    story.trigger()
    (lease,) = leases.claim(1)
    deliver(lease)

    assert only_run().status == Run.Status.SUCCEEDED
    assert left[0] > 0.6


def test_an_atomic_step_may_have_transactions_of_its_own(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        def book() -> str:
            Group.objects.create(name="booked")
            try:
                with transaction.atomic():
                    Group.objects.create(name="booked")
            except IntegrityError:
                return "twice"
            return "once"

        return await context.atomic("book", book)

    story.trigger()
    drain_here()

    assert result_of(only_run()) == "twice"
    assert names() == ["booked"]


def test_what_is_to_happen_on_commit_happens_once_the_result_is_stored(define: Define) -> None:
    seen = []

    @define()
    async def story(context: Any) -> Any:
        def book() -> None:
            transaction.on_commit(lambda: seen.append(journal_of(only_run())))

        await context.atomic("book", book)

    story.trigger()
    drain_here()

    assert seen == [{"book": None}]


def test_an_atomic_step_may_trigger_runs_exactly_once(define: Define, clock: Clock) -> None:
    @define("child")
    async def child(context: Any) -> Any:
        return None

    @define(retries=1, retry_delay="1000")
    async def story(context: Any) -> Any:
        def start() -> None:
            child.trigger()
            if context.attempt == 1:
                raise ConnectionError

        await context.atomic("start", start)

    story.trigger()
    drain_here()
    clock.advance("1s")
    drain_here()

    assert Run.objects.filter(workflow="child").count() == 1


def test_parallel_atomic_steps_each_commit_by_themselves(define: Define) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        def book(number: int) -> None:
            Group.objects.create(name=f"{number}")
            if number == 2:
                raise ConnectionError

        await context.parallel(*(lambda n=n: context.atomic("book", book, n) for n in range(4)))

    story.trigger()
    drain_here()

    assert only_run().status == Run.Status.FAILED
    assert names() == ["0", "1", "3"]
