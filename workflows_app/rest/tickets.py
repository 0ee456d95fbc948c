"""Tickets: what a browser follows runs with, which must not hold a token.

A browser cannot send a header with an `EventSource`, so a ticket stands in the query, where it may
be logged. It is good for a while, for following alone, and for the runs that it was given for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.signing import BadSignature, Signer
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from workflows_app.engine import clock
from workflows_app.engine.scopes import Scope
from workflows_app.errors import NotAuthenticated
from workflows_app.models import Account, Token
from workflows_app.protocol.durations import unix_milliseconds

TICKET_PARAMETER = "ticket"
LIFETIME = timedelta(minutes=15)
_SIGNER = Signer(salt="workflows_app.rest.tickets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    text: str
    expires_at: datetime


def issue_ticket(token: Token, scope: Scope) -> Ticket:
    """Not good for longer than the token."""
    expires_at = clock.now() + LIFETIME
    said = {
        "token": token.pk,
        "run": scope.run,
        "workflow": scope.workflow,
        "labels": scope.labels,
        "until": unix_milliseconds(expires_at),
    }
    return Ticket(text=_SIGNER.sign_object(said, compress=True), expires_at=expires_at)


def ticket_of(request: Request) -> str:
    """Empty when the request comes without one."""
    return str(request.query_params.get(TICKET_PARAMETER, ""))


def scope_of(ticket: str, account: Account) -> Scope:
    """What may be followed with it. Raises NotAuthenticated."""
    said = _read(ticket)
    return Scope(
        account=account,
        run=said["run"],
        workflow=said["workflow"],
        labels=tuple(said["labels"]),
    )


def is_valid(token: Token) -> bool:
    return Token.objects.filter(pk=token.pk, revoked_at=None).exists()


class TicketAuthentication(BaseAuthentication):
    """A ticket in the query. Who comes without one is asked for a token."""

    def authenticate(self, request: Request) -> tuple[Account, Token] | None:
        ticket = ticket_of(request)
        if not ticket:
            return None
        token = Token.objects.select_related("account").filter(pk=_read(ticket)["token"]).first()
        if token is None or token.revoked_at is not None:
            raise _worthless()
        return token.account, token


def _read(ticket: str) -> dict[str, Any]:
    try:
        said: dict[str, Any] = _SIGNER.unsign_object(ticket)
    except (BadSignature, ValueError):
        raise _worthless() from None
    if said["until"] <= unix_milliseconds(clock.now()):
        raise _worthless()
    return said


def _worthless() -> NotAuthenticated:
    return NotAuthenticated(
        "this ticket is unknown or has expired; get another one from POST /realtime/tickets"
    )
