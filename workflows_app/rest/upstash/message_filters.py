"""Which plain messages are meant: OR inside a filter, AND across filters (Upstash reference 1.1
(10), 1.8).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from workflows_app.protocol.codec import encode_json
from workflows_app.rest.parameters import Parameters

DEAD_LETTER_NAMES = (
    "callerIp",
    "flowControlKey",
    "fromDate",
    "label",
    "messageId",
    "messageIds",
    "queueName",
    "scheduleId",
    "toDate",
    "topicName",
    "url",
)
NAMES = (*DEAD_LETTER_NAMES, "host", "path")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Empty means any. Dates are those of whatever is listed: messages, entries, events."""

    message_ids: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    url_groups: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    schedule_ids: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    flow_control_keys: tuple[str, ...] = ()
    caller_ips: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def read(cls, given: Parameters) -> MessageFilter:
        """Raises InvalidInput for a value that cannot be one of its filter."""
        return cls(
            message_ids=given.texts("messageId") + given.texts("messageIds"),
            urls=given.urls("url"),
            hosts=given.texts("host"),
            paths=given.texts("path"),
            url_groups=given.texts("topicName"),
            queues=given.texts("queueName"),
            schedule_ids=given.texts("scheduleId"),
            labels=given.texts("label"),
            flow_control_keys=given.texts("flowControlKey"),
            caller_ips=given.texts("callerIp"),
            since=given.moment("fromDate"),
            until=given.moment("toDate"),
        )

    def conditions(self, prefix: str = "") -> Q:
        """On publications, or on what is joined to them by `prefix`; dates left out."""
        among = {
            "public_id": self.message_ids,
            "url": self.urls,
            "path": self.paths,
            "url_group": self.url_groups,
            "queue__name": self.queues,
            "schedule_id": self.schedule_ids,
            "flow_control__key": self.flow_control_keys,
            "caller_ip": self.caller_ips,
        }
        conditions = Q(
            **{f"{prefix}{field}__in": values for field, values in among.items() if values}
        )
        hosts = [
            (f"{prefix}host__regex", f"^{re.escape(host.lower())}(:[0-9]+)?$")
            for host in self.hosts
        ]
        # As it stands in a JSON array.
        labels = [
            (f"{prefix}labels__regex", re.escape(encode_json(label))) for label in self.labels
        ]
        return conditions & _any(hosts) & _any(labels)

    def dates(self, field: str) -> Q:
        """Both inclusive."""
        dates = Q()
        if self.since is not None:
            dates &= Q(**{f"{field}__gte": self.since})
        if self.until is not None:
            dates &= Q(**{f"{field}__lt": self.until + timedelta(milliseconds=1)})
        return dates


def _any(conditions: list[tuple[str, Any]]) -> Q:
    either = Q()
    for condition in conditions:
        either |= Q(condition)
    return either
