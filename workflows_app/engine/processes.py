"""What must not outlive a fork: threads, connections and the locks that they hold."""

from __future__ import annotations

import os
from collections.abc import Callable


def in_forked_children(reset: Callable[[], None]) -> None:
    """Have `reset` called in each child that this process forks, where there is fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)
