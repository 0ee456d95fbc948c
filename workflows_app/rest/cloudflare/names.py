"""Names of workflows, of types of events, and of instances that callers make (Cloudflare reference
1.5 and 1.6).
"""

from __future__ import annotations

import re

from workflows_app.engine.definitions import find_definition
from workflows_app.errors import InvalidInput, UnknownWorkflow
from workflows_app.models import Account, Definition

PATTERN = "[a-zA-Z0-9_][a-zA-Z0-9_-]*"
LONGEST_OF_WORKFLOW = 64
OF_WORKFLOW = rf"^[a-zA-Z0-9_][a-zA-Z0-9_-]{{0,{LONGEST_OF_WORKFLOW - 1}}}\Z"
"""As databases read it."""

_NAME = re.compile(PATTERN)


def is_name(text: str, *, most: int) -> bool:
    return len(text) <= most and _NAME.fullmatch(text) is not None


def check_name(what: str, text: str, *, most: int) -> str:
    """Raises InvalidInput, which begins with `what`."""
    if not is_name(text, most=most):
        raise InvalidInput(
            f'{what} must be 1 to {most} letters, digits, "_" or "-", with no "-" first, '
            f"not {text[:100]!r}"
        )
    return text


def find_workflow(account: Account, name: str) -> Definition:
    """Raises UnknownWorkflow, also for one whose name this dialect cannot say."""
    if not is_name(name, most=LONGEST_OF_WORKFLOW):
        raise UnknownWorkflow(f"no workflow is named {name[:100]!r}")
    return find_definition(account, name)
