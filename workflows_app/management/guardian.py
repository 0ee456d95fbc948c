"""Ends process groups once the process that watches over them has died, however it died.

Run as a script, with the watching process at the other end of its stdin: "+<group>" begins and
"-<group>" ends its care for a process group, and the end of the input means that nobody watches any
more. Apart from that process it shares nothing with it, so nothing that kills the one kills both.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

PATIENCE = 8.0
"""Seconds that a group has to end by itself."""


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    end(groups)


def end(groups: Iterable[int]) -> None:
    left = [group for group in groups if ask_to_end(group)]
    deadline = time.monotonic() + PATIENCE
    while (left := [group for group in left if exists(group)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for group in left:
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)


def ask_to_end(group: int) -> bool:
    """Ask its leader, who knows in which order the others end; all, if it has ended before them."""
    for send in (os.kill, os.killpg):
        with suppress(OSError):
            send(group, signal.SIGTERM)
            return True
    return False


def exists(group: int) -> bool:
    with suppress(OSError):
        os.killpg(group, 0)
        return True
    return False


if __name__ == "__main__":
    main()
