"""A schedule for each user: from the day of the sign-up on, a summary each week.

Shows a workflow that a schedule starts, and how code makes and deletes schedules while it runs: it
asks for them over HTTP, by the client, also where the server is its own.

    manage.py workflows trigger send-weekly-summary --body '{"email": "ada@example.org"}'
"""

from __future__ import annotations

from datetime import datetime

from examples.mail import send_mail
from workflows_app import Context, workflow
from workflows_app.client import Client


@workflow("send-weekly-summary", retries=3)
def send_weekly_summary(context: Context) -> str:
    email: str = context.request_payload["email"]
    solved = context.run("count-solved-problems", count_solved_problems, email)
    return context.run("send-summary", send_mail, email, f"Problems solved this week: {solved}")


def schedule_summary(client: Client, email: str, signed_up: datetime) -> str:
    """To be called where a user signs up, with a `Client()` that is made once and shared.

    To schedule it again replaces what was there, as the schedule has a name. Returns its id.
    """
    weekly = f"{signed_up.minute} {signed_up.hour} * * {signed_up.isoweekday() % 7}"
    return client.schedules.create(
        "send-weekly-summary", weekly, {"email": email}, schedule_id=f"summary-{email}"
    )


def stop_summary(client: Client, email: str) -> None:
    client.schedules.delete(f"summary-{email}")


def count_solved_problems(email: str) -> int:
    """What this site knows about the user; made up here."""
    return len(email) % 7
