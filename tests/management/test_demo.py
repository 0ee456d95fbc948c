"""What the demo prints of a step."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from workflows_app.management.verbs import demo
from workflows_app.models import Step

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"result": "7"}, "7"),
        ({}, "null"),
        ({"result": '"hunter2"', "sensitive": True}, "[REDACTED]"),
        ({"error": '{"type":"OSError"}', "sensitive": True}, '{"type":"OSError"}'),
    ],
    ids=["result", "nothing", "sensitive", "error"],
)
def test_a_line_shows_how_a_step_ended(said: dict[str, object], shown: str) -> None:
    step = Step(name="pay", started_at=NOON, ended_at=NOON, **said)

    assert demo._line(step) == f"  pay                  0.0 ms  {shown}"
