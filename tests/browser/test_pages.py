"""Every page: what the browser and axe find wrong with it, and pictures of it to look at."""

from __future__ import annotations

import re

import pytest

from tests.browser.consoles import THEMES, WIDTHS, Console
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
    "tokens": "token/",
    "accounts": "account/",
    "dead-letter": "deadletter/{deadletter}/change/",
    "workflow": "definition/{definition}/change/",
    "version": "version/{version}/change/",
    "fork": "run/{run}/fork/",
    "send": "waiter/send/",
    "cancel": "run/{run}/cancel/",
    **{f"run-{run}": run for run in RUNS},
}
"""Their addresses; a model in braces stands for its newest row."""


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
    if address in RUNS:
        console.open_run(address)
        return
    newest = "SELECT max(id) FROM workflows_app_{}"
    models = re.findall(r"{(\w+)}", address)
    rows = {model: console.site.database.query(newest.format(model))[0][0] for model in models}
    console.open(address.format(**rows))


@pytest.mark.usefixtures("populated")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everyone(console: Console, name: str):
    open_page(console, name)

    for theme in THEMES:
        console.show_in(theme)
        for width, height in WIDTHS.items():
            console.page.set_viewport_size({"width": width, "height": height})
            console.take_picture(f"{name}-{theme}-{width}")
        assert console.grave_findings() == []
