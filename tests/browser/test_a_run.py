"""The page of a run, with a keyboard and with a clipboard."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.consoles import Console

ZOOMED = re.compile(r"change/\?zoom=[\d.]+-[\d.]+$")


def test_the_timeline_is_zoomed_with_the_keyboard_and_stays_so_while_the_run_goes_on(
    console: Console,
):
    console.site.trigger("ticks", {"flag": "zoomed"}, workflow_run_id="zoomed")
    console.site.wait_for_step("zoomed", "tick-1")
    page = console.open_run("zoomed")
    page.evaluate("window.isTheSamePage = true")

    page.get_by_label("Zoom in").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(ZOOMED)
    expect(page.get_by_label("Zoom in")).to_be_focused()
    zoomed = page.url
    console.site.raise_flag("zoomed")
    expect(page.locator("#wf-live .wf-badge").first).to_have_text("succeeded")

    assert page.url == zoomed
    expect(page.get_by_text("Fit")).to_be_visible()
    page.get_by_text("Fit").click()
    expect(page.get_by_text("Fit")).to_have_count(0)
    assert page.evaluate("window.isTheSamePage")


def test_a_value_is_copied(console: Console):
    console.site.trigger("charge", {"total": 5}, workflow_run_id="copied")
    console.site.wait_for(1, "run", "run_id = 'copied' AND status = 'succeeded'")
    console.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = console.open_run("copied")

    page.get_by_role("button", name="Copy").first.click()

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == '{\n  "total": 5\n}'
