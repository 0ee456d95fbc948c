"""Runs that wait for an event, and events for which nobody waited yet."""

from __future__ import annotations

from django.db import models

from workflows_app.models.access import Account
from workflows_app.models.runs import Run


class Waiter(models.Model):
    """A step that waits for an event until its deadline.

    Of event, deadline and the run's end, the one that deletes the row resolves it.
    """

    id: int
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="waiters", db_index=False
    )
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="waiters", db_index=False)
    run_id: int
    key = models.CharField(max_length=320, help_text="The step that waits.")
    event_id = models.CharField("event id", max_length=512)
    step = models.TextField(help_text="JSON: the step as it is to be completed.")
    options = models.TextField(
        default="{}", help_text="JSON: how the completed step is delivered, where that differs."
    )
    deadline = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="one_waiter_per_step")]
        indexes = [
            models.Index(fields=["account", "event_id"], name="waiter_by_event"),
            models.Index(fields=["run", "event_id"], name="waiter_by_run"),
        ]

    def __str__(self) -> str:
        return f"{self.key} waits for {self.event_id}"


class Event(models.Model):
    """An event that was sent to a run before it waited; the oldest is found first."""

    id: int
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events", db_index=False)
    run_id: int
    event_id = models.CharField("event id", max_length=512)
    data = models.BinaryField(default=b"")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "unclaimed event"
        indexes = [models.Index(fields=["run", "event_id", "id"], name="event_by_run")]

    def __str__(self) -> str:
        return self.event_id
