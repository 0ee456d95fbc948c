"""Under which URLs this server is reached: by workflows registered here, by webhooks."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from workflows_app.conf import get_settings
from workflows_app.engine.accounts import read_account
from workflows_app.models import Run


def serve_url(workflow: str) -> str:
    return _base() + quote(workflow, safe="")


def served_name(url: str) -> str | None:
    """The name in a URL below this server's `/serve/`, whether or not a workflow has it; else
    None.
    """
    if not url.startswith(_base()):
        return None
    return unquote(re.split("[?#]", url.removeprefix(_base()), maxsplit=1)[0])


def webhook_url(run: Run, event_id: str) -> str:
    """Where anyone may send an event to the run."""
    parts = (read_account(run.account_id).user_id, run.run_id, event_id)
    path = "/".join(quote(part, safe="") for part in parts)
    return f"{get_settings().BASE_URL.rstrip('/')}/v2/workflows/hooks/{path}"


def _base() -> str:
    return f"{get_settings().BASE_URL.rstrip('/')}/serve/"
