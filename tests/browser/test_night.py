"""Somebody is woken at night: from the overview to runs that have been repaired."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.consoles import Console
from tests.browser.sites import Site

CITIES = ("Oslo", "Lima", "Pune")


def test_a_group_of_failed_runs_is_found_understood_and_repaired(console: Console, site: Site):
    for city in CITIES:
        site.trigger("parcel", {"city": city}, workflow_run_id=f"to-{city}", labels=["night"])
    site.wait_for(len(CITIES), "deadletter", "workflow = 'parcel'")

    # Which runs are in trouble?
    page = console.open()
    figure = page.locator(".wf-figure").filter(has_text="Dead letters")
    figure.get_by_role("link").click()
    group = page.locator(".wf-group").filter(has_text="TimeoutError")
    expect(group).to_contain_text("3 runs")
    expect(group).to_contain_text("hand-over")

    # Why?
    expect(group).to_contain_text("the carrier did not take the parcel")
    group.get_by_role("link", name="See all").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(len(CITIES))
    page.locator("#result_list").get_by_role("link", name="to-Lima").click()
    expect(page.locator(".wf-failed")).to_contain_text("TimeoutError")
    expect(page.locator("#content")).to_contain_text("hand_over")

    # Repair it, then all of them.
    site.raise_flag("carrier-up")
    console.open("deadletter/")
    group.get_by_role("button", name="Resume all…").click()
    expect(page.locator(".wf-confirm")).to_contain_text("3 dead letters")
    page.get_by_role("button", name="Yes, resume").click()
    expect(page.locator(".messagelist")).to_contain_text("3 resumed")

    # And watch them end.
    console.open("run/?q=night")
    expect(page.locator("#result_list .wf-badge", has_text="succeeded")).to_have_count(len(CITIES))
    console.open("deadletter/")
    expect(group).to_have_count(0)
