"""The keys that deliveries are signed with (Upstash reference 1.7)."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import accounts
from workflows_app.models import Account
from workflows_app.rest.authentication import account_of
from workflows_app.rest.upstash import operations
from workflows_app.rest.upstash.bodies import KeysBody
from workflows_app.rest.views import ApiView


class KeysView(ApiView):
    @operations.show_keys
    def get(self, request: Request) -> Response:
        return Response(render_keys(account_of(request)))


class RotateKeysView(ApiView):
    @operations.rotate_keys
    def post(self, request: Request) -> Response:
        return Response(render_keys(accounts.rotate_signing_keys(account_of(request))))


def render_keys(account: Account) -> KeysBody:
    current, upcoming = account.signing_keys
    return {"current": current, "next": upcoming}
