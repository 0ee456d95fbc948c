"""The kit in the test cases of Django, with and without a transaction, and in async tests."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import TestCase, TransactionTestCase

from tests.shells import Define, registry
from workflows_app import AsyncContext, Context, Workflow, workflow
from workflows_app.testing import WorkflowTest

__all__ = ["registry"]


def make_workflow() -> Workflow:
    @workflow("kept", retries=0)
    def kept(context: Context) -> Any:
        results = context.parallel(
            lambda: context.run("one", threading.get_ident),
            lambda: context.run("two", threading.get_ident),
        )
        context.sleep("nap", "1h")
        return results

    return kept


@pytest.mark.usefixtures("registry")
class PlainTests(TestCase):
    def setUp(self) -> None:
        self.workflows = self.enterContext(WorkflowTest())

    def test_all_is_done_in_the_tests_own_thread(self) -> None:
        run = self.workflows.start(make_workflow())
        self.workflows.advance("1h")

        self.assertEqual(run.result, [threading.get_ident()] * 2)

    def test_nothing_of_other_tests_is_there(self) -> None:
        self.assertEqual(self.workflows.runs(), [])

    async def test_an_async_test_calls_the_driver_by_sync_to_async(self) -> None:
        @workflow("told")
        async def told(context: AsyncContext) -> Any:
            return (await context.wait_for_event("wait", "go")).event_data

        run = await sync_to_async(self.workflows.start)(told)
        await sync_to_async(self.workflows.notify)("go", 7, run=run)

        self.assertEqual(await sync_to_async(lambda: run.result)(), 7)


@pytest.mark.usefixtures("registry")
class CommittingTests(TransactionTestCase):
    def test_branches_have_threads_of_their_own(self) -> None:
        with WorkflowTest() as workflows:
            run = workflows.start(make_workflow())
            workflows.advance("1h")

            self.assertNotIn(threading.get_ident(), run.result)
            self.assertEqual(len(set(run.result)), 2)

    def test_mocks_failures_and_crashes_reach_them(self) -> None:
        with WorkflowTest() as workflows:
            workflows.mock_step("one", returns=1)
            workflows.mock_step("two", returns=2)
            workflows.crash_before_storing("two")

            run = workflows.start(make_workflow())
            workflows.advance("1h")

            self.assertEqual(run.result, [1, 2])


@pytest.mark.django_db(transaction=True)
def test_a_step_may_take_too_long(define: Define, flows: WorkflowTest):
    gate = threading.Event()

    @define(retries=0, timeout="0.01s")
    async def slow(context: Any) -> None:
        await context.run("wait", gate.wait, 10)

    run = flows.start(slow)
    gate.set()

    run.assert_step("wait", error="StepTimeout")
