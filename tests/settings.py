"""The demo site's settings for tests and type checks, which need no secret from the environment."""

from __future__ import annotations

import os

# Left in the environment, for the processes that tests start. The database is nobody's own: pytest
# makes others beside it, and only commands that look at migrations open it.
os.environ.setdefault("SECRET_KEY", "a-key-for-tests")
os.environ.setdefault("DATABASE_URL", "sqlite:///.venv/tests.sqlite3")

from project.settings import *  # noqa: F403 - the key must be there first

# The usual hasher is slow on purpose; tests log in often.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
