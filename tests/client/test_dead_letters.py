"""Deciding about failed runs of a real server, by both shells."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from workflows_app.client import (
    CallbackState,
    DeadLetterFilter,
    FlowControlSpec,
    NotOnServer,
    RequestRefused,
    Trigger,
)
from workflows_app.errors import InvalidInput
from workflows_app.models import DeadLetter, Run, Step

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("workflows")]

Work = Callable[[], int]
Fail = Callable[..., list[str]]


@pytest.fixture
def fail(client: Any, work: Work) -> Fail:
    """So many runs that have failed, with options; the ids of their entries, newest first."""

    def fail(count: int, **options: Any) -> list[str]:
        client.trigger_many([Trigger("broken", {"n": n}, **options) for n in range(count)])
        work()
        return [entry.dlq_id for entry in client.dlq.iter()]

    return fail


def test_a_failed_run_has_an_entry(client: Any, fail: Fail, server: str):
    (dlq_id,) = fail(1, labels="shop", workflow_run_id="sale")

    entry = client.dlq.get(dlq_id)

    assert client.dlq.list().entries == (entry,)
    assert (entry.dlq_id, entry.workflow_run_id) == (dlq_id, "sale")
    assert entry.workflow_url == f"{server}/serve/broken"
    assert (entry.labels, entry.body) == (("shop",), {"n": 0})
    assert (entry.response_status, "the shop is closed" in entry.response_body) == (500, True)
    assert entry.failure_function_state is None
    run = client.get_run("sale")
    assert (run.dlq_id, run.steps[-1].errors[-1].status) == (dlq_id, 500)
    assert "the shop is closed" in run.steps[-1].errors[-1].error


def test_an_unknown_entry_is_no_entry(client: Any):
    for verb in (client.dlq.get, client.dlq.resume, client.dlq.restart):
        with pytest.raises(NotOnServer):
            verb("1-1")
    assert client.dlq.delete("1-1") == 0


def test_entries_are_found_by_what_they_are(client: Any, fail: Fail):
    (first,) = fail(1, labels="shop", workflow_run_id="sale")
    second, _ = fail(1)

    def found(**criteria: Any) -> list[str]:
        return [entry.dlq_id for entry in client.dlq.list(DeadLetterFilter(**criteria)).entries]

    assert found() == found(workflow="broken") == found(response_status=500) == [second, first]
    assert found(label="shop") == found(workflow_run_id="sale") == [first]
    assert found(dlq_id=[second]) == [second]
    assert found(response_status=[404, 501]) == found(workflow="hello") == []


def test_the_iterator_reads_all_pages(client: Any, fail: Fail):
    ids = fail(5)

    page = client.dlq.list(count=2)

    assert [entry.dlq_id for entry in page.entries] == ids[:2]
    rest = client.dlq.list(cursor=page.cursor)
    assert ([entry.dlq_id for entry in rest.entries], rest.cursor) == (ids[2:], None)


def ran(run_id: str) -> list[str]:
    return list(Step.objects.filter(run__run_id=run_id).values_list("name", flat=True))


def test_a_run_is_resumed_where_it_failed_and_restarted_from_its_beginning(client: Any, fail: Fail):
    resumed_id, restarted_id = fail(2)

    resumed = client.dlq.resume(resumed_id)
    restarted = client.dlq.restart(restarted_id)

    assert (ran(resumed.workflow_run_id), ran(restarted.workflow_run_id)) == (["fine"], [])
    assert client.get_run(resumed.workflow_run_id).created_at == resumed.created_at
    assert client.dlq.list().entries == ()


@pytest.mark.parametrize("verb", ["resume", "restart"])
def test_the_successor_may_be_told_to_do_otherwise(
    client: Any, fail: Fail, clock: Clock, verb: str
):
    (dlq_id,) = fail(1)

    getattr(client.dlq, verb)(
        dlq_id,
        retries=7,
        retry_delay="500",
        delay="1h",
        labels=["again", "late"],
        flow_control=FlowControlSpec(key="shop", parallelism=1),
        failure_url="https://shop.example.org/failed",
    )

    run = Run.objects.live().get()
    assert (run.retries, run.retry_delay, run.label_list) == (7, "500", ["again", "late"])
    assert run.flow_control is not None
    assert (run.flow_control.key, run.flow_control.parallelism) == ("shop", 1)
    assert run.failure_url == "https://shop.example.org/failed"
    assert run.messages.get().due_at == clock.now + timedelta(hours=1)


@pytest.mark.parametrize("verb", ["resume", "restart"])
def test_many_are_succeeded_by_ids_all_or_none(client: Any, fail: Fail, verb: str):
    one, two, three = fail(3)
    many = getattr(client.dlq, f"{verb}_many")

    with pytest.raises(NotOnServer, match="nothing was started"):
        many([one, "1-1"])
    runs = many([one, two], labels="again")

    assert {run.workflow_run_id for run in runs} == {run.run_id for run in Run.objects.live()}
    assert [entry.dlq_id for entry in client.dlq.list().entries] == [three]
    assert many([]) == ()


@pytest.mark.parametrize("verb", ["resume", "restart"])
def test_many_are_succeeded_by_filter_and_all_in_portions(client: Any, fail: Fail, verb: str):
    fail(1, labels="shop")
    fail(51)

    by_filter = getattr(client.dlq, f"{verb}_where")(DeadLetterFilter(label="shop"), retries=0)
    first = getattr(client.dlq, f"{verb}_all")()
    last = getattr(client.dlq, f"{verb}_all")()

    assert (len(by_filter.runs), by_filter.cursor) == (1, None)
    assert (len(first.runs), first.cursor is None) == (50, False)
    assert (len(last.runs), last.cursor) == (1, None)
    assert not DeadLetter.objects.exists()


def test_entries_are_deleted_by_ids_filter_and_all(client: Any, fail: Fail):
    fail(2, labels="shop")
    one, two, three, *_ = fail(4)

    assert client.dlq.delete(one) == 1
    assert client.dlq.delete([one, two, three]) == 2
    assert client.dlq.delete([]) == 0
    assert client.dlq.delete_where(DeadLetterFilter(label="shop")) == 2
    assert client.dlq.delete_all() == 1
    assert client.dlq.delete_all() == 0
    assert Run.objects.filter(status=Run.Status.FAILED).count() == 6


def test_an_empty_filter_or_id_means_nothing(client: Any, fail: Fail):
    fail(1)

    for verb in ("resume_where", "restart_where", "delete_where"):
        with pytest.raises(InvalidInput, match="_all"):
            getattr(client.dlq, verb)(DeadLetterFilter())
    with pytest.raises(InvalidInput, match="dlq_id is empty"):
        client.dlq.get("")
    with pytest.raises(InvalidInput, match="dlq_ids is empty"):
        client.dlq.delete("")
    with pytest.raises(TypeError, match="label"):
        client.dlq.resume_all(label="shop")

    assert DeadLetter.objects.count() == 1


def test_a_failure_url_that_failed_is_told_again(client: Any, fail: Fail, clock: Clock, work: Work):
    ids = fail(2, failure_url="http://127.0.0.1:9/failed")
    for _ in range(4):
        clock.advance("1d")
        work()
    assert [entry.failure_function_state for entry in client.dlq.iter()] == [
        CallbackState.FAILED,
        CallbackState.FAILED,
    ]

    client.dlq.retry_failure_function(ids[0])
    client.dlq.retry_failure_function_many(ids[1:])

    entries = client.dlq.list(DeadLetterFilter(failure_function_state="CALLBACK_INPROGRESS"))
    assert [entry.dlq_id for entry in entries.entries] == ids
    with pytest.raises(RequestRefused, match="no failed failure callback") as refused:
        client.dlq.retry_failure_function(ids[0])
    assert refused.value.status == 400
