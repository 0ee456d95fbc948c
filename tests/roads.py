"""Reaching the registered workflows by both transports: in this process, and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import cast

import pytest
from pytest_django import Settings

from workflows_app.worker import http


class Road(StrEnum):
    LOCAL = "local"
    HTTP = "http"


@pytest.fixture(params=list(Road), ids=str)
def road(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Road]:
    """By which transport the test's workflows are reached; over HTTP, at a live server."""
    chosen = cast(Road, request.param)
    if chosen is Road.HTTP:
        server = request.getfixturevalue("live_server")
        settings.WORKFLOWS = {
            "TRANSPORT": "http",
            "BASE_URL": server.url,
            "ALLOW_PRIVATE_ADDRESSES": True,
        }
        settings.ALLOWED_HOSTS = ["localhost"]
    yield chosen
    # A kept connection keeps a thread of the server, and that one of the database.
    http._sender.cache_clear()
