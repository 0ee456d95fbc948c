"""`@workflow`, the registry it fills, and the requests that a workflow makes of the engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workflows_app import (
    AsyncContext,
    Context,
    Failure,
    FlowControlSpec,
    InlineRun,
    TriggeredRun,
    Workflow,
    get_workflow,
    workflow,
)
from workflows_app.errors import (
    InvalidDuration,
    InvalidExpression,
    InvalidInput,
    InvalidRunId,
    NotSerializable,
    StepMisuse,
    UnknownWorkflow,
)
from workflows_app.protocol.runs import RunRequest
from workflows_app.sdk import launching
from workflows_app.sdk.authoring import registered_workflows, with_defaults

CREATED_AT = datetime(2030, 1, 2, 12, tzinfo=UTC)

Registry = dict[str, Workflow]


class ScriptedLauncher:
    """What starts runs; remembers what it was asked for."""

    def __init__(self) -> None:
        self.requests: list[RunRequest] = []

    def trigger(self, requests: list[RunRequest]) -> list[TriggeredRun]:
        self.requests += requests
        return [
            TriggeredRun(workflow_run_id=f"wfr_{number}", created_at=CREATED_AT)
            for number, _ in enumerate(requests, start=1)
        ]

    def run_inline(self, request: RunRequest) -> InlineRun:
        self.requests.append(request)
        return InlineRun(workflow_run_id="wfr_1", status="succeeded", result=7)

    def url_of(self, workflow: str) -> str:
        return f"https://app.example/serve/{workflow}"


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> ScriptedLauncher:
    scripted = ScriptedLauncher()
    monkeypatch.setattr(launching, "_launcher", scripted)
    return scripted


@pytest.fixture
def orders(registry: Registry, launcher: ScriptedLauncher) -> Workflow:
    @workflow("orders")
    def orders(context: Context) -> str:
        """Fulfil an order."""
        return "fulfilled"

    return orders


def request(**changes: Any) -> RunRequest:
    return RunRequest(
        **{"url": "https://app.example/serve/orders", "workflow": "orders", **changes}
    )


# -- defining


def test_a_workflow_is_found_by_its_name(orders: Workflow) -> None:
    assert get_workflow("orders") is orders
    assert registered_workflows()["orders"] is orders


def test_an_unknown_name_is_answered_with_those_that_are_known(registry: Registry) -> None:
    registry.clear()

    @workflow("b")
    def b(context: Context) -> None: ...

    @workflow("a")
    def a(context: Context) -> None: ...

    with pytest.raises(UnknownWorkflow) as refusal:
        get_workflow("c")

    assert refusal.value.message == (
        'no workflow "c" is registered here (registered: a, b); define it with @workflow in a '
        "workflows.py of an installed app"
    )


def test_an_unknown_name_is_answered_with_that_there_are_none(registry: Registry) -> None:
    registry.clear()

    with pytest.raises(UnknownWorkflow, match=r"\(registered: none\)"):
        get_workflow("c")


def test_a_workflow_keeps_the_name_and_words_of_its_function(orders: Workflow) -> None:
    assert (orders.__name__, orders.__doc__, orders.__module__) == (
        "orders",
        "Fulfil an order.",
        __name__,
    )
    assert repr(orders) == "<Workflow orders>"


def test_a_workflow_can_be_called_like_its_function(orders: Workflow) -> None:
    assert orders(None) == "fulfilled"


def test_a_workflow_is_async_if_its_function_is(registry: Registry) -> None:
    @workflow("plain")
    def plain(context: Context) -> None: ...

    @workflow("async")
    async def asynchronous(context: AsyncContext) -> None: ...

    assert (plain.is_async, asynchronous.is_async) == (False, True)


def test_options_of_a_workflow_are_the_defaults_of_its_runs(registry: Registry) -> None:
    limits = FlowControlSpec(key="orders", parallelism=2)

    @workflow(
        "orders",
        retries=5,
        retry_delay="1000 * retried",
        timeout="30s",
        flow_control=limits,
        failure_url="https://app.example/failed",
        transport="http",
    )
    def orders(context: Context) -> None: ...

    assert orders.transport == "http"
    assert with_defaults(RunRequest(url="https://app.example", workflow="orders")) == RunRequest(
        url="https://app.example",
        workflow="orders",
        retries=5,
        retry_delay="1000 * retried",
        timeout=timedelta(seconds=30),
        flow_control=limits,
        failure_url="https://app.example/failed",
    )


def test_what_a_request_says_comes_before_the_defaults_of_its_workflow(registry: Registry) -> None:
    @workflow("orders", retries=5, retry_delay="1000", failure_url="https://app.example/failed")
    def orders(context: Context) -> None: ...

    own = RunRequest(
        url="https://app.example", workflow="orders", retries=0, retry_delay="", failure_url=""
    )

    assert with_defaults(own) == own


def test_a_request_for_another_url_has_no_defaults(registry: Registry) -> None:
    other = RunRequest(url="https://elsewhere.example/hook")

    assert with_defaults(other) is other


def test_a_function_of_the_same_module_may_take_the_place_of_another(registry: Registry) -> None:
    """As when a module is reloaded."""

    @workflow("orders")
    def first(context: Context) -> None: ...

    @workflow("orders")
    def second(context: Context) -> None: ...

    assert get_workflow("orders") is second


def test_a_name_that_another_module_has_taken_is_refused(registry: Registry) -> None:
    @workflow("orders")
    def first(context: Context) -> None: ...

    def second(context: Context) -> None: ...

    second.__module__ = "shop.workflows"

    with pytest.raises(InvalidInput) as refusal:
        workflow("orders")(second)

    assert refusal.value.message == (
        f'workflow "orders" is defined in {__name__} and again in shop.workflows'
    )


@pytest.mark.parametrize("name", ["", "a/b", "n" * 201], ids=["empty", "slash", "long"])
def test_a_name_that_cannot_be_part_of_a_url_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        workflow(name)

    assert refusal.value.message == (
        f'a workflow\'s name is a text of 1 to 200 characters without "/", not {name!r}'
    )


def test_a_name_that_no_database_holds_is_refused() -> None:
    with pytest.raises(InvalidInput) as refusal:
        workflow("nul \x00")

    assert refusal.value.message == (
        "a workflow's name must not contain NUL or half a surrogate pair: 'nul \\x00'"
    )


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"retries": -1}, InvalidInput, "retries must be 0 or more, not -1"),
        (
            {"retry_delay": "soon"},
            InvalidExpression,
            "The retry delay expression 'soon' has an unknown name",
        ),
        ({"timeout": 5}, InvalidDuration, "5 is a duration without a unit: write"),
    ],
    ids=["retries", "retry_delay", "timeout"],
)
def test_an_option_that_cannot_be_used_is_refused_where_it_is_written(
    options: dict[str, Any], error: type[InvalidInput], sentence: str, registry: Registry
) -> None:
    with pytest.raises(error, match=f"^{sentence}"):

        @workflow("orders", **options)
        def orders(context: Context) -> None: ...


def test_a_failure_function_may_be_given_or_added(registry: Registry) -> None:
    def page(failure: Failure) -> None: ...

    async def mail(failure: Failure) -> None: ...

    @workflow("orders", failure_function=page)
    def orders(context: Context) -> None: ...

    assert (orders.failure_function, orders.failure_is_async) == (page, False)
    assert orders.on_failure(mail) is mail
    assert (orders.failure_function, orders.failure_is_async) == (mail, True)


# -- triggering


def test_a_trigger_says_which_run_there_is_now(orders: Workflow, launcher: Any) -> None:
    assert orders.trigger({"id": 7}) == TriggeredRun(
        workflow_run_id="wfr_1", created_at=CREATED_AT, deduplicated=False
    )
    assert launcher.requests == [request(body=b'{"id":7}')]


def test_a_trigger_may_say_everything_about_its_run(orders: Workflow, launcher: Any) -> None:
    limits = FlowControlSpec(key="orders", rate=5, period=timedelta(minutes=1))

    orders.trigger(
        "größe",
        headers={"X-Tenant": "north"},
        workflow_run_id="order-7",
        delay="1h30m",
        not_before="2030-01-03T08:00:00Z",
        labels=["north", "vip"],
        retries=5,
        retry_delay="1000",
        timeout=timedelta(seconds=30),
        flow_control=limits,
        failure_url="https://app.example/failed",
        redact="header[authorization], body",
    )

    assert launcher.requests == [
        request(
            body='"größe"'.encode(),
            headers={"X-Tenant": "north"},
            run_id="order-7",
            delay=timedelta(minutes=90),
            not_before=datetime(2030, 1, 3, 8, tzinfo=UTC),
            labels=("north", "vip"),
            retries=5,
            retry_delay="1000",
            timeout=timedelta(seconds=30),
            flow_control=limits,
            failure_url="https://app.example/failed",
            redaction="body,header[Authorization]",
        )
    ]


@pytest.mark.parametrize(
    ("body", "stored", "content_type"),
    [
        (None, b"", "application/json"),
        ("", b'""', "application/json"),
        (0, b"0", "application/json"),
        ((1, None), b"[1,null]", "application/json"),
        (b"\xff\x00", b"\xff\x00", "application/octet-stream"),
        (b"", b"", "application/octet-stream"),
    ],
    ids=["nothing", "empty text", "0", "tuple", "bytes", "no bytes"],
)
def test_a_body_is_stored_as_json_and_bytes_as_they_are(
    body: Any, stored: bytes, content_type: str, orders: Workflow
) -> None:
    assert orders.request(body) == request(body=stored, content_type=content_type)


def test_one_label_need_not_be_in_a_list(orders: Workflow) -> None:
    assert orders.request(labels="vip") == request(labels=("vip",))
    assert orders.request(labels=(label for label in ("a", "b"))) == request(labels=("a", "b"))


@pytest.mark.parametrize(
    "moment", [datetime(2030, 1, 3, 8, tzinfo=UTC), "2030-01-03T08:00:00Z", 1_893_657_600], ids=str
)
def test_a_run_may_begin_not_before_a_moment(moment: Any, orders: Workflow) -> None:
    assert orders.request(not_before=moment) == request(
        not_before=datetime(2030, 1, 3, 8, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        (
            {"body": {"at": CREATED_AT}},
            NotSerializable,
            "at is a datetime, which JSON cannot hold; convert it first",
        ),
        (
            {"workflow_run_id": "a/b"},
            InvalidRunId,
            "'a/b' is not a run id: use 1 to 256 printable characters without \"/\".",
        ),
        (
            {"delay": 5},
            InvalidDuration,
            '5 is a duration without a unit: write "5s" or timedelta(seconds=5).',
        ),
        (
            {"timeout": "-5s"},
            InvalidDuration,
            "'-5s' is not a duration: write numbers with the units s, m, h, d, w, mo or y, such as "
            '"30s", "1h30m" or "1d", or a number of seconds.',
        ),
        (
            {"not_before": "tomorrow"},
            InvalidDuration,
            "'tomorrow' is not a point in time: give a datetime, an ISO 8601 text such as "
            '"2030-01-31T08:00:00Z", or unix seconds (not milliseconds).',
        ),
        (
            {"redact": "everything"},
            InvalidInput,
            '\'everything\' must list "body", "header" or "header[Name]".',
        ),
        (
            {"retry_delay": "1 +"},
            InvalidExpression,
            "The retry delay expression '1 +' ends too early at character 4. Allowed are numbers, "
            "+ - * / ( ), the variable retried (0 for the first retry) and the functions "
            "pow(a, b), sqrt, abs, exp, floor, ceil, round, min and max; the result counts "
            "milliseconds.",
        ),
    ],
    ids=["body", "workflow_run_id", "delay", "timeout", "not_before", "redact", "retry_delay"],
)
def test_a_trigger_that_cannot_be_used_is_refused_in_words(
    options: dict[str, Any],
    error: type[InvalidInput],
    sentence: str,
    orders: Workflow,
    launcher: Any,
) -> None:
    with pytest.raises(error) as refusal:
        orders.trigger(**options)

    assert refusal.value.message == sentence
    assert launcher.requests == []


def test_many_runs_can_be_triggered_at_once(orders: Workflow, launcher: Any) -> None:
    runs = orders.trigger_many([1, 2], labels="vip", delay="1m")

    assert [run.workflow_run_id for run in runs] == ["wfr_1", "wfr_2"]
    assert launcher.requests == [
        request(body=body, labels=("vip",), delay=timedelta(minutes=1)) for body in (b"1", b"2")
    ]


def test_none_of_many_is_triggered_when_one_cannot_be(orders: Workflow, launcher: Any) -> None:
    with pytest.raises(NotSerializable):
        orders.trigger_many([1, {2}, 3])

    assert launcher.requests == []


def test_a_run_can_be_worked_on_here(orders: Workflow, launcher: Any) -> None:
    assert orders.run({"id": 7}, labels="vip") == InlineRun(
        workflow_run_id="wfr_1", status="succeeded", result=7
    )
    assert launcher.requests == [request(body=b'{"id":7}', labels=("vip",))]


def test_without_an_engine_no_run_can_be_started(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "_launcher", None)

    @workflow("orders")
    def orders(context: Context) -> None: ...

    with pytest.raises(StepMisuse) as refusal:
        orders.trigger()

    assert refusal.value.message == (
        'to start runs, add "workflows_app" to INSTALLED_APPS and set Django up'
    )
