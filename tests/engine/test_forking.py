"""Runs that begin as copies of others, under an id of their own."""

from __future__ import annotations

from typing import Any

import pytest

import workflows_app
from tests.conftest import Clock
from tests.engine.reading import journal_of, owed_to, result_of
from tests.shells import Define
from workflows_app import Context, Workflow, get_run, workflow
from workflows_app.conf import get_settings
from workflows_app.engine import events, run_moves
from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.creating import create
from workflows_app.engine.drain import drain_here
from workflows_app.engine.forking import fork
from workflows_app.engine.states import State, count_by_state
from workflows_app.engine.step_targets import StepTarget
from workflows_app.engine.triggering import trigger
from workflows_app.errors import InvalidInput, PayloadTooLarge, Refused, RunNotFound
from workflows_app.models import Account, DeadLetter, Event, Invocation, Run, RunLabel
from workflows_app.protocol.runs import RunRequest

pytestmark = pytest.mark.django_db

PAY = StepTarget(name="pay")


@pytest.fixture(autouse=True)
def standing_clock(clock: Clock) -> Clock:
    return clock


@pytest.fixture
def order(define: Define, clock: Clock) -> Workflow:
    """Two steps a second apart; then it fails, or waits, as its payload says."""

    def do(what: str) -> str:
        clock.advance("1s")
        return what

    @define("order", retries=0)
    async def order(context: Any) -> Any:
        mailed = await context.run("mail", do, f"mail {context.request_payload}")
        await context.run("pay", do, f"pay {context.request_payload}")
        if context.request_payload == "fail":
            raise LookupError("no such street")
        approval = await context.wait_for_event("approval", "approved")
        return [mailed, approval.event_data]

    return order


def begun(order: Workflow, payload: str = "wait", **options: Any) -> Run:
    order.trigger(payload, workflow_run_id="order-7", **options)
    drain_here()
    return Run.objects.get(run_id="order-7")


def test_a_live_run_goes_on_beside_its_fork(order: Workflow) -> None:
    run = begun(order, labels=["vip"])

    new = fork(run, PAY)
    drain_here()

    assert list(journal_of(new)) == list(journal_of(run)) == ["mail", "pay"]
    assert (new.origin, new.run_id != run.run_id) == (run, True)
    assert RunLabel.objects.filter(name="vip").count() == 2
    assert continuation_of(run) is None
    assert len(events.notify(run.account, "approved", b'"yes"')) == 2
    drain_here()
    assert result_of(run) == result_of(new) == ["mail wait", "yes"]
    assert count_by_state(run.account, ["order"]) == {"order": {State.SUCCEEDED: 2}}


def test_kept_steps_keep_their_results_and_the_others_see_the_new_payload(order: Workflow) -> None:
    run = begun(order, "fail")

    new = fork(run, PAY, payload=(b'"well"', "application/json"))
    drain_here()

    assert list(journal_of(new).values()) == ["mail fail", "pay well"]
    assert DeadLetter.objects.get().run == run
    assert Run.objects.get(pk=run.pk).status == Run.Status.FAILED


def test_a_fork_without_a_step_does_all_of_it_anew(order: Workflow) -> None:
    run = begun(order)
    events.notify_run(run, "refused", b"")

    new = fork(run, run_id="order-8")

    assert (new.run_id, bytes(new.payload), journal_of(new)) == ("order-8", b'"wait"', {})
    assert len(owed_to(new)) == 1
    assert Event.objects.get().run == run


def test_a_run_that_a_kept_step_invoked_is_shown_as_the_fork_s_too(define: Define) -> None:
    @workflow("child")
    def child(context: Context) -> str:
        return "done"

    @define("parent")
    async def parent(context: Any) -> Any:
        answer = await context.invoke("child", workflow=child)
        return await context.run("pay", lambda: answer.body)

    parent.trigger(workflow_run_id="parent")
    drain_here()

    new = fork(Run.objects.get(run_id="parent"), PAY)

    assert Invocation.objects.filter(child__workflow="child").count() == 2
    drain_here()
    assert Run.objects.filter(workflow="child").count() == 1
    assert result_of(new) == "done"


@pytest.mark.parametrize(
    ("run_id", "sentence"),
    [
        ("order-7", "a fork has an id of its own, not order-7: restart the run to keep its id"),
        ("order-8", "another run has the id order-8: give the fork one of its own"),
    ],
)
def test_an_id_in_use_is_refused(order: Workflow, run_id: str, sentence: str) -> None:
    run = begun(order)
    order.trigger("wait", workflow_run_id="order-8")

    with pytest.raises(Refused) as refusal:
        fork(run, run_id=run_id)

    assert refusal.value.message == sentence
    assert Run.objects.count() == 2


def test_an_id_that_is_named_within_its_workflow_is_not_used_twice(
    order: Workflow, account: Account
) -> None:
    def request(run_id: str) -> RunRequest:
        return RunRequest(
            url="https://app.example/order", workflow="order", run_id=run_id, named_within=True
        )

    run, ended = create(account, [request("order-1"), request("order-2")]).runs
    run_moves.cancel(ended)

    with pytest.raises(Refused):
        fork(run, run_id="order-2")
    fork(run, run_id="order-3")
    assert Run.objects.get(run_id="order-3").live_id == "order/order-3"


def test_a_run_of_another_service_is_forked_from_its_beginning_only(account: Account) -> None:
    (started,) = trigger(account, [RunRequest(url="https://peer.example/flow", body=b"1")])

    with pytest.raises(Refused) as refusal:
        fork(started.run, PAY)
    assert "it can only be forked from its beginning" in refusal.value.message
    assert len(owed_to(fork(started.run, payload=(b"2", "text/plain")))) == 1


def test_what_is_being_undone_or_has_been_is_not_kept(define: Define, clock: Clock) -> None:
    def slow(*_: Any) -> None:
        clock.advance("1s")

    @define("story", retries=0)
    async def story(context: Any) -> Any:
        await context.options(rollback=slow).run("mail", slow)
        await context.run("pay", slow)
        await context.sleep("think", "1d")

    story.trigger()
    drain_here()
    run = Run.objects.get()
    run_moves.cancel(run, roll_back=True)
    with pytest.raises(Refused) as refusal:
        fork(run, PAY)
    assert "is being rolled back" in refusal.value.message

    drain_here()

    with pytest.raises(Refused) as refusal:
        fork(run, PAY)
    assert 'what step "mail" had done has been undone' in refusal.value.message
    assert fork(run, StepTarget(name="mail")).is_live


def test_a_payload_that_is_too_large_a_step_never_begun_and_a_deleted_run_are_refused(
    order: Workflow,
) -> None:
    run = begun(order)
    most = get_settings().MAX_PAYLOAD_BYTES

    with pytest.raises(PayloadTooLarge):
        fork(run, payload=(b"x" * (most + 1), "text/plain"))
    with pytest.raises(InvalidInput):
        fork(run, StepTarget(name="fly"))
    assert Run.objects.count() == 1
    Run.objects.all().delete()
    with pytest.raises(RunNotFound):
        fork(run)


def test_python_code_forks_a_run_and_has_the_other_one_in_hand(order: Workflow) -> None:
    run = begun(order)

    forked = get_run("order-7").fork("pay", payload="other", workflow_run_id="order-8")

    assert forked == workflows_app.RunHandle(workflow_run_id="order-8")
    drain_here()
    assert (forked.state, get_run("order-7").state) == ("waiting", "waiting")
    new = Run.objects.get(run_id="order-8")
    assert list(journal_of(new).values()) == ["mail wait", "pay other"]
    assert bytes(
        Run.objects.get(run_id=get_run("order-7").fork().workflow_run_id).payload
    ) == bytes(run.payload)
