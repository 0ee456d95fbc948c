"""What `import workflows_app` offers, and what the installed package carries."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import ModuleType

import workflows_app

ROOT = Path(__file__).resolve().parents[2]


def test_every_public_name_can_be_imported():
    missing = [name for name in workflows_app.__all__ if not hasattr(workflows_app, name)]

    assert missing == []


def test_no_public_name_is_left_out_of_the_list():
    offered = {
        name
        for name, value in vars(workflows_app).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }

    assert offered - {"annotations"} == set(workflows_app.__all__)


def test_the_package_and_its_metadata_agree_on_the_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert workflows_app.__version__ == project["version"]


def test_the_package_is_typed():
    assert (ROOT / "workflows_app/py.typed").exists()
