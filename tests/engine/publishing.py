"""Publishing as tests do it, and what became of it, as plain values."""

from __future__ import annotations

from workflows_app.engine.publications import publish
from workflows_app.models import Account, Message, Publication
from workflows_app.protocol.headers import MessageOptions, parse_headers

URL = "https://shop.example.org/orders?x=1"


def options(**headers: str) -> MessageOptions:
    """Of `Upstash-...` headers, as `retry_delay="1000"`."""
    return parse_headers(
        (f"upstash-{name.replace('_', '-')}", value) for name, value in headers.items()
    )


def send(
    account: Account,
    destination: str = URL,
    body: bytes = b"hello",
    queue: str | None = None,
    **headers: str,
) -> str:
    """Publish to one endpoint; the message's id."""
    said = options(**headers)
    (published,) = publish(account, destination, said, body, caller_ip="203.0.113.7", queue=queue)
    return published.message_id


def stored(message_id: str) -> Publication:
    return Publication.objects.get(public_id=message_id)


def states(message_id: str) -> list[str]:
    """Of its log, oldest first."""
    return [event.state for event in stored(message_id).events.order_by("id")]


def slots(queue: str) -> list[str]:
    """The ids of the messages that have their turn in the queue, or are waiting for its time."""
    taken = Message.objects.filter(queue__name=queue, due_at__isnull=False).order_by("id")
    return [message.publication.public_id for message in taken if message.publication]
