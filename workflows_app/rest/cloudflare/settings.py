"""What holds for all workflows of an account (Cloudflare reference 1.7)."""

from __future__ import annotations

from datetime import timedelta

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.conf import get_settings
from workflows_app.engine.definitions import Retention, set_retention
from workflows_app.models import Account
from workflows_app.rest.authentication import account_of
from workflows_app.rest.cloudflare import workflow_operations as operations
from workflows_app.rest.cloudflare.bodies import SettingsBody
from workflows_app.rest.cloudflare.envelope import success
from workflows_app.rest.cloudflare.reading import Fields, read_fields
from workflows_app.rest.cloudflare.retention import read_retention, write_retention
from workflows_app.rest.cloudflare.views import CloudflareView


class SettingsView(CloudflareView):
    @operations.show_settings
    def get(self, request: Request) -> Response:
        return success(render_settings(_account_now(request)))

    @operations.change_settings
    def patch(self, request: Request) -> Response:
        given = read_fields(request).object("default_retention")
        set_retention(account_of(request), **_changes(given))
        return success(render_settings(_account_now(request)))


def _changes(given: Fields) -> Retention:
    """What is left out stays; what is null is as the settings say again."""
    changes: Retention = {}
    if "success_retention" in given.said:
        changes["success_retention"] = read_retention(given, "success_retention")
    if "error_retention" in given.said:
        changes["error_retention"] = read_retention(given, "error_retention")
    return changes


def render_settings(account: Account) -> SettingsBody:
    return {
        "default_retention": {
            "success_retention": _milliseconds(account.success_retention),
            "error_retention": _milliseconds(account.error_retention),
        }
    }


def _account_now(request: Request) -> Account:
    """Not as it was when the request was let in."""
    return Account.objects.get(pk=account_of(request).pk)


def _milliseconds(retention: timedelta | None) -> int | None:
    """None where nothing is ever deleted."""
    kept = get_settings().RETENTION if retention is None else retention
    return None if kept is None else write_retention(kept)
