"""The fixture `workflows`, for authors who test with pytest and pytest-django.

pytest loads this before Django has its settings, so nothing of Django is imported until a test
asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from workflows_app.testing import WorkflowTest


@pytest.fixture
def workflows(db: None) -> Iterator[WorkflowTest]:
    """Works on runs in the test's own thread, with time that stands still; see
    `workflows_app.testing.WorkflowTest`.
    """
    from workflows_app.testing import WorkflowTest

    with WorkflowTest() as flows:
        yield flows
