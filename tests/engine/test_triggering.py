"""Starting runs: what is stored, when it falls due, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.forms.models import model_to_dict
from pytest_django import Settings

from tests.conftest import Clock
from tests.engine.reading import journal_of, only_run, owed_to, result_of
from tests.engine.world import Bell
from workflows_app import Context, FlowControlSpec, Workflow, workflow
from workflows_app.engine.drain import drain_here
from workflows_app.engine.triggering import Started, trigger
from workflows_app.errors import (
    InvalidExpression,
    InvalidInput,
    InvalidRunId,
    InvalidUrl,
    LimitExceeded,
    PayloadTooLarge,
)
from workflows_app.models import Account, FlowControl, Message, Run, RunLabel
from workflows_app.protocol.runs import RunRequest

pytestmark = pytest.mark.django_db

URL = "https://app.example/serve/orders"


@pytest.fixture
def orders(registry: dict[str, Workflow]) -> Workflow:
    @workflow("orders")
    def orders(context: Context) -> Any:
        return context.run("echo", lambda: context.request_payload)

    return orders


def request(**changes: Any) -> RunRequest:
    return RunRequest(**{"url": URL, **changes})


def start(account: Account, **changes: Any) -> Started:
    (started,) = trigger(account, [request(**changes)])
    return started


# -- what is stored


def test_a_trigger_stores_a_run_and_the_message_that_it_is_to_begin(
    account: Account, clock: Clock
) -> None:
    started = start(
        account,
        workflow="orders",
        body=b'{"id":7}',
        headers={"X-Tenant": "north"},
        run_id="order-7",
        labels=("north", "vip"),
        retries=5,
        retry_delay="1000",
        timeout=timedelta(seconds=30),
        failure_url="https://app.example/failed",
        caller_ip="203.0.113.9",
    )

    assert not started.deduplicated
    assert model_to_dict(Run.objects.get(pk=started.run.pk)) | {"payload": None} == {
        "id": started.run.pk,
        "account": account.pk,
        "run_id": "order-7",
        "workflow": "orders",
        "named_within": False,
        "url": URL,
        "status": "running",
        "payload": None,
        "content_type": "application/json",
        "headers": '{"X-Tenant":"north"}',
        "labels": '["north","vip"]',
        "retries": 5,
        "retry_delay": "1000",
        "timeout": timedelta(seconds=30),
        "failure_url": "https://app.example/failed",
        "failure_options": "{}",
        "endpoint_check": "",
        "redaction": "",
        "flow_control": None,
        "caller_ip": "203.0.113.9",
        "origin": None,
        "forked": False,
        "result": None,
        "error": None,
        "created_at": clock.now,
        "ended_at": None,
        "version": None,
        "source": "api",
        "schedule": "",
        "paused_at": None,
        "undoing_at": None,
        "success_retention": None,
        "error_retention": None,
        "expires_at": None,
    }
    assert bytes(only_run().payload) == b'{"id":7}'
    assert only_run().live_id == "order-7"
    assert model_to_dict(Message.objects.get()) == {
        "id": Message.objects.get().pk,
        "account": account.pk,
        "run": started.run.pk,
        "publication": None,
        "schedule": None,
        "definition": None,
        "parked_for": None,
        "queue": None,
        "lapses": 0,
        "kind": "turn",
        "due_at": clock.now,
        "claims": 0,
        "at_step": "",
        "at_step_since": None,
        "wakes": 0,
        "flow_control": None,
        "key": "",
        "request": "",
        "created_at": clock.now,
    }
    assert [(label.run, label.name) for label in RunLabel.objects.order_by("pk")] == [
        (started.run, "north"),
        (started.run, "vip"),
    ]


def test_what_a_request_leaves_open_is_decided_by_the_settings(
    account: Account, settings: Settings
) -> None:
    settings.WORKFLOWS = {"RETRIES": 7, "RETRY_DELAY": "500", "STEP_TIMEOUT": "1m"}

    run = start(account).run

    assert (run.retries, run.retry_delay, run.timeout) == (7, "500", timedelta(minutes=1))


def test_a_request_may_ask_for_no_retries_and_the_usual_delay(
    account: Account, settings: Settings
) -> None:
    settings.WORKFLOWS = {"RETRIES": 7, "RETRY_DELAY": "500"}

    run = start(account, retries=0, retry_delay="").run

    assert (run.retries, run.retry_delay) == (0, "")


def test_a_run_without_an_id_is_given_one(account: Account) -> None:
    first, second = start(account).run.run_id, start(account).run.run_id

    assert first != second
    assert first.startswith("wfr_")


def test_a_label_that_is_given_twice_counts_once(account: Account) -> None:
    run = start(account, labels=("vip", "north", "vip")).run

    assert run.label_list == ["vip", "north"]
    assert RunLabel.objects.count() == 2


def test_a_trigger_rings_once_for_all_its_runs(account: Account, bell: Bell) -> None:
    trigger(account, [request(), request()])

    assert bell.rings == 1


def test_nothing_to_trigger_is_nothing_to_ring_for(account: Account, bell: Bell) -> None:
    start(account, run_id="order-7")
    trigger(account, [])
    start(account, run_id="order-7")

    assert bell.rings == 1


# -- when it begins


@pytest.mark.parametrize(
    ("when", "due"),
    [
        ({}, timedelta()),
        ({"delay": timedelta(hours=1)}, timedelta(hours=1)),
        ({"not_before": datetime(2030, 1, 2, 15, tzinfo=UTC)}, timedelta(hours=3)),
        ({"not_before": datetime(2030, 1, 1, tzinfo=UTC)}, timedelta()),
        (
            {"delay": timedelta(hours=1), "not_before": datetime(2030, 1, 2, 15, tzinfo=UTC)},
            timedelta(hours=3),
        ),
    ],
    ids=["at once", "delay", "not before", "not before the past", "both"],
)
def test_a_run_begins_when_it_was_asked_to(
    when: dict[str, Any], due: timedelta, account: Account, clock: Clock
) -> None:
    here = start(account, workflow="orders", **when).run
    elsewhere = start(account, **when).run

    assert owed_to(here) == [("turn", "", clock.now + due)]
    assert owed_to(elsewhere) == [("delivery", "", clock.now + due)]


def test_a_delayed_run_is_not_worked_on_before_its_time(orders: Workflow, clock: Clock) -> None:
    orders.trigger(7, delay="1h")

    assert drain_here() == 0
    clock.advance("59m")
    assert drain_here() == 0
    clock.advance("1m")
    assert drain_here() == 1
    assert result_of(only_run()) == 7


# -- one id, one live run


def test_a_second_trigger_with_the_id_of_a_live_run_returns_it_and_says_so(
    orders: Workflow,
) -> None:
    first = orders.trigger(1, workflow_run_id="order-7")
    second = orders.trigger(2, workflow_run_id="order-7", labels="ignored")

    assert (first.workflow_run_id, first.deduplicated) == ("order-7", False)
    assert (second.workflow_run_id, second.deduplicated) == ("order-7", True)
    assert second.created_at == first.created_at
    drain_here()
    assert result_of(only_run()) == 1
    assert not RunLabel.objects.exists()


def test_the_id_of_a_run_that_has_ended_may_be_used_again(orders: Workflow) -> None:
    first = orders.trigger(1, workflow_run_id="order-7")
    drain_here()
    second = orders.trigger(2, workflow_run_id="order-7")
    drain_here()

    assert (first.deduplicated, second.deduplicated) == (False, False)
    assert [result_of(run) for run in Run.objects.filter(run_id="order-7")] == [1, 2]


def test_accounts_have_ids_of_their_own(account: Account, other_account: Account) -> None:
    first, second = start(account, run_id="order-7"), start(other_account, run_id="order-7")

    assert (first.deduplicated, second.deduplicated) == (False, False)
    assert first.run != second.run


def test_an_id_may_come_twice_in_one_batch(account: Account) -> None:
    started = trigger(
        account,
        [request(run_id="a"), request(), request(run_id="a", body=b"2"), request(run_id="b")],
    )

    assert [each.deduplicated for each in started] == [False, False, True, False]
    assert started[0].run == started[2].run
    assert Run.objects.count() == Message.objects.count() == 3


# -- transactions


def test_a_trigger_vanishes_with_the_transaction_that_it_was_in(orders: Workflow) -> None:
    class ViewFailed(Exception):
        pass

    with pytest.raises(ViewFailed), transaction.atomic():
        orders.trigger(7, labels="vip", flow_control=FlowControlSpec(key="k", parallelism=1))
        raise ViewFailed

    assert not Run.objects.exists()
    assert not Message.objects.exists()
    assert not RunLabel.objects.exists()
    assert not FlowControl.objects.exists()


def test_a_trigger_commits_with_the_transaction_that_it_was_in(orders: Workflow) -> None:
    with transaction.atomic():
        orders.trigger(7)

    drain_here()
    assert journal_of(only_run()) == {"echo": 7}


def test_a_trigger_that_found_a_live_run_leaves_the_transaction_usable(orders: Workflow) -> None:
    orders.trigger(1, workflow_run_id="order-7")

    with transaction.atomic():
        assert orders.trigger(2, workflow_run_id="order-7").deduplicated
        assert not orders.trigger(3, workflow_run_id="order-8").deduplicated

    assert Run.objects.count() == 2


def test_many_are_triggered_all_or_none(orders: Workflow) -> None:
    runs = orders.trigger_many([{"id": 1}, {"id": 2}, {"id": 3}], labels="vip")
    drain_here()

    assert [result_of(Run.objects.get(run_id=run.workflow_run_id)) for run in runs] == [
        {"id": 1},
        {"id": 2},
        {"id": 3},
    ]
    with pytest.raises(PayloadTooLarge):
        orders.trigger_many([{"id": 4}, "x" * (100 * 1024 * 1024)])
    assert Run.objects.count() == 3


# -- flow control


def test_a_run_shares_the_limits_of_its_key(account: Account) -> None:
    limits = FlowControlSpec(key="orders", parallelism=2, rate=5, period=timedelta(minutes=1))

    first, second = start(account, flow_control=limits), start(account, flow_control=limits)

    control = FlowControl.objects.get()
    assert first.run.flow_control == second.run.flow_control == control
    assert (control.key, control.parallelism, control.rate, control.period) == (
        "orders",
        2,
        5,
        timedelta(minutes=1),
    )
    assert set(Message.objects.values_list("flow_control", flat=True)) == {control.pk}


def test_the_newest_trigger_says_what_the_limits_of_its_key_are(account: Account) -> None:
    start(account, flow_control=FlowControlSpec(key="orders", parallelism=2))
    start(account, flow_control=FlowControlSpec(key="orders", rate=5))

    control = FlowControl.objects.get()
    assert (control.parallelism, control.rate) == (None, 5)


def test_accounts_have_keys_of_their_own(account: Account, other_account: Account) -> None:
    limits = FlowControlSpec(key="orders", parallelism=2)

    start(account, flow_control=limits)
    start(other_account, flow_control=limits)

    assert FlowControl.objects.count() == 2


# -- what is refused


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        (
            {"url": "orders"},
            InvalidUrl,
            "'orders' is not a URL to send requests to; it must be absolute and begin with http:// "
            "or https://.",
        ),
        (
            {"run_id": "a/b"},
            InvalidRunId,
            "'a/b' is not a run id: use 1 to 256 printable characters without \"/\".",
        ),
        (
            {"content_type": "x" * 201},
            InvalidInput,
            "a content type has at most 200 characters",
        ),
        (
            {"headers": {"X-Count": 1}},
            InvalidInput,
            "the header X-Count must be a text, not 1",
        ),
        (
            {"headers": {"X Count": "1"}},
            InvalidInput,
            "'X Count' is not the name of a header",
        ),
        (
            {"delay": timedelta(days=366)},
            LimitExceeded,
            "a run can be delayed by at most 365d, not 366d",
        ),
        (
            {"not_before": datetime(2031, 1, 2, 13, tzinfo=UTC)},
            LimitExceeded,
            "a run can be delayed by at most 365d; 2031-01-02T13:00:00+00:00 is later",
        ),
        (
            {"timeout": timedelta(days=366)},
            LimitExceeded,
            "a timeout is at most 365d, not 366d",
        ),
        ({"retries": -1}, LimitExceeded, "retries must be 0 to 1000, not -1"),
        ({"retries": 1001}, LimitExceeded, "retries must be 0 to 1000, not 1001"),
        (
            {"failure_url": "ftp://app.example"},
            InvalidUrl,
            "'ftp://app.example' is not a URL to send requests to; it must be absolute and begin "
            "with http:// or https://.",
        ),
        (
            {"labels": ("fine", "")},
            InvalidInput,
            "a label is a text of 1 to 255 characters without a comma, not ''",
        ),
        (
            {"labels": ("a,b",)},
            InvalidInput,
            "a label is a text of 1 to 255 characters without a comma, not 'a,b'",
        ),
        (
            {"labels": ("x" * 256,)},
            InvalidInput,
            f"a label is a text of 1 to 255 characters without a comma, not '{'x' * 79}",
        ),
        (
            {"flow_control": FlowControlSpec(key="")},
            InvalidInput,
            "flow control needs at least one of parallelism and rate, each 1 to 2147483647; got "
            "FlowControlSpec(key='', parallelism=None, rate=None, "
            "period=datetime.timedelta(seconds=1))",
        ),
        (
            {"flow_control": FlowControlSpec(key="k", parallelism=0, rate=1)},
            InvalidInput,
            "flow control needs at least one of parallelism and rate, each 1 to 2147483647; got "
            "FlowControlSpec(key='k', parallelism=0, rate=1, "
            "period=datetime.timedelta(seconds=1))",
        ),
        (
            {"flow_control": FlowControlSpec(key="k", rate=1 << 31)},
            InvalidInput,
            "flow control needs at least one of parallelism and rate, each 1 to 2147483647; got "
            "FlowControlSpec(key='k', parallelism=None, rate=2147483648, "
            "period=datetime.timedelta(seconds=1))",
        ),
        (
            {"flow_control": FlowControlSpec(key="", rate=1)},
            InvalidInput,
            "a flow control key is a text of 1 to 255 characters",
        ),
        (
            {"flow_control": FlowControlSpec(key="k", rate=1, period=timedelta(days=8))},
            InvalidInput,
            "the period of flow control must be more than 0s and at most 7d; got "
            "FlowControlSpec(key='k', parallelism=None, rate=1, period=datetime.timedelta(days=8))",
        ),
        (
            {"flow_control": FlowControlSpec(key="k", rate=1, period=timedelta())},
            InvalidInput,
            "the period of flow control must be more than 0s and at most 7d; got "
            "FlowControlSpec(key='k', parallelism=None, rate=1, period=datetime.timedelta(0))",
        ),
    ],
    ids=[
        "url",
        "run id",
        "content type",
        "header",
        "name of a header",
        "delay",
        "not before",
        "timeout",
        "retries below",
        "retries above",
        "failure url",
        "empty label",
        "comma in label",
        "long label",
        "no limit",
        "parallelism",
        "rate",
        "no key",
        "long period",
        "no period",
    ],
)
def test_what_cannot_become_a_run_is_refused_in_words(
    changes: dict[str, Any],
    error: type[InvalidInput],
    sentence: str,
    account: Account,
    clock: Clock,
) -> None:
    with pytest.raises(error) as refusal:
        trigger(account, [request(), request(**changes)])

    assert (type(refusal.value), refusal.value.message) == (error, sentence)
    assert not Run.objects.exists()
    assert not FlowControl.objects.exists()


def test_a_retry_delay_that_is_no_expression_is_refused(account: Account) -> None:
    with pytest.raises(InvalidExpression, match="'soon' has an unknown name"):
        start(account, retry_delay="soon")

    assert not Run.objects.exists()


def test_a_payload_over_the_allowed_size_is_refused_with_both_sizes(
    account: Account, settings: Settings
) -> None:
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 10}
    start(account, body=b"x" * 10)

    with pytest.raises(PayloadTooLarge) as refusal:
        start(account, body=b"x" * 11)

    assert refusal.value.message == "the payload has 11 bytes; this server accepts 10"
    assert Run.objects.count() == 1


@pytest.mark.parametrize("text", ["nul \x00", "half a pair \ud800"], ids=["NUL", "surrogate"])
@pytest.mark.parametrize("what", ["a label", "a flow control key", "a content type"])
def test_a_text_that_no_database_holds_is_refused(what: str, text: str, account: Account) -> None:
    changes: dict[str, dict[str, Any]] = {
        "a label": {"labels": (text,)},
        "a flow control key": {"flow_control": FlowControlSpec(key=text, rate=1)},
        "a content type": {"content_type": text},
    }

    with pytest.raises(InvalidInput) as refusal:
        start(account, **changes[what])

    assert refusal.value.message == (
        f"{what} must not contain NUL or half a surrogate pair: {text!r}"
    )
    assert not Run.objects.exists()
