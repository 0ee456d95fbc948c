"""The page that says what is compatible."""

from __future__ import annotations

from tests.compat.features import PAGE, all_features, features_on


def test_the_page_names_exactly_the_features_that_the_suite_shows() -> None:
    assert sorted(map(str, features_on(PAGE.read_text()))) == sorted(set(map(str, all_features())))


def test_the_page_was_written_by_a_run_in_which_everything_passed() -> None:
    assert "| failed" not in PAGE.read_text()
    assert "| not run" not in PAGE.read_text()
