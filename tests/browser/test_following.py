"""Pages that keep up with what happens, without being loaded anew."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.consoles import Console
from tests.browser.sites import Site


def mark(page: Page) -> None:
    page.evaluate("document.body.dataset.loaded = 'once'")


def expect_not_reloaded(page: Page) -> None:
    expect(page.locator("body")).to_have_attribute("data-loaded", "once")


def test_the_page_of_a_run_follows_it_to_its_end(console: Console, site: Site):
    site.trigger("ticks", {"flag": "ticked"}, workflow_run_id="ticking")
    site.wait_for_step("ticking", "tick-1")
    page = console.open_run("ticking")
    live = page.locator("#wf-live")
    mark(page)
    expect(live).to_contain_text("look")

    site.raise_flag("ticked")

    expect(live).to_contain_text("tick-last")
    expect(live.locator(".wf-header .wf-badge")).to_have_text("succeeded")
    expect_not_reloaded(page)


def test_the_list_of_runs_follows_them(console: Console, site: Site):
    site.trigger("ticks", {"flag": "listed"}, workflow_run_id="listed", labels=["in-a-list"])
    page = console.open("run/?q=in-a-list")
    mark(page)

    site.raise_flag("listed")

    expect(console.state_of("listed")).to_have_text("succeeded")
    expect_not_reloaded(page)


def test_an_event_from_a_form_lets_a_run_go_on_before_ones_eyes(console: Console, site: Site):
    site.trigger("approval", {"event": "approved-7"}, workflow_run_id="awaited")
    site.wait_for(1, "waiter", "event_id = 'approved-7'")
    page = console.open_run("awaited")
    page.get_by_role("link", name="Send event…").click()
    page.get_by_label("Event id").fill("approved-7")
    page.get_by_label("Data:", exact=True).fill('{"by": "ada"}')
    page.get_by_role("button", name="Send event").click()

    expect(page.locator("#wf-live .wf-header .wf-badge")).to_have_text("succeeded")
    expect(page.locator("#wf-live")).to_contain_text('"ada"')
