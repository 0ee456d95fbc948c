"""Fixtures of the engine's tests: runs on a real database, the world around them scripted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.engine.world import Bell, World
from tests.shells import Shell, define, registry, shell
from workflows_app.engine import ports
from workflows_app.models import Account

__all__ = ["Shell", "define", "registry", "shell"]


@pytest.fixture
def world() -> Iterator[World]:
    """The transport, for the duration of the test."""
    usual, scripted = ports.get_transport(), World()
    ports.install_transport(scripted)
    try:
        yield scripted
    finally:
        ports.install_transport(usual)


@pytest.fixture
def bell(settings: Settings) -> Bell:
    """The dispatcher, for the duration of the test."""
    settings.WORKFLOWS = {"DISPATCHER": "tests.engine.world.Bell"}
    found = ports.get_dispatcher()
    assert isinstance(found, Bell)
    return found


@pytest.fixture
def account(db: None) -> Account:
    return Account.objects.default()


@pytest.fixture
def other_account(db: None) -> Account:
    return Account.objects.create(name="other")
