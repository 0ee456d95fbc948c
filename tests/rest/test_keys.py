"""Signing keys."""

from __future__ import annotations

from tests.rest.conftest import Api, answer_of
from workflows_app.models import Account


def test_the_keys_are_those_of_the_tokens_account(api: Api, stranger: Api, account: Account):
    current, upcoming = account.signing_keys

    assert answer_of(api.get("/v2/keys")) == (200, {"current": current, "next": upcoming})
    assert stranger.get("/v2/keys").json()["current"] not in (current, upcoming)


def test_rotation_makes_the_next_key_the_current_one(api: Api, account: Account):
    _, upcoming = account.signing_keys

    status, body = answer_of(api.post("/v2/keys/rotate"))

    account.refresh_from_db()
    assert status == 200
    assert body == {"current": upcoming, "next": account.next_signing_key}
    assert body["next"].startswith("sig_")
    assert body["next"] != upcoming


def test_rotation_touches_no_other_account(api: Api, stranger: Api):
    before = stranger.get("/v2/keys").json()

    api.post("/v2/keys/rotate")

    assert stranger.get("/v2/keys").json() == before
