"""Which runs are meant: OR inside a filter, AND across filters (Upstash reference 1.1 (10))."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from workflows_app.errors import InvalidInput
from workflows_app.models import Account, Run, Step, Waiter
from workflows_app.rest.parameters import Parameters, read_milliseconds
from workflows_app.rest.upstash.vocabulary import RUN_STATES, ours

NAMES = (
    "callerIp",
    "flowControlKey",
    "fromDate",
    "host",
    "label",
    "messageId",
    "path",
    "state",
    "toDate",
    "workflowCreatedAt",
    "workflowRunId",
    "workflowRunIds",
    "workflowRuns",
    "workflowUrl",
)

_MESSAGE_ID = re.compile("msg_(?P<kind>r|s|w|failure_)(?P<number>[0-9]{1,18})(-[0-9]+)?")
"""Of a run's start and of steps worked on here; of a step, a waiter, a failure callback."""

Instance = tuple[str, datetime]
"""A run id can be used again; with the time of its creation it names one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Empty means any."""

    run_ids: tuple[str, ...] = ()
    instances: tuple[Instance, ...] = ()
    created_at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    statuses: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    url_prefixes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    caller_ips: tuple[str, ...] = ()
    flow_control_keys: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: Parameters) -> RunFilter:
        """Raises InvalidInput for a value that cannot be one of its filter."""
        return cls(
            run_ids=given.texts("workflowRunId") + given.texts("workflowRunIds"),
            instances=tuple(map(_instance, given.texts("workflowRuns"))),
            created_at=given.moment("workflowCreatedAt"),
            since=given.moment("fromDate"),
            until=given.moment("toDate"),
            statuses=ours("state", RUN_STATES, given.texts("state")),
            messages=given.texts("messageId"),
            urls=given.urls("workflowUrl"),
            hosts=given.texts("host"),
            paths=given.texts("path"),
            labels=given.texts("label"),
            caller_ips=given.texts("callerIp"),
            flow_control_keys=given.texts("flowControlKey"),
        )

    def with_url_prefixes(self) -> RunFilter:
        """Each URL stands for all that begin with it."""
        return replace(self, urls=(), url_prefixes=self.urls)

    def runs_of(self, account: Account) -> QuerySet[Run]:
        runs = Run.objects.of(account).filter(self._when() & self._which() & self._where())
        return runs.labelled(list(self.labels)) if self.labels else runs

    def _when(self) -> Q:
        when = Q()
        if self.created_at is not None:
            when &= _in_millisecond(self.created_at)
        if self.since is not None:
            when &= Q(created_at__gte=self.since)
        if self.until is not None:
            when &= Q(created_at__lt=self.until + timedelta(milliseconds=1))
        return when

    def _which(self) -> Q:
        instances = (Q(run_id=run_id) & _in_millisecond(at) for run_id, at in self.instances)
        return (
            _among("run_id", self.run_ids)
            & _any(instances)
            & _among("status", self.statuses)
            & _any(map(_of_message, self.messages))
            & _among("caller_ip", self.caller_ips)
            & _among("flow_control__key", self.flow_control_keys)
        )

    def _where(self) -> Q:
        return (
            _among("url", self.urls)
            & _any(Q(url__regex=f"^{re.escape(prefix)}") for prefix in self.url_prefixes)
            & _any(Q(url__regex=f"^https?://{_host(host)}([/?#]|$)") for host in self.hosts)
            & _any(Q(url__regex=f"^https?://[^/?#]+{_path(path)}([?#]|$)") for path in self.paths)
        )


def _of_message(message_id: str) -> Q:
    """The run that the message is part of; a text that is no id of ours names none."""
    match = _MESSAGE_ID.fullmatch(message_id)
    if match is None:
        return Q(pk__in=[])
    number = int(match["number"])
    match match["kind"]:
        case "s":
            return Q(pk__in=Step.objects.filter(pk=number).values("run"))
        case "w":
            return Q(pk__in=Waiter.objects.filter(pk=number).values("run"))
    return Q(pk=number)


def _instance(text: str) -> Instance:
    run_id, mark, created_at = text.rpartition("@")
    if not mark or not run_id:
        raise InvalidInput(f"workflowRuns holds {text[:300]!r}; it must be ID@createdAt")
    return run_id, read_milliseconds("workflowRuns", created_at)


def _in_millisecond(moment: datetime) -> Q:
    return Q(created_at__gte=moment, created_at__lt=moment + timedelta(milliseconds=1))


def _among(field: str, values: Iterable[str | int]) -> Q:
    wanted = list(values)
    return Q(**{f"{field}__in": wanted}) if wanted else Q()


def _any(conditions: Iterable[Q]) -> Q:
    either = Q()
    for condition in conditions:
        either |= condition
    return either


def _host(host: str) -> str:
    """The port may be left out."""
    return f"{re.escape(host)}(:[0-9]+)?"


def _path(path: str) -> str:
    """The root may be written without its slash."""
    return "/?" if path == "/" else re.escape(path)
