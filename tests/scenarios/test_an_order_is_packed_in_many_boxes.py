"""A run has its parts done by runs of their own, at once, and people can follow it to each."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.test import Client

from tests.scenarios.conftest import Api
from tests.scenarios.workers import at_work, ended
from workflows_app import Context, Workflow, workflow
from workflows_app.models import Message, Run

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS = ["teapot", "glass", *(f"cup-{number}" for number in range(20))]


@pytest.fixture
def order(registry: dict[str, Workflow]) -> Workflow:
    @workflow("pack", retries=0)
    def pack(context: Context) -> str:
        item = context.request_payload
        if item == "glass":
            raise ValueError("glass breaks")
        return context.run("box", "box of {}".format, item)

    @workflow("order")
    def order(context: Context) -> Any:
        def packed(item: str) -> str:
            ended = context.invoke("pack", workflow=pack, body=item)
            return context.run("label", str, "lost" if ended.is_failed else ended.body)

        return context.parallel(*(partial(packed, item) for item in context.request_payload))

    return order


def test_each_part_is_a_run_of_its_own(order: Workflow, api: Api, admin: Client) -> None:
    order.trigger(ITEMS, workflow_run_id="order-7")
    with at_work():
        run = ended("order-7")

    boxes = [f'"box of {item}"' for item in ITEMS]
    boxes[1] = '"lost"'
    assert run.result == f"[{','.join(boxes)}]"
    assert Run.objects.filter(workflow="pack").count() == len(ITEMS)
    assert not Message.objects.exists()

    (logged,) = api.get("/v2/workflows/logs?workflowRunId=order-7")["runs"]
    steps = [step for group in logged["steps"] for step in group["steps"]]
    invoked = [step["invokedWorkflowRunId"] for step in steps if step["stepType"] == "Invoke"]
    assert len(set(invoked)) == len(ITEMS)
    child = Run.objects.get(run_id=invoked[0])
    (part,) = api.get(f"/v2/workflows/logs?workflowRunId={child.run_id}")["runs"]
    assert part["invoker"]["workflowRunId"] == "order-7"
    page = admin.get(f"/admin/workflows_app/run/{child.pk}/change/").content.decode()
    assert f"/admin/workflows_app/run/{run.pk}/change/" in page
