"""`context.invoke`: runs that start other runs and wait for their ends."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from tests.engine.reading import error_of, journal_of, letter_of, loaded, owed_to, result_of
from tests.engine.world import World, answer
from tests.shells import Define
from workflows_app import FlowControlSpec, Workflow
from workflows_app.engine import dead_letters, delivery, leases, ports, run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.engine.ports import Turn
from workflows_app.errors import LeaseLost
from workflows_app.models import Account, Invocation, Message, Run, Step
from workflows_app.protocol.runs import TurnOutcome

pytestmark = pytest.mark.django_db

ELSEWHERE = "https://packing.example/pack"


def run_of(workflow: str) -> Run:
    """The newest of the workflow."""
    return Run.objects.filter(workflow=workflow).latest("id")


@pytest.fixture
def pack(define: Define) -> Workflow:
    """Packs what it is given, unless that is glass; gold waits for an hour first."""

    @define("pack", retries=0)
    async def pack(context: Any) -> Any:
        item = context.request_payload
        if item == "gold":
            await context.sleep("wait-for-the-guard", "1h")
        if item == "glass":
            raise ValueError("glass breaks")
        if item == "nothing":
            await context.cancel()
        return {"packed": item}

    return pack


@pytest.fixture
def order(define: Define, pack: Workflow) -> Workflow:
    """Has one item packed, and returns what became of it."""

    @define("order", retries=0)
    async def order(context: Any) -> Any:
        packed = await context.invoke("pack", workflow=pack, body=context.request_payload)
        return [packed.body, packed.is_failed, packed.is_canceled]

    return order


# -- how it ends


@pytest.mark.parametrize(
    ("item", "outcome"),
    [
        ("tea", [{"packed": "tea"}, False, False]),
        ("glass", [None, True, False]),
        ("nothing", [None, False, True]),
    ],
    ids=["succeeded", "failed", "canceled"],
)
def test_the_end_of_the_invoked_run_is_the_result_of_the_step(
    item: str, outcome: list[Any], order: Workflow
) -> None:
    order.trigger(item)
    drain_here()

    assert result_of(run_of("order")) == outcome


def test_a_run_that_waits_for_another_is_owed_nothing_until_that_ends(
    order: Workflow, clock: Clock
) -> None:
    order.trigger("gold")
    drain_here()

    assert owed_to(run_of("order")) == [("turn", "", None)]
    assert Message.objects.exclude(token=None).count() == 0
    clock.advance("1h")
    drain_here()
    assert result_of(run_of("order")) == [{"packed": "gold"}, False, False]


def test_the_step_tells_what_was_invoked_and_how_long_it_took(
    order: Workflow, clock: Clock
) -> None:
    began = clock.now
    order.trigger("gold")
    drain_here()
    clock.advance("1h")
    drain_here()

    step, child = Step.objects.get(run=run_of("order")), run_of("pack")
    assert (step.key, step.name, step.kind, step.attempts) == ("pack", "pack", "invoke", 1)
    assert (step.started_at, step.ended_at) == (began, clock.now)
    assert loaded(step.input) == {"workflow": "pack", "run": child.run_id}
    assert loaded(step.result) == {
        "body": '{"packed":"gold"}',
        "isFailed": False,
        "isCanceled": False,
    }
    assert Invocation.objects.get().child == child


def test_a_run_that_is_cancelled_from_outside_is_canceled_for_its_invoker(
    order: Workflow,
) -> None:
    order.trigger("gold")
    drain_here()
    run_moves.cancel(run_of("pack"))
    drain_here()

    assert result_of(run_of("order")) == [None, False, True]


def test_what_a_run_hides_the_runs_that_it_invokes_hide_too(order: Workflow) -> None:
    order.trigger("tea", redact="body,header[X-Key]")
    drain_here()

    assert run_of("pack").redaction == run_of("order").redaction == "body,header[X-Key]"


def test_what_was_invoked_has_the_options_of_its_own_workflow_and_those_it_is_given(
    define: Define,
) -> None:
    control = FlowControlSpec(key="packing", parallelism=2)

    @define("pack", retries=7, retry_delay="1000", timeout="30s", flow_control=control)
    async def pack(context: Any) -> Any:
        return [dict(context.headers), context.labels, context.workflow_run_id]

    @define("order")
    async def order(context: Any) -> Any:
        usual = await context.invoke("usual", workflow="pack")
        own = await context.invoke(
            "own",
            workflow="pack",
            body=b"\xff",
            headers={"X-Tenant": "north"},
            workflow_run_id="pack-7",
            labels="vip",
            retries=1,
            retry_delay="5",
            flow_control=FlowControlSpec(key="vip", rate=3),
        )
        return [usual.body[:2], own.body]

    order.trigger()
    drain_here()

    assert result_of(run_of("order")) == [[{}, []], [{"X-Tenant": "north"}, ["vip"], "pack-7"]]
    usual, own = Run.objects.filter(workflow="pack").order_by("pk")
    assert (usual.retries, usual.retry_delay, usual.timeout) == (7, "1000", pack.timeout)
    assert usual.flow_control is not None
    assert usual.flow_control.key == "packing"
    assert (own.retries, own.retry_delay, bytes(own.payload)) == (1, "5", b"\xff")
    assert own.flow_control is not None
    assert own.flow_control.key == "vip"


# -- once


def test_a_run_is_invoked_once_however_often_its_invoker_is_worked_on(
    order: Workflow, clock: Clock
) -> None:
    order.trigger("gold")
    drain_here()
    child = run_of("pack")
    for _ in range(3):
        run_moves.wake(run_of("order"))
        drain_here(limit=1)

    assert [each.pk for each in Run.objects.filter(workflow="pack")] == [child.pk]
    clock.advance("1h")
    drain_here()
    assert result_of(run_of("order")) == [{"packed": "gold"}, False, False]


def test_the_run_id_comes_from_the_step_that_invokes(define: Define, pack: Workflow) -> None:
    @define("order")
    async def order(context: Any) -> Any:
        await context.parallel(
            lambda: context.invoke("pack", workflow=pack, body=1),
            lambda: context.invoke("pack", workflow=pack, body=2),
        )
        for number in (3, 4):
            await context.invoke("pack", workflow=pack, body=number)

    order.trigger(workflow_run_id="order-1")
    order.trigger(workflow_run_id="order-2")
    drain_here()

    ids = Run.objects.filter(workflow="pack").values_list("run_id", flat=True)
    assert len(set(ids)) == 8
    assert {len(run_id) for run_id in ids} == {25}


def test_a_worker_that_lost_its_lease_invokes_nothing(order: Workflow, clock: Clock) -> None:
    order.trigger("gold")
    (slow,) = leases.claim(1)
    clock.advance("15s")
    (other,) = leases.claim(1)
    delivery.deliver(slow)
    assert not Invocation.objects.exists()

    delivery.deliver(other)
    assert Invocation.objects.count() == 1


@pytest.mark.parametrize("taken", range(4))
def test_a_worker_that_dies_with_any_message_loses_nothing(
    taken: int, order: Workflow, clock: Clock
) -> None:
    """The turn that invokes, the other run's turn, its report, and the turn that learns of it."""
    order.trigger("tea")
    drain_here(limit=taken)
    assert leases.claim(1)
    clock.advance("15s")
    drain_here()

    assert result_of(run_of("order")) == [{"packed": "tea"}, False, False]
    assert Run.objects.filter(workflow="pack").count() == 1


class Dying(World):
    """A worker that is gone when a turn has come to its end, before that is settled."""

    def take_turn(self, turn: Turn) -> TurnOutcome:
        super().take_turn(turn)
        raise LeaseLost


def test_a_worker_that_dies_between_a_turn_and_its_settling_invokes_once(
    order: Workflow, world: World, clock: Clock
) -> None:
    order.trigger("gold")
    ports.install_transport(Dying())
    drain_here(limit=1)
    assert not Invocation.objects.exists()
    ports.install_transport(world)
    clock.advance("15s")
    drain_here()
    clock.advance("1h")
    drain_here()

    assert result_of(run_of("order")) == [{"packed": "gold"}, False, False]
    assert Run.objects.filter(workflow="pack").count() == 1


def test_a_report_that_is_delivered_under_a_lost_lease_changes_nothing(
    order: Workflow, clock: Clock
) -> None:
    order.trigger("tea")
    drain_here(limit=2)
    (slow,) = leases.claim(1)
    assert slow.kind == Message.Kind.REPORT
    clock.advance("15s")
    (other,) = leases.claim(1)
    delivery.deliver(slow)
    assert not Step.objects.exists()
    assert owed_to(run_of("order"))[0] == ("turn", "", None)

    delivery.deliver(other)
    drain_here()
    assert result_of(run_of("order")) == [{"packed": "tea"}, False, False]


def test_a_report_that_comes_while_its_run_is_at_work_is_not_missed(
    define: Define, pack: Workflow, clock: Clock
) -> None:
    @define("order")
    async def order(context: Any) -> Any:
        async def packed() -> Any:
            return (await context.invoke("pack", workflow=pack, body="tea")).body

        async def rested() -> Any:
            await context.sleep("rest", "1h")

        return await context.parallel(packed, rested)

    order.trigger()
    drain_here(limit=2)
    run_moves.wake(run_of("order"))
    (turn, report) = sorted(leases.claim(2), key=lambda lease: lease.kind, reverse=True)
    delivery.deliver(report)
    delivery.deliver(turn)
    drain_here()

    assert result_of(run_of("order")) == [{"packed": "tea"}, None]


# -- a run that is there already


def test_a_live_run_of_the_same_id_is_waited_for_as_it_is(
    define: Define, pack: Workflow, clock: Clock
) -> None:
    @define("order")
    async def order(context: Any) -> Any:
        packed = await context.invoke("pack", workflow=pack, body="tea", workflow_run_id="pack-7")
        return packed.body

    pack.trigger("gold", workflow_run_id="pack-7")
    drain_here()
    order.trigger()
    order.trigger()
    drain_here()
    clock.advance("1h")
    drain_here()

    assert Run.objects.filter(workflow="pack").count() == 1
    assert [result_of(run) for run in Run.objects.filter(workflow="order")] == [
        {"packed": "gold"}
    ] * 2


def test_an_id_whose_run_has_ended_is_free_again(define: Define, pack: Workflow) -> None:
    @define("order")
    async def order(context: Any) -> Any:
        return (await context.invoke("pack", workflow=pack, workflow_run_id="pack-7")).body

    pack.trigger("tea", workflow_run_id="pack-7")
    drain_here()
    order.trigger()
    drain_here()

    assert result_of(run_of("order")) == {"packed": None}


def test_a_run_does_not_wait_for_its_own_end(define: Define) -> None:
    @define("order", retries=3)
    async def order(context: Any) -> Any:
        await context.invoke("again", workflow="order", workflow_run_id=context.workflow_run_id)

    order.trigger(workflow_run_id="order-7")
    drain_here()

    assert error_of(run_of("order")) == (
        "InvalidInput",
        'step "again" would have run order-7 wait for its own end',
    )


# -- many


def test_a_hundred_runs_are_invoked_side_by_side(define: Define, pack: Workflow) -> None:
    @define("order")
    async def order(context: Any) -> Any:
        def packing(number: int) -> Any:
            return lambda: context.invoke("pack", workflow=pack, body=number)

        packed = await context.parallel(*map(packing, range(100)))
        return sum(each.body["packed"] for each in packed)

    order.trigger()
    drain_here()

    assert result_of(run_of("order")) == sum(range(100))
    assert Run.objects.filter(workflow="pack").count() == 100


def test_runs_are_invoked_in_a_loop(define: Define, pack: Workflow) -> None:
    @define("order")
    async def order(context: Any) -> Any:
        packed = []
        for item in ("tea", "pot", "cup"):
            packed.append((await context.invoke("pack", workflow=pack, body=item)).body)
        return packed

    order.trigger()
    drain_here()

    assert result_of(run_of("order")) == [{"packed": item} for item in ("tea", "pot", "cup")]
    assert list(journal_of(run_of("order"))) == ["pack", "pack#2", "pack#3"]


def test_branches_go_on_each_as_its_own_run_ends(
    define: Define, pack: Workflow, clock: Clock
) -> None:
    @define("order")
    async def order(context: Any) -> Any:
        def packing(item: str) -> Any:
            async def packed() -> Any:
                await context.invoke("pack", workflow=pack, body=item)
                return await context.run("label", lambda: item)

            return packed

        return await context.parallel(packing("gold"), packing("tea"))

    order.trigger()
    drain_here()
    assert list(journal_of(run_of("order"))) == ["pack@2", "label@2"]
    clock.advance("1h")
    drain_here()

    assert result_of(run_of("order")) == ["gold", "tea"]


# -- how deep


def test_runs_invoke_one_another_only_so_deep(define: Define, settings: Settings) -> None:
    settings.WORKFLOWS = {"MAX_INVOKE_DEPTH": 2}

    @define("doll", retries=0)
    async def doll(context: Any) -> Any:
        inner = await context.invoke("inner", workflow="doll")
        return "broken" if inner.is_failed else [inner.body]

    doll.trigger()
    drain_here()

    assert Run.objects.count() == 3
    assert error_of(Run.objects.latest("id")) == (
        "LimitExceeded",
        "runs invoke one another at most 2 levels deep",
    )
    assert result_of(Run.objects.earliest("id")) == ["broken"]


# -- when a run ends before what it invoked


def test_cancelling_a_run_leaves_what_it_invoked_alone(order: Workflow, clock: Clock) -> None:
    order.trigger("gold")
    drain_here()
    run_moves.cancel(run_of("order"))
    clock.advance("1h")
    drain_here()

    assert result_of(run_of("pack")) == {"packed": "gold"}
    assert not Message.objects.exists()
    assert not Step.objects.filter(run=run_of("order")).exists()


def test_a_report_on_its_way_is_dropped_when_its_run_is_cancelled(order: Workflow) -> None:
    order.trigger("tea")
    drain_here(limit=2)
    (report,) = leases.claim(1)
    run_moves.cancel(run_of("order"))
    delivery.deliver(report)

    assert not Step.objects.exists()
    assert not Message.objects.exists()


def test_a_report_that_crosses_the_end_of_its_run_changes_nothing(
    order: Workflow, account: Account, clock: Clock
) -> None:
    """Whoever ends the one may not see yet that the other has ended."""
    order.trigger("gold")
    drain_here()
    parent = run_of("order")
    run_moves.cancel(parent)
    Message.objects.create(
        account=account,
        run=parent,
        kind=Message.Kind.REPORT,
        key="pack",
        due_at=clock.now,
        created_at=clock.now,
    )
    drain_here()

    assert not Step.objects.filter(run=parent).exists()
    assert not Message.objects.filter(run=parent).exists()


# -- resuming and restarting


def a_stubborn_order(define: Define, pack: Workflow) -> Workflow:
    """It fails beside what it invoked until it may succeed."""
    allowed: list[bool] = []

    @define("order", retries=0)
    async def order(context: Any) -> Any:
        async def packed(item: str) -> Any:
            return (await context.invoke("pack", workflow=pack, body=item)).body

        def pay() -> str:
            if not allowed:
                allowed.append(True)
                raise ValueError("no money")
            return "paid"

        async def paid() -> Any:
            await context.sleep("rest", "1m")
            return await context.run("pay", pay)

        return await context.parallel(lambda: packed("tea"), lambda: packed("gold"), paid)

    return order


def test_a_resumed_run_keeps_what_has_ended_and_waits_for_what_has_not(
    define: Define, pack: Workflow, clock: Clock
) -> None:
    a_stubborn_order(define, pack).trigger()
    drain_here()
    clock.advance("1m")
    drain_here()
    failed = run_of("order")
    # Parallel steps fail their run once each of them has ended or waits.
    assert error_of(failed)[1] == 'step "pay" failed after 1 attempt: ValueError: no money'
    new = dead_letters.resume(letter_of(failed))
    drain_here()
    clock.advance("1h")
    drain_here()

    assert result_of(new) == [{"packed": "tea"}, {"packed": "gold"}, "paid"]
    assert Run.objects.filter(workflow="pack").count() == 2
    assert {each.parent_id for each in Invocation.objects.all()} == {failed.pk, new.pk}


def test_a_resumed_run_learns_of_an_end_that_came_while_nobody_waited(
    define: Define, pack: Workflow, clock: Clock
) -> None:
    a_stubborn_order(define, pack).trigger()
    drain_here()
    clock.advance("1m")
    drain_here()
    clock.advance("1h")
    drain_here()
    new = dead_letters.resume(letter_of(run_of("order")))
    drain_here()

    assert result_of(new) == [{"packed": "tea"}, {"packed": "gold"}, "paid"]
    assert Run.objects.filter(workflow="pack").count() == 2


def test_a_restarted_run_invokes_anew(define: Define, pack: Workflow, clock: Clock) -> None:
    a_stubborn_order(define, pack).trigger()
    drain_here()
    clock.advance("1m")
    drain_here()
    new = dead_letters.restart(letter_of(run_of("order")))
    drain_here()
    clock.advance("1m")
    drain_here()
    clock.advance("1h")
    drain_here()

    assert result_of(new) == [{"packed": "tea"}, {"packed": "gold"}, "paid"]
    assert Run.objects.filter(workflow="pack").count() == 4


@pytest.mark.parametrize("again", [dead_letters.resume, dead_letters.restart])
def test_resuming_what_was_invoked_does_not_change_what_its_invoker_was_told(
    again: Any, order: Workflow
) -> None:
    order.trigger("glass")
    drain_here()
    again(letter_of(run_of("pack")))
    drain_here()

    assert result_of(run_of("order")) == [None, True, False]
    assert Invocation.objects.count() == 1


def test_what_came_because_of_a_failed_step_is_invoked_anew(
    define: Define, pack: Workflow, clock: Clock
) -> None:
    allowed: list[bool] = []

    @define("order", retries=0)
    async def order(context: Any) -> Any:
        def pay() -> str:
            if not allowed:
                raise ValueError("no money")
            return "paid"

        async def sorry() -> None:
            await context.invoke("say-sorry", workflow=pack, body="gold")

        async def give_up() -> None:
            raise ValueError("no order")

        try:
            return await context.run("pay", pay)
        except Exception:
            await context.parallel(sorry, give_up)
            raise

    order.trigger()
    drain_here()
    failed = run_of("order")
    allowed.append(True)
    new = dead_letters.resume(letter_of(failed))
    drain_here()
    clock.advance("1h")
    drain_here()

    assert result_of(new) == "paid"
    assert list(journal_of(new)) == ["pay"]


# -- runs of other services


def test_a_workflow_of_another_service_is_invoked_by_its_url(define: Define, world: World) -> None:
    @define("order")
    async def order(context: Any) -> Any:
        packed = await context.invoke(
            "pack", workflow=ELSEWHERE, body={"id": 7}, headers={"X-Tenant": "n"}, retries=2
        )
        return [packed.body, packed.is_failed]

    order.trigger()
    world.answers(answer(200, Upstash_Workflow_Sdk_Version="1", Upstash_Workflow_Sdk="1"))
    drain_here()
    child = Run.objects.get(url=ELSEWHERE)
    assert (child.is_remote, child.retries, bytes(child.payload)) == (True, 2, b'{"id":7}')
    sent = world.sent[0].headers
    assert (sent["X-Tenant"], sent["Upstash-Workflow-Invoke-Count"]) == ("n", "1")
    run_moves.finish(child.account, child.run_id, '{"packed":7}')
    drain_here()

    assert result_of(run_of("order")) == [{"packed": 7}, False]


def test_a_url_that_is_no_workflow_fails_the_run_that_was_invoked(
    define: Define, world: World
) -> None:
    @define("order")
    async def order(context: Any) -> Any:
        return (await context.invoke("pack", workflow=ELSEWHERE)).is_failed

    order.trigger()
    # The second request tells the URL of the failure.
    world.answers(answer(200, b"hello"), 200)
    drain_here()

    assert result_of(run_of("order")) is True


def test_the_serve_url_of_a_workflow_here_stands_for_it(define: Define, pack: Workflow) -> None:
    @define("order")
    async def order(context: Any) -> Any:
        return (await context.invoke("pack", workflow=pack.url, body="tea")).body

    order.trigger()
    drain_here()

    assert result_of(run_of("order")) == {"packed": "tea"}
    assert run_of("pack").workflow == "pack"
