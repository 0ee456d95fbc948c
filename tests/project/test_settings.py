"""The demo site takes its settings from the environment and says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "advice"),
    [
        ({}, "Set SECRET_KEY in the environment to a long random text, or DEBUG=1"),
        ({"DEBUG": "1", "DATABASE_URL": "orders.db"}, "DATABASE_URL must look like sqlite:////"),
    ],
)
def test_an_unusable_environment_is_answered_with_one_sentence(environment, advice):
    answer = manage("check", **environment)

    assert answer.returncode == 1
    assert answer.stderr.startswith(f"manage.py: {advice}")
    assert answer.stderr.count("\n") == 1


def test_debug_needs_nothing_else():
    assert manage("check", DEBUG="1").returncode == 0


def test_with_a_key_the_site_runs_without_debug():
    shown = manage(
        "shell",
        "--no-imports",
        "--command",
        "from django.conf import settings as s; print(s.DEBUG, s.SECRET_KEY, s.ALLOWED_HOSTS)",
        SECRET_KEY="long-and-random",
        ALLOWED_HOSTS="a.example, b.example",
    )

    assert shown.stdout == "False long-and-random ['a.example', 'b.example']\n"
