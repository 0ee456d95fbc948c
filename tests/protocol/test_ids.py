from __future__ import annotations

import re

import pytest

from workflows_app.errors import DeadLetterNotFound, InvalidRunId
from workflows_app.protocol.ids import (
    check_run_id,
    dead_letter_id,
    new_run_id,
    parse_dead_letter_id,
)


def test_a_new_run_id_is_random_and_fits_into_a_url() -> None:
    ids = {new_run_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"wfr_[A-Za-z0-9_-]{21}", run_id) for run_id in ids)


@pytest.mark.parametrize(
    "text", ["x", "wfr_abc", "wfr-1", "9f1c-uuid", "order 7", "bestellung-ü", "a" * 256]
)
def test_callers_choose_run_ids_freely(text: str) -> None:
    assert check_run_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "a/b", "/", "a\nb", "a\x00", "\x7f", "a\u200bb", "\ud800", "a" * 257], ids=repr
)
def test_an_unusable_run_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidRunId) as refusal:
        check_run_id(text)
    shown = repr(text) if len(text) <= 256 else "a text of 257 characters"
    assert refusal.value.message == (
        f'{shown} is not a run id: use 1 to 256 printable characters without "/".'
    )


@pytest.mark.parametrize("parts", [(1_700_000_000_000, 7), (0, 0), (1, (1 << 63) - 1)])
def test_a_dead_letter_id_holds_time_and_number(parts: tuple[int, int]) -> None:
    assert parse_dead_letter_id(dead_letter_id(*parts)) == parts
    assert dead_letter_id(1_700_000_000_000, 7) == "1700000000000-7"


@pytest.mark.parametrize(
    "text",
    ["", "-", "1", "1-", "-1", "1-2-3", "a-1", "1-1 ", "+1-1", "٣-1", "1-9223372036854775808"],
    ids=repr,
)
def test_a_text_that_is_no_dead_letter_id_names_nothing(text: str) -> None:
    with pytest.raises(DeadLetterNotFound) as refusal:
        parse_dead_letter_id(text)
    assert refusal.value.message == f"There is no dead letter {text!r}."
