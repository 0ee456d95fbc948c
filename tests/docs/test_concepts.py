"""docs/concepts.md is a glossary: each word once, in one sentence, with the module it lives in."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT

_ENTRY = re.compile(r"^- \*\*(?P<word>[\w ]+)\*\*: (?P<sentence>.*) `(?P<module>[\w/]+\.py)`$")


def read_entries() -> list[str]:
    text = (ROOT / "docs/concepts.md").read_text()
    return [line.replace("\n  ", " ") for line in re.findall(r"^- .*(?:\n  .*)*", text, re.M)]


ENTRIES = read_entries()


def test_no_word_is_defined_twice():
    words = [entry.partition("**: ")[0] for entry in ENTRIES]

    assert sorted(words) == sorted(set(words))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.split("**")[1])
def test_a_word_has_one_sentence_and_a_module_that_exists(entry: str):
    match = _ENTRY.match(entry)

    assert match, entry
    assert match["sentence"].endswith(".")
    assert ". " not in match["sentence"]
    assert (ROOT / "workflows_app" / match["module"]).is_file()
