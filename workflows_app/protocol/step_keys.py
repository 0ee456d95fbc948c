"""What the key of a step says, where nothing else of the step is known (`sdk.scopes`)."""

from __future__ import annotations

import re
from collections.abc import Container

_OCCURRENCE = re.compile(r"(.+)#[0-9]+", re.DOTALL)
_BRANCH = re.compile("[0-9.]+")


def name_and_branch(key: str, known: Container[str]) -> tuple[str, str]:
    """`known` are the keys of the run's other steps: a second occurrence comes only after a first,
    so any other "#2" is part of the name.
    """
    occurrence = _OCCURRENCE.fullmatch(key)
    if occurrence and occurrence[1] in known:
        key = occurrence[1]
    name, mark, branch = key.rpartition("@")
    return (name, branch) if mark and _BRANCH.fullmatch(branch) else (key, "")
