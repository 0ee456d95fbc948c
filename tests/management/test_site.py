"""`workflows dev`, `demo` and `worker` as they are started by people: real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.faults.databases import Database, PostgresDatabase
from tests.management.databases import SETTINGS, copy_of, empty_database, migrate
from tests.management.programs import ROOT, Command, offspring, wait_until
from workflows_app.engine.development import CURRENT_SIGNING_KEY, NEXT_SIGNING_KEY, TOKEN
from workflows_app.management.address import free_address

pytestmark = pytest.mark.processes

ALLOWED = 10.0
"""Seconds in which everything has to have ended, once it was asked to."""
AT_WORK = 30.0
"""Seconds in which a site works on a run, on a busy machine, even if workers are just starting."""

Start = Callable[..., Command]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with empty_database(tmp_path_factory.mktemp("site")) as database:
        migrate(database)
        yield database


@pytest.fixture
def database(migrated: Database, tmp_path: Path) -> Iterator[Database]:
    with copy_of(migrated, tmp_path) as database:
        yield database


@pytest.fixture
def nothing(tmp_path: Path) -> Iterator[Database]:
    """A database that has never been used."""
    with empty_database(tmp_path) as database:
        yield database


def environment(database: Database, **changes: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database.url,
        "DEBUG": "1",
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "WORKFLOWS_WORKERS": "1",
        "WORKFLOWS_SHUTDOWN_GRACE": "0.5s",
        **changes,
    }


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(database, "dev", "--port", "0")`; keywords change its environment."""
    with ExitStack() as stack:

        def start(database: Database, *arguments: str, **changes: str) -> Command:
            log = tmp_path / f"{arguments[0]}-{len(list(tmp_path.iterdir()))}.log"
            command = Command(log, *arguments, **environment(database, **changes))
            stack.callback(command.end)
            return command

        yield start


def verb(database: Database, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "workflows", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment(database, **changes)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def ask(method: str, url: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(
        url, method=method, data=body, headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def told(site: Command) -> dict[str, str]:
    """The credentials that `dev` has printed."""
    return dict(line.split("=", 1) for line in site.lines() if "=" in line)


def trigger(site: Command, workflow: str, payload: object) -> str:
    """By its REST interface; the run's id."""
    url = told(site)["QSTASH_URL"]
    started = ask("POST", f"{url}/v2/trigger/{url}/serve/{workflow}", json.dumps(payload).encode())
    return str(started["workflowRunId"])


def wait_until_succeeded(database: Database, run_id: str) -> None:
    sql = f"SELECT status FROM workflows_app_run WHERE run_id = '{run_id}'"
    wait_until(lambda: database.query(sql) == [("succeeded",)], AT_WORK, f"the end of {run_id}")


# -- dev


def test_dev_makes_what_is_missing_and_says_where_and_how_it_serves(
    start: Start, nothing: Database
) -> None:
    site = start(nothing, "dev", "--port", "0")
    site.wait_for_line("ready")

    url, account = told(site)["QSTASH_URL"], told(site)["CLOUDFLARE_ACCOUNT_ID"]
    assert site.lines() == [
        f"QSTASH_URL={url}",
        f"QSTASH_TOKEN={TOKEN}",
        f"QSTASH_CURRENT_SIGNING_KEY={CURRENT_SIGNING_KEY}",
        f"QSTASH_NEXT_SIGNING_KEY={NEXT_SIGNING_KEY}",
        f"CLOUDFLARE_BASE_URL={url}/client/v4",
        f"CLOUDFLARE_ACCOUNT_ID={account}",
        f"CLOUDFLARE_API_TOKEN={TOKEN}",
        "ready",
    ]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    assert UUID(account).hex == account
    # By this answer the clients know the server that they were made to look for.
    assert ask("GET", f"{url}/v2/keys") == {
        "current": CURRENT_SIGNING_KEY,
        "next": NEXT_SIGNING_KEY,
    }
    assert nothing.query("SELECT username FROM auth_user") == [("admin",)]


@pytest.mark.postgres
def test_dev_keeps_no_connection_of_a_request_that_has_ended(
    start: Start, database: Database
) -> None:
    assert isinstance(database, PostgresDatabase)
    site = start(database, "dev", "--port", "0")
    site.wait_for_line("ready")
    before = database.sessions()

    for _ in range(30):
        ask("GET", f"{told(site)['QSTASH_URL']}/v2/workflows/logs")

    wait_until(lambda: database.sessions() <= before, AT_WORK, "the end of their connections")


def test_dev_works_on_what_it_accepts_and_ends_when_it_is_asked_to(
    start: Start, database: Database
) -> None:
    site = start(database, "dev", "--port", "0")
    site.wait_for_line("ready")

    wait_until_succeeded(database, trigger(site, "noop-steps", {"steps": 3}))
    site.send(signal.SIGTERM)

    assert site.wait(ALLOWED) == 0
    site.wait_until_all_gone(1)


def test_ctrl_c_gives_back_the_leases_of_steps_in_flight(
    start: Start, database: Database, tmp_path: Path
) -> None:
    site = start(database, "dev", "--port", "0")
    site.wait_for_line("ready")
    trigger(site, "held", str(tmp_path))
    wait_until((tmp_path / "begun").exists, AT_WORK, "the step")
    assert database.query("SELECT token FROM workflows_app_message WHERE run_id IS NOT NULL") != [
        (None,)
    ]

    site.send(signal.SIGINT)

    assert site.wait(ALLOWED) == 0
    site.wait_until_all_gone(1)
    assert database.query("SELECT token FROM workflows_app_message WHERE run_id IS NOT NULL") == [
        (None,)
    ]


def test_after_a_sudden_death_it_starts_again_on_the_same_database_and_port(
    start: Start, database: Database, tmp_path: Path
) -> None:
    site = start(database, "dev", "--port", "0")
    site.wait_for_line("ready")
    port = told(site)["QSTASH_URL"].rpartition(":")[2]
    held = trigger(site, "held", str(tmp_path))
    wait_until((tmp_path / "begun").exists, AT_WORK, "the step")

    site.send(signal.SIGKILL)
    (tmp_path / "gate").touch()
    again = start(database, "dev", "--port", port)

    again.wait_for_line("ready")
    assert told(again) == told(site)
    wait_until_succeeded(database, held)
    site.wait_until_all_gone(ALLOWED)


@pytest.mark.parametrize("victim", ["qcluster", "runserver"])
def test_what_dies_is_replaced(start: Start, database: Database, victim: str) -> None:
    site = start(database, "dev", "--port", "0")
    site.wait_for_line("ready")
    url = told(site)["QSTASH_URL"]
    dead = next(pid for pid in children(site.pid) if victim in command_line(pid))
    left = offspring(dead)

    os.kill(dead, signal.SIGKILL)

    wait_until(lambda: answers(f"{url}/readyz"), AT_WORK, "a web server")
    wait_until_succeeded(database, trigger(site, "noop-steps", {"steps": 1}))
    wait_until(lambda: not left & offspring(1), ALLOWED, "the end of what it left behind")


def test_a_project_without_django_q2_is_worked_on_by_threads(
    start: Start, database: Database
) -> None:
    site = start(
        database,
        *("dev", "--port", "0", "--workers", "2"),
        DJANGO_SETTINGS_MODULE="tests.management.app.without_django_q",
    )
    site.wait_for_line("ready")

    workers = [pid for pid in children(site.pid) if "workflows worker" in command_line(pid)]
    assert len(workers) == 2
    wait_until_succeeded(database, trigger(site, "noop-steps", {"steps": 3}))
    site.send(signal.SIGTERM)
    assert site.wait(ALLOWED) == 0
    site.wait_until_all_gone(1)


def test_a_project_with_tasks_of_its_own_has_its_lane_worked_on(
    start: Start, database: Database
) -> None:
    site = start(
        database,
        *("dev", "--port", "0", "--workers", "2"),
        DJANGO_SETTINGS_MODULE="tests.management.app.with_other_tasks",
    )
    site.wait_for_line("ready")

    wait_until_succeeded(database, trigger(site, "noop-steps", {"steps": 3}))
    assert (
        'the cluster keeps 1 worker, not 2: Q_CLUSTER["ALT_CLUSTERS"]["workflows"] does not take '
        'its "workers" from WORKFLOWS_WORKERS in the environment\n'
    ) in site.log.read_text()


def children(pid: int) -> set[int]:
    everyone = offspring(pid)
    return everyone - {one for child in everyone for one in offspring(child)}


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def answers(url: str) -> bool:
    try:
        ask("GET", url)
    except OSError:
        return False
    return True


def test_a_port_in_use_is_said_in_one_sentence(database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = verb(database, "dev", "--port", str(port))

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"CommandError: port {port} of 127.0.0.1 is in use; end what listens there, or choose "
        "another with --port (0 takes any that is free)\n"
    )


def test_without_debug_the_known_credentials_let_nobody_in(database: Database) -> None:
    refused = verb(database, "dev", "--port", "0", DEBUG="0")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("CommandError: this verb lets in everyone")
    assert refused.stderr.count("\n") == 1
    assert database.query("SELECT * FROM workflows_app_token") == []


def test_an_argument_that_cannot_be_read_is_answered_with_one_sentence(database: Database) -> None:
    refused = verb(database, "dev", "--port", "eighty")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "manage.py workflows dev: argument --port: 'eighty' is not a whole number from 0 to 65535 "
        "(--help says more)\n"
    )


def test_a_database_without_tables_is_answered_with_one_sentence(nothing: Database) -> None:
    refused = verb(nothing, "token", "list")

    assert refused.returncode == 1
    assert refused.stderr.startswith("CommandError: the database refused: ")
    assert refused.stderr.endswith('is it migrated ("manage.py migrate")?\n')
    assert refused.stderr.count("\n") == 1


# -- demo

STEPS = ["create-order", "check-stock", "take-payment", "ship", "mail-customer", "mail-warehouse"]


def test_the_demo_fulfils_an_order_before_ones_eyes(start: Start, nothing: Database) -> None:
    demo = start(nothing, "demo", "--once", "--port", "0")
    demo.wait_for_line("admin")

    assert demo.wait(ALLOWED) == 0
    demo.wait_until_all_gone(1)
    first, *steps, end, admin = demo.lines()
    assert re.fullmatch(r"order-fulfillment wfr_\S+", first)
    assert sorted(step.split()[0] for step in steps) == sorted(STEPS)
    assert re.fullmatch(r'  create-order +\d+\.\d ms  {"orderId":1,"customer":"ada"}', steps[0])
    assert re.fullmatch(r'  succeeded +\d+\.\d ms  {.*"status":"shipped"}', end)
    assert re.fullmatch(r"admin http://127\.0\.0\.1:\d+/admin/  login admin / admin", admin)


def test_the_demo_serves_until_ctrl_c_and_can_be_run_again(
    start: Start, database: Database
) -> None:
    for number in (1, 2):
        demo = start(database, "demo", "--port", "0")
        admin = demo.wait_for_line("admin").split()[1]
        demo.wait_for_line("serving until Ctrl-C")
        with urllib.request.urlopen(admin, timeout=10) as page:
            assert page.status == 200

        demo.send(signal.SIGINT)

        assert demo.wait(ALLOWED) == 0
        assert database.query("SELECT count(*) FROM shop_order") == [(number,)]


def test_a_demo_whose_run_does_not_succeed_ends_with_1(start: Start, database: Database) -> None:
    database.query("DROP TABLE shop_mail")
    port = free_address("127.0.0.1", 0).port
    demo = start(database, "demo", "--once", "--port", str(port))
    run_id = demo.wait_for_line("order-fulfillment").split()[1]
    demo.wait_for_line("  ship")

    ask("DELETE", f"http://127.0.0.1:{port}/v2/workflows/runs/{run_id}?cancel=true")

    assert demo.wait(ALLOWED) == 1
    assert "  canceled" in demo.lines()[-2]


# -- worker


def test_a_worker_works_with_threads_and_says_when_it_does(
    start: Start, database: Database, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    worker = start(database, "worker", "--threads", "2", "--ready-file", str(ready))
    wait_until(ready.exists, AT_WORK, "the file")

    done = verb(database, "trigger", "noop-steps", "--body", '{"steps": 3}', "--wait")

    assert done.stdout.splitlines()[1:] == ["3"]
    worker.send(signal.SIGTERM)
    assert worker.wait(ALLOWED) == 0
    assert not ready.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_ends_gives_its_leases_back(
    start: Start, database: Database, tmp_path: Path, number: signal.Signals
) -> None:
    worker = start(database, "worker")
    run_id = verb(database, "trigger", "held", "--body", json.dumps(str(tmp_path))).stdout.strip()
    wait_until((tmp_path / "begun").exists, AT_WORK, "the step")

    worker.send(number)

    assert worker.wait(3) == 0
    assert database.query("SELECT token FROM workflows_app_message WHERE run_id IS NOT NULL") == [
        (None,)
    ]
    (tmp_path / "gate").touch()
    start(database, "worker")
    wait_until_succeeded(database, run_id)
