"""Flags that a test raises, and workflows wait for: files in a directory. The tests import this and
not the workflows, which are those of the site alone.
"""

from __future__ import annotations

import os
from pathlib import Path

FLAGS = "BROWSER_FLAGS"
"""The variable that names the directory."""


def is_up(flag: str) -> bool:
    return (Path(os.environ[FLAGS]) / flag).exists()
