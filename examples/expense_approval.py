"""Expense approval: money is reserved, a person approves within three days, then it is paid out.

Shows a class-based workflow, as those of Cloudflare are written: steps with policies of their own,
results that steps take from one another, an event with a timeout, a step that is undone when a
later one fails for good.

    manage.py workflows trigger expense-approval --body '{"employee": "ada@example.org", "amount":
        120}'
"""

from __future__ import annotations

from typing import Any, Literal

from examples.mail import send_mail
from workflows_app import (
    NonRetryableError,
    WorkflowEntrypoint,
    WorkflowEvent,
    WorkflowStep,
    WorkflowTimeoutError,
)

PATIENT: Any = {
    "retries": {"limit": 3, "delay": "10 seconds", "backoff": "linear"},
    "timeout": "1 minute",
}
LIMIT = 10_000


class ExpenseApproval(WorkflowEntrypoint, name="expense-approval"):
    async def run(
        self, event: WorkflowEvent, step: WorkflowStep
    ) -> Literal["paid", "declined", "forgotten"]:
        employee, amount = event["payload"]["employee"], event["payload"]["amount"]

        @step.do("reserve the money", config=PATIENT, rollback=release)
        async def reservation() -> str:
            return reserve(amount)

        @step.do("ask the manager")
        async def ask(reservation: str) -> str:
            return send_mail("manager@example.org", f"{employee} asks for {amount} ({reservation})")

        await ask()
        try:
            decision = await step.wait_for_event("the decision", "decided", timeout="3 days")
        except WorkflowTimeoutError:
            await step.do(
                "tell about the silence", lambda: send_mail(employee, "Ask again, please")
            )
            return "forgotten"
        if not decision["payload"]["approved"]:
            return "declined"

        @step.do("pay out", config=PATIENT)
        async def payment(reservation: str) -> str:
            return pay_out(employee, amount, reservation)

        await payment()
        return "paid"


def reserve(amount: int) -> str:
    if amount > LIMIT:
        raise NonRetryableError(f"{amount} is more than anybody may spend")
    return f"reservation of {amount}"


def release(given: Any) -> None:
    """What `rollback` calls: `output` is what the step returned."""
    send_mail("accounting@example.org", f"released: {given.output}")


def pay_out(employee: str, amount: int, reservation: str) -> str:
    """In a project of your own, the bank."""
    return f"{amount} to {employee}, from the {reservation}"
