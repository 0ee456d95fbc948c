"""What a page defines, and the projects that are made by doing what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pasted_projects import PastedProject, install_into
from workflows_app.sdk import authoring


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    install_into(directory)
    return directory


@pytest.fixture
def project(tmp_path: Path, site: Path) -> Iterator[PastedProject]:
    project = PastedProject(tmp_path, site)
    try:
        yield project
    finally:
        project.end_all()


@pytest.fixture
def own_registry() -> Iterator[None]:
    """What a page defines is forgotten after it."""
    before = dict(authoring.registered_workflows())
    yield
    registry = authoring._registry
    registry.clear()
    registry.update(before)
