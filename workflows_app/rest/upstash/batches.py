"""Several messages in one transaction. All who publish so lock what they share with others in the
same order, lest they wait for each other: queues, deduplications and flow control, each by name,
then runs by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from workflows_app.engine import deduplication, publications
from workflows_app.engine.database import joining
from workflows_app.engine.flow_control import flow_control_of
from workflows_app.engine.queue_slots import lock_queues
from workflows_app.errors import WorkflowsError
from workflows_app.models import Account
from workflows_app.protocol.headers import MessageOptions
from workflows_app.rest.upstash.bodies import PublishedBody
from workflows_app.rest.upstash.items import Item, about_item
from workflows_app.rest.upstash.publishing import is_plain, publish, publish_read, read_options

Published = PublishedBody | list[PublishedBody]


def publish_all(account: Account, items: Sequence[Item], ip: str) -> list[Published]:
    """All items or none, answered in their order. Errors say which item they are about."""
    if len(items) == 1:
        # It is whole by itself, and can share its commit with those of other requests.
        with _about(0):
            return [publish(account, items[0], ip)]
    read = list(_read(items))
    published: dict[int, Published] = {}
    with joining():
        _lock_shared(account, items, read)
        for index in sorted(range(len(items)), key=lambda index: _run_of(read[index])):
            with _about(index):
                published[index] = publish_read(account, items[index], read[index], ip)
    return [published[index] for index in range(len(items))]


def _read(items: Sequence[Item]) -> Iterator[MessageOptions]:
    for index, item in enumerate(items):
        with _about(index):
            yield read_options(item)


def _run_of(options: MessageOptions) -> str:
    """Items of one run, and those of none, keep their order."""
    return options.workflow_run_id or ""


def _lock_shared(account: Account, items: Sequence[Item], read: Sequence[MessageOptions]) -> None:
    digests: set[str] = set()
    queues: set[str] = set()
    for index, (item, options) in enumerate(zip(items, read, strict=True)):
        if is_plain(options):
            with _about(index):
                body = item.body or b""
                digests |= publications.digests(account, item.destination, options, body)
            queues |= set(filter(None, [item.queue or options.queue]))
    lock_queues(account, queues)
    deduplication.lock(account, digests)
    controls = {said.flow_control for said in read if said.flow_control is not None}
    for control in sorted(controls, key=str):
        flow_control_of(account, control)


@contextmanager
def _about(index: int) -> Iterator[None]:
    try:
        yield
    except WorkflowsError as error:
        raise about_item(index, error) from None
