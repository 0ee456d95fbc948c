"""Fixtures of the stories, which go through every layer with real commits."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.shells import registry
from workflows_app.engine.accounts import create_token
from workflows_app.models import Account, Token

__all__ = ["registry"]


class Api:
    """The REST API, as the holder of a full token sees it."""

    def __init__(self, token: str) -> None:
        self._client = Client(headers={"Authorization": f"Bearer {token}"})

    def get(self, path: str) -> Any:
        return self._json(self._client.get(path))

    def post(self, path: str, body: Any = None) -> Any:
        return self._json(self._client.post(path, body, content_type="application/json"))

    def delete(self, path: str) -> Any:
        return self._json(self._client.delete(path))

    @staticmethod
    def _json(response: Any) -> Any:
        assert response.status_code < 300, f"{response.status_code}: {response.content}"
        return response.json() if response.content else None


@pytest.fixture
def api(transactional_db: None) -> Api:
    return Api(create_token(Account.objects.default(), "operator", Token.Scope.FULL))


@pytest.fixture
def admin(transactional_db: None) -> Client:
    """Someone who has logged in to the admin."""
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client
