"""What an account knows of the workflows registered here: one row for each, and its versions."""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models

from workflows_app.models.access import Account


class DefinitionQuerySet(models.QuerySet["Definition"]):
    def of(self, account: Account) -> Self:
        return self.filter(account=account)

    def shown(self) -> Self:
        return self.filter(deleted_at__isnull=True)


class Definition(models.Model):
    """A registered workflow, as one account sees it. What can change is part of its versions."""

    id: int
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="definitions", db_index=False
    )
    account_id: int
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()
    deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it is hidden; its versions and runs are kept."
    )

    objects = DefinitionQuerySet.as_manager()

    class Meta:
        verbose_name = "workflow"
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="one_definition_per_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Version(models.Model):
    """A workflow's source at a time, and what was set for its runs. Never changed: what is set
    anew, or another source, makes another version; the newest is in force.
    """

    id: int
    definition = models.ForeignKey(
        Definition,
        verbose_name="workflow",
        on_delete=models.CASCADE,
        related_name="versions",
        db_index=False,
    )
    definition_id: int
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    class_name = models.CharField(max_length=255, help_text="Of the class, or of the function.")
    script_name = models.CharField(max_length=255, help_text="The module that it is defined in.")
    digest = models.CharField(
        max_length=64, editable=False, help_text="SHA-256 of its source and its graph, kept or not."
    )
    source = models.TextField(
        blank=True,
        default="",
        editable=False,
        help_text="Of the class or function; empty where it is not kept.",
    )
    graph = models.TextField(null=True, blank=True, help_text="JSON: its steps, as written.")  # noqa: DJ001 - null is "not known"
    step_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="The most steps of a run; empty for that of the settings."
    )
    parallelism = models.PositiveIntegerField(
        null=True, blank=True, help_text="The most runs at work at once; empty for no limit."
    )
    success_retention = models.DurationField(null=True, blank=True)
    error_retention = models.DurationField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["definition", "-id"], name="version_by_definition")]

    def __str__(self) -> str:
        return f"{self.class_name} of {self.created_at:%Y-%m-%d %H:%M}"
