"""docs/quickstart.md, done from an empty directory with real commands and processes."""

from __future__ import annotations

import signal

import pytest
import requests

from tests.docs.pages import ROOT, read_blocks
from tests.docs.pasted_projects import PastedProject

PAGE = ROOT / "docs/quickstart.md"
BLOCKS = read_blocks(PAGE)
UNDER_DJANGO_Q2 = "Workers under django-q2"
WORKER = "workflows worker"

pytestmark = pytest.mark.processes


def log_in(project: PastedProject) -> requests.Session:
    session = requests.Session()
    login = f"http://127.0.0.1:{project.port}/admin/login/"
    session.get(login, timeout=10)
    form = {
        "username": "ada",
        "password": "quickstart",
        "csrfmiddlewaretoken": session.cookies["csrftoken"],
        "next": "/admin/",
    }
    assert "Log out" in session.post(login, form, timeout=10).text
    return session


def test_the_quickstart_works_as_it_stands(project: PastedProject):
    project.follow([block for block in BLOCKS if block.section != UNDER_DJANGO_Q2])

    assert project.statuses() == "['succeeded']"

    # The page of the run shows what the text promises.
    pk = project.query("Run.objects.get().pk")
    page = log_in(project).get(
        f"http://127.0.0.1:{project.port}/admin/workflows_app/run/{pk}/change/", timeout=10
    )
    assert page.status_code == 200
    for shown in ("take-payment", "time-to-change-your-mind", "ship", "is on its way"):
        assert shown in page.text

    schema = requests.get(f"http://127.0.0.1:{project.port}/schema/", timeout=10)
    assert (schema.status_code, "/v2/workflows/logs" in schema.text) == (200, True)

    # "end the worker with Ctrl-C, or with kill -9, while the run sleeps"
    project.place_order()
    asleep = 'Step.objects.filter(kind="sleep").count()'
    project.wait_until(lambda: project.query(asleep) == "2", "the second run sleeps")
    project.end(WORKER, signal.SIGKILL)
    project.start(WORKER, "python manage.py workflows worker")
    project.wait_until(
        lambda: project.statuses() == "['succeeded', 'succeeded']", "the second run succeeds"
    )
    assert project.query('Step.objects.filter(run__id=2, key="take-payment").count()') == "1"

    assert project.end(WORKER, signal.SIGINT) == 0


def test_django_q2_works_as_it_stands(project: PastedProject):
    others = ("$ curl", "$ python manage.py shell", f"$ python manage.py {WORKER}")
    project.follow([block for block in BLOCKS if not block.text.startswith(others)])

    project.place_order()

    project.wait_until(lambda: project.statuses() == "['succeeded']", "the run succeeds")
    checked = project.run("python manage.py check")
    assert checked.stdout.strip() == "System check identified no issues (0 silenced)."
    assert project.end("qcluster", signal.SIGTERM) == 0
