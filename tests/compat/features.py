"""What the suite shows of each SDK, and the page that says so."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import TypeVar

import pytest

from tests.faults.databases import ROOT

PAGE = ROOT / "docs" / "compatibility.md"
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}

WORKFLOW_JS = "@upstash/workflow 1.3.3"
QSTASH_JS = "@upstash/qstash 2.12.0"
AGENTS_JS = "@upstash/workflow-agents 0.1.4"
WORKFLOW_PY = "upstash-workflow 2.0.0"
QSTASH_PY = "qstash 3.4.0"
CLOUDFLARE_PY = "cloudflare 5.9.0"
ASYNC_CLOUDFLARE_PY = "cloudflare 5.9.0, asynchronous"
CLOUDFLARE_JS = "cloudflare 7.3.0"
CLOUDFLARE_TENANTS = {
    CLOUDFLARE_PY: "python",
    ASYNC_CLOUDFLARE_PY: "async",
    CLOUDFLARE_JS: "javascript",
}
"""The account of each, in which nothing but its own tests does anything."""
SDKS = {
    WORKFLOW_JS: "From npm; served by Express and Hono",
    QSTASH_JS: "From npm",
    AGENTS_JS: "From npm; beside @upstash/workflow 0.3.0-rc1, which it needs",
    WORKFLOW_PY: "From PyPI; served by FastAPI and Flask",
    QSTASH_PY: "From PyPI",
    CLOUDFLARE_PY: "`Cloudflare` from PyPI; its strict validation of answers is switched on",
    ASYNC_CLOUDFLARE_PY: "`AsyncCloudflare` from PyPI; with the same validation",
    CLOUDFLARE_JS: "From npm",
}

INTRODUCTION = """\
# Compatibility

The published clients run against this server unchanged: they are given its address, a token and
its signing keys, and nothing else. Each line below is a feature that the tests in `tests/compat`
use by the SDK named above it, with real processes for server, workers and endpoints, and with
signatures verified. `pytest tests/compat --write-compatibility` writes this page.
"""


@dataclass(frozen=True, slots=True)
class Feature:
    sdk: str
    name: str


Outcomes = dict[tuple[Feature, str], bool]
"""Whether all tests of a feature passed on a database."""

feature = pytest.mark.feature
"""`@feature(WORKFLOW_JS, "context.sleep")` above the test that shows it."""

Decorated = TypeVar("Decorated", bound=Callable[..., object])


def by_each_client(name: str) -> Callable[[Decorated], Decorated]:
    """Above a test that shows the same of each client of Cloudflare, the parameter `sdk`."""

    def decorate(test: Decorated) -> Decorated:
        for sdk in CLOUDFLARE_TENANTS:
            test = feature(sdk, name)(test)
        each = pytest.mark.parametrize(
            "sdk", list(CLOUDFLARE_TENANTS), ids=CLOUDFLARE_TENANTS.values()
        )
        decorated: Decorated = each(test)
        return decorated

    return decorate


def features_of(functions: Iterable[object]) -> Iterator[Feature]:
    for function in functions:
        for mark in getattr(function, "pytestmark", []):
            if mark.name == "feature":
                yield Feature(*mark.args)


def all_features() -> list[Feature]:
    """Of every test module of the suite."""
    found: list[Feature] = []
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = importlib.import_module(".".join(parts))
        functions = (each for each in vars(module).values() if isinstance(each, FunctionType))
        found += features_of(functions)
    return found


def page(outcomes: Outcomes) -> str:
    """Of a whole run; a feature passed on a database if all its tests there did."""
    by_sdk: defaultdict[str, set[str]] = defaultdict(set)
    for feature, _ in outcomes:
        by_sdk[feature.sdk].add(feature.name)
    sections = [INTRODUCTION]
    for sdk, origin in SDKS.items():
        if not by_sdk[sdk]:
            continue
        lines = [f"## {sdk}", "", f"{origin}.", ""]
        lines += [f"| Feature | {' | '.join(DATABASES.values())} |", "|---|---|---|"]
        for name in sorted(by_sdk[sdk], key=str.lower):
            cells = (_cell(outcomes.get((Feature(sdk, name), kind))) for kind in DATABASES)
            lines.append(f"| {name} | {' | '.join(cells)} |")
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def _cell(passed: bool | None) -> str:  # noqa: FBT001 - an outcome
    return {True: "passed", False: "failed", None: "not run"}[passed]


def features_on(text: str) -> list[Feature]:
    """Those that a page names."""
    found, sdk = [], ""
    for line in text.splitlines():
        if line.startswith("## "):
            sdk = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| Feature |"):
            found.append(Feature(sdk, line.split(" | ")[0].removeprefix("| ")))
    return found
