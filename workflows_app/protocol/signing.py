"""The signature on every delivery: a JWT over the URL and the body (Upstash reference 3.2)."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import string
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import jwt
from jwt.types import Options

from workflows_app.errors import InvalidSignature

LIFETIME = timedelta(minutes=5)
LEEWAY = timedelta(seconds=30)
"""How far the clocks of signer and verifier may differ."""

_ISSUER = "Upstash"
_ALGORITHM = "HS256"
_ALPHABET = string.ascii_letters + string.digits
_SIGNATURE_ONLY: Options = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def new_signing_key() -> str:
    """A fresh random key, "sig_" and 28 letters and digits."""
    return "sig_" + "".join(secrets.choice(_ALPHABET) for _ in range(28))


def sign(body: bytes, *, url: str, key: str, now: datetime) -> str:
    """The value of Upstash-Signature for one attempt; a retry is signed anew."""
    issued = int(now.timestamp())
    claims = {
        "iss": _ISSUER,
        "sub": url,
        "exp": issued + int(LIFETIME.total_seconds()),
        "nbf": 0,
        "iat": issued,
        "jti": f"jwt_{secrets.token_urlsafe(16)}",
        "body": _digest(body),
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def verify(
    signature: str, body: bytes, *, url: str | None, keys: Sequence[str], now: datetime
) -> None:
    """Return if one of the keys signed this body for this URL (any URL if None) at this time.

    Raises InvalidSignature, whose sentence says which of these does not hold.
    """
    claims = _signed_claims(signature, keys)
    if claims.get("iss") != _ISSUER:
        raise InvalidSignature(f'The signature was not issued by "{_ISSUER}".')
    _check_time(claims, now)
    if url is not None and claims.get("sub") != url:
        raise InvalidSignature(
            "The signature is for another URL; the one that is signed must be the one at which "
            "the request arrives."
        )
    signed = str(claims.get("body")).rstrip("=")
    if not hmac.compare_digest(signed.encode(errors="replace"), _digest(body).encode()):
        raise InvalidSignature(
            "The signature is for another body; the body must reach the check unchanged."
        )


def _signed_claims(signature: str, keys: Sequence[str]) -> dict[str, Any]:
    if not signature:
        raise InvalidSignature("The signature is missing; send it as the header Upstash-Signature.")
    for key in keys:
        try:
            return jwt.decode(signature, key, algorithms=[_ALGORITHM], options=_SIGNATURE_ONLY)
        except jwt.InvalidSignatureError:
            continue
        except (jwt.InvalidTokenError, UnicodeError, RecursionError):
            raise InvalidSignature(
                f"The signature is malformed; it must be a JSON Web Token signed with {_ALGORITHM}."
            ) from None
    raise InvalidSignature(
        "The signature was made with none of the signing keys of this server; "
        "compare the current and the next key."
    )


def _check_time(claims: dict[str, Any], now: datetime) -> None:
    instant, leeway = now.timestamp(), LEEWAY.total_seconds()
    if instant > _seconds(claims, "exp") + leeway:
        raise InvalidSignature("The signature has expired; every attempt must be signed anew.")
    if instant < _seconds(claims, "nbf") - leeway:
        raise InvalidSignature(
            "The signature is not valid yet; compare the clocks of both machines."
        )


def _seconds(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidSignature(
            f'The signature is malformed; its claim "{name}" must be a number of seconds.'
        )
    return value


def _digest(body: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(body).digest()).decode().rstrip("=")
