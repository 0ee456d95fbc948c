"""Numbers for monitors: what there is of each workflow now, each counted up to a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from django.db.models import Count, QuerySet

from workflows_app.engine import backlog, clock
from workflows_app.engine.database import fetch_sql
from workflows_app.engine.states import State
from workflows_app.models import Account, Message, Run

MOST = 100_000
"""How far the live runs, and the dead letters, of one workflow in one account are counted."""

# In the order of the indexes, so that each is counted without a look at its rows.
_KNOWN = """
    (SELECT account_id, name FROM workflows_app_definition
     UNION ALL SELECT id, '' FROM workflows_app_account) known
"""

_LIVE = f"""
    SELECT known.name, (
        SELECT count(*) FROM (
            SELECT 1 FROM workflows_app_run WHERE account_id = known.account_id
                AND workflow = known.name AND status = 'running' LIMIT {MOST}
        ) counted
    ) FROM {_KNOWN} WHERE known.account_id IN ({{accounts}})
"""  # noqa: S608 - of constants

_DEAD = f"""
    SELECT known.name, (
        SELECT count(*) FROM (
            SELECT 1 FROM workflows_app_deadletter WHERE account_id = known.account_id
                AND workflow = known.name LIMIT {MOST}
        ) counted
    ) FROM {_KNOWN} WHERE known.account_id IN ({{accounts}})
"""  # noqa: S608 - of constants


def dead_letters(accounts: Sequence[Account]) -> Counter[str]:
    """By workflow, which is empty for other URLs."""
    return _count(_DEAD, accounts)


def live_runs(accounts: Sequence[Account]) -> dict[State, Counter[str]]:
    """By state and workflow, which is empty for other URLs. What is rolled back counts as the
    others do. Beyond `backlog.MOST` that are queued, the rest counts as waiting.
    """
    live = _count(_LIVE, accounts)
    now = clock.now()
    messages = Message.objects.filter(account__in=accounts, kind__in=backlog.WORK)
    due = messages.filter(due_at__lte=now, run__paused_at=None)
    some_due = messages.filter(pk__in=due.by_due_time().values("pk")[: backlog.MOST])
    paused = Run.objects.filter(account__in=accounts, paused_at__isnull=False).live()
    counted = {
        State.RUNNING: _by_workflow(messages.leased(now).filter(run__paused_at=None)),
        State.QUEUED: _by_workflow(some_due),
        State.PAUSED: Counter(
            dict(paused.order_by().values_list("workflow").annotate(number=Count("pk")))
        ),
    }
    for state, numbers in counted.items():
        counted[state] = Counter({workflow: numbers[workflow] for workflow in live})
    busy = sum(counted.values(), Counter[str]())
    waiting = {workflow: max(0, number - busy[workflow]) for workflow, number in live.items()}
    return {**counted, State.WAITING: Counter(waiting)}


def _by_workflow(messages: QuerySet[Message]) -> Counter[str]:
    runs = messages.order_by().values_list("run__workflow")
    return Counter(dict(runs.annotate(number=Count("run", distinct=True))))


def _count(sql: str, accounts: Sequence[Account]) -> Counter[str]:
    counted: Counter[str] = Counter()
    if accounts:
        places = ", ".join(["%s"] * len(accounts))
        rows: Iterable[tuple[str, int]]
        rows = fetch_sql(sql.format(accounts=places), [each.pk for each in accounts])
        for workflow, number in rows:
            counted[workflow] += number
    return counted
