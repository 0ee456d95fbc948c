"""Who may use the server: accounts, their tokens and their signing keys."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import uuid
from datetime import datetime
from typing import Self

from django.db import models

from workflows_app.protocol.signing import new_signing_key

DEFAULT_ACCOUNT_ID = 1


def new_user_id() -> str:
    return uuid.uuid4().hex


class AccountQuerySet(models.QuerySet["Account"]):
    def default(self) -> Account:
        """The account of runs that Python code starts; made by `migrate`."""
        return self.get(pk=DEFAULT_ACCOUNT_ID)


class Account(models.Model):
    """The owner of runs, tokens and keys. Nothing of one account is visible to another."""

    name = models.CharField(max_length=100, unique=True)
    user_id = models.CharField(
        max_length=64,
        unique=True,
        default=new_user_id,
        help_text="Named in tokens and in webhook URLs.",
    )
    public_id = models.UUIDField(
        unique=True,
        default=uuid.uuid4,
        help_text="Names the account in Cloudflare paths, as 32 hex digits.",
    )
    current_signing_key = models.CharField(max_length=64, default=new_signing_key)
    next_signing_key = models.CharField(max_length=64, default=new_signing_key)
    parallelism = models.PositiveIntegerField(
        null=True, blank=True, help_text="The most deliveries at once; empty for no limit."
    )
    success_retention = models.DurationField(
        null=True, blank=True, help_text="How long runs are kept unless they fail."
    )
    error_retention = models.DurationField(
        null=True, blank=True, help_text="How long failed runs are kept."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AccountQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @property
    def signing_keys(self) -> tuple[str, str]:
        """Deliveries are signed with the first; receivers accept both, in this order."""
        return self.current_signing_key, self.next_signing_key


def hash_token(secret: str) -> str:
    """SHA-256 suffices: tokens are long random texts, not passwords that people chose."""
    return hashlib.sha256(secret.encode()).hexdigest()


def mint_token(user_id: str) -> str:
    """What the JavaScript SDK decodes (Upstash reference 1.1): base64 of a JSON object."""
    body = {"UserID": user_id, "Password": secrets.token_urlsafe(32)}
    return base64.b64encode(json.dumps(body, separators=(",", ":")).encode()).decode()


class TokenQuerySet(models.QuerySet["Token"]):
    def usable(self) -> Self:
        return self.filter(revoked_at__isnull=True)


class Token(models.Model):
    """A key to the REST surfaces. Only its hash is stored; the text is shown once."""

    class Scope(models.TextChoices):
        FULL = "full"
        READ_ONLY = "read_only"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scope = models.CharField(max_length=16, choices=Scope.choices, default=Scope.FULL)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = TokenQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @property
    def may_write(self) -> bool:
        return self.scope == self.Scope.FULL

    def revoke(self, now: datetime) -> None:
        self.revoked_at = now
        self.save(update_fields=["revoked_at"])


class WorkflowLimit(models.Model):
    """Limits the members of a group to some workflows, in the admin.

    Who belongs to groups with such limits sees what one of them allows, and nothing that belongs to
    no workflow; superusers see everything.
    """

    group = models.ForeignKey(
        "auth.Group", on_delete=models.CASCADE, related_name="workflow_limits"
    )
    workflow = models.CharField(max_length=200, help_text="The registered name.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "workflow"], name="one_limit_per_workflow"),
        ]

    def __str__(self) -> str:
        return f"{self.group}: {self.workflow}"
