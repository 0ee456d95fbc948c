"""How the steps of a graph are retried, as far as the source says so."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import Any, get_args

from workflows_app.protocol.delays import Backoff
from workflows_app.sdk.events import DEFAULT_TIMEOUT
from workflows_app.sdk.graph.literals import DYNAMIC, duration, is_number, known
from workflows_app.sdk.graph.scopes import Scope
from workflows_app.sdk.graph.values import Arguments, Node

Span = float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    limit: float
    delay: Span
    backoff: str
    timeout: Span
    event_timeout: Span
    """Of waiting for an event."""

    def config(self) -> Node:
        retries = {"limit": self.limit, "delay": self.delay, "backoff": self.backoff}
        return {"retries": retries, "timeout": self.timeout}


OF_CLASSES = Policy(
    limit=5,
    delay=10_000,
    backoff="exponential",
    timeout="10 minutes",
    event_timeout="24 hours",
)
OF_FUNCTIONS = Policy(
    limit=3,
    delay=DYNAMIC,
    backoff="exponential",
    timeout=DYNAMIC,
    event_timeout=DEFAULT_TIMEOUT,
)
"""What is not written is up to the trigger and the settings, whose default number of retries this
is.
"""


def with_options(policy: Policy, given: Arguments, scope: Scope) -> Policy:
    """What `@workflow` and `context.options` are given."""
    limit, backoff = known(given.named("retries"), scope), known(given.named("backoff"), scope)
    if is_number(limit):
        policy = replace(policy, limit=limit)
    if (delay := _given(given.named("retry_delay"))) is not None:
        policy = replace(policy, delay=duration(delay, scope), backoff="constant")
    if backoff in get_args(Backoff):
        policy = replace(policy, backoff=backoff)
    if (timeout := _given(given.named("timeout"))) is not None:
        policy = replace(policy, timeout=duration(timeout, scope))
    return policy


def with_config(policy: Policy, config: ast.expr | None, scope: Scope) -> Policy:
    """What `step.do` is given."""
    if config is None:
        return policy
    read = known(config, scope)
    if not isinstance(read, dict):
        return replace(policy, delay=DYNAMIC, timeout=DYNAMIC)
    retries = read.get("retries")
    policy = replace(policy, timeout=_span(read.get("timeout"), policy.timeout))
    if retries == DYNAMIC:
        return replace(policy, delay=DYNAMIC)
    return _with_retries(policy, retries) if isinstance(retries, dict) else policy


def _with_retries(policy: Policy, retries: dict[str, Any]) -> Policy:
    limit, backoff = retries.get("limit"), retries.get("backoff")
    return replace(
        policy,
        limit=limit if is_number(limit) else policy.limit,
        delay=_span(retries.get("delay"), policy.delay),
        backoff=str(backoff) if backoff in get_args(Backoff) else policy.backoff,
    )


def _span(value: Any, default: Span) -> Span:
    if value is None:
        return default
    return value if isinstance(value, str) or is_number(value) else DYNAMIC


def _given(expression: ast.expr | None) -> ast.expr | None:
    is_none = isinstance(expression, ast.Constant) and expression.value is None
    return None if is_none else expression
