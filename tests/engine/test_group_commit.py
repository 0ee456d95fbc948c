"""Threads that have something to write at the same time share one commit."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, InterfaceError, OperationalError

from workflows_app.engine.group_commit import GroupCommit

PATIENCE = 10


class Disk:
    """What is stored, by which commits. A test may hold a commit up, or have writes fail."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.errors: dict[str, Exception] = {}
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()

    def store(self, writes: list[str]) -> None:
        self.begun.release()
        assert self.go_on.wait(PATIENCE)
        for write in writes:
            if write in self.errors:
                raise self.errors[write]
        self.commits.append(sorted(writes))


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def group(disk: Disk) -> GroupCommit[str]:
    return GroupCommit(disk.store)


@pytest.fixture
def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(20)


def together(
    group: GroupCommit[str], disk: Disk, threads: ThreadPoolExecutor, *writes: str
) -> list[Future[str]]:
    """Have these written while the commit of one that came before them is under way."""
    disk.go_on.clear()
    first = threads.submit(group.write, "first")
    assert disk.begun.acquire(timeout=PATIENCE)
    rest = [threads.submit(group.write, write) for write in writes]
    wait_until(lambda: len(group._waiting) == len(writes))
    disk.go_on.set()
    return [first, *rest]


def wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(PATIENCE * 1000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it never happened")


def test_a_lone_write_is_stored_at_once_by_itself(group: GroupCommit[str], disk: Disk) -> None:
    assert group.write("a") == "a"
    assert group.write("b") == "b"

    assert disk.commits == [["a"], ["b"]]


def test_writes_that_come_during_a_commit_share_the_next_one(
    group: GroupCommit[str], disk: Disk, threads: ThreadPoolExecutor
) -> None:
    futures = together(group, disk, threads, "a", "b", "c", "d")

    assert [future.result(PATIENCE) for future in futures] == ["first", "a", "b", "c", "d"]
    assert disk.commits == [["first"], ["a", "b", "c", "d"]]


def test_nobody_goes_on_before_his_write_is_stored(
    group: GroupCommit[str], disk: Disk, threads: ThreadPoolExecutor
) -> None:
    def write(name: str) -> bool:
        group.write(name)
        return any(name in commit for commit in disk.commits)

    names = [f"{number}" for number in range(200)]

    assert list(threads.map(write, names)) == [True] * 200
    assert sorted(name for commit in disk.commits for name in commit) == sorted(names)


def test_a_write_that_fails_does_not_fail_its_neighbours(
    group: GroupCommit[str], disk: Disk, threads: ThreadPoolExecutor
) -> None:
    disk.errors["b"] = IntegrityError("b is bad")
    first, a, b, c = together(group, disk, threads, "a", "b", "c")

    assert (first.result(PATIENCE), a.result(PATIENCE), c.result(PATIENCE)) == ("first", "a", "c")
    with pytest.raises(IntegrityError, match="b is bad"):
        b.result(PATIENCE)
    assert disk.commits == [["first"], ["a"], ["c"]]


@pytest.mark.parametrize(
    "error", [OperationalError("away"), InterfaceError("closed"), ValueError("broken")], ids=repr
)
def test_what_is_nobody_s_fault_fails_all_that_were_to_be_stored_together(
    error: Exception, group: GroupCommit[str], disk: Disk, threads: ThreadPoolExecutor
) -> None:
    disk.errors["b"] = error
    _, *rest = together(group, disk, threads, "a", "b", "c")

    for future in rest:
        with pytest.raises(type(error), match=str(error)):
            future.result(PATIENCE)
    assert disk.commits == [["first"]]


def test_a_group_goes_on_after_a_failure(group: GroupCommit[str], disk: Disk) -> None:
    disk.errors["a"] = OperationalError("away")
    with pytest.raises(OperationalError):
        group.write("a")
    disk.errors.clear()

    assert group.write("a") == "a"
    assert disk.commits == [["a"]]


@pytest.mark.parametrize("is_next", [True, False])
def test_a_group_goes_on_without_who_is_interrupted_while_he_waits(
    group: GroupCommit[str], disk: Disk, threads: ThreadPoolExecutor, *, is_next: bool
) -> None:
    disk.go_on.clear()
    others = [threads.submit(group.write, "first")]
    assert disk.begun.acquire(timeout=PATIENCE)
    if not is_next:
        others.append(threads.submit(group.write, "second"))
        wait_until(lambda: len(group._waiting) == 1)

    with interrupted_once(lambda: len(group._waiting) == len(others), threads):
        group.write("interrupted")
    disk.go_on.set()

    assert [other.result(PATIENCE) for other in others] == ["first", "second"][: len(others)]
    assert group.write("later") == "later"
    assert all("interrupted" not in commit for commit in disk.commits)


@contextmanager
def interrupted_once(condition: Callable[[], bool], threads: ThreadPoolExecutor) -> Iterator[None]:
    """As by Ctrl-C, which raises in the main thread."""

    def raise_it(*_: object) -> None:
        raise KeyboardInterrupt

    def interrupt() -> None:
        wait_until(condition)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    usual = signal.signal(signal.SIGUSR1, raise_it)
    threads.submit(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGUSR1, usual)
