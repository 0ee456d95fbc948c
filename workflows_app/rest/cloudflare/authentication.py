"""Who asks, by any of the headers that Cloudflare's clients send (Cloudflare reference 1.1)."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from workflows_app.models import Account, Token
from workflows_app.rest.authentication import authenticate_by, secret_in_header

KEY_HEADERS = ("X-Auth-Key", "X-Auth-User-Service-Key")


class CloudflareAuthentication(BaseAuthentication):
    """A token of ours, as `Authorization: Bearer <token>` or where a client sends an API key. The
    mail address that comes with a key names nobody here.
    """

    def authenticate(self, request: Request) -> tuple[Account, Token]:
        return authenticate_by(_secret_of(request))


def _secret_of(request: Request) -> str:
    if request.headers.get("Authorization"):
        return secret_in_header(request)
    given = (request.headers.get(name, "").strip() for name in KEY_HEADERS)
    return next(filter(None, given), "")
