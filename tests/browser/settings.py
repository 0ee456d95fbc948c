"""The demo site's settings for tests, with the workflows of these tests."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as DEMO_APPS

INSTALLED_APPS = [*DEMO_APPS, "tests.browser.app"]
