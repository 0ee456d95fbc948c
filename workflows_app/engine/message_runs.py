"""Runs that plain messages start by reaching a workflow registered here (Upstash reference 3.6)."""

from __future__ import annotations

from django.db.models import Exists, OuterRef

from workflows_app.engine.database import joining
from workflows_app.engine.triggering import trigger
from workflows_app.models import Account, Publication, Run
from workflows_app.protocol.runs import RunRequest


def find_message(message_id: str) -> Publication | None:
    """Of any account, found by an index look-up an account."""
    if not message_id.isprintable():
        return None
    named = Publication.objects.filter(account=OuterRef("pk"), public_id=message_id)
    owner = Account.objects.filter(Exists(named)).first()
    if owner is None:
        return None
    return Publication.objects.select_related("account").get(account=owner, public_id=message_id)


def run_id_of(publication: Publication) -> str:
    return f"wfr_{publication.public_id.removeprefix('msg_')}"


def start_once(publication: Publication, request: RunRequest) -> Run:
    """The run of the message: however often it is delivered, and even if the run has ended."""
    account = publication.account
    with joining():
        # Deliveries of one message start it one after the other.
        Publication.objects.select_for_update().get(pk=publication.pk)
        before = Run.objects.of(account).filter(run_id=request.run_id).newest_first().first()
        if before is not None:
            return before
        (started,) = trigger(account, [request])
        return started.run
