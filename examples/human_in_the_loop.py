"""Human in the loop: nothing goes on until a person has decided, for which there is a week.

Shows an event that is meant for one run, the view that sends it, a middleware that lets a page show
what the run waits for, and a run that ends as cancelled when nobody decides.

    manage.py workflows trigger human-in-the-loop --body '{"user_id": "user_123", "action":
        "approve_document"}'
"""

from __future__ import annotations

import json
from typing import TypedDict

from django.core.cache import cache
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET, require_POST

from examples.mail import send_mail
from workflows_app import (
    AsyncContext,
    Callbacks,
    Middleware,
    RunCompleted,
    StepFinished,
    StepStarted,
    notify,
    workflow,
)

APPROVAL = "wait-for-approval"


class Request(TypedDict):
    user_id: str
    action: str


class Decision(TypedDict):
    approved: bool
    by: str


class Outcome(TypedDict):
    approved: bool
    by: str
    result: str


def tell_waiting(moment: StepStarted) -> None:
    if moment.step_name == APPROVAL:
        cache.set(moment.workflow_run_id, "waits for a decision")


def tell_resolved(moment: StepFinished) -> None:
    if moment.step_name == APPROVAL:
        cache.set(moment.workflow_run_id, "decided")


def tell_finished(moment: RunCompleted) -> None:
    cache.set(moment.workflow_run_id, "finished")


progress = Middleware(
    "progress",
    callbacks=Callbacks(
        before_execution=tell_waiting, after_execution=tell_resolved, run_completed=tell_finished
    ),
)


@workflow("human-in-the-loop", retries=3, middlewares=[progress])
async def human_in_the_loop(context: AsyncContext) -> Outcome:
    request: Request = context.request_payload
    draft = await context.run("initial-processing", prepare, request["action"])
    await context.run("ask", send_mail, "editors@example.org", f"Please decide: {draft}")

    waited = await context.wait_for_event(
        APPROVAL, approval_of(context.workflow_run_id), timeout="7d"
    )
    if waited.timeout:
        await context.cancel()
    decision: Decision = waited.event_data
    finish = publish if decision["approved"] else reject
    result = await context.run("process-decision", finish, draft)
    return {**decision, "result": result}


def approval_of(run_id: str) -> str:
    return f"approval-{run_id}"


@require_POST
def decide(request: HttpRequest, run_id: str) -> JsonResponse:
    """The view behind the two buttons; it belongs behind a login.

    As it names the run, the decision is kept for it should it not wait yet.
    """
    decision: Decision = json.loads(request.body)
    notified = notify(approval_of(run_id), decision, run_id)
    return JsonResponse({"notified": len(notified)})


@require_GET
def show(request: HttpRequest, run_id: str) -> JsonResponse:
    """What a page with the buttons asks for now and then."""
    return JsonResponse({"state": cache.get(run_id, "unknown")})


def prepare(action: str) -> str:
    return action.replace("_", " ")


def publish(draft: str) -> str:
    return f"{draft}: published"


def reject(draft: str) -> str:
    return f"{draft}: rejected"
