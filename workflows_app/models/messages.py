"""Messages: the work that is owed, each with its due time. The only queue, the only timer."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import F, Q

from workflows_app.models.access import Account
from workflows_app.models.definitions import Definition
from workflows_app.models.flow_control import FlowControl
from workflows_app.models.runs import Run

_ID_IN_ORDER = F("id") + 0
"""By the id itself, PostgreSQL would also look ids up in the index of due times when it thinks the
table empty, and go on to do so by the plans that it keeps.
"""


class MessageQuerySet(models.QuerySet["Message"]):
    def due(self, now: datetime) -> Self:
        """Claimable by time: not leased, or under a lease that ran out."""
        return self.filter(due_at__lte=now)

    def leased(self, now: datetime) -> Self:
        return self.filter(token__isnull=False, due_at__gt=now)

    def by_due_time(self) -> Self:
        """In the order in which they are claimed, which an index has."""
        return self.order_by("flow_control_id", "due_at", _ID_IN_ORDER)

    def held(self, message_id: int, token: str) -> Self:
        """The row, if `token` is its lease. Every write of a delivery goes through this fence."""
        return self.filter(pk=message_id, token=token)

    def lock_turns(self, run_ids: Collection[int]) -> None:
        """As `lock_turn`, in one order."""
        turns = self.filter(run_id__in=run_ids, kind=Message.Kind.TURN)
        list(turns.order_by("pk").select_for_update())

    def lock_turn(self, run_id: int) -> None:
        """Comes before any other lock on the run or its messages, wherever several are needed: so
        none waits for another in a circle. Adding an attempt locks its run too.
        """
        list(self.filter(run_id=run_id, kind=Message.Kind.TURN).select_for_update())

    def tell_turn(self, run_id: int) -> None:
        """Have the run's turn, if it is at work, see by `wakes` that something came; otherwise it
        keeps its time.
        """
        turn = self.filter(run_id=run_id, kind=Message.Kind.TURN)
        turn.update(wakes=F("wakes") + 1)

    def wake_run(self, run_id: int, now: datetime) -> int:
        """Make the run's turn due; a turn at work sees by `wakes` that something came."""
        turn = self.filter(run_id=run_id, kind=Message.Kind.TURN)
        return turn.update(
            wakes=F("wakes") + 1,
            due_at=models.Case(
                models.When(token__isnull=True, then=models.Value(now)), default=F("due_at")
            ),
        )


_ADDRESSEES = ("run", "publication", "schedule", "definition")


def _owed_to_one() -> Q:
    owed = Q(kind="pruning", **{f"{each}__isnull": True for each in _ADDRESSEES})
    for addressee in _ADDRESSEES:
        owed |= Q(**{f"{each}__isnull": each != addressee for each in _ADDRESSEES})
    return owed


class Message(models.Model):
    """Something that is owed at `due_at`.

    A lease is `due_at` moved into the future together with a `token`. The row is deleted in the
    transaction that settles it.
    """

    class Kind(models.TextChoices):
        TURN = "turn"
        """Work on a live run until its next wait. Each live run has exactly one."""
        CALL = "call"
        """The HTTP request of a `context.call`."""
        FAILURE = "failure"
        """Tell the failure function or failure URL of a failed run."""
        DELIVERY = "delivery"
        """Deliver a published step, or the start of a run, to the run's endpoint."""
        TIMEOUT = "timeout"
        """The deadline of a waiter."""
        REPORT = "report"
        """Tell a run how a run that it invoked has ended."""
        PUBLICATION = "publication"
        """A plain message of no run."""
        SCHEDULE = "schedule"
        """The next slot of a schedule."""
        TERMINATION = "termination"
        """End live runs of a workflow, many at a time."""
        PRUNING = "pruning"
        """Forget what ended long ago, many at a time. Owed to nobody, and always again."""

    id: int
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    run = models.ForeignKey(
        Run, null=True, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    run_id: int | None
    publication = models.ForeignKey(
        "Publication",
        null=True,
        on_delete=models.CASCADE,
        related_name="messages",
        db_index=False,
    )
    publication_id: int | None
    schedule = models.ForeignKey(
        "Schedule", null=True, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    schedule_id: int | None
    definition = models.ForeignKey(
        Definition, null=True, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    definition_id: int | None
    queue = models.ForeignKey(
        "Queue",
        null=True,
        on_delete=models.CASCADE,
        related_name="messages",
        db_index=False,
        help_text="One that waits for its turn there has no due time.",
    )
    queue_id: int | None
    kind = models.CharField(max_length=16, choices=Kind.choices)
    due_at = models.DateTimeField(null=True, help_text="Empty: waits for a wake, not for time.")
    parked_for = models.DurationField(
        null=True,
        help_text="Of a paused run: how long after its resumption it falls due.",
    )
    token = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001 - null is "no lease"
    claims = models.PositiveIntegerField(default=0, help_text="How often it was claimed.")
    lapses = models.PositiveIntegerField(
        default=0, help_text="How many of its leases in a row have run out."
    )
    lapsed_after = models.BigIntegerField(
        null=True, editable=False, help_text="The newest step of its run when one last did."
    )
    wakes = models.PositiveIntegerField(default=0, help_text="How often something woke it.")
    flow_control = models.ForeignKey(
        FlowControl, null=True, on_delete=models.SET_NULL, related_name="messages", db_index=False
    )
    key = models.CharField(max_length=320, blank=True, default="", help_text="The step it serves.")
    at_step = models.CharField(
        max_length=320,
        blank=True,
        default="",
        db_default="",
        help_text="The key of the step in flight, as its lease was renewed last.",
    )
    at_step_since = models.DateTimeField(null=True, help_text="When that attempt began.")
    request = models.TextField(
        blank=True,
        default="",
        help_text="JSON: what a call is to send; what the middlewares of a turn's run know.",
    )
    created_at = models.DateTimeField()

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = "owed message"
        constraints = [
            models.UniqueConstraint(fields=["run", "kind", "key"], name="nothing_is_owed_twice"),
            models.UniqueConstraint(
                fields=["publication"],
                condition=Q(publication__isnull=False),
                name="a_publication_is_owed_once",
            ),
            models.UniqueConstraint(
                fields=["schedule"],
                condition=Q(schedule__isnull=False),
                name="a_schedule_has_one_next_slot",
            ),
            models.UniqueConstraint(
                fields=["definition"],
                condition=Q(definition__isnull=False),
                name="a_workflow_has_one_termination",
            ),
            models.UniqueConstraint(
                fields=["kind"], condition=Q(kind="pruning"), name="pruning_is_owed_once"
            ),
            models.CheckConstraint(condition=_owed_to_one(), name="a_message_is_owed_to_one"),
            models.CheckConstraint(
                condition=Q(token__isnull=True) | Q(due_at__isnull=False),
                name="a_lease_runs_out",
            ),
        ]
        indexes = [
            models.Index("flow_control", "due_at", _ID_IN_ORDER, name="message_by_due_time"),
            # Few rows are leased at a time, however many wait: slots are counted here.
            models.Index(
                fields=["account", "flow_control"],
                condition=Q(token__isnull=False),
                name="message_in_flight",
            ),
            models.Index(
                fields=["queue", "due_at", "id"],
                condition=Q(queue__isnull=False),
                name="message_by_queue",
            ),
        ]

    def __str__(self) -> str:
        owed_to = (getattr(self, f"{addressee}_id") for addressee in _ADDRESSEES)
        return f"{self.kind} of {next(filter(None, owed_to), 'all')}"
