"""Accounts, signing keys and tokens in the admin. Only a token that is made is ever shown, once."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.displays import Tone, badge
from workflows_app.admin.permissions import ScopedAdmin
from workflows_app.admin.values import hint
from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.admin.verbs import REVOKE, ROTATE
from workflows_app.conf import get_settings
from workflows_app.engine import accounts
from workflows_app.models import Account, Token, WorkflowLimit

_KEYS = _(
    "Deliveries are signed with the current key. Receivers know both, as "
    "QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY, and are given both anew after a "
    "rotation. Only their last characters are shown here: “manage.py workflows keys show” prints "
    "them, and GET /v2/keys answers them to any token of the account."
)


@admin.register(Account)
class AccountAdmin(VerbAdmin):
    verbs = (ROTATE,)
    list_display = ("name", "user_id", "current_key", "next_key", "created_at")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "name",
                    "user_id",
                    "hex_id",
                    "parallelism",
                    "success_retention",
                    "error_retention",
                    "created_at",
                )
            },
        ),
        (_("Signing keys"), {"fields": ("current_key", "next_key"), "description": _KEYS}),
    )
    search_fields = ("name", "user_id")
    ordering = ("name",)

    @admin.display(description=_("public id"))
    def hex_id(self, account: Account) -> str:
        return account.public_id.hex

    @admin.display(description=_("current signing key"))
    def current_key(self, account: Account) -> str:
        return hint(account.current_signing_key)

    @admin.display(description=_("next signing key"))
    def next_key(self, account: Account) -> str:
        return hint(account.next_signing_key)


@admin.register(Token)
class TokenAdmin(VerbAdmin):
    verbs = (REVOKE,)
    list_display = ("name", "account", "scope", "state", "created_at", "revoked_at")
    list_filter = ("scope", ("revoked_at", admin.EmptyFieldListFilter), "account")
    list_select_related = ("account",)
    search_fields = ("name",)
    ordering = ("-id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return ScopedAdmin.has_add_permission(self, request)

    def get_fields(self, request: HttpRequest, obj: Token | None = None) -> tuple[str, ...]:
        new = ("account", "name", "scope")
        return new if obj is None else (*new, "state", "created_at", "revoked_at")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Token | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("state", "created_at", "revoked_at")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"account": Account.objects.order_by("pk").first()}

    @admin.display(description=_("state"))
    def state(self, token: Token) -> SafeString:
        if token.revoked_at is None:
            return badge(gettext("usable"), Tone.GOOD)
        return badge(gettext("revoked"), Tone.QUIET)

    # -- making one

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
            **(extra_context or {}),
        }
        return super().add_view(request, form_url, context)

    def save_model(self, request: HttpRequest, obj: Token, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        scope = Token.Scope(obj.scope)
        secret = accounts.create_token(obj.account, obj.name, scope)
        made = accounts.find_token(secret)
        assert made is not None, "it was made a moment ago"  # noqa: S101
        obj.pk, obj.created_at = made.pk, made.created_at
        obj.secret = secret  # type: ignore[attr-defined]  # for the page that answers this request

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The only page that ever shows the text. It answers the form itself: a redirect would have
        to leave the text in a cookie or a session.
        """
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Token made"),
            "opts": self.opts,
            "media": self.media,
            "token": obj,
            "secret": obj.secret,
            "base_url": get_settings().BASE_URL.rstrip("/"),
        }
        return TemplateResponse(request, "admin/workflows_app/token/made.html", context)


@admin.register(WorkflowLimit)
class WorkflowLimitAdmin(ScopedAdmin):
    list_display = ("group", "workflow")
    list_filter = ("group",)
    list_select_related = ("group",)
    search_fields = ("workflow", "group__name")
    ordering = ("group__name", "workflow")
