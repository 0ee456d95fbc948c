"""Where the source of a workflow is found, and that none is too strange."""

from __future__ import annotations

import ast
import asyncio.tasks
import contextlib
import functools
import importlib
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.sdk.graph.outlines import outline
from tests.sdk.graph.published import check_graph
from workflows_app import AsyncContext, Context, workflow
from workflows_app.sdk.graph import graph_of, graph_of_source

NAMES = ("a", "b")


@workflow("graphed")
def graphed(context: Context) -> None:
    for name in NAMES:
        helped(context, name)


def helped(context: Context, name: str) -> None:
    context.run(f"step-{name}", str)


class Template(ABC):
    async def run(self, event: Any, step: Any) -> None:
        await self.work(step)
        await step.sleep("rest", "1 hour")

    @abstractmethod
    async def work(self, step: Any) -> None: ...


class Filled(Template):
    async def work(self, step: Any) -> None:
        await step.do("work", str)


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def test_a_function_is_found_where_it_is_defined() -> None:
    graph = graph_of(graphed.function, "graphed")

    assert graph is not None
    check_graph(graph)
    assert graph["version"] == 1
    assert graph["workflow"]["class_name"] == "graphed"
    assert outline(graph["workflow"]) == "loop\n  call helped\ndef helped\n  do step-{name}"


def test_a_function_is_found_within_another_one() -> None:
    def ship() -> None: ...

    @wrapped
    async def inner(context: AsyncContext) -> None:
        await context.run("ship", ship)
        await mail(context)

    async def mail(context: AsyncContext) -> None:
        await context.run("mail", str)

    graph = graph_of(inner, "inner")

    assert graph is not None
    assert outline(graph["workflow"]) == "do ship\ncall mail\ndef mail\n  do mail"


def test_a_class_is_found_with_what_it_inherits() -> None:
    graph = graph_of(Filled, "Filled")

    assert graph is not None
    assert outline(graph["workflow"]) == "call work\nsleep rest\ndef work\n  do work"


def test_what_has_no_source_has_no_graph() -> None:
    typed: dict[str, Any] = {}
    exec("def typed(context):\n    context.run('a', str)", typed)

    assert graph_of(typed["typed"], "typed") is None
    assert graph_of(lambda context: context.run("a", str), "lambda") is None
    assert graph_of(functools.partial(helped, name="a"), "partial") is None
    assert graph_of(len, "len") is None
    assert graph_of(int, "int") is None


def test_source_that_is_broken_meanwhile_has_no_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "soon_broken.py"
    file.write_text("def order(context):\n    context.run('a', str)\n")
    monkeypatch.syspath_prepend(tmp_path)
    order = importlib.import_module("soon_broken").order
    assert graph_of(order, "order") is not None

    file.write_text("def order(context:\n")

    assert graph_of(order, "order") is None


@pytest.mark.parametrize(
    "source",
    [
        "",
        "def other(): ...",
        "def order(:",
        "\0",
        f"order = {'(' * 10_000}",
        "x = " + "-" * 100_000,
    ],
)
def test_a_source_without_the_workflow_has_no_graph(source: str) -> None:
    assert graph_of_source(source, "order") is None


def test_source_that_warns_is_read_in_silence() -> None:
    assert graph_of_source("def order(context):\n    context.run('\\d', f)", "order") is not None


def test_long_expressions_are_read() -> None:
    chain = " + ".join(f"context.run('{n}', f)" for n in range(2000))
    branches = "\n".join(f"    elif {n}: context.run('{n}', f)" for n in range(500))
    source = f"def order(context):\n    {chain}\n    if x{' + x' * 2000}: pass\n{branches}"

    graph = graph_of_source(source, "order")

    assert graph is not None
    *steps, branching = graph["workflow"]["nodes"]
    assert [step["name"] for step in steps] == [str(n) for n in range(2000)]
    assert len(branching["branches"]) == 501
    assert branching["branches"][0]["condition"] == "…"


@pytest.mark.parametrize("module", [asyncio.tasks, contextlib, functools])
def test_any_function_and_class_of_the_standard_library_has_a_graph(module: ModuleType) -> None:
    for name, value in vars(module).items():
        of_module = getattr(value, "__module__", None) == module.__name__
        if of_module and (inspect.isfunction(value) or inspect.isclass(value)):
            _check(graph_of(value, name))


@pytest.mark.parametrize("folder", ["examples", "tests/scenarios"])
def test_any_workflow_of_this_repository_has_a_graph(folder: str) -> None:
    for path in Path(folder).rglob("*.py"):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                graph = graph_of_source(source, node.name)
                assert graph is not None, (path, node.name)
                _check(graph)


def _check(graph: dict[str, Any] | None) -> None:
    if graph is not None:
        check_graph(graph)
        json.dumps(graph, ensure_ascii=False, allow_nan=False).encode()
