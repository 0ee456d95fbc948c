"""Where what the engine needs from outside is plugged in."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from tests.engine.world import Bell, World
from workflows_app.engine import ports
from workflows_app.worker.doorbell import DatabaseDispatcher
from workflows_app.worker.transport import WorkflowTransport


def test_the_installed_transport_is_the_one_in_use(world: World) -> None:
    assert ports.get_transport() is world


def test_the_app_installs_a_transport_of_its_own() -> None:
    assert type(ports.get_transport()) is WorkflowTransport


def test_the_dispatcher_is_a_setting(settings: Settings) -> None:
    assert isinstance(ports.get_dispatcher(), DatabaseDispatcher)

    settings.WORKFLOWS = {"DISPATCHER": "tests.engine.world.Bell"}
    assert isinstance(ports.get_dispatcher(), Bell)
    assert ports.get_dispatcher() is ports.get_dispatcher()

    settings.WORKFLOWS = {}
    assert isinstance(ports.get_dispatcher(), DatabaseDispatcher)


def test_a_dispatcher_that_cannot_be_imported_is_named(settings: Settings) -> None:
    settings.WORKFLOWS = {"DISPATCHER": "nowhere.Bell"}

    with pytest.raises(ImportError, match="nowhere"):
        ports.get_dispatcher()


def test_a_failed_turn_carries_its_error() -> None:
    assert ports.TurnFailed('{"type":"HttpError"}').error == '{"type":"HttpError"}'
