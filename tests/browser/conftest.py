"""One site and one browser for all of these tests, and a fresh window for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, StorageState, expect, sync_playwright

from tests.browser.consoles import Console, find_chromium
from tests.browser.sites import Site, running_site

HERE = Path(__file__).parent
PATIENCE = 20_000
"""Milliseconds that the browser waits for what a test expects, on a busy machine."""


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker("processes")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """At the end: while the browser is open, this thread has an event loop, and no test that brings
    one of its own can run.
    """
    items.sort(key=lambda item: HERE in item.path.parents)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    find_chromium()
    with running_site(tmp_path_factory.mktemp("browser")) as site:
        yield site


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def logged_in(browser: Browser, site: Site) -> StorageState:
    """The cookies of who has logged in."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/admin/login/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("admin")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def console(browser: Browser, site: Site, logged_in: StorageState) -> Iterator[Console]:
    """A window of its own. Whatever the browser complains about fails the test."""
    context = browser.new_context(
        storage_state=logged_in, viewport={"width": 1280, "height": 900}, locale="en-GB"
    )
    context.set_default_timeout(PATIENCE)
    console = Console(page=context.new_page(), site=site)
    console.listen()
    yield console
    context.close()
    if console.complaints:
        pytest.fail("\n".join(console.complaints))
