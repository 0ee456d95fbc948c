"""Failed runs that wait for a person's decision."""

from __future__ import annotations

from typing import Any, Self

from django.db import models

from workflows_app.models.access import Account
from workflows_app.models.runs import Run
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.ids import dead_letter_id


class DeadLetterQuerySet(models.QuerySet["DeadLetter"]):
    def of(self, account: Account) -> Self:
        return self.filter(account=account)

    def by_failure(self) -> models.QuerySet[Any]:
        """How many have failed alike: with the same error, at the same step of one workflow; and
        the primary keys of the oldest and the newest of them. The largest group first.
        """
        groups = self.order_by().values("workflow", "error_type", "step")
        counted = groups.annotate(
            number=models.Count("pk"), first=models.Min("pk"), last=models.Max("pk")
        )
        return counted.order_by("-number", "-last")


class DeadLetter(models.Model):
    """One per failed run, until it is resumed, restarted or deleted."""

    class CallbackState(models.TextChoices):
        """What became of the failure function or failure URL."""

        NONE = "", "none"
        IN_PROGRESS = "in_progress"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELED = "canceled"

    id: int
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="dead_letters")
    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="dead_letter")
    run_id: int
    # What they are grouped by, as their runs say it.
    workflow = models.CharField(max_length=200, blank=True, editable=False)
    error_type = models.CharField(max_length=200, blank=True, editable=False)
    step = models.CharField(
        max_length=256, blank=True, editable=False, help_text="Its name; empty for the function."
    )
    callback_state = models.CharField(
        max_length=16, choices=CallbackState.choices, blank=True, default=CallbackState.NONE
    )
    callback_response = models.TextField(
        blank=True, default="", help_text="JSON: status, headers, body of the last answer."
    )
    created_at = models.DateTimeField()

    objects = DeadLetterQuerySet.as_manager()

    class Meta:
        permissions = [("retry_callback_deadletter", "Can retry failure callbacks")]
        indexes = [
            models.Index(fields=["account", "id"], name="dead_letter_by_account"),
            models.Index(
                fields=["account", "workflow", "error_type", "step", "id"],
                name="dead_letter_by_error",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """`<unix milliseconds>-<n>` (Upstash reference 5.7)."""
        return dead_letter_id(unix_milliseconds(self.created_at), self.pk)
