"""`python -m tests`: the whole suite on SQLite, and on PostgreSQL what depends on the database.

Arguments go to pytest. WORKFLOWS_TEST_POSTGRES is the URL of a PostgreSQL database whose user may
create others; without it, one is looked for at 127.0.0.1:5432. Under CI a missing one is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from tempfile import TemporaryFile
from threading import Lock
from typing import IO
from urllib.parse import urlsplit, urlunsplit

from tests.leaving_out import is_ci

USUAL_URLS = (
    "postgres://127.0.0.1:5432/postgres",
    "postgres://postgres:postgres@127.0.0.1:5432/postgres",
)

NOTHING_TO_RUN = 5
"""pytest's exit status when no test was selected: what was asked for may not use the database."""

CLIENTS, FAULTS = "tests/compat", "tests/faults"
"""These bring servers and databases of their own."""
BROWSER = "tests/browser"
"""Its tests start the site on the configured database."""
NIGHT = f"{BROWSER}/test_night.py"
"""The one of them that goes from page to page."""


@dataclass(frozen=True)
class Pass:
    """One run of pytest on one database."""

    heading: str
    arguments: tuple[str, ...]
    database_url: str

    def of(self, part: str, *arguments: str) -> Pass:
        return replace(
            self, heading=f"{part} on {self.heading}", arguments=(*self.arguments, *arguments)
        )


Lanes = list[list[Pass]]


def main(arguments: list[str]) -> int:
    """Most tests wait for something now and then, so two lanes of passes use two processors better
    than one. Tests that start, kill and freeze processes, and look at what comes of it in time,
    come after the others, which leave no processor free.
    """
    sqlite = Pass("SQLite", tuple(arguments), "sqlite:///.venv/tests.sqlite3")
    postgres, refusal = postgres_pass(arguments)
    if arguments:
        stages = [[[sqlite, *([postgres] if postgres else [])]]]
    else:
        stages = [functions(sqlite, postgres), processes(sqlite, postgres)]
    statuses = [status for lanes in stages for status in in_lanes(lanes)]
    if refusal:
        say(refusal)
        statuses.append(int(is_ci()))
    return max(statuses)


def functions(sqlite: Pass, postgres: Pass | None) -> Lanes:
    """What starts no processes, and the published clients."""
    selected = ("functions", "-m", "not processes", "--ignore", CLIENTS)
    clients = both("clients", CLIENTS, sqlite)
    if postgres is None:
        return [[sqlite.of(*selected)], clients]
    return [[sqlite.of(*selected), *clients], [postgres.of(*selected)]]


def processes(sqlite: Pass, postgres: Pass | None) -> Lanes:
    ignored = [word for each in (CLIENTS, FAULTS, BROWSER) for word in ("--ignore", each)]
    selected = ("processes", "-m", "processes", *ignored)
    in_browser = "the console in a browser"
    console = sqlite.of(in_browser, BROWSER)
    faults = both("faults", FAULTS, sqlite)
    if postgres is None:
        return [[sqlite.of(*selected), console], faults]
    return [
        [sqlite.of(*selected), console, faults[0]],
        [postgres.of(*selected), postgres.of(in_browser, NIGHT), faults[1]],
    ]


def both(part: str, directory: str, configured: Pass) -> list[Pass]:
    """Of tests that choose the database by themselves."""
    on_postgres = replace(configured, heading="PostgreSQL")
    return [
        configured.of(part, directory, "-k", "not postgres"),
        on_postgres.of(part, directory, "-k", "postgres"),
    ]


def postgres_pass(arguments: list[str]) -> tuple[Pass | None, str]:
    """The pass, or what to say where there is no server for it."""
    wanted = os.environ.get("WORKFLOWS_TEST_POSTGRES")
    refusals = []
    for url in (wanted,) if wanted else USUAL_URLS:
        refusal = why_unreachable(url)
        if refusal is None:
            return Pass("PostgreSQL", ("--only-database", *arguments), own_database(url)), ""
        refusals.append(refusal)
    return None, (
        "left out: every test on PostgreSQL, because none could be reached"
        f" ({'; '.join(refusals)}). Set WORKFLOWS_TEST_POSTGRES=postgres://user:pw@host:5432/name."
    )


def why_unreachable(url: str) -> str | None:
    try:
        import psycopg
    except ImportError:
        return "psycopg is not installed"
    try:
        psycopg.connect(url.replace("postgres://", "postgresql://", 1), connect_timeout=3).close()
    except psycopg.Error as error:
        return " ".join(str(error).split())
    return None


def own_database(url: str) -> str:
    """The same server, with a name that no other run has; pytest creates and drops it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/workflows_{os.getpid()}"))


def in_lanes(lanes: Lanes) -> list[int]:
    """Exit statuses. Within a lane one pass comes after the other; each speaks when it has ended,
    but a lone lane speaks at once.
    """
    speak = run if len(lanes) == 1 else run_and_tell
    with ThreadPoolExecutor(len(lanes)) as pool:
        statuses = pool.map(lambda lane: [speak(each) for each in lane], lanes)
        return [status for lane in statuses for status in lane]


def run(one: Pass) -> int:
    say(one.heading)
    return status_of(one, None)


def run_and_tell(one: Pass) -> int:
    with TemporaryFile("w+") as output:
        status = status_of(one, output)
        output.seek(0)
        with _speaking:
            say(one.heading)
            sys.stdout.writelines(output)
            sys.stdout.flush()
    return status


_speaking = Lock()


def status_of(one: Pass, output: IO[str] | None) -> int:
    command = [sys.executable, "-m", "pytest", *one.arguments]
    environment = {**os.environ, "DATABASE_URL": one.database_url}
    ended = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    return 0 if ended.returncode == NOTHING_TO_RUN else ended.returncode


def say(line: str) -> None:
    print(f"\n== {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
