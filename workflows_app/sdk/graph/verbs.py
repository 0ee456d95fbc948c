"""Which methods of a context, and of a class's `step`, are steps, and how they are shown."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace

from workflows_app.sdk.graph.literals import duration, known, text
from workflows_app.sdk.graph.policies import Policy, with_config, with_options
from workflows_app.sdk.graph.scopes import Scope
from workflows_app.sdk.graph.values import Arguments, Node, Verb

GROUPS = {"parallel": "all", "race": "race"}
ENDS = {"cancel", "continue_as_new", "roll_back"}
_DO = {"atomic", "call", "create_webhook", "do", "invoke", "notify", "run"}
_FUNCTION = ("callback", "function", "fn")


def is_step(verb: Verb) -> bool:
    return verb.name in _DO or verb.name in _OTHERS or _is_vendor(verb)


def makes_decorator(verb: Verb, given: Arguments, scope: Scope) -> bool:
    """Whether `step.do` is not given the function yet."""
    if verb.name != "do" or given.named(*_FUNCTION) is not None:
        return False
    config = _config(given, scope)
    others = [each for each in given.positional[1:] if each is not config]
    return all(isinstance(each, ast.Constant) for each in others)


def step_node(verb: Verb, given: Arguments, scope: Scope, function_name: str = "") -> Node:
    """`nodes` is where steps within the step belong. A step without a name has its function's."""
    name = text(given.get(0, "name"), scope) or function_name or verb.name
    describe = _OTHERS.get(verb.name)
    if describe is not None:
        return describe(name, verb, given, scope)
    config = config_of(verb, given, scope).config()
    return {"type": "step_do", "name": name, "config": config, "nodes": []}


def config_of(verb: Verb, given: Arguments, scope: Scope) -> Policy:
    """How a step called so is retried; of `options`, steps called on what it returns."""
    policy = verb.steps.policy
    if verb.name == "do":
        return with_config(policy, _config(given, scope), scope)
    if verb.name == "options":
        return with_options(policy, given, scope)
    if verb.name == "call" or _is_vendor(verb):
        return with_options(replace(policy, limit=0), given, scope)
    return policy


def _is_vendor(verb: Verb) -> bool:
    return verb.name.startswith("api.") and verb.name.endswith(".call")


def _config(given: Arguments, scope: Scope) -> ast.expr | None:
    """It stands before the function, or after it."""
    named = given.named("config")
    if named is not None:
        return named
    dicts = (each for each in given.positional[1:] if isinstance(known(each, scope), dict))
    return next(dicts, given.get(2))


def _sleep(name: str, _: Verb, given: Arguments, scope: Scope) -> Node:
    length = duration(given.get(1, "duration"), scope)
    return {"type": "step_sleep", "name": name, "duration": length}


def _sleep_until(name: str, _: Verb, given: Arguments, scope: Scope) -> Node:
    moment = text(given.get(1, "moment", "timestamp"), scope)
    return {"type": "step_sleep_until", "name": name, "timestamp": moment}


def _wait(name: str, verb: Verb, given: Arguments, scope: Scope) -> Node:
    timeout = given.get(2, "timeout")
    longest = verb.steps.policy.event_timeout if timeout is None else duration(timeout, scope)
    event = text(given.get(1, "event_type", "event_id", "webhook"), scope)
    options = {"event_type": event, "timeout": longest}
    return {"type": "step_wait_for_event", "name": name, "options": options}


_OTHERS: dict[str, Callable[[str, Verb, Arguments, Scope], Node]] = {
    "sleep": _sleep,
    "sleep_until": _sleep_until,
    "wait_for_event": _wait,
    "wait_for_webhook": _wait,
}
