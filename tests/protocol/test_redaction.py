"""What is shown only as a hash of itself."""

from __future__ import annotations

from hashlib import sha256

import pytest

from workflows_app.protocol.header_values import parse_redaction
from workflows_app.protocol.redaction import redacted, redactor_of, without_credentials

SECRET = "REDACTED:" + sha256(b"secret").hexdigest()


@pytest.mark.parametrize(
    ("redaction", "expected"),
    [("", "secret"), ("header", "secret"), ("header[X]", "secret"), ("body", SECRET)],
)
def test_bodies_are_hidden_when_that_was_asked(redaction: str, expected: str):
    assert redactor_of(redaction).body("secret") == expected


def test_an_empty_body_has_nothing_to_hide():
    assert redactor_of("body").body("") == ""


def test_a_hash_is_that_of_the_text_as_it_is_sent():
    assert redactor_of("body").body("ü") == redacted("ü".encode())


def test_a_hash_is_not_hashed_again():
    redactor = redactor_of("body,header")
    once = redactor.body("secret")

    assert redactor.body(once) == once
    assert redactor.headers({"X": [once]}) == {"X": [once]}


def test_a_text_that_only_looks_like_a_hash_is_hashed():
    assert redactor_of("body").body(str(SECRET)) != SECRET


def test_half_a_surrogate_pair_can_be_hidden_too():
    assert redactor_of("body").body("\ud800").startswith("REDACTED:")


@pytest.mark.parametrize(
    ("redaction", "token", "other"),
    [
        ("", "secret", "plain"),
        ("body", "secret", "plain"),
        ("header[x-TOKEN]", SECRET, "plain"),
        ("header", SECRET, redacted(b"plain")),
        ("body, headers[X-Token], headers[Y]", SECRET, "plain"),
    ],
)
def test_headers_are_hidden_by_name_or_all_of_them(redaction: str, token: str, other: str):
    redactor = redactor_of(redaction)

    assert redactor.headers({"X-Token": ["secret", "secret"], "X-Other": ["plain"]}) == {
        "X-Token": [token, token],
        "X-Other": [other],
    }
    assert redactor.header_texts({"x-token": "secret", "X-Other": "plain"}) == {
        "x-token": token,
        "X-Other": other,
    }


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("", ""),
        ("header[b],body,header[A]", "body,header[A],header[B]"),
        ("headers, body", "body,header"),
    ],
)
def test_what_is_stored_reads_as_what_was_asked(text: str, encoded: str):
    redaction = parse_redaction(text)

    assert redaction.encode() == encoded
    assert parse_redaction(encoded) == redaction


@pytest.mark.parametrize(
    "header",
    ["Authorization", "authorization", "Proxy-Authorization", "X-Api-Key", "api-key", "Cookie"],
)
def test_credentials_of_a_request_are_hidden_though_nobody_asked(header: str):
    shown = without_credentials({header: "secret", "X-Other": "plain"})

    assert shown == {header: SECRET, "X-Other": "plain"}


@pytest.mark.parametrize("header", ["Content-Type", "Authorization-Kind", "X-Cookies"])
def test_a_header_that_is_only_named_like_a_credential_is_not(header: str):
    assert without_credentials({header: "plain"}) == {header: "plain"}


def test_a_hash_that_was_stored_is_not_hashed_again():
    stored = str(without_credentials({"Authorization": "secret"})["Authorization"])
    shown = without_credentials({"Authorization": stored})

    assert shown == {"Authorization": SECRET}
    assert redactor_of("header").header_texts(shown) == shown
