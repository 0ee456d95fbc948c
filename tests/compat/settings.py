"""The demo site's settings for tests, with the workflows that Cloudflare's clients are shown, and
the apps that a test has written.
"""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as DEMO_APPS

INSTALLED_APPS = [*DEMO_APPS, "tests.compat.cloudflare", *os.environ.get("APPS", "").split()]
