"""Answers that go on: how many, for how long, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import OperationalError
from pytest_django import Settings

from workflows_app.engine import streaming
from workflows_app.engine.streaming import Seen, TaskStream, ThreadStream, open_stream

RETRY = b"retry: 3000\n\n"


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PACE", 0.0)


def looks(*contents: bytes) -> streaming.Look:
    """Finds these, one after the other; the last one is the last."""
    left: Iterator[bytes] = iter(contents)
    number = iter(range(1, len(contents) + 1))
    return lambda: Seen(content=next(left), is_last=next(number) == len(contents))


def open_here(look: streaming.Look) -> ThreadStream:
    stream = open_stream(look, is_async=False)
    assert isinstance(stream, ThreadStream)
    return stream


def test_what_is_found_is_said_at_once_and_nothing_is_not_said():
    stream = open_here(looks(b"a", b"", b"b"))

    assert list(stream) == [RETRY + b"a", b"b"]


def test_the_first_word_comes_though_nothing_has_been_found():
    stream = open_here(looks(b"", b"a"))

    assert next(stream) == RETRY + b":\n\n"
    stream.close()


async def test_a_task_reads_the_same(transactional_db: None):
    stream = open_stream(looks(b"a", b"", b"b"), is_async=True)

    assert isinstance(stream, TaskStream)
    assert [content async for content in stream] == [RETRY + b"a", b"b"]


def test_a_stream_that_has_nothing_to_say_shows_that_it_is_alive(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streaming, "QUIET", -1.0)

    assert list(open_here(looks(b"", b"", b"a"))) == [RETRY + b":\n\n", b":\n\n", b"a"]


def test_a_stream_ends_by_itself_after_some_minutes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streaming, "LONGEST", -1.0)

    assert list(open_here(looks(b"a", b"b"))) == [RETRY + b"a"]


def test_a_stream_ends_when_the_database_is_away():
    def look() -> Seen:
        raise OperationalError("the server has gone")

    assert list(open_here(look)) == [RETRY + b":\n\n"]


def test_a_process_keeps_as_many_open_as_it_is_allowed_to(settings: Settings):
    settings.WORKFLOWS = {"STREAMS": 2}
    first, second = open_here(looks(b"")), open_here(looks(b""))

    assert open_stream(looks(b""), is_async=False) is None
    first.close()
    first.close()
    third = open_here(looks(b""))
    assert open_stream(looks(b""), is_async=False) is None

    list(third)  # to its end
    second.close()


def test_a_stream_that_nobody_has_read_leaves_its_place(settings: Settings):
    settings.WORKFLOWS = {"STREAMS": 1}
    open_here(looks(b""))  # and dropped

    open_here(looks(b"")).close()


def test_the_event_loop_may_have_more_than_threads_have():
    few = [open_stream(looks(b""), is_async=False) for _ in range(3)]
    more = open_stream(looks(b""), is_async=True)

    assert [each is None for each in few] == [False, False, True]
    assert more is not None
    for each in (*few, more):
        if each is not None:
            each.close()
