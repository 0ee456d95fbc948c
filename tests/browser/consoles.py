"""The console in a browser, and what is wrong with it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Response

from tests.browser.sites import Site
from tests.faults.databases import ROOT
from tests.leaving_out import leave_out

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
WIDTHS = {1280: 900, 390: 844}
"""Of a desk and of a telephone, each with its height."""
UNANSWERED = "Failed to load resource"
"""Said of answers that the response itself tells more about."""
FARTHEST = 250
"""How often Tab is pressed until something is taken to be out of reach."""
SCREENSHOTS = ROOT / ".venv" / "screenshots"
AXE_OPTIONS = {"resultTypes": ["violations"], "preload": False}
GRAVE = ("serious", "critical")
DJANGOS_OWN = [[".breadcrumbs"], ["#changelist-search"]]
"""Parts of the admin in which axe finds something that is not for us to mend."""


def find_chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return leave_out("the console is tested in Chromium, which is not installed")


@dataclass(kw_only=True)
class Console:
    """A page of the browser, logged in as the administrator of the site."""

    page: Page
    site: Site
    complaints: list[str] = field(default_factory=list)
    """What the browser had to say: errors of scripts, whatever the content security policy refused,
    and answers that it did not expect.
    """

    def listen(self) -> None:
        self.page.on("console", self._hear)
        self.page.on("pageerror", self._hear_error)
        self.page.on("response", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(UNANSWERED):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _hear_error(self, error: Error) -> None:
        self.complaints.append(f"{self.page.url}: {error}")

    def _see(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.url}: {response.status}")

    def open(self, path: str = "") -> Page:
        """A path, or what follows the console's own address."""
        path = path if path.startswith("/") else f"/admin/workflows_app/{path}"
        self.page.goto(f"{self.site.url}{path}")
        return self.page

    def open_run(self, run_id: str) -> Page:
        return self.open(self.site.page_of(run_id))

    def state_of(self, run_id: str) -> Locator:
        """The badge in the row of a list of runs, of which it is the only one of that id."""
        row = self.page.locator("#result_list tbody tr").filter(has_text=run_id)
        return row.locator(".wf-badge").first

    def tab_to(self, wanted: Locator) -> None:
        """By the keyboard alone."""
        for _ in range(FARTHEST):
            if wanted.evaluate("each => each === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{wanted} is not reached by {FARTHEST} times Tab")

    def show_in(self, theme: Theme) -> None:
        self.page.emulate_media(color_scheme=theme)

    def grave_findings(self) -> list[str]:
        """What axe finds, with the elements that it finds it at."""
        before = len(self.complaints)
        found = Axe().run(self.page, {"exclude": DJANGOS_OWN}, AXE_OPTIONS).response["violations"]
        # Axe tries styles of its own, which the content security policy refuses.
        del self.complaints[before:]
        return [_told(each) for each in found if each["impact"] in GRAVE]

    def width_needed(self) -> int:
        """More than the window's own means that the page has to be pushed sideways."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def take_picture(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def _told(finding: dict[str, Any]) -> str:
    nodes = [node["html"][:160] for node in finding["nodes"][:5]]
    return f"{finding['id']}: {finding['help']}: {nodes}"
