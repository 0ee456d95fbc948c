"""What docs/self-hosting.md tells one to do is done by its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from tests.docs.pages import ROOT, read_code
from tests.docs.sessions import Command, prints_as_expected, read_commands, run_command
from workflows_app.conf import Settings as AppSettings
from workflows_app.engine.accounts import create_token
from workflows_app.models import Account, Schedule, Token
from workflows_app.rest.upstash.schedules import render_schedule

PAGE = ROOT / "docs/self-hosting.md"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

pytestmark = pytest.mark.processes


def commands(section: str) -> list[Command]:
    blocks = read_code(PAGE, ("console",), section)
    return [command for block in blocks for command in read_commands(block)]


def test_each_team_gets_an_account_tokens_and_keys(tmp_path: Path):
    environment = {
        **os.environ,
        "PATH": PATH,
        "DATABASE_URL": f"sqlite:///{tmp_path}/teams.sqlite3",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "SECRET_KEY": "only for this",
    }
    migrate = [sys.executable, "manage.py", "migrate", "-v", "0"]
    subprocess.run(migrate, cwd=ROOT, env=environment, check=True)

    for command in commands("Accounts for several teams"):
        printed = run_command(
            Command(text=f"cd {ROOT} && {command.text}", expected=command.expected), environment
        )
        assert prints_as_expected(printed, command.expected), (command.text, printed)


@pytest.mark.django_db(transaction=True)
def test_schedules_are_copied(live_server: Any, settings: Settings, tmp_path: Path):
    settings.WORKFLOWS = {"BASE_URL": live_server.url}
    old, new = Account.objects.default(), Account.objects.create(name="new")
    environment = {
        **os.environ,
        "PATH": PATH,
        "OLD_URL": live_server.url,
        "OLD_TOKEN": create_token(old, "old", Token.Scope.FULL),
        "QSTASH_URL": live_server.url,
        "QSTASH_TOKEN": create_token(new, "new", Token.Scope.FULL),
    }
    (script,) = read_code(PAGE, ("python",), "Moving")
    (tmp_path / "copy_schedules.py").write_text(script.text)
    at_old = '-H "Authorization: Bearer $OLD_TOKEN"'
    made = (
        'curl -s -X POST "$OLD_URL/v2/schedules/https://shop.example.org/report" '
        f'{at_old} -H "Upstash-Cron: 0 9 * * 1-5" '
        '-H "Upstash-Schedule-Id: report" -H "Upstash-Retries: 5" -H "Upstash-Delay: 30s" '
        '-H "Upstash-Forward-X-Shop: main" -H "Content-Type: application/json" -d \'{"a":1}\' '
        f'&& curl -s -X POST "$OLD_URL/v2/schedules/report/pause" {at_old}'
    )
    run_command(Command(text=made, expected=""), environment)

    (copying,) = commands("Moving")
    for _ in range(2):
        printed = run_command(
            Command(text=f"cd {tmp_path} && {copying.text}", expected=""), environment
        )
        assert printed == copying.expected

    assert shown(new) == shown(old)
    assert shown(new)["retries"] == 5


def shown(account: Account) -> dict[str, Any]:
    """Its only schedule, as callers see it."""
    schedule = render_schedule(Schedule.objects.get(account=account))
    return {name: value for name, value in schedule.items() if name != "createdAt"}


def test_the_limits_on_the_page_are_the_defaults():
    text, settings = PAGE.read_text(), AppSettings()

    assert settings.MAX_PAYLOAD_BYTES == 100 * 1024 * 1024
    assert (
        f"{settings.MAX_RETRIES} retries, {settings.MAX_DELAY.days} days, 100 MiB a body, "
        f"{settings.MAX_BATCH} items a batch" in text
    )
    assert f"up to {settings.MAX_EVENTS} a run are kept" in text
    assert f"| {settings.MAX_INVOKE_DEPTH} levels; then 412" in text
    assert f"`THREADS` ({settings.THREADS})" in text
    assert f"`EXCHANGES` ({settings.EXCHANGES})" in text
