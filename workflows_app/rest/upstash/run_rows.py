"""Runs with all that their logs show, read in a fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from django.db.models import Prefetch, QuerySet

from workflows_app.engine.failures import KEY as FAILURE_KEY
from workflows_app.engine.remote.delivering import SDK_VERSION
from workflows_app.models import Attempt, DeadLetter, Invocation, Message, Run, Step, Waiter
from workflows_app.protocol.redaction import Redactor, redactor_of
from workflows_app.protocol.runs import CallRequest
from workflows_app.protocol.wire_requests import decode_call
from workflows_app.rest.upstash.vocabulary import Headers, header_map

FUNCTION_KEY = ""
_SHOWN = (Message.Kind.CALL, Message.Kind.DELIVERY)


def with_rows(runs: QuerySet[Run]) -> QuerySet[Run]:
    return runs.select_related("flow_control", "dead_letter").prefetch_related(
        Prefetch("steps", Step.objects.order_by("pk")),
        Prefetch("attempts", Attempt.objects.filter(outcome=Attempt.Outcome.FAILED).order_by("pk")),
        Prefetch("messages", Message.objects.filter(kind__in=_SHOWN).order_by("pk")),
        "waiters",
        Prefetch("invocations", Invocation.objects.select_related("child")),
        Prefetch(
            "invokers",
            Invocation.objects.select_related("parent").defer("parent__payload").order_by("pk"),
        ),
    )


@dataclass(frozen=True)
class RunRows:
    """A run that was read through `with_rows`."""

    run: Run

    @cached_property
    def steps(self) -> list[Step]:
        return list(self.run.steps.all())

    @cached_property
    def failed(self) -> dict[str, list[Attempt]]:
        """The failed attempts, oldest first, of each step and of the function between them."""
        failed: dict[str, list[Attempt]] = {}
        for attempt in self.run.attempts.all():
            failed.setdefault(attempt.key, []).append(attempt)
        return failed

    @cached_property
    def owed(self) -> dict[str, Message]:
        """Its deliveries and calls, by the keys of the steps that they serve."""
        return {message.key: message for message in self.run.messages.all()}

    @cached_property
    def calls(self) -> list[CallRequest]:
        """Those under way."""
        return [
            decode_call(message.request)
            for message in self.owed.values()
            if message.kind == Message.Kind.CALL
        ]

    @cached_property
    def waiters(self) -> list[Waiter]:
        """Of the steps that wait for events, oldest first."""
        return sorted(self.run.waiters.all(), key=lambda waiter: waiter.pk)

    @cached_property
    def invocations(self) -> dict[str, Invocation]:
        """By the keys of the steps that wait, or waited, for their ends."""
        return {each.key: each for each in self.run.invocations.all()}

    @property
    def invoker(self) -> Run | None:
        """The run that started this one."""
        first = next(iter(self.run.invokers.all()), None)
        return None if first is None else first.parent

    @property
    def redactor(self) -> Redactor:
        return redactor_of(self.run.redaction)

    @property
    def failed_calling_back(self) -> list[Attempt]:
        return self.failed.get(FAILURE_KEY, [])

    @cached_property
    def retrying(self) -> dict[str, list[Attempt]]:
        """The failed attempts of steps that have no end yet."""
        ended = {step.key for step in self.steps}
        others = {FUNCTION_KEY, FAILURE_KEY, *ended, *(call.key for call in self.calls)}
        return {key: failed for key, failed in self.failed.items() if key not in others}

    @property
    def dead_letter(self) -> DeadLetter | None:
        return getattr(self.run, "dead_letter", None)

    @cached_property
    def headers(self) -> Headers:
        """What the workflow function sees."""
        sdk = {SDK_VERSION: ["1"]} if self.run.is_remote else {}
        own = header_map(self.run.header_map)
        return {"Content-Type": [self.run.content_type], **sdk, **own}
