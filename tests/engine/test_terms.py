"""What versions and accounts set for runs: how many work at once, how many steps they have, how
long they are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from tests.shells import Define
from workflows_app import FlowControlSpec, Workflow
from workflows_app.engine import definitions, leases, recent, retention, triggering
from workflows_app.engine.definitions import VersionOptions
from workflows_app.engine.drain import drain_here
from workflows_app.engine.flow_control import find_flow_control, flow_controls_of
from workflows_app.engine.run_moves import cancel
from workflows_app.errors import InvalidInput, LimitExceeded, NotFound
from workflows_app.models import Account, Run
from workflows_app.protocol.runs import RunRequest

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def nothing_is_known(clock: Clock) -> Iterator[None]:
    recent.forget()
    yield
    recent.forget()


@pytest.fixture
def story(define: Define) -> Workflow:
    @define(retries=0)
    async def story(context: Any) -> Any:
        for number in range(context.request_payload or 0):
            await context.run(f"step {number}", lambda: None)
        await context.sleep("nap", "1m")
        await context.run("last", lambda: None)

    return story


def limit(account: Account, parallelism: int | None) -> None:
    definitions.update(account, "story", VersionOptions(parallelism=parallelism))


# -- at work at once


def test_as_many_runs_work_at_once_as_the_version_says(story: Workflow, account: Account) -> None:
    limit(account, 2)
    story.trigger_many(range(5))

    assert len(leases.claim(10)) == 2
    assert leases.claim(10) == []


def test_a_run_that_waits_leaves_its_place_to_others(story: Workflow, account: Account) -> None:
    limit(account, 1)
    story.trigger_many([1, 1, 1])

    assert drain_here() == 3
    assert Run.objects.live().count() == 3


def test_another_limit_holds_for_what_waits_already(story: Workflow, account: Account) -> None:
    limit(account, 1)
    story.trigger_many(range(9))
    assert len(leases.claim(10)) == 1

    limit(account, 3)
    assert len(leases.claim(10)) == 2
    limit(account, 2)
    assert leases.claim(10) == []
    limit(account, None)
    assert len(leases.claim(10)) == 6


def test_a_first_limit_holds_for_runs_that_are_accepted_from_then_on(
    story: Workflow, account: Account
) -> None:
    story.trigger_many(range(3))
    limit(account, 1)
    story.trigger_many(range(3))

    assert len(leases.claim(10)) + len(leases.claim(10)) == 3 + 1


def test_a_run_with_flow_control_of_its_own_has_that_alone(
    story: Workflow, account: Account
) -> None:
    limit(account, 1)
    story.trigger_many(range(3), flow_control=FlowControlSpec(key="k", parallelism=2))

    assert len(leases.claim(10)) == 2


def test_the_limits_of_two_workflows_or_two_accounts_are_apart(
    define: Define, story: Workflow, account: Account, other_account: Account
) -> None:
    @define("other")
    async def other(context: Any) -> None: ...

    limit(account, 1)
    story.trigger_many(range(2))
    other.trigger_many(range(2))
    triggering.trigger(other_account, [story.request()] * 2)

    assert sum(len(leases.claim(10)) for _ in range(3)) == 1 + 2 + 2


def test_messages_cannot_name_the_limit_of_a_workflow(story: Workflow, account: Account) -> None:
    limit(account, 1)
    story.trigger()
    control = Run.objects.get().flow_control

    assert control is not None
    assert control.is_of_workflow
    with pytest.raises(InvalidInput, match='does not begin with "@workflow/"'):
        story.trigger(flow_control=FlowControlSpec(key=control.key, parallelism=9))
    with pytest.raises(NotFound):
        find_flow_control(account, control.key)
    assert not flow_controls_of(account).exists()


def test_a_limit_is_at_least_1_and_at_most_that_of_the_account(
    story: Workflow, account: Account
) -> None:
    account.parallelism = 5
    account.save()

    for wrong in (0, 6):
        with pytest.raises(LimitExceeded, match=f"to 1 to 5, not to {wrong}"):
            limit(account, wrong)
    limit(account, 5)


# -- steps


@pytest.mark.parametrize(("steps", "status"), [(2, "running"), (3, "failed")])
def test_the_step_beyond_the_limit_fails_the_run(
    story: Workflow, account: Account, steps: int, status: str
) -> None:
    definitions.update(account, "story", VersionOptions(step_limit=2))
    story.trigger(steps)
    drain_here()

    run = Run.objects.get()
    assert run.status == status
    if run.error_info is not None:
        assert run.error_info["type"] == "LimitExceeded"
        assert 'step "step 2" is one more than the 2 that run' in run.error_info["message"]
        assert run.steps.count() == 2


def test_steps_of_former_turns_count_and_sleeps_do_not(
    story: Workflow, account: Account, clock: Clock
) -> None:
    definitions.update(account, "story", VersionOptions(step_limit=3))
    story.trigger_many([2, 3])
    drain_here()
    clock.advance("1m")
    drain_here()

    statuses = list(Run.objects.order_by("pk").values_list("status", flat=True))
    assert statuses == ["succeeded", "failed"]


def test_a_retried_step_counts_once(define: Define, account: Account, clock: Clock) -> None:
    answers = iter([False, False, False, True])

    @define(retries=5, retry_delay="1s")
    async def story(context: Any) -> None:
        await context.run("flaky", lambda: 1 // next(answers))

    definitions.update(account, "story", VersionOptions(step_limit=1))
    story.trigger()
    while drain_here():
        clock.advance("1s")

    assert Run.objects.get().status == "succeeded"


def test_without_a_limit_of_its_own_a_run_has_that_of_the_settings(
    story: Workflow, settings: Settings
) -> None:
    settings.WORKFLOWS = {"MAX_STEPS": 1}
    story.trigger(2)
    drain_here()

    assert Run.objects.get().status == "failed"


def test_a_run_keeps_the_step_limit_of_its_version(
    story: Workflow, account: Account, clock: Clock
) -> None:
    definitions.update(account, "story", VersionOptions(step_limit=3))
    story.trigger(2)
    drain_here()
    definitions.update(account, "story", VersionOptions(step_limit=1))
    clock.advance("1m")
    drain_here()

    assert Run.objects.get().status == "succeeded"


@pytest.mark.parametrize("wrong", [0, 25_001])
def test_a_step_limit_has_limits(story: Workflow, account: Account, wrong: int) -> None:
    with pytest.raises(LimitExceeded, match=f"to 1 to 25000, not to {wrong}"):
        definitions.update(account, "story", VersionOptions(step_limit=wrong))


# -- retention


def keep(account: Account, success: timedelta | None, error: timedelta | None = None) -> None:
    definitions.set_retention(account, success_retention=success, error_retention=error)


def kept_for() -> list[timedelta | None]:
    return list(Run.objects.order_by("pk").values_list("success_retention", flat=True))


def test_the_retention_is_that_of_the_run_else_of_its_version_else_of_its_account(
    story: Workflow, account: Account
) -> None:
    story.trigger()
    keep(account, 3 * DAY)
    story.trigger()
    definitions.update(account, "story", VersionOptions(success_retention=2 * DAY))
    story.trigger()
    triggering.trigger(account, [replace(story.request(), success_retention=timedelta())])
    triggering.trigger(account, [RunRequest(url="https://a.example.org/")])

    assert kept_for() == [None, 3 * DAY, 2 * DAY, timedelta(), 3 * DAY]


def test_who_changes_one_retention_leaves_the_other_as_it_was_set_meanwhile(
    account: Account,
) -> None:
    definitions.set_retention(account, success_retention=3 * DAY)
    definitions.set_retention(account, error_retention=2 * DAY)

    account.refresh_from_db()
    assert (account.success_retention, account.error_retention) == (3 * DAY, 2 * DAY)


def test_runs_go_when_their_own_retention_is_over(
    define: Define, account: Account, clock: Clock
) -> None:
    @define(retries=0)
    async def story(context: Any) -> None:
        if context.request_payload == "fail":
            raise OSError
        if context.request_payload == "wait":
            await context.sleep("nap", "30d")

    keep(account, DAY, 2 * DAY)
    for payload in ("succeed", "fail", "wait", "live"):
        story.trigger("wait" if payload == "live" else payload, workflow_run_id=payload)
    drain_here()
    cancel(Run.objects.get(run_id="wait"))

    def left() -> set[str]:
        retention.prune(30 * DAY)
        return set(Run.objects.values_list("run_id", flat=True))

    assert left() == {"succeed", "fail", "wait", "live"}
    clock.advance(DAY)
    assert retention.prunable(30 * DAY) == 2
    assert left() == {"fail", "live"}
    clock.advance(DAY)
    assert left() == {"live"}


def test_a_run_with_a_retention_of_its_own_outlives_the_general_one(
    story: Workflow, account: Account, clock: Clock
) -> None:
    story.trigger()
    keep(account, 10 * DAY)
    story.trigger()
    drain_here()
    clock.advance("1m")
    drain_here()
    clock.advance(5 * DAY)

    assert (retention.prunable(DAY), retention.prunable(None)) == (1, 0)
    assert retention.prune(DAY) == 1
    assert kept_for() == [10 * DAY]


@pytest.mark.parametrize("wrong", [timedelta(days=30, seconds=1), -DAY])
def test_a_retention_has_limits_wherever_it_is_set(
    story: Workflow, account: Account, wrong: timedelta
) -> None:
    with pytest.raises(InvalidInput):
        keep(account, wrong)
    with pytest.raises(InvalidInput):
        definitions.update(account, "story", VersionOptions(error_retention=wrong))
    with pytest.raises(InvalidInput):
        triggering.trigger(account, [replace(story.request(), success_retention=wrong)])


def test_without_a_maximum_runs_may_be_kept_as_long_as_there_are_dates(
    account: Account, define: Define, settings: Settings
) -> None:
    settings.WORKFLOWS = {"MAX_RETENTION": None}

    @define()
    async def story(context: Any) -> None: ...

    with pytest.raises(LimitExceeded, match="at most 365000d"):
        keep(account, 9000 * 365 * DAY)
    keep(account, 1000 * 365 * DAY)
    story.trigger()
    drain_here()

    assert Run.objects.get().status == Run.Status.SUCCEEDED
