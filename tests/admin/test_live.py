"""Pages that keep up with their run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from tests.admin import flows
from tests.admin.conftest import run_called
from tests.conftest import Clock
from workflows_app.engine import pausing, run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.models import Run, WorkflowLimit

RETRY = "retry: 3000\n\n"
CHANGED = "event: changed\ndata: {}\n\n"
THREADS: dict[str, Any] = {"wsgi.multithread": True}
"""Of a server; that of the tests' client has one."""
ENDED = "event: ended\ndata: {}\n\n"


def address(run: Run) -> str:
    return reverse("admin:workflows_app_run_live", args=[run.pk])


def open_page(client: Client, run: Run) -> Any:
    response = client.get(address(run), **THREADS)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/event-stream"
    return response


def said(response: Any) -> str:
    content: bytes = next(response.streaming_content)
    return content.decode()


def leave(response: Any) -> None:
    """As a server does when nobody reads any more, but for the connection, which is the test's."""
    response._iterator.close()


def test_a_page_is_told_to_fetch_itself_when_it_begins_and_when_its_run_changes(
    admin_client: Client, sleeping_run: Run
):
    page = open_page(admin_client, sleeping_run)
    assert said(page) == RETRY + CHANGED

    pausing.pause(sleeping_run)

    assert said(page) == CHANGED
    leave(page)


def test_a_page_is_told_that_its_run_has_ended_and_nothing_more(
    admin_client: Client, sleeping_run: Run
):
    page = open_page(admin_client, sleeping_run)
    said(page)

    run_moves.cancel(sleeping_run)

    assert [part.decode() for part in page.streaming_content] == [CHANGED + ENDED]


def test_that_something_has_fallen_due_is_a_change(
    admin_client: Client, sleeping_run: Run, clock: Clock
):
    page = open_page(admin_client, sleeping_run)
    said(page)

    clock.advance("8h")

    assert said(page) == CHANGED
    leave(page)


def test_a_page_without_a_stream_asks_for_a_mark(admin_client: Client, sleeping_run: Run):
    def ask() -> Any:
        return admin_client.get(address(sleeping_run), {"poll": 1}).json()

    before = ask()
    assert ask() == before
    assert before["ended"] is False

    run_moves.cancel(sleeping_run)

    after = ask()
    assert after["ended"] is True
    assert after["mark"] != before["mark"]


def test_where_no_stream_is_left_there_is_none_and_no_error(
    admin_client: Client, sleeping_run: Run, settings: Settings
):
    settings.WORKFLOWS = {"STREAMS": 0}

    response = admin_client.get(address(sleeping_run), **THREADS)

    assert response.status_code == 204


def test_a_server_of_one_thread_gives_no_stream(admin_client: Client, sleeping_run: Run):
    assert admin_client.get(address(sleeping_run)).status_code == 204


def test_a_look_reads_little_however_long_the_run(
    admin_client: Client, django_assert_max_num_queries: Any
):
    flows.many.trigger(30, workflow_run_id="many")
    drain_here()
    run = run_called("many")

    with django_assert_max_num_queries(8):  # three of them say who asks, and of what
        page = open_page(admin_client, run)
        said(page)
    leave(page)


def test_nobody_is_told_of_a_run_that_they_may_not_see(
    client_with: Callable[..., Client], sleeping_run: Run
):
    assert client_with("view_message").get(address(sleeping_run)).status_code == 403
    assert Client().get(address(sleeping_run)).status_code == 302


@pytest.mark.parametrize("query", ["", "?poll=1"])
def test_a_limited_user_is_told_of_their_workflows_alone(
    client_with: Callable[..., Client], sleeping_run: Run, query: str
):
    client, group = client_with("view_run"), Group.objects.create(name="shop")
    WorkflowLimit.objects.create(group=group, workflow="admin-order")
    User.objects.get(username="staff").groups.add(group)

    assert client.get(address(sleeping_run) + query).status_code == 404
