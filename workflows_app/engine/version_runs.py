"""How many runs there are of versions, without counting those of big ones to the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from workflows_app.engine.database import fetch_sql
from workflows_app.engine.ports import get_catalogue
from workflows_app.engine.versions import code_of
from workflows_app.models import Definition, Run, Version

MOST_COUNTED = 10_000

_COUNT = """
    SELECT %s, count(*) FROM (SELECT 1 FROM workflows_app_run WHERE version_id = %s LIMIT %s) AS few
"""


def count_runs(versions: Sequence[int]) -> dict[int, int]:
    """By the primary keys of versions; what is more than MOST_COUNTED says only that."""
    if not versions:
        return {}
    params = [each for pk in versions for each in (pk, pk, MOST_COUNTED + 1)]
    return dict(fetch_sql(" UNION ALL ".join([_COUNT] * len(versions)), params))


def count_live_runs(definition: Definition) -> Counter[int]:
    """By the primary keys of their versions; of its newest MOST_COUNTED."""
    live = Run.objects.live().filter(account=definition.account_id, workflow=definition.name)
    newest = live.newest_first().values_list("version_id", flat=True)[:MOST_COUNTED]
    known: Counter[int | None] = Counter(newest)
    return Counter({pk: number for pk, number in known.items() if pk is not None})


def foreign_to_code(definition: Definition, live: Mapping[int, int]) -> set[int]:
    """Which of these versions have another source than the workflow that is registered here."""
    code = get_catalogue().code_of(definition.name)
    versions = Version.objects.filter(pk__in=live).defer("source", "graph")
    return {version.pk for version in versions if code_of(version) != code}
