"""Plain messages: published to a URL, delivered, and of no run."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models

from workflows_app.models.access import Account
from workflows_app.models.definitions import Definition
from workflows_app.models.flow_control import FlowControl
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.ids import dead_letter_id


class Queue(models.Model):
    """Delivers its messages in the order in which they came, `parallelism` at a time.

    A message that waits for its turn is not due; who settles one makes the next one due.
    """

    id: int
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="queues")
    name = models.CharField(max_length=255)
    parallelism = models.PositiveIntegerField(default=1)
    paused = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="one_queue_per_name"),
            models.CheckConstraint(
                condition=models.Q(parallelism__gte=1), name="a_queue_delivers_something"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class UrlGroup(models.Model):
    """Endpoints that each get a copy of what is published to the group."""

    id: int
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="url_groups")
    name = models.CharField(max_length=255)
    headers = models.TextField(
        default="{}", help_text="JSON: headers of every publication that does not set them itself."
    )
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name = "URL group"
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="one_url_group_per_name"),
        ]

    def __str__(self) -> str:
        return self.name


class UrlGroupEndpoint(models.Model):
    group = models.ForeignKey(
        UrlGroup, on_delete=models.CASCADE, related_name="endpoints", db_index=False
    )
    url = models.TextField("URL")
    name = models.CharField(max_length=255, blank=True, default="")

    class Meta:
        verbose_name = "endpoint of a URL group"
        verbose_name_plural = "endpoints of URL groups"
        indexes = [models.Index(fields=["group"], name="endpoint_by_group")]

    def __str__(self) -> str:
        return self.name or self.url


class Schedule(models.Model):
    """Publishes the same message again and again, at the times that `cron` names; or starts a run
    of `definition`, which then says what it is.
    """

    id: int
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="schedules", db_index=False
    )
    account_id: int
    definition = models.ForeignKey(
        Definition, null=True, blank=True, on_delete=models.CASCADE, related_name="schedules"
    )
    definition_id: int | None
    public_id = models.CharField("schedule id", max_length=255)
    cron = models.CharField(max_length=256, help_text="Five fields, after CRON_TZ=Zone if needed.")
    destination = models.TextField(blank=True, help_text="A URL, or the name of a URL group.")
    queue = models.CharField(max_length=255, blank=True, default="", help_text="Its name.")
    headers = models.TextField(default="{}", help_text="JSON: as they were given, lower-case.")
    body = models.BinaryField(default=b"")
    caller_ip = models.CharField("caller IP", max_length=64, blank=True, default="")
    paused = models.BooleanField(default=False)
    last_slot_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(
        blank=True, default="", help_text="Why nothing could be published at the last slot."
    )
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "public_id"], name="one_schedule_per_id"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def header_map(self) -> dict[str, str]:
        headers: dict[str, str] = decode_json(self.headers)
        return headers


class PublicationQuerySet(models.QuerySet["Publication"]):
    def of(self, account: Account) -> Self:
        return self.filter(account=account)

    def waiting(self) -> Self:
        return self.filter(status=Publication.Status.WAITING)

    def newest_first(self) -> Self:
        return self.order_by("-id")

    def ended_before(self, moment: datetime) -> Self:
        return self.filter(ended_at__lt=moment)


class Publication(models.Model):
    """What was published, and what became of it."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        """Accepted, and neither delivered nor given up."""
        DELIVERED = "delivered"
        FAILED = "failed"
        """Given up, and in the dead letter queue until somebody decides."""
        DISMISSED = "dismissed"
        """Had failed; was retried as another publication, or deleted from the dead letter queue."""
        CANCELED = "canceled"

    id: int
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="publications", db_index=False
    )
    public_id = models.CharField("message id", max_length=64)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.WAITING)
    url = models.TextField("URL")
    host = models.CharField(max_length=255)
    path = models.TextField()
    method = models.CharField(max_length=8, default="POST")
    headers = models.TextField(default="{}", help_text="Forwarded headers, as a JSON object.")
    body = models.BinaryField(default=b"")
    content_type = models.CharField(max_length=200, blank=True, default="")
    retries = models.PositiveIntegerField()
    retry_delay = models.TextField(blank=True, default="")
    timeout = models.DurationField(null=True, blank=True)
    callback_url = models.TextField("callback URL", blank=True, default="")
    callback_options = models.TextField(default="{}", help_text="JSON: how the callback is sent.")
    failure_url = models.TextField("failure URL", blank=True, default="")
    failure_options = models.TextField(default="{}", help_text="JSON: how the failure URL is told.")
    labels = models.TextField(default="[]", help_text="A JSON array.")
    redaction = models.TextField(blank=True, default="")
    flow_control = models.ForeignKey(
        FlowControl, null=True, blank=True, on_delete=models.SET_NULL, related_name="publications"
    )
    queue = models.ForeignKey(
        Queue, null=True, blank=True, on_delete=models.SET_NULL, related_name="publications"
    )
    url_group = models.CharField("URL group", max_length=255, blank=True, default="")
    endpoint_name = models.CharField(max_length=255, blank=True, default="")
    schedule_id = models.CharField("schedule id", max_length=255, blank=True, default="")
    caller_ip = models.CharField("caller IP", max_length=64, blank=True, default="")
    not_before = models.DateTimeField()
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = PublicationQuerySet.as_manager()

    class Meta:
        verbose_name = "plain message"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "public_id"], name="one_publication_per_message_id"
            ),
        ]
        indexes = [
            models.Index(fields=["account", "status", "id"], name="publication_by_status"),
            models.Index(fields=["account", "schedule_id", "id"], name="publication_by_schedule"),
            models.Index(fields=["ended_at"], name="publication_by_end"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def header_map(self) -> dict[str, str]:
        headers: dict[str, str] = decode_json(self.headers)
        return headers

    @property
    def label_list(self) -> list[str]:
        labels: list[str] = decode_json(self.labels)
        return labels

    @property
    def dead_letter_id(self) -> str:
        """Names the entry in the dead letter queue that it is once it has failed."""
        ended_at = self.ended_at or self.created_at
        return dead_letter_id(unix_milliseconds(ended_at), self.pk)


class PublicationEvent(models.Model):
    """A line of the log of plain messages."""

    class State(models.TextChoices):
        CREATED = "created"
        ACTIVE = "active"
        """An attempt began."""
        ERROR = "error"
        """An attempt failed."""
        RETRY = "retry"
        """There will be another attempt."""
        DELIVERED = "delivered"
        FAILED = "failed"
        CANCEL_REQUESTED = "cancel requested"
        CANCELED = "canceled"

    id: int
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    publication = models.ForeignKey(Publication, on_delete=models.CASCADE, related_name="events")
    publication_id: int
    state = models.CharField(max_length=16, choices=State.choices)
    at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="")
    response_status = models.PositiveIntegerField(null=True, blank=True)
    response_headers = models.TextField(blank=True, default="", help_text="JSON.")
    response_body = models.BinaryField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["account", "id"], name="publication_event_by_account")]

    def __str__(self) -> str:
        return f"{self.state} {self.publication_id}"


class Deduplication(models.Model):
    """A message id that stands for what is published again with the same key before `ends_at`."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.CharField(max_length=64, help_text="Of the id, or of the content.")
    message_id = models.CharField(max_length=64)
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "digest"], name="one_message_per_digest"),
        ]

    def __str__(self) -> str:
        return self.message_id
