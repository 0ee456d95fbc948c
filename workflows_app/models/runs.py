"""Runs, their journal of steps, and the attempts that failed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.db import connections, models
from django.db.models import Q

from workflows_app.models.access import Account
from workflows_app.models.definitions import Version
from workflows_app.models.flow_control import FlowControl
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.ids import name_within
from workflows_app.protocol.runs import UNDO


class RunQuerySet(models.QuerySet["Run"]):
    def of(self, account: Account) -> Self:
        return self.filter(account=account)

    def live(self) -> Self:
        return self.filter(status=Run.Status.RUNNING)

    def ended(self) -> Self:
        return self.exclude(status=Run.Status.RUNNING)

    def ended_before(self, moment: datetime) -> Self:
        return self.filter(ended_at__lt=moment)

    def newest_first(self) -> Self:
        return self.order_by("-id")

    def lock(self, run_pk: int) -> Run | None:
        """The run, see `locked`."""
        return self.filter(pk=run_pk).locked().first()

    def locked(self) -> Self:
        """This comes before any other lock on a remote run or its messages, wherever several are
        needed. It leaves rows that refer to the run free to be added.
        """
        features = connections[self.db].features
        return self.select_for_update(no_key=features.has_select_for_no_key_update)

    def live_named(self, account: Account | int, run_id: str) -> Self:
        """The live run of this id; of several, which only runs named within their workflows can be,
        the newest comes first.
        """
        return self.filter(account=account, run_id=run_id).live().newest_first()

    def labelled(self, labels: list[str]) -> Self:
        return self.filter(pk__in=RunLabel.objects.filter(name__in=labels).values("run"))


class Run(models.Model):
    """One execution of a workflow.

    `run_id` is the public id; it may be used again once the run has ended, so `live_id`
    repeats it only while the run is alive: that is what makes a second trigger find the first.
    Of a run that is `named_within` its workflow, `live_id` begins with the workflow.
    """

    class Status(models.TextChoices):
        RUNNING = "running"
        """Accepted, and not ended: queued, at work, asleep or waiting."""
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELED = "canceled"

    class Source(models.TextChoices):
        """What has started it."""

        API = "api", "API"
        PYTHON = "python", "Python"
        SCHEDULE = "schedule"
        RUN = "run"
        """A step of another run."""

    class EndpointCheck(models.TextChoices):
        """Whether a 2xx answer must show that a workflow endpoint gave it."""

        NONE = "", "none"
        DETECT = "detect"
        API = "api"
        """As DETECT, for a run that this server started without an SDK's help."""

    id: int
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="runs", db_index=False
    )
    run_id = models.CharField("run id", max_length=271)
    live_id = models.CharField(max_length=512, null=True, editable=False)  # noqa: DJ001 - null is "ended"
    workflow = models.CharField(
        max_length=200, blank=True, help_text="The registered name; empty for other URLs."
    )
    named_within = models.BooleanField(
        default=False, help_text="Whether its id is unique within its workflow, not the account."
    )
    version = models.ForeignKey(
        Version,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        related_name="runs",
        db_constraint=False,
        db_index=False,
        help_text="Of the registered workflow, when the run was accepted.",
    )
    version_id: int | None
    url = models.TextField("URL")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.RUNNING)
    payload = models.BinaryField(default=b"")
    content_type = models.CharField(max_length=200, default="application/json")
    headers = models.TextField(default="{}", help_text="Forwarded headers, as a JSON object.")
    labels = models.TextField(default="[]", help_text="A JSON array.")
    retries = models.PositiveIntegerField()
    retry_delay = models.TextField(blank=True, default="")
    timeout = models.DurationField(null=True, blank=True)
    failure_url = models.TextField("failure URL", blank=True, default="")
    failure_options = models.TextField(
        default="{}", help_text="JSON: how the failure URL is told, where that differs."
    )
    endpoint_check = models.CharField(
        max_length=16, choices=EndpointCheck.choices, blank=True, default=EndpointCheck.NONE
    )
    redaction = models.TextField(
        blank=True, default="", help_text="What is shown only as a hash, as body,header[Name]."
    )
    flow_control = models.ForeignKey(
        FlowControl, null=True, blank=True, on_delete=models.SET_NULL, related_name="runs"
    )
    caller_ip = models.CharField("caller IP", max_length=64, blank=True, default="")
    source = models.CharField(max_length=16, choices=Source.choices, default=Source.API)
    schedule = models.TextField(
        blank=True, default="", help_text="JSON: the cron expression, and the slot in unix ms."
    )
    origin = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="successors",
        help_text="The run that this one resumes, restarts or continues, or is a fork of.",
    )
    forked = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether it is a fork of its origin, in whose place it does not go on.",
    )
    result = models.TextField(null=True, blank=True, help_text="JSON; null when there is none.")  # noqa: DJ001 - null is "no result", not ""
    error = models.TextField(null=True, blank=True, help_text="JSON: type, message, stack, step.")  # noqa: DJ001 - null is "no error"
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when nothing of it starts; empty unless paused."
    )
    undoing_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it is, or is to be, rolled back."
    )
    success_retention = models.DurationField(
        null=True, blank=True, help_text="How long it is kept unless it fails; empty: the default."
    )
    error_retention = models.DurationField(
        null=True, blank=True, help_text="How long it is kept if it fails; empty: the default."
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="Of an ended run with a retention of its own."
    )

    objects = RunQuerySet.as_manager()

    class Meta:
        permissions = [
            ("trigger_run", "Can trigger runs"),
            ("cancel_run", "Can cancel runs"),
            ("pause_run", "Can pause runs"),
            ("resume_run", "Can resume runs"),
            ("restart_run", "Can restart runs"),
            ("wake_run", "Can wake runs"),
            ("fork_run", "Can fork runs from a step"),
            ("notify_run", "Can send events to runs"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["live_id", "account"], name="one_live_run_per_id_and_account"
            ),
            models.CheckConstraint(
                condition=Q(status="running", ended_at__isnull=True)
                | (~Q(status="running") & Q(ended_at__isnull=False, live_id__isnull=True)),
                name="only_ended_runs_have_an_end",
            ),
        ]
        indexes = [
            # With these classes PostgreSQL finds ids by their beginning, too, in any collation.
            models.Index(
                fields=["account", "run_id"],
                opclasses=["int8_ops", "varchar_pattern_ops"],
                name="run_by_public_id",
            ),
            models.Index(fields=["account", "status", "id"], name="run_by_status"),
            models.Index(fields=["account", "workflow", "id"], name="run_by_workflow"),
            models.Index(
                fields=["account", "workflow", "status", "id"], name="run_by_workflow_status"
            ),
            models.Index(fields=["version", "id"], name="run_by_version"),
            models.Index(fields=["source", "id"], name="run_by_source"),
            models.Index(fields=["created_at"], name="run_by_start"),
            models.Index(
                fields=["ended_at"], condition=Q(expires_at__isnull=True), name="run_by_end"
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(expires_at__isnull=False),
                name="run_by_expiry",
            ),
            models.Index(
                fields=["ended_at"],
                condition=Q(expires_at__isnull=False),
                name="run_that_expires_by_end",
            ),
            # Few runs are paused or rolled back at a time, however many live.
            models.Index(
                fields=["account", "workflow", "id"],
                condition=Q(status="running", paused_at__isnull=False),
                name="run_paused",
            ),
            models.Index(
                fields=["account", "workflow", "id"],
                condition=Q(status="running", undoing_at__isnull=False),
                name="run_being_undone",
            ),
        ]

    def __str__(self) -> str:
        return self.run_id

    @property
    def is_live(self) -> bool:
        return self.status == self.Status.RUNNING

    @property
    def id_while_live(self) -> str:
        """What `live_id` is, or was."""
        return name_within(self.workflow, self.run_id) if self.named_within else self.run_id

    @property
    def is_paused(self) -> bool:
        return self.is_live and self.paused_at is not None

    @property
    def is_remote(self) -> bool:
        """Whether its function lives elsewhere: it gets a delivery for each step, and no turns."""
        return not self.workflow

    @property
    def header_map(self) -> dict[str, str]:
        headers: dict[str, str] = decode_json(self.headers)
        return headers

    @property
    def label_list(self) -> list[str]:
        labels: list[str] = decode_json(self.labels)
        return labels

    @property
    def error_info(self) -> dict[str, Any] | None:
        return None if self.error is None else decode_json(self.error)


class RunLabel(models.Model):
    """Makes runs findable by label."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="label_rows")
    name = models.CharField(max_length=255)

    class Meta:
        indexes = [models.Index(fields=["name", "run"], name="run_by_label")]

    def __str__(self) -> str:
        return self.name


class Step(models.Model):
    """A step of a run whose end is known. Rows are only ever added.

    A sleep's row is added when the sleep begins, so `ended_at` may lie in the future: the
    moment it ends is decided once and never computed again. It comes earlier only when the run is
    woken, or when the sleep is cancelled as its branch has lost a race. There is no foreign key
    constraint on `run`: rows are added only through a live lease of that run, and the check
    would cost a row lock a step.
    """

    class Kind(models.TextChoices):
        RUN = "run"
        ATOMIC = "atomic"
        SLEEP = "sleep"
        CALL = "call"
        WAIT = "wait"
        NOTIFY = "notify"
        INVOKE = "invoke"
        ROLLBACK = "rollback"
        """Says what is to be undone, or is the undoing of a step."""
        CREATE_WEBHOOK = "create webhook"
        WAIT_FOR_WEBHOOK = "wait for webhook"
        PATCHED = "patched"
        """Marks whether the run follows a change of its code."""
        RACE = "race"
        """Says which of several branches was first."""
        PLAN = "plan"
        """Announces a parallel step; its result is a row of its own."""
        CALL_SENT = "call sent"
        """The request of a call; its answer and its result are rows of their own."""
        CALL_ANSWERED = "call answered"
        OTHER = "other"
        """Published by an SDK that knows more kinds."""

    id: int
    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="steps", db_constraint=False, db_index=False
    )
    run_id: int
    key = models.CharField(
        max_length=320,
        help_text="Identity within the run: name, then @branch in parallel code, then #occurrence.",
    )
    branch = models.CharField(
        max_length=64, blank=True, default="", help_text='Path of the parallel branch, as "2.1".'
    )
    name = models.CharField(max_length=256)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    input = models.TextField(null=True, blank=True, help_text="JSON.")  # noqa: DJ001 - null is "no input"
    result = models.TextField(null=True, blank=True, help_text="JSON; null after an error.")  # noqa: DJ001
    error = models.TextField(null=True, blank=True, help_text="JSON: type, message, stack.")  # noqa: DJ001
    attempts = models.PositiveIntegerField(default=1)
    raw = models.BinaryField(
        null=True, blank=True, help_text="As published, byte for byte; empty for steps run here."
    )
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    sensitive = models.BooleanField(
        default=False, db_default=False, help_text="Its result is never shown."
    )
    config = models.TextField(  # noqa: DJ001 - null is "that of the run"
        null=True, blank=True, help_text="JSON: the policy it was given; empty for its run's."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "key"], name="one_result_per_step"),
        ]

    def __str__(self) -> str:
        return self.key

    def has_ended(self, run: Run, now: datetime) -> bool:
        """By its run's time: a sleep does not end while that is paused."""
        if run.is_paused and self.kind == self.Kind.SLEEP:
            now = max(run.paused_at or now, self.started_at)
        return self.ended_at <= (run.ended_at or now)

    @property
    def has_failed(self) -> bool:
        """The error of a rollback's own entry is that of the run, which led to it."""
        return self.error is not None and self.key != UNDO

    @property
    def error_info(self) -> dict[str, Any] | None:
        return None if self.error is None else decode_json(self.error)


class Invocation(models.Model):
    """A run that another run started, and for whose end it waits.

    It stays after both have ended, for people to see who started whom.
    """

    parent = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="invocations")
    parent_id: int
    child = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="invokers")
    child_id: int
    key = models.CharField(max_length=320, help_text="The step of the parent that waits.")
    step = models.TextField(help_text="JSON: the step as it is to be completed.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["parent", "key"], name="one_child_per_step"),
        ]

    def __str__(self) -> str:
        return f"{self.key} of {self.parent_id}"


class Attempt(models.Model):
    """An attempt that did not succeed; attempts that do leave only their step."""

    class Outcome(models.TextChoices):
        FAILED = "failed"
        SUPERSEDED = "superseded"
        """Its lease ran out and another worker took over; what it did was not recorded."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="attempts", db_index=False)
    run_id: int
    key = models.CharField(
        max_length=320, blank=True, help_text="The step; empty for the function between steps."
    )
    outcome = models.CharField(max_length=16, choices=Outcome.choices, default=Outcome.FAILED)
    number = models.PositiveIntegerField(help_text="Counts from 1, per step.")
    error = models.TextField(
        help_text="JSON: type, message, stack; status and headers of an answer."
    )
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    retry_at = models.DateTimeField(null=True, blank=True, help_text="Empty when it was the last.")
    config = models.TextField(null=True, blank=True, help_text="As that of its step.")  # noqa: DJ001

    class Meta:
        indexes = [models.Index(fields=["run", "key"], name="attempt_by_step")]

    def __str__(self) -> str:
        return f"{self.key or 'run'} attempt {self.number}"

    @property
    def error_info(self) -> dict[str, Any]:
        info: dict[str, Any] = decode_json(self.error)
        return info
