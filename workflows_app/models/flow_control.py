"""Limits shared by all messages of a key: deliveries at once, and starts per period."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

from workflows_app.models.access import Account

OF_WORKFLOWS = "@workflow/"
"""What the keys begin with that no message may name: the limits that workflows have themselves."""
NO_LIMIT = (1 << 31) - 1
"""As a limit, the largest; what the narrowest integer column of the supported databases holds."""


class FlowControl(models.Model):
    """One key's limits and the state of its current rate window.

    Slots are not counted here: a slot is a live lease on a message of this key, so that a
    dead worker's slot comes back with its lease.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="flow_controls")
    key = models.CharField(max_length=255)
    parallelism = models.PositiveIntegerField(null=True, blank=True)
    rate = models.PositiveIntegerField(null=True, blank=True)
    period = models.DurationField(default=timedelta(seconds=1))
    paused = models.BooleanField(default=False, help_text="Nothing starts until it is resumed.")
    parallelism_pinned = models.BooleanField(
        default=False, help_text="What is published does not change it."
    )
    rate_pinned = models.BooleanField(
        default=False, help_text="What is published does not change rate and period."
    )
    window_started_at = models.DateTimeField(null=True, blank=True)
    window_count = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = "flow-control key"
        constraints = [
            models.UniqueConstraint(fields=["account", "key"], name="one_flow_control_per_key"),
            models.CheckConstraint(
                # Compared with nothing, SQL knows neither yes nor no, and lets it pass.
                condition=Q(parallelism__isnull=False, parallelism__gte=1)
                | Q(rate__isnull=False, rate__gte=1),
                name="a_flow_control_limits_something",
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def is_of_workflow(self) -> bool:
        return self.key.startswith(OF_WORKFLOWS)

    def window_ends_at(self) -> datetime | None:
        return self.window_started_at and self.window_started_at + self.period

    def starts_left(self, now: datetime) -> int | None:
        """How many deliveries may start now by the rate; None when there is no rate."""
        if self.rate is None:
            return None
        end = self.window_ends_at()
        if end is None or now >= end:
            return self.rate
        return max(0, self.rate - self.window_count)

    def count_starts(self, starts: int, now: datetime) -> None:
        end = self.window_ends_at()
        if end is None or now >= end:
            self.window_started_at, self.window_count = now, 0
        self.window_count += starts
        self.save(update_fields=["window_started_at", "window_count"])
