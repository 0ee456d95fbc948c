"""Every page: what the browser and axe find wrong with it, and pictures of it to look at."""

from __future__ import annotations

import pytest

from tests.browser.consoles import THEMES, WIDTHS, Console, Theme
from tests.browser.sites import Site

RUNS = ("failed", "sleeping", "waiting", "branching")
"""Runs that the pages show, by their ids."""
PAGES = {
    "overview": "",
    "runs": "run/",
    "start": "run/add/",
    "dead-letters": "deadletter/",
    "waiters": "waiter/",
    "events": "event/",
    "messages": "message/",
    "flow-control": "flowcontrol/",
    "schedules": "schedule/",
    "workflows": "definition/",
    "versions": "version/",
    "workflow": "definition/1/change/",
    "version": "version/1/change/",
    "tokens": "token/",
    "accounts": "account/",
    **{f"run-{run}": run for run in RUNS},
}


@pytest.fixture(scope="session")
def populated(site: Site) -> Site:
    """With runs in many states."""
    site.trigger("charge", {"declined": True}, workflow_run_id="failed", labels=["shop"])
    site.trigger("nap", workflow_run_id="sleeping")
    site.trigger("approval", {"event": "go"}, workflow_run_id="waiting")
    site.trigger("family", workflow_run_id="branching", labels=["shop", "family"])
    site.wait_for(1, "deadletter", "workflow = 'charge'")
    site.wait_for(1, "waiter", "event_id = 'go'")
    site.wait_for_step("sleeping", "pillow")
    site.wait_for_step("branching", "left")
    return site


def open_page(console: Console, name: str) -> None:
    address = PAGES[name]
    console.open(console.site.page_of(address) if address in RUNS else address)


@pytest.mark.usefixtures("populated")
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everyone(console: Console, name: str, theme: Theme):
    console.show_in(theme)
    open_page(console, name)

    for width, height in WIDTHS.items():
        console.page.set_viewport_size({"width": width, "height": height})
        console.take_picture(f"{name}-{theme}-{width}")
        assert console.grave_findings() == []
