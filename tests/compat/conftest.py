"""One server for each database, and all tests on it at once.

The tests of this directory mostly wait: for steps, sleeps and retries of runs. So the functions of
all selected tests that take a `world` are called in a pool of threads, as soon as the first of them
is due; at its own turn a test only says how that went.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from tests.compat.features import DATABASES, PAGE, Outcomes, features_of, page
from tests.compat.world import World, world_on

AT_ONCE = 8
HERE = Path(__file__).parent

_outcomes = pytest.StashKey[Outcomes]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-compatibility",
        action="store_true",
        help="write docs/compatibility.md from the outcome of this run",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_outcomes] = {}


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker("processes")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Together, at the end, one database after the other; and once: they bring both databases."""
    ours = [item for item in items if HERE in item.path.parents]
    items[:] = [item for item in items if HERE not in item.path.parents]
    if config.getoption("--only-database"):
        config.hook.pytest_deselected(items=ours)
    else:
        items += sorted(ours, key=_database_of)


def _database_of(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("world", "")) if callspec else ""


class Stories:
    """The functions of tests, called at once."""

    def __init__(self, world: World, kind: str, items: list[pytest.Item]) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)
        mine = [item for item in items if _database_of(item) == kind]
        self._outcomes: dict[str, Future[Any]] = {}
        for item in mine:
            function = cast(pytest.Function, item)
            given = {**function.callspec.params, "world": world}
            self._outcomes[item.nodeid] = self._pool.submit(function.obj, **given)

    def tell(self, item: pytest.Item) -> None:
        """Raises what its function raised."""
        self._outcomes[item.nodeid].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


_stories = pytest.StashKey[Stories]()


@pytest.fixture(scope="session", params=list(DATABASES))
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    kind = request.param
    with ExitStack() as stack:
        world = stack.enter_context(world_on(kind, tmp_path_factory.mktemp(f"compat-{kind}")))
        stories = Stories(world, kind, request.session.items)
        stack.callback(stories.close)
        request.config.stash[_stories] = stories
        yield world


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if "world" not in pyfuncitem.funcargs:
        return None
    pyfuncitem.config.stash[_stories].tell(pyfuncitem)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if isinstance(item, pytest.Function) and (kind := _database_of(item)):
        outcomes = item.config.stash[_outcomes]
        for each in features_of([item.obj]):
            if each.sdk != item.callspec.params.get("sdk", each.sdk):
                continue
            outcomes[each, kind] = outcomes.get((each, kind), True) and report.passed
    return report  # type: ignore[return-value]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--write-compatibility", default=False):
        PAGE.write_text(page(session.config.stash[_outcomes]))
