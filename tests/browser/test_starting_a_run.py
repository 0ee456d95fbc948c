"""The form that starts a run, and the code beside it."""

from __future__ import annotations

from playwright.sync_api import Browser, StorageState, expect

from tests.browser.consoles import Console


def test_the_code_follows_what_is_typed_and_the_run_is_watched(console: Console):
    page = console.open("run/")
    page.get_by_role("link", name="Start a run").click()
    page.get_by_label("Workflow").select_option("nap")
    page.get_by_label("Payload").fill('{"bed": "it\'s soft"}')
    page.get_by_label("Run id").fill("typed")

    expect(page.locator("#wf-python")).to_contain_text("""{'bed': "it's soft"},""")
    expect(page.locator("#wf-curl")).to_contain_text("-H 'Upstash-Workflow-RunId: typed'")
    expect(page.locator("#wf-javascript")).to_contain_text("/serve/nap")
    page.get_by_label("Payload").fill('{"bed": ')
    expect(page.locator("#wf-texts")).to_contain_text("This is not JSON")
    page.get_by_label("Payload").fill("")
    page.get_by_role("button", name="Start the run").click()

    expect(page.locator(".messagelist")).to_contain_text("Run typed was started.")
    expect(page.locator("#content")).to_contain_text("sleep")


def test_without_scripts_a_button_shows_the_code(
    browser: Browser, console: Console, logged_in: StorageState
):
    context = browser.new_context(storage_state=logged_in, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{console.site.url}/admin/workflows_app/run/add/?workflow=nap")
    page.get_by_label("Labels").fill("quiet, dark")
    page.get_by_role("button", name="Show the code").click()

    expect(page.locator("#wf-curl")).to_contain_text("-H 'Upstash-Label: quiet,dark'")
    expect(page.get_by_label("Labels")).to_have_value("quiet, dark")
    context.close()
