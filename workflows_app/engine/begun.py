"""Which steps of a run the server is at work on, or has ended."""

from __future__ import annotations

from collections.abc import Iterable

from workflows_app.engine.database import fetch_sql

_BEGUN = """
    SELECT key FROM workflows_app_message WHERE run_id = %s AND kind = 'call'
    UNION ALL SELECT key FROM workflows_app_waiter WHERE run_id = %s
    UNION ALL SELECT key FROM workflows_app_invocation WHERE parent_id = %s
    UNION ALL SELECT key FROM workflows_app_step WHERE run_id = %s
        AND kind IN ('call', 'wait', 'wait for webhook', 'invoke', 'notify')
"""
"""One statement, so that what ends meanwhile is seen as the one or as the other."""


def begun_steps(run_pks: Iterable[int]) -> set[str]:
    """The keys of all steps that the runs have left to the server."""
    return {key for pk in run_pks for (key,) in fetch_sql(_BEGUN, [pk] * 4)}
