from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from workflows_app.errors import InvalidSignature
from workflows_app.protocol.signing import new_signing_key, sign, verify

NOW = datetime(2030, 1, 31, 12, 0, 0, 700_000, tzinfo=UTC)
URL = "https://example.com/serve/order?x=1"
BODY = b'[{"messageId":"msg_1"}]'
CURRENT = "sig_" + "c" * 28
NEXT = "sig_" + "n" * 28
STRANGE = "sig_" + "s" * 28


def digest(body: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(body).digest()).decode()


def claims(**changes: object) -> dict[str, object]:
    issued = int(NOW.timestamp())
    usual: dict[str, object] = {
        "iss": "Upstash",
        "sub": URL,
        "exp": issued + 300,
        "nbf": 0,
        "iat": issued,
        "jti": "jwt_1",
        "body": digest(BODY).rstrip("="),
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not ...}


def token(key: str = CURRENT, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm)


def check(signature: str, **changes: Any) -> None:
    given: dict[str, Any] = {"body": BODY, "url": URL, "keys": [CURRENT, NEXT], "now": NOW}
    given |= changes
    verify(signature, given.pop("body"), **given)


def refusal(signature: str, **changes: Any) -> str:
    with pytest.raises(InvalidSignature) as error:
        check(signature, **changes)
    return error.value.message


def test_the_claims_are_those_of_the_protocol() -> None:
    signature = sign(BODY, url=URL, key=CURRENT, now=NOW)
    signed = jwt.decode(
        signature, CURRENT, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False}
    )
    assert jwt.get_unverified_header(signature) == {"alg": "HS256", "typ": "JWT"}
    assert re.fullmatch(r"jwt_[A-Za-z0-9_-]{22}", signed["jti"])
    assert signed == claims(jti=signed["jti"])


def test_every_signature_is_unique() -> None:
    assert sign(BODY, url=URL, key=CURRENT, now=NOW) != sign(BODY, url=URL, key=CURRENT, now=NOW)


@pytest.mark.parametrize("body", [BODY, b"", b"\x00\xff"], ids=["json", "empty", "binary"])
@pytest.mark.parametrize("key", [CURRENT, NEXT], ids=["current", "next"])
@pytest.mark.parametrize("url", [URL, None], ids=["this url", "any url"])
def test_a_delivery_signed_with_either_key_is_accepted(
    body: bytes, key: str, url: str | None
) -> None:
    check(sign(body, url=URL, key=key, now=NOW), body=body, url=url)


@pytest.mark.parametrize(
    "changes",
    [
        {"body": digest(BODY)},
        {"jti": ...},
        {"iat": ...},
        {"exp": int(NOW.timestamp()) - 29},
        {"nbf": int(NOW.timestamp()) + 29},
        {"exp": NOW.timestamp() + 0.5},
    ],
    ids=["padded hash", "no jti", "no iat", "slow clock", "fast clock", "fraction"],
)
def test_harmless_differences_are_tolerated(changes: dict[str, Any]) -> None:
    check(token(**changes))


MALFORMED = "The signature is malformed; it must be a JSON Web Token signed with HS256."
MISSING = "The signature is missing; send it as the header Upstash-Signature."
NO_KEY = (
    "The signature was made with none of the signing keys of this server; "
    "compare the current and the next key."
)
EXPIRED = "The signature has expired; every attempt must be signed anew."
NOT_YET = "The signature is not valid yet; compare the clocks of both machines."
OTHER_URL = (
    "The signature is for another URL; the one that is signed must be the one at which "
    "the request arrives."
)
OTHER_BODY = "The signature is for another body; the body must reach the check unchanged."


@pytest.mark.parametrize(
    ("signature", "sentence"),
    [
        ("", MISSING),
        ("x", MALFORMED),
        ("a.b.c", MALFORMED),
        ("ü.ü.ü", MALFORMED),
        ("\ud800", MALFORMED),
        (urlsafe_b64encode(b"[" * 100_000).decode().rstrip("=") + ".e30.e30", MALFORMED),
        (jwt.encode(claims(), None, algorithm="none"), MALFORMED),
        (token(algorithm="HS384", key="k" * 48), MALFORMED),
        (token(key=STRANGE), NO_KEY),
        (token(exp=int(NOW.timestamp()) - 31), EXPIRED),
        (token(nbf=int(NOW.timestamp()) + 31), NOT_YET),
        (token(sub="https://example.com/serve/other"), OTHER_URL),
        (token(sub=...), OTHER_URL),
        (token(body=digest(b"another")), OTHER_BODY),
        (token(body=...), OTHER_BODY),
        (token(body=7), OTHER_BODY),
        (token(iss="Downstash"), 'The signature was not issued by "Upstash".'),
        (token(iss=...), 'The signature was not issued by "Upstash".'),
    ],
    ids=[
        "missing",
        "no token",
        "no json",
        "no ascii",
        "no unicode",
        "a nested header",
        "unsigned",
        "another algorithm",
        "a strange key",
        "expired",
        "not yet",
        "another url",
        "no url",
        "another body",
        "no body",
        "a number as body",
        "another issuer",
        "no issuer",
    ],
)
def test_every_defect_has_its_own_sentence(signature: str, sentence: str) -> None:
    assert refusal(signature) == sentence


@pytest.mark.parametrize("claim", ["exp", "nbf"])
@pytest.mark.parametrize("value", [..., "soon", None, float("nan"), float("inf")], ids=repr)
def test_the_times_must_be_numbers(claim: str, value: object) -> None:
    changes: dict[str, Any] = {claim: value}
    assert refusal(token(**changes)) == (
        f'The signature is malformed; its claim "{claim}" must be a number of seconds.'
    )


def test_a_signature_expires_five_minutes_after_the_attempt() -> None:
    signature = sign(BODY, url=URL, key=CURRENT, now=NOW)
    check(signature, now=NOW + timedelta(seconds=329))
    assert refusal(signature, now=NOW + timedelta(seconds=331)) == EXPIRED


def test_a_tampered_signature_fits_no_key() -> None:
    head, _, seal = token().split(".")
    _, other_claims, _ = token(sub="https://evil.example").split(".")
    assert refusal(f"{head}.{other_claims}.{seal}") == NO_KEY


def test_a_server_without_keys_accepts_nothing() -> None:
    assert refusal(token(), keys=[]) == NO_KEY


def test_a_new_key_is_random() -> None:
    keys = {new_signing_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"sig_[A-Za-z0-9]{28}", key) for key in keys)
