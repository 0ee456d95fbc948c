"""Fixtures of the admin's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

from tests.admin import flows
from tests.conftest import Clock
from tests.rest.conftest import endpoint
from workflows_app.engine import deleting
from workflows_app.engine.drain import drain_here
from workflows_app.models import DeadLetter, Run

__all__ = ["endpoint"]


@pytest.fixture(autouse=True)
def at_noon(clock: Clock) -> Clock:
    """Runs begin at noon of 2 January 2030, and take no time unless a test moves the clock."""
    return clock


def run_called(run_id: str) -> Run:
    return Run.objects.get(run_id=run_id)


@contextmanager
def deleted_when_asked_for(what: str, run: Run) -> Iterator[None]:
    """Somebody deletes the run just before the first statement that names this."""
    left = [run]

    def look(execute: Any, sql: str, *others: Any) -> Any:
        if left and what in sql:
            deleting.delete(left.pop())
        return execute(sql, *others)

    with connection.execute_wrapper(look):
        yield


@pytest.fixture
def failed_run(db: None, clock: Clock) -> Run:
    """A run whose step "charge-card" failed twice, a minute apart: now a dead letter."""
    flows.charge.trigger({"cart": 5}, workflow_run_id="card-5", labels=["shop", "card"])
    drain_here()
    clock.advance("1m")
    drain_here()
    return run_called("card-5")


@pytest.fixture
def dead_letter(failed_run: Run) -> DeadLetter:
    return DeadLetter.objects.get(run=failed_run)


@pytest.fixture
def sleeping_run(db: None) -> Run:
    flows.nap.trigger("ada", workflow_run_id="nap-1")
    drain_here()
    return run_called("nap-1")


@pytest.fixture
def client_with(db: None) -> Callable[..., Client]:
    """A logged-in staff member who has only the named permissions, as "view_run"."""

    def log_in(*permissions: str) -> Client:
        user = User.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        return client

    return log_in
