"""What is done to runs: each verb asks once, and says what it did."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.consoles import Console
from tests.browser.sites import Site


def test_a_run_is_forked_from_a_step_with_another_payload(console: Console, site: Site):
    site.trigger("charge", {"total": 5}, workflow_run_id="paid")
    site.wait_for(1, "run", "run_id = 'paid' AND status = 'succeeded'")
    page = console.open_run("paid")
    page.locator(".wf-steps summary").filter(has_text="load-cart").click()
    page.get_by_role("link", name="Fork from here…").first.click()
    page.get_by_label("Payload").fill('{"total": 9}')
    page.get_by_role("button", name="Fork from load-cart").click()

    expect(page.locator(".messagelist")).to_contain_text("paid")
    expect(page.locator("#wf-live")).to_contain_text("paid 9")


def test_many_runs_are_cancelled_after_one_has_seen_which(console: Console, site: Site):
    for number in range(12):
        site.trigger("nap", workflow_run_id=f"bulk-{number}", labels=["in-bulk"])
    site.wait_for(12, "run", "run_id LIKE 'bulk-%' AND status = 'running'")
    page = console.open("run/?q=in-bulk")
    page.locator("#action-toggle").check()
    page.get_by_label("Action:").select_option("cancel")
    page.get_by_role("button", name="Go").click()

    expect(page.locator(".wf-confirm")).to_contain_text("12 runs")
    expect(page.locator(".wf-confirm li").first).to_contain_text("bulk-11")
    page.get_by_role("button", name="Yes, cancel").click()

    expect(page.locator(".messagelist")).to_contain_text("12 cancelled")
    site.wait_for(12, "run", "run_id LIKE 'bulk-%' AND status = 'canceled'")


def test_a_run_is_found_and_cancelled_by_the_keyboard_alone(console: Console, site: Site):
    site.trigger("nap", workflow_run_id="by-keys")
    page = console.open("run/")
    keys = page.keyboard

    console.tab_to(page.locator("#searchbar"))
    keys.type("by-keys")
    keys.press("Enter")
    console.tab_to(page.get_by_role("link", name="by-keys"))
    keys.press("Enter")
    console.tab_to(page.get_by_role("link", name="Cancel…"))
    keys.press("Enter")
    console.tab_to(page.get_by_role("button", name="Yes, cancel"))
    keys.press("Enter")

    expect(page.locator(".messagelist")).to_contain_text("Run by-keys was cancelled.")


def test_a_telephone_is_wide_enough(console: Console, site: Site):
    site.trigger("family", workflow_run_id="on-the-way", labels=["a-label-that-is-rather-long"])
    console.page.set_viewport_size({"width": 390, "height": 844})
    for address in ("", "run/", "run/add/", "deadletter/", "waiter/", site.page_of("on-the-way")):
        console.open(address)

        assert console.width_needed() <= 390, address
