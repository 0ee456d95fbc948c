"""Steps that do what the test says instead of what they would do."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from tests.shells import Define
from workflows_app import StepError, Workflow, WorkflowNonRetryableError, workflow
from workflows_app.errors import InvalidInput
from workflows_app.testing import WorkflowTest

pytestmark = pytest.mark.django_db

METHODS = ["run", "atomic"]


def charge(amount: int, *, currency: str = "EUR") -> str:
    raise AssertionError("the real function was called")


async def charging(context: Any) -> Any:
    method = getattr(context, context.request_payload)
    return await method("charge", charge, 12, currency="USD")


@pytest.mark.parametrize("method", METHODS)
def test_a_step_returns_what_the_test_says(define: Define, flows: WorkflowTest, method: str):
    flows.mock_step("charge", returns={"id": 7})

    run = flows.start(define()(charging), method)

    assert run.result == {"id": 7}
    run.assert_step("charge", result={"id": 7}, attempts=1)


def test_a_step_may_return_nothing(define: Define, flows: WorkflowTest):
    flows.mock_step("charge", returns=None)

    run = flows.start(define()(charging), "run")

    assert run.result is None
    run.assert_step("charge", result=None)


@pytest.mark.parametrize("method", METHODS)
def test_a_step_calls_another_function_with_its_arguments(
    define: Define, flows: WorkflowTest, method: str
):
    mock = Mock(return_value="charged")
    flows.mock_step("charge", calls=mock)

    run = flows.start(define()(charging), method)

    assert run.result == "charged"
    mock.assert_called_once_with(12, currency="USD")


def test_a_step_of_an_async_workflow_may_call_an_async_function(
    registry: dict[str, Workflow], flows: WorkflowTest
):
    flows.mock_step("charge", calls=AsyncMock(return_value="charged"))

    assert flows.start(workflow("story")(charging), "run").result == "charged"


@pytest.mark.parametrize("method", METHODS)
def test_a_step_raises_and_is_retried_as_ever(define: Define, flows: WorkflowTest, method: str):
    flows.mock_step("charge", raises=ConnectionError("down"))

    run = flows.start(define(retries=1, retry_delay="1000")(charging), method)
    assert [(wait.step, wait.kind) for wait in run.waits] == [("charge", "retry")]
    flows.advance("1s")

    assert run.status == "failed"
    assert run.error is not None
    assert str(run.error) == (
        'step "charge": StepError: step "charge" failed after 2 attempts: ConnectionError: down'
    )
    run.assert_step("charge", error=ConnectionError, attempts=2)


def test_a_class_of_errors_will_do(define: Define, flows: WorkflowTest):
    flows.mock_step("charge", raises=WorkflowNonRetryableError)

    flows.start(define(retries=5)(charging), "run").assert_step(
        "charge", error="WorkflowNonRetryableError", attempts=1
    )


async def two_mails(context: Any) -> list[Any]:
    return [await context.run("mail", lambda: "real") for _ in range(2)]


def test_a_mock_holds_for_all_steps_of_its_name(define: Define, flows: WorkflowTest):
    flows.mock_step("mail", returns="mocked")

    assert flows.start(define()(two_mails)).result == ["mocked", "mocked"]


def test_a_mock_of_a_key_holds_for_one(define: Define, flows: WorkflowTest):
    flows.mock_step("mail#2", returns="mocked")

    assert flows.start(define()(two_mails)).result == ["real", "mocked"]


def test_a_mock_may_be_meant_for_one_workflow(define: Define, flows: WorkflowTest):
    one, other = define("one")(two_mails), define("other")(two_mails)
    flows.mock_step("mail", returns="mocked", workflow=one)

    assert flows.start(one).result == ["mocked", "mocked"]
    assert flows.start(other).result == ["real", "real"]


def test_the_newest_mock_counts(define: Define, flows: WorkflowTest):
    flows.mock_step("mail", returns="old")
    flows.mock_step("mail", returns="new")

    assert flows.start(define()(two_mails)).result == ["new", "new"]


def test_a_mock_holds_in_the_callers_process_too(define: Define, flows: WorkflowTest):
    flows.mock_step("mail", returns="mocked")

    assert define()(two_mails).run().result == ["mocked", "mocked"]


def test_a_mocked_result_must_be_json_as_a_real_one(define: Define, flows: WorkflowTest):
    flows.mock_step("charge", returns={1, 2})

    run = flows.start(define()(charging), "run")

    run.assert_step("charge", error="NotSerializable")


def test_a_mock_says_what_happens_in_one_way(flows: WorkflowTest):
    with pytest.raises(InvalidInput, match=r'step "charge" is mocked by one .*; 0 were given'):
        flows.mock_step("charge")
    with pytest.raises(InvalidInput, match=r"2 were given"):
        flows.mock_step("charge", returns=1, raises=ValueError)


# -- failing


async def patient(context: Any) -> Any:
    return await context.run("fetch", lambda: "fetched")


def test_a_step_fails_so_many_times_and_is_then_itself_again(define: Define, flows: WorkflowTest):
    flows.fail_step("fetch", times=2)

    run = flows.start(define(retries=3, retry_delay="60000")(patient))
    flows.advance("1m")
    assert run.status == "running"
    flows.advance("1m")

    assert run.result == "fetched"
    run.assert_step("fetch", attempts=3)
    assert [(each.step, each.number) for each in run.failed_attempts] == [
        ("fetch", 1),
        ("fetch", 2),
    ]
    assert run.failed_attempts[0].error.message == 'step "fetch" fails, as the test has it'


def test_a_failing_step_is_mocked_again_when_it_was(define: Define, flows: WorkflowTest):
    flows.mock_step("fetch", returns="mocked")
    flows.fail_step("fetch", error=TimeoutError("slow"))

    run = flows.start(define(retries=1, retry_delay="0")(patient))
    flows.advance_to_end(run)

    assert run.result == "mocked"
    assert run.failed_attempts[0].error.type == "TimeoutError"


def test_a_workflow_that_handles_the_failure_goes_on(define: Define, flows: WorkflowTest):
    @define(retries=0)
    async def story(context: Any) -> str:
        try:
            return str(await context.run("fetch", lambda: "fetched"))
        except StepError as error:
            return error.error_type

    flows.fail_step("fetch", error=LookupError)

    assert flows.start(story).result == "LookupError"


def test_a_step_that_was_to_fail_and_was_never_executed_fails_the_test(db: None):
    with (
        pytest.raises(AssertionError, match='step "fech" was to fail, but was never executed'),
        WorkflowTest() as flows,
    ):
        flows.fail_step("fech")


def test_a_step_cannot_fail_less_than_once(flows: WorkflowTest):
    with pytest.raises(InvalidInput, match="times is 1 or more"):
        flows.fail_step("fetch", times=0)
