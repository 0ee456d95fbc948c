"""`workflows check`: open runs against changed code, by both shells alike."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Clock
from tests.management.conftest import Define, Verb
from tests.places import without_places
from workflows_app import StepError
from workflows_app.engine import delivery, leases, run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.models import Attempt, Message, Run, Step

pytestmark = pytest.mark.django_db

FITS = "every open run fits this code"


@pytest.fixture(autouse=True)
def standing_clock(clock: Clock) -> Clock:
    return clock


@pytest.fixture
def executed() -> list[str]:
    """The names of the steps that were really run."""
    return []


@pytest.fixture
def asleep(define: Define, executed: list[str]) -> Run:
    """A run that has done "pack" and sleeps before "ship"."""

    @define("parcel")
    async def parcel(context):
        await context.run("pack", executed.append, "pack")
        await context.sleep("rest", "1h")
        await context.run("ship", executed.append, "ship")

    parcel.trigger(workflow_run_id="parcel-1")
    drain_here()
    return Run.objects.get()


def rows() -> list[Any]:
    return [
        list(Run.objects.values()),
        list(Step.objects.values()),
        list(Attempt.objects.values()),
        list(Message.objects.values()),
    ]


def test_recorded_bytes_fit_a_step_that_returns_bytes(define: Define, workflows: Verb) -> None:
    def draw() -> bytes:
        return b"\xff"

    @define("picture")
    async def picture(context):
        drawn = await context.run("draw", draw)
        await context.sleep("dry", f"{len(drawn)}h")

    picture.trigger()
    drain_here()

    assert workflows("check").stdout == ["picture: 1 open run, 0 do not fit", FITS]


def test_without_runs_there_is_nothing_to_fit(workflows: Verb) -> None:
    assert workflows("check").stdout == [FITS]


def test_unchanged_code_fits(workflows: Verb, asleep: Run) -> None:
    said = workflows("check")

    assert said.stdout == ["parcel: 1 open run, 0 do not fit", FITS]


def test_nothing_is_run_and_nothing_is_written(
    workflows: Verb, asleep: Run, executed: list[str], clock: Clock
) -> None:
    clock.advance("2h")  # it has slept enough: "ship" would be next
    before = rows()

    workflows("check")

    assert executed == ["pack"]
    assert rows() == before


def test_code_may_change_where_no_run_has_been(
    workflows: Verb, asleep: Run, define: Define, clock: Clock
) -> None:
    @define("parcel")
    async def with_insurance(context):
        await context.run("pack", int, 0)
        await context.sleep("rest", "5h")
        await context.run("insure", int, 0)

    clock.advance("2h")

    assert workflows("check").refusal is None


def test_a_renamed_step_does_not_fit(workflows: Verb, asleep: Run, define: Define) -> None:
    @define("parcel")
    async def renamed(context):
        await context.run("wrap", int, 0)
        await context.sleep("rest", "1h")

    said = workflows("check")

    assert said.refusal == (
        "1 open run does not fit this code; deploy what fits, or let runs end first"
    )
    summary, reason = said.stdout
    assert summary == "parcel: 1 open run, 1 does not fit"
    assert without_places(reason).startswith(
        '  run parcel-1: run parcel-1 has recorded run step "pack" where the code of workflow '
        '"parcel" now asks for run step "wrap".'
    )


def test_a_step_of_another_kind_does_not_fit(workflows: Verb, asleep: Run, define: Define) -> None:
    @define("parcel")
    async def restless(context):
        await context.run("pack", int, 0)
        await context.run("rest", int, 0)

    assert workflows("check").refusal is not None


def test_a_step_that_is_gone_does_not_fit(workflows: Verb, asleep: Run, define: Define) -> None:
    @define("parcel")
    async def shorter(context):
        return await context.run("pack", int, 0)

    _, reason = workflows("check").stdout

    assert 'has recorded step "rest", but the function ended without asking for it' in reason


def test_code_that_raises_between_its_steps_does_not_fit(
    workflows: Verb, asleep: Run, define: Define
) -> None:
    @define("parcel")
    async def hasty(context):
        await context.run("pack", int, 0)
        raise KeyError("address")

    _, reason = workflows("check").stdout

    assert reason == "  run parcel-1: between its steps the code raises KeyError: 'address'"
    assert not Attempt.objects.exists()


def test_a_workflow_that_is_gone_does_not_fit(
    workflows: Verb, asleep: Run, registry: dict[str, Any]
) -> None:
    del registry["parcel"]

    said = workflows("check")

    assert said.stdout == [
        "parcel: 1 open run, 1 does not fit",
        "  run parcel-1: no such workflow is registered",
    ]
    assert said.refusal is not None


def test_a_run_that_has_ended_fits_anything(
    workflows: Verb, asleep: Run, registry: dict[str, Any], clock: Clock
) -> None:
    clock.advance("2h")
    drain_here()
    del registry["parcel"]

    assert workflows("check").stdout == [FITS]


def test_a_step_whose_failure_is_recorded_raises_it_again_and_fits(
    workflows: Verb, define: Define
) -> None:
    @define("fragile", retries=0)
    async def fragile(context):
        try:
            await context.run("break", int, "a vase")
        except StepError:
            await context.sleep("mourn", "1d")

    fragile.trigger()
    drain_here()

    assert workflows("check").stdout == ["fragile: 1 open run, 0 do not fit", FITS]


def test_parallel_branches_are_replayed_as_well(
    workflows: Verb, define: Define, clock: Clock
) -> None:
    @define("pair")
    async def pair(context):
        async def left():
            await context.run("left", int, 0)
            await context.sleep("nap", "1h")

        async def right():
            await context.run("right", int, 0)
            await context.sleep("nap", "2h")

        await context.parallel(left, right)

    pair.trigger()
    drain_here()
    assert workflows("check").refusal is None

    @define("pair")
    async def changed(context):
        async def left():
            await context.run("left", int, 0)
            await context.sleep("nap", "1h")

        async def wrong():
            await context.run("wrong", int, 0)

        await context.parallel(left, wrong)

    assert workflows("check").refusal is not None


@pytest.fixture
def calling(define: Define) -> Run:
    """A run whose call is under way."""

    @define("asking")
    async def asking(context):
        await context.call("ask", url="https://oracle.example/")

    asking.trigger(workflow_run_id="asking-1", delay="1s")
    run = Run.objects.get()
    turn = Message.objects.get()
    turn.due_at = None
    turn.save()
    Message.objects.create(
        account_id=run.account_id, run=run, kind="call", key="ask", created_at=run.created_at
    )
    return run


def test_a_call_under_way_that_is_asked_for_fits(workflows: Verb, calling: Run) -> None:
    assert workflows("check").refusal is None


def test_a_call_under_way_that_nobody_asks_for_any_more_does_not_fit(
    workflows: Verb, calling: Run, define: Define
) -> None:
    @define("asking")
    async def knowing(context):
        await context.sleep("think", "1h")

    _, reason = workflows("check").stdout

    assert reason == (
        '  run asking-1: its call "ask" is under way, and the code does not ask for it at this '
        "place"
    )


def test_runs_whose_code_is_elsewhere_are_only_counted(workflows: Verb, asleep: Run) -> None:
    Run.objects.update(workflow="", url="https://elsewhere.example/flow")

    assert workflows("check").stdout == [
        "elsewhere: 1 open run of URLs whose code is not here",
        FITS,
    ]


def test_of_many_misfits_some_are_shown(workflows: Verb, define: Define) -> None:
    @define("crowd")
    async def crowd(context):
        await context.sleep("wait", "1h")

    crowd.trigger_many(range(13))
    drain_here()

    @define("crowd")
    async def changed(context):
        await context.sleep("stay", "1h")

    said = workflows("check")

    assert len(said.stdout) == 12
    assert said.stdout[0] == "crowd: 13 open runs, 13 do not fit"
    assert said.stdout[-1] == "  and 3 more"


@pytest.fixture
def patched_parcels(asleep: Run, define: Define, clock: Clock) -> None:
    """Of three runs, two have passed what has changed since, and one has not come to it."""

    @define("parcel")
    async def shipped(context):
        await context.run("pack", int, 0)
        await context.sleep("rest", "1h")
        await context.run("ship", int, 0)
        await context.sleep("wait-for-the-receipt", "9h")

    shipped.trigger(workflow_run_id="parcel-2")
    drain_here()
    clock.advance("1h")
    drain_here()
    shipped.trigger(workflow_run_id="parcel-3")
    drain_here()

    @define("parcel")
    async def flown(context):
        await context.run("pack", int, 0)
        await context.sleep("rest", "1h")
        if await context.patched("by-plane"):
            await context.run("fly", int, 0)
        else:
            await context.run("ship", int, 0)
        await context.sleep("wait-for-the-receipt", "9h")


@pytest.mark.usefixtures("patched_parcels")
def test_it_says_how_many_runs_keep_to_the_code_before_a_change(
    workflows: Verb, clock: Clock
) -> None:
    clock.advance("1h")
    before = rows()

    said = workflows("check")

    assert said.stdout == [
        "parcel: 3 open runs, 0 do not fit",
        '  patched "by-plane": 2 by the old code, 1 by the new',
        FITS,
    ]
    assert rows() == before


@pytest.mark.usefixtures("patched_parcels")
def test_the_code_before_a_change_can_go_when_no_run_keeps_to_it(
    workflows: Verb, define: Define, clock: Clock
) -> None:
    @define("parcel")
    async def only_flown(context):
        await context.run("pack", int, 0)
        await context.sleep("rest", "1h")
        await context.run("fly", int, 0)
        await context.sleep("wait-for-the-receipt", "9h")

    assert workflows("check").stdout[0] == "parcel: 3 open runs, 2 do not fit"

    for run in Run.objects.filter(run_id__in=["parcel-1", "parcel-2"]):
        run_moves.cancel(run)

    assert workflows("check").stdout == ["parcel: 1 open run, 0 do not fit", FITS]


def test_a_change_that_shows_only_at_the_end_of_a_turn_is_rehearsed_to_the_end(
    workflows: Verb, define: Define
) -> None:
    def calling(asks: str):
        @define("gathering")
        async def gathering(context):
            async def branch():
                await context.run("work", int, 0)
                return asks == "asks" and await context.patched("new")

            await context.parallel(branch, branch)
            await context.call("ask", url="https://peer.example")

        return gathering

    calling("does not ask").trigger()
    (lease,) = leases.claim(1)
    delivery.deliver(lease)
    calling("asks")

    assert workflows("check").stdout == [
        "gathering: 1 open run, 0 do not fit",
        '  patched "new": 1 by the old code, 0 by the new',
        FITS,
    ]


def test_a_run_that_is_being_rolled_back_fits_though_its_function_fails_again(
    workflows: Verb, define: Define
) -> None:
    def refuse(undo: Any) -> None:
        raise ConnectionError("no bank")

    @define("parcel", retries=0)
    async def parcel(context):
        undoable = context.options(rollback=refuse, retries=3, retry_delay="1h")
        await undoable.run("pay", str)
        raise KeyError("address")

    parcel.trigger(workflow_run_id="parcel-1")
    drain_here()

    assert Run.objects.get().is_live
    assert workflows("check").stdout == ["parcel: 1 open run, 0 do not fit", FITS]
