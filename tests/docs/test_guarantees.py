"""What docs/guarantees.md says of a process that dies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.docs.examples import run_examples
from tests.docs.pages import ROOT, read_blocks
from workflows_app.testing import WorkflowTest

PAGE = ROOT / "docs/guarantees.md"


@pytest.mark.django_db
@pytest.mark.usefixtures("own_registry")
def test_the_test_on_the_page_passes():
    names: dict[str, Any] = {"__name__": "docs.guarantees"}
    run_examples([b for b in read_blocks(PAGE) if b.language == "python"], PAGE.name, names)

    with WorkflowTest() as flows:
        names["test_a_member_is_created_once_and_may_be_welcomed_twice"](flows)
