"""What the engine may know of the code that is registered here; see `engine.ports.Catalogue`."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from tokenize import TokenError

from workflows_app.engine.addresses import serve_url
from workflows_app.engine.ports import Code
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.runs import RunRequest
from workflows_app.sdk.authoring import Body, Workflow, registered_workflows, with_defaults
from workflows_app.sdk.graph import graph_of

logger = logging.getLogger("workflows_app")


class Registry:
    def names(self) -> Sequence[str]:
        return list(registered_workflows())

    def code_of(self, name: str) -> Code | None:
        workflow = registered_workflows().get(name)
        return None if workflow is None else _code_of(workflow)

    def graph_of(self, name: str) -> str | None:
        workflow = registered_workflows().get(name)
        return None if workflow is None else _graph_of(workflow)

    def request_for(self, name: str) -> RunRequest | None:
        if name not in registered_workflows():
            return None
        return with_defaults(RunRequest(url=serve_url(name), workflow=name))


@lru_cache(maxsize=1000)
def _code_of(workflow: Workflow) -> Code:
    function = workflow.function
    source = _source_of(function)
    digested = f"{source}\0{_graph_of(workflow)}"
    return Code(
        class_name=_class_name(function),
        script_name=(function.__module__ or "")[-255:],
        digest=sha256(digested.encode()).hexdigest(),
        source=source,
    )


@lru_cache(maxsize=1000)
def _graph_of(workflow: Workflow) -> str | None:
    name = _class_name(workflow.function)
    try:
        graph = graph_of(workflow.function, name)
    except Exception:
        # Whoever asks is about to start a run, which does without.
        logger.exception("the graph of %s cannot be read", name)
        return None
    return None if graph is None else encode_json(graph)


def _class_name(function: Body) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)[-255:]


def _source_of(function: Body) -> str:
    """Empty for what was not read from a file."""
    try:
        return inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError, SyntaxError, TokenError):
        return ""
