"""Programs that are kept running, and what is left of them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management.base import OutputWrapper

from tests.management.programs import program, runs, wait_until
from workflows_app.management import guardian, supervisor
from workflows_app.management.console import Console
from workflows_app.management.supervisor import Supervisor

pytestmark = pytest.mark.processes

SLEEPER = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); " + SLEEPER


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """The supervisor takes over signals of the process it is in."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    # As in a terminal, where the tests themselves run under nohup.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def stderr() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def console(stderr: io.StringIO) -> Console:
    return Console(OutputWrapper(io.StringIO()), OutputWrapper(stderr))


def writes_its_pid(path: Path, then: str) -> str:
    return f"import os; open({str(path)!r}, 'a').write(f'{{os.getpid()}}\\n'); {then}"


def pids_in(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def there_are(count: int, path: Path) -> Callable[[], bool]:
    return lambda: len(pids_in(path)) >= count


def test_programs_run_until_the_block_ends(console: Console, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"

    with Supervisor(console) as supervisor:
        supervisor.start([program(writes_its_pid(path, SLEEPER)) for path in (first, second)])
        assert supervisor.keep(lambda: there_are(1, first)() and there_are(1, second)(), 10)
        pids = pids_in(first) + pids_in(second)
        assert all(runs(pid) for pid in pids)

    assert not any(runs(pid) for pid in pids)


def test_a_program_that_ends_is_started_again(
    console: Console, stderr: io.StringIO, tmp_path: Path
) -> None:
    path = tmp_path / "pids"

    with Supervisor(console) as supervisor:
        supervisor.start([program(writes_its_pid(path, SLEEPER), name="clock")])
        assert supervisor.keep(there_are(1, path), 10)
        os.kill(pids_in(path)[0], signal.SIGKILL)
        assert supervisor.keep(there_are(2, path), 10)

    assert stderr.getvalue() == "the clock has ended (signal 9); starting anew\n"


def test_a_program_that_ends_again_and_again_is_started_ever_more_slowly(
    console: Console, tmp_path: Path
) -> None:
    path = tmp_path / "pids"

    with Supervisor(console) as supervisor:
        supervisor.start([program(writes_its_pid(path, "raise SystemExit(3)"))])
        started = time.monotonic()
        assert supervisor.keep(there_are(3, path), 10)

    assert time.monotonic() - started > 0.25 + 0.5


def test_what_a_dead_program_leaves_behind_is_ended(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "pids"
    leaves_a_child = "import os, time\nif os.fork(): os._exit(0)\n" + writes_its_pid(path, SLEEPER)

    with Supervisor(console) as supervisor:
        supervisor.start([program(leaves_a_child)])
        assert supervisor.keep(there_are(1, path), 10)
        orphan = pids_in(path)[0]

        assert supervisor.keep(lambda: not runs(orphan), 10)


def test_a_program_that_does_not_listen_is_killed(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PATIENCE", 0.3)
    path = tmp_path / "pids"
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); " + writes_its_pid(path, SLEEPER)

    with Supervisor(console) as this:
        this.start([program(deaf)])
        assert this.keep(there_are(1, path), 10)
        started = time.monotonic()

    assert time.monotonic() - started < 2
    assert not runs(pids_in(path)[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_to_stop(console: Console, number: signal.Signals) -> None:
    with Supervisor(console) as supervisor:
        supervisor.start([program(SLEEPER)])
        os.kill(os.getpid(), number)

        assert not supervisor.keep(lambda: True)


def test_under_nohup_the_end_of_the_terminal_is_not_the_end(console: Console) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with Supervisor(console) as supervisor:
        supervisor.start([program(SLEEPER)])
        os.kill(os.getpid(), signal.SIGHUP)

        assert supervisor.keep(lambda: True)


def test_nothing_is_waited_for_longer_than_allowed(console: Console) -> None:
    with Supervisor(console) as supervisor:
        supervisor.start([program(SLEEPER)])

        with pytest.raises(TimeoutError):
            supervisor.keep(lambda: False, 0.2)


WATCHES_A_SLEEPER = """
import sys
from django.core.management.base import OutputWrapper
from tests.management.programs import program
from workflows_app.management.console import Console
from workflows_app.management.supervisor import Supervisor

with Supervisor(Console(OutputWrapper(sys.stdout), OutputWrapper(sys.stderr))) as supervisor:
    supervisor.start([program("import time; time.sleep(60)")])
    guardian, sleeper = supervisor._guardian.pid, supervisor.running()[0].id
    print(guardian, sleeper, flush=True)
    supervisor.keep(lambda: supervisor._guardian.pid != guardian)
    print("guarded again", flush=True)
    supervisor.keep_until_stopped()
"""


@pytest.fixture
def watcher() -> Iterator[subprocess.Popen[str]]:
    """Another process that keeps a program running."""
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHES_A_SLEEPER], stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.wait()


def test_when_the_watching_process_is_killed_its_programs_end(
    watcher: subprocess.Popen[str],
) -> None:
    assert watcher.stdout is not None
    with closing(watcher.stdout) as told:
        guardian_pid, sleeper = map(int, told.readline().split())

        watcher.kill()

        wait_until(lambda: not runs(sleeper) and not runs(guardian_pid), 10, "the end of both")


def test_a_guardian_that_was_killed_is_replaced(watcher: subprocess.Popen[str]) -> None:
    assert watcher.stdout is not None
    with closing(watcher.stdout) as told:
        guardian_pid, sleeper = map(int, told.readline().split())
        os.kill(guardian_pid, signal.SIGKILL)
        assert told.readline() == "guarded again\n"
        assert runs(sleeper)

        watcher.kill()

        wait_until(lambda: not runs(sleeper), 10, "the end of the program")


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Three groups; the last does not listen to SIGTERM."""
    codes = (SLEEPER, SLEEPER, STUBBORN)
    processes = [
        subprocess.Popen(
            [sys.executable, "-IS", "-c", code], start_new_session=True, stdout=subprocess.PIPE
        )
        for code in codes
    ]
    assert processes[-1].stdout is not None
    processes[-1].stdout.readline()
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def test_the_guardian_ends_the_groups_in_its_care(
    sleepers: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guardian, "PATIENCE", 0.3)
    ended, spared, stubborn = sleepers
    lines = [f"+{one.pid}\n" for one in sleepers] + [f"-{spared.pid}\n"]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(lines)))

    guardian.main()

    assert (ended.wait(5), stubborn.wait(5)) == (-signal.SIGTERM, -signal.SIGKILL)
    assert spared.poll() is None


def test_the_guardian_is_not_put_out_by_a_group_that_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-IS", "-c", ""], start_new_session=True) as gone:
        gone.wait()

    guardian.end([gone.pid])
