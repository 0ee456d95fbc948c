"""Runs that begin again from one of their steps: what they keep of their journal."""

from __future__ import annotations

from typing import Any

import pytest

import workflows_app
from tests.conftest import Clock
from tests.engine.reading import journal_of, result_of
from tests.shells import Define
from workflows_app import StepError, Workflow, WorkflowNonRetryableError
from workflows_app.engine import run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.engine.restarting import restart
from workflows_app.engine.step_targets import StepTarget, TargetKind, may_be_target, target_of
from workflows_app.errors import InvalidInput, Refused
from workflows_app.models import Invocation, Run, Step

pytestmark = pytest.mark.django_db


class Log:
    """What was done, while the clock goes on."""

    def __init__(self, clock: Clock) -> None:
        self.did: list[str] = []
        self._clock = clock

    def do(self, what: str) -> str:
        self.did.append(what)
        self._clock.advance("1s")
        return f"{what} {len(self.did)}"

    def fail(self, what: str) -> None:
        self.do(what)
        raise LookupError("no such street")


@pytest.fixture
def log(clock: Clock) -> Log:
    return Log(clock)


def first_run() -> Run:
    return Run.objects.earliest("pk")


def played(workflow: Workflow, clock: Clock, **trigger: Any) -> Run:
    """A run that has ended, or waits for an event."""
    workflow.trigger(**trigger)
    drain_here()
    clock.advance("2d")
    drain_here()
    return first_run()


def restarted(name: str, count: int = 1, kind: TargetKind = TargetKind.WORK) -> Run:
    """What has become of the run by now."""
    new = restart(first_run(), StepTarget(name=name, count=count, kind=kind))
    drain_here()
    return new


def named(kind: str, name: str, count: int = 1) -> StepTarget:
    return StepTarget(name=name, count=count, kind=TargetKind(kind))


@pytest.fixture
def order(define: Define, log: Log) -> Workflow:
    @define()
    async def story(context: Any) -> Any:
        await context.run("mail", log.do, "mail")
        await context.run("pay", log.do, "pay")
        await context.sleep("think", "1d")
        return await context.run("mail", log.do, "mail again")

    return story


# -- one step after the other


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        (named("work", "mail"), []),
        (named("work", "pay"), ["mail"]),
        (named("sleep", "think"), ["mail", "pay"]),
        (named("work", "mail", 2), ["mail", "pay", "think"]),
    ],
    ids=["the first", "another", "a sleep", "the second of a name"],
)
def test_a_run_keeps_what_came_before_the_step(
    target: StepTarget, kept: list[str], order: Workflow, log: Log, clock: Clock
) -> None:
    run = played(order, clock)
    before = journal_of(run)
    assert list(before) == ["mail", "pay", "think", "mail#2"]

    new = restart(run, target)

    assert journal_of(new) == {key: before[key] for key in kept}
    assert (new.run_id, new.origin, new.is_live) == (run.run_id, run, True)
    assert journal_of(run) == before
    drain_here()
    clock.advance("2d")
    drain_here()
    assert list(journal_of(new)) == list(before)
    assert len(log.did) == 3 + len({"mail", "pay", "mail#2"} - set(kept))
    assert result_of(new) == f"mail again {len(log.did)}"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (named("work", "fly"), 'has begun 0 steps of the kind "work" that are called "fly"'),
        (named("sleep", "mail"), 'has begun 0 steps of the kind "sleep"'),
        (named("work", "mail", 3), 'has begun 2 steps of the kind "work" that are called'),
        (named("work", "mail", 0), "cannot begin again from number 0"),
        (named("work", "mail#2"), "has begun 0 steps"),
    ],
)
def test_a_step_that_the_run_has_not_begun_changes_nothing(
    target: StepTarget, sentence: str, order: Workflow, clock: Clock
) -> None:
    run = played(order, clock)

    with pytest.raises(InvalidInput) as refusal:
        restart(run, target)

    assert sentence in refusal.value.message
    assert Run.objects.count() == 1


def test_a_step_that_failed_the_run_is_tried_again_with_all_its_retries(
    define: Define, log: Log, clock: Clock
) -> None:
    @define(retries=1, retry_delay="1000")
    async def story(context: Any) -> Any:
        await context.run("mail", log.do, "mail")
        await context.run("ship", log.fail, "ship")

    played(story, clock)
    new = restarted("ship")
    clock.advance("1m")
    drain_here()

    new.refresh_from_db()
    assert new.status == Run.Status.FAILED
    assert log.did == ["mail", "ship", "ship", "ship", "ship"]


def test_a_failure_that_the_function_handled_is_kept(
    define: Define, log: Log, clock: Clock
) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        try:
            await context.run("ship", log.fail, "ship")
        except StepError:
            return await context.run("store", log.do, "store")

    played(story, clock)

    assert result_of(restarted("store")) == "store 3"
    assert log.did == ["ship", "store", "store"]


# -- steps that have not ended


def test_a_step_that_waits_for_its_next_attempt_begins_again(
    define: Define, log: Log, clock: Clock
) -> None:
    @define(retries=5, retry_delay="3600000")
    async def story(context: Any) -> Any:
        await context.run("mail", log.do, "mail")
        await context.run("ship", log.fail, "ship")

    story.trigger()
    drain_here()
    new = restarted("ship")

    assert list(journal_of(new)) == ["mail"]
    assert log.did == ["mail", "ship", "ship"]


def test_a_wait_begins_again_with_its_whole_time(define: Define, log: Log, clock: Clock) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.run("mail", log.do, "mail")
        return (await context.wait_for_event("approval", "approved", "3d")).timeout

    story.trigger()
    drain_here()
    clock.advance("2d")
    new = restarted("approval", kind=TargetKind.WAIT)
    clock.advance("2d")
    drain_here()
    workflows_app.notify("approved", None, new.run_id)
    drain_here()

    assert result_of(new) is False
    assert log.did == ["mail"]


def test_a_wait_that_has_ended_begins_again(define: Define, log: Log, clock: Clock) -> None:
    @define()
    async def story(context: Any) -> Any:
        return (await context.wait_for_event("approval", "approved")).event_data

    story.trigger(workflow_run_id="order-7")
    workflows_app.notify("approved", "yes", "order-7")
    drain_here()
    new = restarted("approval", kind=TargetKind.WAIT)
    assert new.is_live
    workflows_app.notify("approved", "no", "order-7")
    drain_here()

    assert result_of(new) == "no"


def test_a_run_that_was_invoked_is_shown_with_the_step_that_is_kept(
    define: Define, log: Log, clock: Clock
) -> None:
    @define("child")
    async def child(context: Any) -> Any:
        return await context.run("work", log.do, "work")

    @define("parent")
    async def parent(context: Any) -> Any:
        first = await context.invoke("first", workflow="child")
        second = await context.invoke("second", workflow="child")
        return [first.body, second.body]

    parent.trigger()
    drain_here()
    new = restarted("second")

    assert result_of(new) == ["work 1", "work 3"]
    children = Invocation.objects.filter(parent=new).order_by("key")
    assert [each.key for each in children] == ["first", "second"]


# -- branches


@pytest.fixture
def fleet(define: Define, log: Log) -> Workflow:
    """Two branches: 1 sleeps an hour between its steps, 2 sleeps two; then a last step."""

    @define()
    async def story(context: Any) -> Any:
        async def branch(name: str, pause: str) -> Any:
            await context.run(f"{name} early", log.do, f"{name} early")
            await context.sleep(f"{name} pause", pause)
            await context.run(f"{name} late", log.do, f"{name} late")

        await context.parallel(lambda: branch("one", "1h"), lambda: branch("two", "2h"))
        return await context.run("last", log.do, "last")

    return story


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("one late", {"one late", "two late", "last"}),
        ("two late", {"two late", "last"}),
        ("last", {"last"}),
    ],
)
def test_steps_of_other_branches_are_kept_if_they_began_before(
    name: str, again: set[str], fleet: Workflow, log: Log, clock: Clock
) -> None:
    fleet.trigger()
    for _ in range(3):
        drain_here()
        clock.advance("1h")
    drain_here()
    assert len(log.did) == 5
    log.did.clear()

    new = restarted(name)
    for _ in range(3):
        clock.advance("1h")
        drain_here()

    assert set(log.did) == again
    assert result_of(new)


def test_a_step_began_with_its_first_attempt(define: Define, log: Log, clock: Clock) -> None:
    """It is kept, though it ended after the other one had begun."""

    @define()
    async def story(context: Any) -> Any:
        def fetch() -> None:
            log.do("fetch")
            if context.attempt == 1:
                raise ConnectionError

        async def sleeping() -> Any:
            await context.sleep("pause", "1h")
            await context.run("pack", log.do, "pack")

        retried = context.options(retries=1, retry_delay="2h")
        await context.parallel(lambda: retried.run("fetch", fetch), sleeping)

    story.trigger()
    for _ in range(4):
        drain_here()
        clock.advance("1h")
    assert log.did == ["fetch", "pack", "fetch"]
    new = restarted("pack")

    assert result_of(new) is None
    assert log.did == ["fetch", "pack", "fetch", "pack"]


def test_a_race_whose_end_came_later_is_run_again(define: Define, log: Log, clock: Clock) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def working() -> Any:
            await context.run("fetch", log.do, "fetch")
            return await context.run("pack", log.do, "pack")

        async def sleeping() -> Any:
            await context.sleep("pause", "1h")
            return "too late"

        won = await context.race(working, sleeping)
        return [won, await context.run("ship", log.do, "ship")]

    story.trigger()
    drain_here()
    new = restarted("pack")
    assert result_of(new) == ["pack 4", "ship 5"]

    latest = restart(new, StepTarget(name="ship"))
    assert {"race", "fetch@1", "pack@1"} <= set(journal_of(latest))
    drain_here()
    assert result_of(latest) == ["pack 4", "ship 6"]


# -- rollbacks


def test_a_step_that_was_undone_is_not_kept(define: Define, log: Log, clock: Clock) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        await context.run("look", log.do, "look")
        undoable = context.options(rollback=lambda undo: None)
        await undoable.run("charge", log.do, "charge")
        if len(log.did) < 3:
            raise WorkflowNonRetryableError
        return await context.run("ship", log.do, "ship")

    assert "charge@undo" in journal_of(played(story, clock))

    new = restarted("charge")

    assert result_of(new) == "ship 4"
    assert log.did == ["look", "charge", "charge", "ship"]


def test_a_step_after_one_that_was_undone_is_refused(
    define: Define, log: Log, clock: Clock
) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=lambda undo: None)
        await undoable.run("charge", log.do, "charge")
        await context.run("ship", log.fail, "ship")

    played(story, clock, workflow_run_id="order-7")

    with pytest.raises(Refused) as refusal:
        restarted("ship")

    assert refusal.value.message == (
        'run order-7 was rolled back: what step "charge" had done has been undone, so its result '
        "cannot be kept; it may begin again from there, or from its beginning"
    )
    assert Run.objects.count() == 1


def test_the_kept_steps_are_undone_with_the_new_run(define: Define, log: Log, clock: Clock) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=lambda undo: log.do("undo"))
        await undoable.run("charge", log.do, "charge")
        await context.sleep("think", "1d")
        await context.run("ship", log.do, "ship")

    played(story, clock)
    new = restart(first_run(), StepTarget(name="ship"))
    run_moves.cancel(new, roll_back=True)
    drain_here()

    assert log.did == ["charge", "ship", "undo"]


# -- whatever the step


def test_a_run_ends_alike_whichever_of_its_steps_it_begins_again_with(
    define: Define, log: Log, clock: Clock
) -> None:
    """What it keeps always fits the code, and what the code asks for next."""

    @define()
    async def story(context: Any) -> Any:
        async def branch(pause: str) -> Any:
            await context.run("early", log.do, "early")
            await context.sleep("pause", pause)
            if await context.patched("careful"):
                await context.run("look", log.do, "look")
            return pause

        late = await context.parallel(lambda: branch("2h"), lambda: branch("1h"))
        won = await context.race(lambda: branch("2h"), lambda: branch("1h"))
        return [late, won, await context.run("last", str, "last")]

    def end(run: Run) -> Any:
        while run.is_live:
            drain_here()
            clock.advance("1h")
            run.refresh_from_db()
        return result_of(run)

    story.trigger()
    run = first_run()
    assert end(run) == [["2h", "1h"], "1h", "last"]

    for key in [step.key for step in Step.objects.order_by("pk") if may_be_target(step)]:
        target = target_of(Step.objects.get(run=run, key=key))
        run = restart(run, target)
        assert key not in journal_of(run), target
        assert end(run) == [["2h", "1h"], "1h", "last"], target
