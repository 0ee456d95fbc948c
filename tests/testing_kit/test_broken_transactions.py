"""What breaks a transaction in a step does not break the one that the test runs in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, IntegrityError, connection

from tests.shells import Define
from workflows_app import Context, StepError, Workflow, workflow
from workflows_app.testing import WorkflowTest

pytestmark = pytest.mark.django_db


def twice() -> None:
    Group.objects.create(name="one")
    Group.objects.create(name="one")


def swallowing() -> str:
    try:
        twice()
    except IntegrityError:
        return "there was one"
    return "never"


def raw() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")


@pytest.mark.parametrize(("work", "error"), [(twice, IntegrityError), (raw, DatabaseError)])
@pytest.mark.parametrize("method", ["run", "atomic"])
def test_a_step_that_fails_in_the_database_fails_as_ever(
    define: Define, flows: WorkflowTest, work: Callable[[], None], error: type, method: str
):
    @define(retries=0)
    async def story(context: Any) -> str:
        await context.run("before", lambda: Group.objects.create(name="kept").pk)
        try:
            await getattr(context, method)("fail", work)
        except StepError:
            return str(await context.run("after", lambda: "after all"))
        return "never"

    run = flows.start(story)

    assert run.result == "after all"
    failed = run.step("fail").error
    assert failed is not None
    assert failed.type in {each.__name__ for each in (error, *error.__subclasses__())}
    assert Group.objects.filter(name="kept").exists()


def test_a_step_may_swallow_an_error_of_the_database(define: Define, flows: WorkflowTest):
    @define(retries=0)
    async def story(context: Any) -> Any:
        return await context.run("try", swallowing)

    assert flows.start(story).result == "there was one"


def test_the_function_may_fail_in_the_database_between_its_steps(
    registry: dict[str, Workflow], flows: WorkflowTest
):
    @workflow("story", retries=0)
    def story(context: Context) -> None:
        context.run("before", lambda: Group.objects.create(name="kept").pk)
        twice()

    run = flows.start(story)

    assert run.error is not None
    assert run.error.type == "IntegrityError"
    run.assert_steps("before")
    assert Group.objects.get().name == "kept"


def test_what_a_failing_step_has_written_stays_where_nothing_is_broken(
    define: Define, flows: WorkflowTest
):
    def write_and_fail() -> None:
        Group.objects.create(name="half done")
        raise ValueError("no")

    @define(retries=0)
    async def story(context: Any) -> Any:
        await context.run("fail", write_and_fail)

    flows.start(story)

    assert Group.objects.get().name == "half done"


@pytest.mark.parametrize("work", [twice, raw])
def test_over_http_as_well(define: Define, flows: WorkflowTest, work: Callable[[], None]):
    @define(retries=0, transport="http")
    async def story(context: Any) -> Any:
        await context.run("fail", work)

    flows.start(story).assert_step("fail", attempts=1)


def test_a_failure_function_may_fail_in_the_database(define: Define, flows: WorkflowTest):
    told: list[int] = []

    @define(retries=1, retry_delay="1000")
    async def story(context: Any) -> Any:
        raise ValueError("no")

    @story.on_failure
    def tell(failure: Any) -> None:
        told.append(failure.attempt)
        if failure.attempt == 1:
            twice()

    run = flows.start(story)
    flows.advance("1m")

    assert run.status == "failed"
    assert told == [1, 2]
