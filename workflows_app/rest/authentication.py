"""Who asks: a token, and through it an account. Nothing of another account can be reached."""

from __future__ import annotations

from urllib.parse import parse_qsl

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from workflows_app.engine.accounts import find_token
from workflows_app.errors import NotAuthenticated, ReadOnlyToken
from workflows_app.models import Account, Token

TOKEN_PARAMETER = "qstash_token"  # noqa: S105 - the name, not a token


class TokenAuthentication(BaseAuthentication):
    """The header `Authorization: Bearer <token>`, or the query parameter `qstash_token` (Upstash
    reference 1.1 (1)).
    """

    def authenticate(self, request: Request) -> tuple[Account, Token]:
        return authenticate_by(_secret_of(request))


def authenticate_by(secret: str) -> tuple[Account, Token]:
    """Whose secret this is. Raises NotAuthenticated; an empty one counts as missing."""
    token = find_token(secret) if secret else None
    if token is None:
        raise NotAuthenticated(_what_is_wrong(secret))
    return token.account, token


def secret_in_header(request: Request) -> str:
    """Empty for any scheme but Bearer."""
    scheme, _, secret = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


class FullTokenToWrite(BasePermission):
    """Read-only tokens only read (Upstash reference 1.1 (3))."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if request.method not in SAFE_METHODS and not token_of(request).may_write:
            raise ReadOnlyToken
        return True


class FullToken(BasePermission):
    """For routes that change something by whatever method."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not token_of(request).may_write:
            raise ReadOnlyToken
        return True


def token_of(request: Request) -> Token:
    token = request.auth
    if not isinstance(token, Token):
        raise NotAuthenticated
    return token


def account_of(request: Request) -> Account:
    """The account that the request may see and change."""
    return token_of(request).account


def _secret_of(request: Request) -> str:
    if request.META.get("HTTP_AUTHORIZATION"):
        return secret_in_header(request)
    query = parse_qsl(request.META.get("QUERY_STRING", ""))
    return next((value for name, value in query if name == TOKEN_PARAMETER), "")


def _what_is_wrong(secret: str) -> str:
    if not secret:
        return 'a token is missing: send it as "Authorization: Bearer <token>"'
    return "this token is unknown or has been revoked; ask whoever runs this server for another"
