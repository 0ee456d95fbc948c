"""Which worker processes there are. Nothing depends on it but what people are shown."""

from __future__ import annotations

from django.db import models


class Worker(models.Model):
    """A worker process, as it has said of itself; one that has ended says nothing any more."""

    id: int
    name = models.CharField(max_length=200, unique=True, help_text="Host, process id and a number.")
    threads = models.PositiveIntegerField()
    at_work = models.TextField(
        default="[]", help_text="JSON: the ids of the messages that it was delivering."
    )
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["seen_at"], name="worker_by_sight")]

    def __str__(self) -> str:
        return self.name
