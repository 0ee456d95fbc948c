"""Starting, watching and cancelling runs of a real server, by both shells."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from workflows_app.client import (
    FlowControlSpec,
    NotOnServer,
    RequestRefused,
    RunFilter,
    RunState,
    Trigger,
)
from workflows_app.errors import InvalidExpression, InvalidInput, InvalidRunId
from workflows_app.models import Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("workflows")]

Work = Callable[[], int]


def test_a_run_is_started_by_its_name_and_watched_to_its_end(client: Any, work: Work):
    started = client.trigger("hello", {"name": "Ada"})
    work()

    run = client.get_run(started.workflow_run_id)

    assert (run.state, run.result) == (RunState.SUCCEEDED, {"hello": {"name": "Ada"}})
    assert run.created_at == started.created_at
    assert run.completed_at >= run.created_at
    assert not run.is_live
    assert [(step.name, step.type, step.result) for step in run.steps] == [
        ("init", "Initial", {"name": "Ada"}),
        ("greet", "Run", {"hello": {"name": "Ada"}}),
    ]
    assert [group.type for group in run.groups] == ["sequential", "sequential"]


def test_a_run_is_started_by_its_url(client: Any, server: str, work: Work):
    started = client.trigger(f"{server}/serve/hello?from=url")
    work()

    run = client.get_run(started.workflow_run_id)

    assert (run.workflow_url, run.result) == (f"{server}/serve/hello?from=url", {"hello": None})


@pytest.mark.parametrize("body", ["text", "7", 7, None, [1, None], {"ä": "ö"}, b"bytes"], ids=repr)
def test_the_workflow_is_given_the_body_as_it_was(client: Any, work: Work, body: Any):
    started = client.trigger("hello", body)
    work()

    given = body.decode() if isinstance(body, bytes) else body
    assert client.get_run(started.workflow_run_id).result == {"hello": given}


def test_bytes_that_are_no_text_are_refused(client: Any):
    with pytest.raises(InvalidInput, match="base64"):
        client.trigger("hello", b"\xff")

    assert not Run.objects.exists()


def test_all_that_is_said_of_a_run_arrives(client: Any, clock: Clock):
    client.trigger(
        "hello",
        {},
        headers={"X-Order": "7", "Content-Type": "application/vnd.order+json"},
        workflow_run_id="order-ä",
        delay="1h",
        labels=["orders", "ada"],
        retries=5,
        retry_delay="1000 * retried",
        timeout=timedelta(seconds=90),
        flow_control=FlowControlSpec(key="shop", rate=2, period=timedelta(minutes=1)),
        failure_url="https://shop.example.org/failed",
        redact="header[X-Order]",
    )

    run = Run.objects.get()
    assert (run.run_id, run.label_list, run.retries) == ("order-ä", ["orders", "ada"], 5)
    assert (run.retry_delay, run.timeout) == ("1000 * retried", timedelta(seconds=90))
    assert run.header_map == {"X-Order": "7"}
    assert run.content_type == "application/vnd.order+json"
    assert run.failure_url == "https://shop.example.org/failed"
    assert run.redaction == "header[X-Order]"
    assert run.flow_control is not None
    assert (run.flow_control.key, run.flow_control.rate) == ("shop", 2)
    assert run.flow_control.period == timedelta(minutes=1)
    assert run.messages.get().due_at == clock.now + timedelta(hours=1)


@pytest.mark.parametrize("delay", ["1m", timedelta(minutes=1), "60000"], ids=str)
def test_a_retry_delay_is_a_duration_or_an_expression(client: Any, delay: Any):
    client.trigger("hello", retry_delay=delay)

    assert Run.objects.get().retry_delay == "60000"


def test_a_run_starts_no_sooner_than_it_is_told(client: Any, clock: Clock):
    client.trigger("hello", not_before=clock.now + timedelta(seconds=59.5))

    assert Run.objects.get().messages.get().due_at == clock.now + timedelta(minutes=1)


def test_the_id_of_a_live_run_starts_nothing_more(client: Any):
    first = client.trigger("sleeper", workflow_run_id="once")

    second = client.trigger("sleeper", workflow_run_id="once")

    assert (first.deduplicated, second.deduplicated) == (False, True)
    assert second.created_at == first.created_at
    assert Run.objects.count() == 1


def test_many_runs_are_started_at_once(client: Any, work: Work):
    started = client.trigger_many([Trigger("hello", n, labels="many") for n in range(3)])
    work()

    ends = {run.workflow_run_id: run.result for run in client.logs(RunFilter(label="many")).runs}
    assert [ends[run.workflow_run_id] for run in started] == [{"hello": n} for n in range(3)]
    assert client.trigger_many([]) == ()


def test_when_one_of_many_cannot_be_started_none_is(client: Any):
    with pytest.raises(NotOnServer, match=r"item 1: .*nobody-knows"):
        client.trigger_many([Trigger("hello"), Trigger("nobody-knows")])

    assert not Run.objects.exists()


def test_what_is_misspelled_is_refused_before_anything_is_sent(client: Any):
    with pytest.raises(TypeError, match="retrys"):
        client.trigger("hello", retrys=3)
    with pytest.raises(InvalidInput, match="without commas"):
        client.trigger("hello", labels="a,b")
    with pytest.raises(InvalidRunId):
        client.trigger("hello", workflow_run_id="a/b")
    with pytest.raises(InvalidExpression):
        client.trigger("hello", retry_delay="1000 *")

    assert not Run.objects.exists()


# -- watching


def test_an_unknown_run_is_no_run(client: Any):
    with pytest.raises(NotOnServer, match='there is no run "wfr_nobody"'):
        client.get_run("wfr_nobody")


def test_runs_are_found_by_what_they_are(client: Any, clock: Clock, work: Work):
    done = client.trigger("hello", labels=["shop", "ada"]).workflow_run_id
    work()
    clock.advance("1h")
    live = client.trigger("sleeper", labels="shop").workflow_run_id
    work()

    def found(**criteria: Any) -> list[str]:
        return [run.workflow_run_id for run in client.logs(RunFilter(**criteria)).runs]

    assert found() == found(label="shop") == [live, done]
    assert (
        found(label="ada") == found(workflow="hello") == found(state=RunState.SUCCEEDED) == [done]
    )
    assert found(workflow=["hello", "sleeper"], state=("RUN_STARTED",)) == [live]
    assert found(workflow_run_id=[done, live]) == [live, done]
    assert found(from_date=clock.now - timedelta(minutes=1)) == [live]
    assert found(to_date=clock.now - timedelta(minutes=1)) == [done]
    assert found(label="nobody's") == []


def test_the_iterator_reads_all_pages(client: Any):
    started = client.trigger_many([Trigger("sleeper") for _ in range(23)])

    first = client.logs()
    last = client.logs(cursor=first.cursor, count=3)
    everything = [run.workflow_run_id for run in client.iter_logs(RunFilter(workflow="sleeper"))]

    assert [len(first.runs), len(last.runs)] == [10, 3]
    assert sorted(everything) == sorted(run.workflow_run_id for run in started)
    assert [run.workflow_run_id for run in [*first.runs, *last.runs]] == everything[:13]


def test_an_empty_filter_value_is_not_taken_for_any(client: Any):
    for empty in ("", [], ["a", ""]):
        with pytest.raises(InvalidInput, match="label is empty"):
            client.logs(RunFilter(label=empty))
    with pytest.raises(InvalidInput, match="comma"):
        client.logs(RunFilter(workflow_run_id="a,b"))
    with pytest.raises(InvalidInput, match="for cancelling"):
        client.logs(RunFilter(workflow_url_starting_with="https://shop.example.org"))


# -- pausing


def test_a_run_is_paused_and_resumed(client: Any):
    client.trigger("sleeper", workflow_run_id="7 of 9?")

    assert client.pause("7 of 9?") == "paused"
    assert client.get_run("7 of 9?").paused_at is not None
    assert client.resume("7 of 9?") == "queued"
    assert client.get_run("7 of 9?").paused_at is None


def test_a_run_that_is_not_there_or_has_ended_is_not_paused(client: Any):
    client.trigger("sleeper", workflow_run_id="order-7")
    client.cancel("order-7")

    with pytest.raises(RequestRefused, match="has ended"):
        client.pause("order-7")
    with pytest.raises(NotOnServer, match="there is no run"):
        client.resume("order-8")
    with pytest.raises(InvalidInput, match="not a run id"):
        client.pause("order/7")


def test_a_run_is_restarted_whether_it_has_ended_or_not(client: Any, work: Work):
    started = client.trigger("hello", "Ada", workflow_run_id="7 of 9?")
    assert client.restart(started.workflow_run_id) == "queued"
    work()
    assert client.restart("7 of 9?", "greet", count=1, kind="work") == "queued"
    work()

    run = client.get_run("7 of 9?")
    assert (run.state, run.result) == (RunState.SUCCEEDED, {"hello": "Ada"})
    assert Run.objects.filter(run_id="7 of 9?").count() == 3


def test_a_run_is_not_restarted_from_a_step_that_it_has_not_begun(client: Any):
    client.trigger("sleeper", workflow_run_id="order-7")

    with pytest.raises(RequestRefused, match='has begun 0 steps of the kind "sleep"'):
        client.restart("order-7", "nap", kind="sleep")
    with pytest.raises(NotOnServer, match="there is no run"):
        client.restart("order-8")


# -- cancelling


@pytest.fixture
def sleepers(client: Any) -> list[str]:
    triggers = [Trigger("sleeper", labels=f"label-{n % 2}") for n in range(5)]
    return [run.workflow_run_id for run in client.trigger_many(triggers)]


def live() -> set[str]:
    return set(Run.objects.live().values_list("run_id", flat=True))


def test_runs_are_cancelled_by_id(client: Any, sleepers: list[str]):
    one, two, three, *others = sleepers

    assert client.cancel(one) == 1
    assert client.cancel(one) == 0
    assert client.cancel([one, two, three]) == 2
    assert client.cancel([]) == 0
    assert live() == set(others)
    assert client.get_run(one).state == RunState.CANCELED


def test_runs_are_cancelled_by_filter(client: Any, server: str, sleepers: list[str]):
    assert client.cancel_where(RunFilter(label="label-0", workflow="hello")) == 0
    assert client.cancel_where(RunFilter(label="label-0", workflow="sleeper")) == 3
    # A URL is whole, unless a beginning is asked for.
    assert client.cancel_where(RunFilter(workflow=f"{server}/serve/sl")) == 0
    beginning = f"{server}/serve/sl"
    assert client.cancel_where(RunFilter(workflow_url_starting_with=beginning)) == 2
    assert live() == set()


def test_all_runs_are_cancelled_however_many(client: Any):
    client.trigger_many([Trigger("sleeper") for _ in range(101)])

    assert client.cancel_all() == 101
    assert client.cancel_all() == 0
    assert live() == set()


def test_an_empty_filter_cancels_nothing(client: Any, sleepers: list[str]):
    with pytest.raises(InvalidInput, match="cancel_all"):
        client.cancel_where(RunFilter())
    with pytest.raises(InvalidInput, match="not both"):
        client.cancel_where(RunFilter(workflow="hello", workflow_url_starting_with="https://a.b"))

    assert live() == set(sleepers)
