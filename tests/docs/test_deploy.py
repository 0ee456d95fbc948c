"""What docs/deploy.md tells one to copy is valid, and the lane of its own works."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT, Block, read_blocks
from tests.docs.pasted_projects import PastedProject
from tests.docs.sessions import read_commands
from workflows_app.management.commands.workflows import VERBS

PAGE = ROOT / "docs/deploy.md"
QUICKSTART = ROOT / "docs/quickstart.md"
LANE = "If the project uses django-q2 already"

_UNIT = re.compile(r"`/etc/systemd/system/([\w.-]+)`")
_VERB = re.compile(r"manage\.py workflows (\w+)")


def blocks(language: str, page: Path = PAGE) -> list[Block]:
    return [block for block in read_blocks(page) if block.language == language]


def unit_name(block: Block) -> str:
    match = _UNIT.search(block.above)
    assert match, block.above
    return match[1]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path):
    for block in blocks("ini"):
        # The programs are where a reader's project is.
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", block.text, flags=re.M)
        (tmp_path / unit_name(block)).write_text(text)

    units = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )

    assert len(units) == 2
    assert (done.returncode, done.stderr) == (0, "")


def test_the_workers_are_started_again_whatever_ended_them():
    (unit,) = [block.text for block in blocks("ini") if "qcluster" in block.text]

    assert {"Restart=always", "KillMode=mixed", "StartLimitIntervalSec=0"} <= set(unit.split("\n"))


def compose() -> dict[str, Any]:
    (block,) = blocks("yaml")
    loaded: dict[str, Any] = yaml.safe_load(block.text)
    return loaded


def test_the_services_of_the_compose_file_know_each_other():
    services = compose()["services"]

    needed = {name for service in services.values() for name in service.get("depends_on", {})}

    assert needed == {"db", "migrate"}
    assert needed <= set(services)


def test_the_workers_have_longer_to_stop_than_their_grace():
    assert compose()["services"]["workflows"]["stop_grace_period"] == "20s"


def test_all_pages_set_django_q2_up_alike():
    start = "Q_CLUSTER = {\n"
    (deploy,) = [b.text for b in blocks("python") if start in b.text and "ALT_" not in b.text]
    (quickstart,) = [b.text for b in blocks("python", QUICKSTART) if start in b.text]

    assert deploy == quickstart


def test_all_pages_set_sqlite_up_alike():
    start = 'DATABASES["default"]["OPTIONS"]'
    deploy, quickstart = (
        block.text[block.text.index(start) :]
        for page in (PAGE, QUICKSTART)
        for block in blocks("python", page)
        if start in block.text
    )

    assert deploy == quickstart


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_verb_on_the_page_exists(page: Path):
    assert set(_VERB.findall(page.read_text())) <= set(VERBS)


@pytest.mark.processes
def test_a_lane_of_its_own_works_beside_the_tasks_of_the_project(project: PastedProject):
    others = ("$ curl", "$ python manage.py shell", "$ python manage.py workflows worker")
    project.follow(
        [
            block
            for block in read_blocks(QUICKSTART)
            if not block.text.startswith(others) and block.section != "Workers under django-q2"
        ]
    )
    settings, session = [block for block in read_blocks(PAGE) if block.section == LANE]
    with (project.directory / "mysite/settings.py").open("a") as file:
        file.write(settings.text)
    assert project.run("python manage.py migrate").returncode == 0
    tasks, lane = read_commands(session)
    project.start("tasks", tasks.text)
    project.start("lane", lane.text)

    project.place_order()
    project.run(
        "python manage.py shell -c "
        "'from django_q.tasks import async_task; async_task(\"math.gcd\", 6, 4)'"
    )

    project.wait_until(lambda: project.statuses() == "['succeeded']", "the run succeeds")
    result = "from django_q.models import Success; print(Success.objects.get().result)"
    project.wait_until(
        lambda: project.run(f"python manage.py shell -v 0 -c '{result}'").stdout.strip() == "2",
        "the project's own task is done",
    )
    checked = project.run("python manage.py check")
    assert checked.stdout.strip() == "System check identified no issues (0 silenced)."
    assert [project.end(name, signal.SIGTERM) for name in ("lane", "tasks")] == [0, 0]
