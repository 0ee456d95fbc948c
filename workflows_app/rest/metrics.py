"""`/metrics`: numbers for Prometheus, read from the database when it asks. Any process can answer,
and each answers the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from django.http import HttpResponse
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from workflows_app.conf import get_settings, is_debug
from workflows_app.engine import backlog, clock, gauges, presence, statistics
from workflows_app.models import Account, Event, Message, Run, Token, Waiter
from workflows_app.rest.authentication import authenticate_by, secret_in_header
from workflows_app.rest.schema import Access, operation
from workflows_app.rest.views import ApiView

RECENT = timedelta(hours=1)
QUANTILES = (0.5, 0.95)
EXAMPLE = """\
# HELP workflows_messages_due Messages that any worker may take now.
# TYPE workflows_messages_due gauge
workflows_messages_due 3.0
"""


class MetricsAuthentication(BaseAuthentication):
    """METRICS_TOKEN shows the numbers of all accounts, a token of an account those of that account.
    Under DEBUG, who shows none sees all.
    """

    def authenticate(self, request: Request) -> tuple[Account | None, Token | None]:
        """No account: all of them."""
        expected, given = get_settings().METRICS_TOKEN, secret_in_header(request)
        if expected and secrets.compare_digest(given.encode(), expected.encode()):
            return None, None
        if is_debug() and not request.META.get("HTTP_AUTHORIZATION"):
            return None, None
        return authenticate_by(given)


class MetricsView(ApiView):
    authentication_classes = [MetricsAuthentication]

    @operation(
        Access.ANY_TOKEN,
        name="metrics",
        summary="How runs, work and workers stand, in the text format of Prometheus",
        answer={"type": "string"},
        example=EXAMPLE,
        media_type="text/plain",
    )
    def get(self, request: Request) -> HttpResponse:
        owner: object = request.user
        accounts = [owner] if isinstance(owner, Account) else list(Account.objects.all())
        registry = CollectorRegistry()
        registry.register(Gauges(accounts))
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Gauges(Collector):
    """Of these accounts; workers serve all."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._accounts = accounts

    def collect(self) -> Iterable[Metric]:
        yield from self._runs()
        yield from self._work()
        yield from self._recent()
        workers = list(presence.alive(clock.now()).only("threads"))
        yield _gauge("workers", "Worker processes alive.", len(workers))
        threads = sum(worker.threads for worker in workers)
        yield _gauge("worker_threads", "Deliveries that these work on at a time.", threads)

    def _runs(self) -> Iterator[Metric]:
        runs = GaugeMetricFamily(
            "workflows_runs",
            f"Live runs by state, each workflow counted up to {gauges.MOST}.",
            labels=["workflow", "state"],
        )
        for state, numbers in gauges.live_runs(self._accounts).items():
            for workflow, number in sorted(numbers.items()):
                runs.add_metric([workflow, state.value], number)
        yield runs
        letters = GaugeMetricFamily(
            "workflows_dead_letters",
            f"Failed runs that nobody has dealt with, each workflow counted up to {gauges.MOST}.",
            labels=["workflow"],
        )
        for workflow, number in sorted(gauges.dead_letters(self._accounts).items()):
            letters.add_metric([workflow], number)
        yield letters

    def _work(self) -> Iterator[Metric]:
        most = backlog.MOST
        owed = backlog.backlog(Message.objects.filter(account__in=self._accounts))
        runs = Run.objects.filter(account__in=self._accounts)
        waiters = Waiter.objects.filter(account__in=self._accounts)
        events = Event.objects.filter(run__account__in=self._accounts)
        told: Mapping[str, tuple[str, float]] = {
            "messages_due": (f"Messages that any worker may take now, up to {most}.", owed.free),
            "messages_limited": (
                f"Due messages with a flow-control key, up to {most}.",
                owed.limited,
            ),
            "oldest_due_seconds": (
                "How long the oldest message that any worker may take has been due.",
                owed.oldest.total_seconds(),
            ),
            "stuck_runs": (
                f"Runs whose work nobody takes or every worker loses, up to {backlog.MOST_STUCK}.",
                backlog.count_stuck(runs),
            ),
            "waiters": (f"Steps that wait for an event, up to {most}.", backlog.count(waiters)),
            "unclaimed_events": (
                f"Events that nobody has waited for yet, up to {most}.",
                backlog.count(events),
            ),
        }
        for name, (description, value) in told.items():
            yield _gauge(name, description, value)

    def _recent(self) -> Iterator[Metric]:
        mine = {account.pk for account in self._accounts}
        trend = statistics.trend(clock.now(), 1, RECENT, accounts=mine)
        runs = GaugeMetricFamily(
            "workflows_recent_runs",
            "Runs that started in the last hour, by status now; estimated beyond "
            f"{statistics.SAMPLE}.",
            labels=["workflow", "status"],
        )
        durations = GaugeMetricFamily(
            "workflows_recent_run_duration_seconds",
            "How long these took from start to end, of those that succeeded.",
            labels=["workflow", "quantile"],
        )
        for pace in trend.paces:
            for status in Run.Status:
                runs.add_metric([pace.workflow, status.value], pace.runs[status])
            for quantile in QUANTILES:
                took = pace.within(quantile)
                if took is not None:
                    durations.add_metric([pace.workflow, str(quantile)], took.total_seconds())
        yield from (runs, durations)


def _gauge(name: str, description: str, value: float) -> Metric:
    return GaugeMetricFamily(f"workflows_{name}", description, value=value)
