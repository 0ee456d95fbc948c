"""The paths of parallel branches: "2.1" is the first part of the second branch."""

from __future__ import annotations

from collections.abc import Iterator


def paths_above(path: str) -> Iterator[str]:
    """The branch itself, then each branch that it is part of, outwards; not the function."""
    while path:
        yield path
        path = path.rpartition(".")[0]
