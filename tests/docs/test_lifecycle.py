"""docs/lifecycle.md names the function of each move."""

from __future__ import annotations

import re
from importlib import import_module
from operator import attrgetter

import pytest

from tests.docs.pages import ROOT

_MOVE = re.compile(r"^\| [^|]+ \| `(\w+(?:/\w+)+)\.([\w.]+)` \|", re.M)

MOVES = _MOVE.findall((ROOT / "docs/lifecycle.md").read_text())


def test_the_page_has_a_table_of_moves():
    assert len(MOVES) > 35


@pytest.mark.parametrize(("module", "name"), MOVES)
def test_the_function_of_a_move_exists(module: str, name: str):
    found = attrgetter(name)(import_module(f"workflows_app.{module.replace('/', '.')}"))

    assert callable(found)
