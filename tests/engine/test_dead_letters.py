"""What can be done with runs that have failed."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.conftest import Clock
from tests.engine.reading import error_of, journal_of, letter_of, owed_to, result_of
from tests.engine.world import Bell
from tests.shells import Define
from workflows_app import Context, FlowControlSpec, StepError, Workflow, workflow
from workflows_app.engine import dead_letters
from workflows_app.engine.dead_letters import Overrides, find_dead_letter
from workflows_app.engine.drain import drain_here
from workflows_app.errors import DeadLetterNotFound, InvalidInput, InvalidUrl
from workflows_app.models import Account, Attempt, DeadLetter, FlowControl, Run, Step

pytestmark = pytest.mark.django_db


class Service:
    """What steps depend on: refuses whom it is told to, and counts who came."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.visits: list[str] = []

    def visit(self, name: str) -> str:
        self.visits.append(name)
        if name in self.refused:
            raise ConnectionError(f"{name} is refused")
        return name


def failed(run_id: str = "order-7") -> Run:
    run = Run.objects.filter(run_id=run_id, status=Run.Status.FAILED).order_by("-pk").first()
    assert run is not None
    return run


@pytest.fixture
def service() -> Service:
    return Service("b")


@pytest.fixture
def order(define: Define, service: Service, clock: Clock) -> Run:
    """A run of steps a, b and c that has failed at b."""

    @define(retries=0)
    async def story(context: Any) -> Any:
        return [await context.run(name, service.visit, name) for name in "abc"]

    story.trigger(
        {"id": 7},
        workflow_run_id="order-7",
        headers={"X-Tenant": "north"},
        labels=["north", "vip"],
        retries=0,
        retry_delay="500",
        timeout="1h",
        flow_control=FlowControlSpec(key="orders", parallelism=3),
    )
    drain_here()
    clock.advance("1h")
    return failed()


# -- resuming


def test_a_resumed_run_goes_on_at_the_step_that_failed(order: Run, service: Service) -> None:
    service.refused.clear()
    new = dead_letters.resume(letter_of(order))
    drain_here()

    assert result_of(new) == ["a", "b", "c"]
    assert service.visits == ["a", "b", "b", "c"]
    assert journal_of(new) == {"a": "a", "b": "b", "c": "c"}
    assert journal_of(order) == {"a": "a", "b": None}, "the failed run stays as it was"


def test_a_resumed_run_is_a_new_one_with_all_that_the_old_one_was_given(
    order: Run, clock: Clock
) -> None:
    new = dead_letters.resume(letter_of(order))

    new.refresh_from_db()
    same = (
        "account",
        "workflow",
        "url",
        "content_type",
        "headers",
        "labels",
        "retries",
        "retry_delay",
        "timeout",
        "failure_url",
        "flow_control",
        "caller_ip",
    )
    assert {name: getattr(new, name) for name in same} == {
        name: getattr(order, name) for name in same
    }
    assert bytes(new.payload) == b'{"id":7}'
    assert new.run_id != order.run_id
    assert (new.live_id, new.origin, new.created_at) == (new.run_id, order, clock.now)
    assert Run.objects.labelled(["vip"]).filter(pk=new.pk).exists()
    assert owed_to(new) == [("turn", "", clock.now)]


def test_what_is_resumed_is_no_longer_in_the_dead_letter_queue(order: Run) -> None:
    letter = letter_of(order)
    dead_letters.resume(letter)

    assert not DeadLetter.objects.exists()
    assert failed() == order, "the run itself stays, as failed"
    for verb in (dead_letters.resume, dead_letters.restart):
        with pytest.raises(DeadLetterNotFound) as refusal:
            verb(letter)
        assert refusal.value.message == (
            f"entry {letter.public_id} has been resumed, restarted or deleted already"
        )
    assert Run.objects.count() == 2


def test_a_resumed_run_has_all_its_retries_again(
    define: Define, service: Service, clock: Clock
) -> None:
    @define(retries=1, retry_delay="1000")
    async def story(context: Any) -> Any:
        return await context.run("b", service.visit, "b")

    story.trigger(workflow_run_id="order-7")
    drain_here()
    clock.advance("1s")
    drain_here()
    new = dead_letters.resume(letter_of(failed()))
    drain_here()
    assert new.attempts.count() == 1
    service.refused.clear()
    clock.advance("1s")
    drain_here()

    assert result_of(new) == "b"
    assert service.visits == ["b"] * 4


def test_a_run_that_failed_between_its_steps_resumes_with_all_of_them(
    define: Define, service: Service
) -> None:
    broken = [True]

    @define(retries=0)
    async def story(context: Any) -> Any:
        done = await context.run("a", service.visit, "a")
        if broken:
            raise KeyError("order")
        return done

    story.trigger(workflow_run_id="order-7")
    drain_here()
    broken.clear()
    new = dead_letters.resume(letter_of(failed()))
    drain_here()

    assert result_of(new) == "a"
    assert service.visits == ["a"]


def test_a_resumed_run_keeps_the_failures_that_its_function_handled(
    define: Define, service: Service
) -> None:
    service.refused = {"a", "c"}

    @define(retries=0)
    async def story(context: Any) -> Any:
        try:
            first = await context.run("a", service.visit, "a")
        except StepError:
            first = await context.run("b", service.visit, "b")
        return [first, await context.run("c", service.visit, "c")]

    story.trigger(workflow_run_id="order-7")
    drain_here()
    service.refused.clear()
    new = dead_letters.resume(letter_of(failed()))
    drain_here()

    assert result_of(new) == ["b", "c"]
    assert service.visits == ["a", "b", "c", "c"]


@pytest.mark.parametrize("refused", ["a", "b", "c"])
def test_a_resumed_run_keeps_the_steps_of_the_branches_that_did_not_fail(
    refused: str, registry: dict[str, Workflow], service: Service, clock: Clock
) -> None:
    """Also of those that began when the failure had happened already."""
    service.refused = {refused}

    @workflow("story", retries=0)
    def story(context: Context) -> Any:
        def branch(name: str) -> Any:
            context.run("before", service.visit, f"before {name}")
            return context.run("work", service.visit, name)

        both = context.parallel(*(partial(branch, name) for name in "abc"))
        return [*both, context.run("after", service.visit, "after")]

    story.trigger(workflow_run_id="order-7")
    drain_here()
    service.refused.clear()
    new = dead_letters.resume(letter_of(failed()))
    drain_here()

    assert result_of(new) == ["a", "b", "c", "after"]
    assert sorted(service.visits) == sorted(
        ["a", "b", "c", "before a", "before b", "before c", refused, "after"]
    )


def test_a_resumed_run_tries_every_branch_that_failed_again(
    registry: dict[str, Workflow], service: Service, clock: Clock
) -> None:
    """All of them had a part in its failure, although only one error could be raised."""
    service.refused = {"b", "c", "e"}

    @workflow("story", retries=0)
    def story(context: Context) -> Any:
        def visit(name: str) -> Any:
            return partial(context.run, "work", service.visit, name)

        def both() -> Any:
            return context.parallel(visit("d"), visit("e"))

        return context.parallel(visit("a"), visit("b"), visit("c"), both)

    story.trigger(workflow_run_id="order-7")
    drain_here()
    service.refused.clear()
    new = dead_letters.resume(letter_of(failed()))
    drain_here()

    assert result_of(new) == ["a", "b", "c", ["d", "e"]]
    assert sorted(service.visits) == ["a", "b", "b", "c", "c", "d", "e", "e"]


@pytest.mark.parametrize("undo", ["a step", "branches"])
def test_a_resumed_run_forgets_what_its_function_did_because_of_the_failure(
    undo: str, define: Define, service: Service, clock: Clock
) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        try:
            await context.parallel(
                lambda: context.run("work", service.visit, "a"),
                lambda: context.run("work", service.visit, "b"),
            )
        except StepError:
            if undo == "a step":
                await context.run("undo", service.visit, "undo")
            else:
                await context.parallel(*[lambda: context.run("undo", service.visit, "undo")] * 2)
            raise
        return "done"

    story.trigger(workflow_run_id="order-7")
    drain_here()
    service.refused.clear()
    new = dead_letters.resume(letter_of(failed()))
    drain_here()

    assert result_of(new) == "done"
    assert sorted(set(service.visits)) == ["a", "b", "undo"]
    assert Counter(service.visits)["a"] == 1
    assert Counter(service.visits)["b"] == 2


def test_a_resumed_run_keeps_the_failures_that_branches_handled_beside_the_one_that_failed(
    registry: dict[str, Workflow], service: Service, clock: Clock
) -> None:
    service.refused = {"a", "c"}

    @workflow("story", retries=0)
    def story(context: Context) -> Any:
        def careful() -> Any:
            try:
                return context.run("work", service.visit, "a")
            except StepError:
                return context.run("instead", service.visit, "b")

        return context.parallel(careful, partial(context.run, "work", service.visit, "c"))

    story.trigger(workflow_run_id="order-7")
    drain_here()
    service.refused.clear()
    new = dead_letters.resume(letter_of(failed()))
    drain_here()

    assert result_of(new) == ["b", "c"]
    assert service.visits == ["a", "b", "c", "c"]


def test_a_resumed_run_keeps_what_branches_before_the_failure_made_of_theirs(
    define: Define, service: Service, clock: Clock
) -> None:
    service.refused = {"a", "c"}

    @define(retries=0)
    async def story(context: Any) -> Any:
        async def first() -> Any:
            try:
                return await context.run("work", service.visit, "a")
            except StepError:
                return "without a"

        async def second() -> Any:
            return await context.run("work", service.visit, "c")

        done = await context.parallel(first, first)
        await context.sleep("pause", "1m")
        return [*done, *(await context.parallel(second, second))]

    story.trigger(workflow_run_id="order-7")
    drain_here()
    clock.advance("1m")
    drain_here()
    service.refused.clear()
    new = dead_letters.resume(letter_of(failed()))
    drain_here()

    assert result_of(new) == ["without a", "without a", "c", "c"]


def test_a_sleep_that_the_failure_cut_short_is_slept_to_its_end(
    define: Define, service: Service, clock: Clock
) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        async def nap() -> Any:
            await context.sleep("nap", "1d")
            return "rested"

        return await context.parallel(nap, lambda: context.run("b", service.visit, "b"))

    story.trigger(workflow_run_id="order-7")
    until = clock.now + timedelta(days=1)
    drain_here()
    service.refused.clear()
    clock.advance("1h")
    new = dead_letters.resume(letter_of(failed()))
    drain_here()

    assert owed_to(new) == [("turn", "", until)]
    clock.stop_at(until)
    drain_here()
    assert result_of(new) == ["rested", "b"]


def test_a_run_whose_code_was_put_back_can_be_resumed(
    define: Define, service: Service, clock: Clock
) -> None:
    def deploy(name: str) -> Any:
        @define(retries=0)
        async def story(context: Any) -> Any:
            first = await context.run(name, service.visit, "a")
            await context.sleep("nap", "1h")
            return first

        return story

    deploy("old").trigger(workflow_run_id="order-7")
    drain_here()
    deploy("new")
    clock.advance("1h")
    drain_here()
    assert error_of(failed())[0] == "IncompatibleHistory"
    deploy("old")
    new = dead_letters.resume(letter_of(failed()))
    drain_here()

    assert result_of(new) == "a"
    assert service.visits == ["a"]


def test_a_resumed_run_can_fail_and_be_resumed_again(order: Run, service: Service) -> None:
    second = dead_letters.resume(letter_of(order))
    drain_here()
    service.refused = {"c"}
    third = dead_letters.resume(letter_of(second))
    drain_here()
    service.refused.clear()
    fourth = dead_letters.resume(letter_of(third))
    drain_here()

    assert result_of(fourth) == ["a", "b", "c"]
    assert service.visits == ["a", "b", "b", "b", "c", "c"]


# -- restarting


def test_a_restarted_run_runs_all_steps_again(order: Run, service: Service) -> None:
    service.refused.clear()
    new = dead_letters.restart(letter_of(order))
    drain_here()

    assert result_of(new) == ["a", "b", "c"]
    assert service.visits == ["a", "b", "a", "b", "c"]
    assert new.origin == order
    assert not DeadLetter.objects.exists()


# -- doing it otherwise


@pytest.mark.parametrize("verb", [dead_letters.resume, dead_letters.restart])
def test_a_run_that_is_taken_up_again_may_be_given_another_policy(
    verb: Any, order: Run, clock: Clock
) -> None:
    new = verb(
        letter_of(order),
        Overrides(
            retries=9,
            retry_delay="9000",
            delay=timedelta(minutes=5),
            failure_url="https://app.example/failed",
            labels=("repaired", "repaired", "vip"),
            flow_control=FlowControlSpec(key="repairs", rate=1),
        ),
    )

    new.refresh_from_db()
    assert (new.retries, new.retry_delay, new.failure_url) == (
        9,
        "9000",
        "https://app.example/failed",
    )
    assert new.label_list == ["repaired", "vip"]
    assert list(new.label_rows.values_list("name", flat=True)) == ["repaired", "vip"]
    assert new.flow_control == FlowControl.objects.get(key="repairs")
    assert owed_to(new) == [("turn", "", clock.now + timedelta(minutes=5))]


def test_an_empty_override_overrides(order: Run) -> None:
    Run.objects.filter(pk=order.pk).update(retries=3, failure_url="https://app.example/failed")

    new = dead_letters.resume(
        letter_of(order), Overrides(retries=0, retry_delay="", failure_url="", labels=())
    )

    assert (new.retries, new.retry_delay, new.failure_url, new.label_list) == (0, "", "", [])


@pytest.mark.parametrize(
    ("overrides", "error", "sentence"),
    [
        (
            {"retries": 1001},
            InvalidInput,
            "retries must be 0 to 1000, not 1001",
        ),
        (
            {"delay": timedelta(days=366)},
            InvalidInput,
            "a run can be delayed by at most 365d, not 366d",
        ),
        (
            {"failure_url": "nowhere"},
            InvalidUrl,
            "'nowhere' is not a URL to send requests to; it must be absolute and begin with "
            "http:// or https://.",
        ),
        (
            {"labels": ("",)},
            InvalidInput,
            "a label is a text of 1 to 255 characters without a comma, not ''",
        ),
        (
            {"flow_control": FlowControlSpec(key="", rate=1)},
            InvalidInput,
            "a flow control key is a text of 1 to 255 characters",
        ),
    ],
    ids=["retries", "delay", "failure url", "labels", "flow control"],
)
def test_what_cannot_be_a_policy_is_refused_and_the_entry_stays(
    overrides: dict[str, Any], error: type[InvalidInput], sentence: str, order: Run
) -> None:
    with pytest.raises(error) as refusal:
        dead_letters.resume(letter_of(order), Overrides(**overrides))

    assert refusal.value.message == sentence
    assert DeadLetter.objects.count() == Run.objects.count() == 1


# -- in bulk


@pytest.fixture
def letters(define: Define, service: Service, clock: Clock) -> list[DeadLetter]:
    @define(retries=0)
    async def story(context: Any) -> Any:
        await context.run("a", service.visit, "a")
        return await context.run("b", service.visit, "b")

    story.trigger_many([1, 2, 3])
    drain_here()
    return list(DeadLetter.objects.order_by("pk"))


def test_many_are_resumed_at_once(letters: list[DeadLetter], service: Service) -> None:
    service.refused.clear()
    runs = dead_letters.resume_all(letters)
    drain_here()

    assert [result_of(run) for run in runs] == ["b"] * 3
    assert service.visits == ["a", "b"] * 3 + ["b"] * 3
    assert [run.origin for run in runs] == [letter.run for letter in letters]


def test_many_are_restarted_at_once(letters: list[DeadLetter], service: Service) -> None:
    service.refused.clear()
    runs = dead_letters.restart_all(letters, Overrides(labels=("again",)))
    drain_here()

    assert [result_of(run) for run in runs] == ["b"] * 3
    assert service.visits == ["a", "b"] * 6
    assert Run.objects.labelled(["again"]).count() == 3


@pytest.mark.parametrize("verb", [dead_letters.resume_all, dead_letters.restart_all])
def test_when_one_of_many_cannot_be_taken_up_again_none_is(
    verb: Any, letters: list[DeadLetter]
) -> None:
    dead_letters.delete(DeadLetter.objects.filter(pk=letters[1].pk))

    with pytest.raises(DeadLetterNotFound):
        verb(letters)

    assert DeadLetter.objects.count() == 2
    assert Run.objects.count() == 3


def test_taking_up_again_rings(letters: list[DeadLetter], bell: Bell) -> None:
    dead_letters.resume_all(letters[:2])
    dead_letters.restart(letters[2])

    assert bell.rings == 3


# -- deleting and finding


def test_what_is_deleted_is_no_longer_in_the_queue_and_its_run_stays(order: Run) -> None:
    assert dead_letters.delete(DeadLetter.objects.all()) == 1
    assert dead_letters.delete(DeadLetter.objects.all()) == 0

    assert failed() == order
    assert Step.objects.filter(run=order).count() == 2


def test_an_entry_is_found_by_its_id_within_its_account(
    order: Run, account: Account, other_account: Account
) -> None:
    letter = letter_of(order)

    assert find_dead_letter(account, letter.public_id) == letter
    for stranger, public_id in (
        (other_account, letter.public_id),
        (account, f"{int(letter.public_id.partition('-')[0]) + 1}-{letter.pk}"),
        (account, f"{letter.public_id.partition('-')[0]}-{letter.pk + 1}"),
    ):
        with pytest.raises(DeadLetterNotFound) as refusal:
            find_dead_letter(stranger, public_id)
        assert refusal.value.message == (
            f'there is no entry "{public_id}" in the dead letter queue of this account'
        )


def test_an_entry_s_id_names_the_moment_of_the_failure(
    order: Run, account: Account, clock: Clock
) -> None:
    assert letter_of(order).public_id == f"1893585600000-{letter_of(order).pk}"
    with pytest.raises(DeadLetterNotFound):
        find_dead_letter(account, "nonsense")


def test_attempts_stay_with_the_run_that_made_them(order: Run) -> None:
    new = dead_letters.resume(letter_of(order))

    assert Attempt.objects.filter(run=order).count() == 1
    assert Attempt.objects.filter(run=new).count() == 0
