from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from workflows_app.errors import (
    InvalidDuration,
    InvalidExpression,
    InvalidInput,
    InvalidRunId,
    InvalidUrl,
)
from workflows_app.protocol.header_values import Redaction
from workflows_app.protocol.headers import MessageOptions, collect_headers, parse_headers
from workflows_app.protocol.runs import FlowControlSpec

WORKFLOW = "https://app.example/api/workflow"


def parse(**headers: str) -> MessageOptions:
    """Header names with "_" for "-"; those of Upstash without their prefix."""
    return parse_headers((f"Upstash-{name.replace('_', '-')}", v) for name, v in headers.items())


def test_a_request_that_says_nothing_leaves_everything_open() -> None:
    assert parse_headers([]) == MessageOptions()
    assert parse_headers([("Accept", "*/*"), ("Host", "x"), ("X-Custom", "1")]) == MessageOptions()


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("Method", "put", {"method": "PUT"}),
        ("Delay", "1h30m", {"delay": timedelta(minutes=90)}),
        ("Delay", "10", {"delay": timedelta(seconds=10)}),
        ("Delay", "-5s", {"delay": timedelta()}),
        ("Not-Before", "1896091200", {"not_before": datetime(2030, 1, 31, 12, tzinfo=UTC)}),
        ("Not-Before", "1896091200.0", {"not_before": datetime(2030, 1, 31, 12, tzinfo=UTC)}),
        ("Retries", "0", {"retries": 0}),
        ("Retries", "1000000", {"retries": 1_000_000}),
        ("Retry-Delay", "pow(2, retried)", {"retry_delay": "pow(2, retried)"}),
        ("Timeout", "10s", {"timeout": timedelta(seconds=10)}),
        ("Timeout", "30", {"timeout": timedelta(seconds=30)}),
        ("Timeout", "0", {}),
        ("Deduplication-Id", "d 1", {"deduplication_id": "d 1"}),
        ("Content-Based-Deduplication", "true", {"content_based_deduplication": True}),
        ("Content-Based-Deduplication", "false", {"content_based_deduplication": False}),
        ("Label", "a", {"labels": ("a",)}),
        ("Label", "b, a,,b", {"labels": ("b", "a")}),
        ("Redact-Fields", "body", {"redaction": Redaction(body=True)}),
        ("Redact-Fields", "body,header", {"redaction": Redaction(body=True, all_headers=True)}),
        (
            "Redact-Fields",
            "body, header[authorization], headers[ X-KEY ]",
            {"redaction": Redaction(body=True, headers=frozenset({"Authorization", "X-Key"}))},
        ),
        ("Redact-Fields", "headers", {"redaction": Redaction(all_headers=True)}),
        ("Callback", "https://cb.example/", {"callback_url": "https://cb.example/"}),
        ("Failure-Callback", WORKFLOW, {"failure_callback_url": WORKFLOW}),
        ("Queue-Name", "mail", {"queue": "mail"}),
        ("Cron", "CRON_TZ=Europe/Berlin 0 8 * * *", {"cron": "CRON_TZ=Europe/Berlin 0 8 * * *"}),
        ("Schedule-Id", "scd_1", {"schedule_id": "scd_1"}),
        (
            "Feature-Set",
            "LazyFetch,InitialBody, WF_NoDelete",
            {"features": frozenset({"LazyFetch", "InitialBody", "WF_NoDelete"})},
        ),
        ("Workflow-Init", "true", {"workflow_init": True}),
        ("Workflow-Init", "False", {"workflow_init": False}),
        ("Workflow-RunId", "wfr_1", {"workflow_run_id": "wfr_1"}),
        ("Workflow-Runid", "wfr_1", {"workflow_run_id": "wfr_1"}),
        ("Workflow-Url", WORKFLOW, {}),
        ("Workflow-CallType", "toCallback", {"workflow_call_type": "toCallback"}),
        ("Workflow-Sdk-Version", "1", {}),
        ("Workflow-Invoke", "true", {"workflow_invoke": True}),
        ("Workflow-Trigger-By-Sdk", "true", {"workflow_trigger_by_sdk": True}),
        ("Workflow-Unknown-Sdk", "true", {"workflow_unknown_sdk": True}),
        ("Telemetry-Sdk", "@upstash/x@1", {}),
        ("Telemetry-Runtime", "node", {}),
        ("Something-New", "1", {}),
        ("Delay", "", {}),
        ("Retries", "  ", {}),
        ("Forward-", "x", {}),
        ("", "x", {}),
        (
            "Forward-Upstash-Workflow-Invoke-Count",
            "2",
            {"workflow_invoke_count": 2, "forward": {"Upstash-Workflow-Invoke-Count": "2"}},
        ),
    ],
    ids=range(45),
)
def test_each_header_has_its_field(header: str, value: str, expected: dict[str, object]) -> None:
    for name in (f"Upstash-{header}", f"upstash-{header}".lower(), f"UPSTASH-{header}".upper()):
        assert parse_headers([(name, value)]) == MessageOptions(**expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("parallelism=2", FlowControlSpec(key="k", parallelism=2)),
        ("rate=5", FlowControlSpec(key="k", rate=5)),
        (
            "parallelism=2, rate=5, period=1m",
            FlowControlSpec(key="k", parallelism=2, rate=5, period=timedelta(minutes=1)),
        ),
        (
            "rate = 5,period = 60,",
            FlowControlSpec(key="k", rate=5, period=timedelta(seconds=60)),
        ),
        ("rate=1,period=7d", FlowControlSpec(key="k", rate=1, period=timedelta(days=7))),
    ],
)
def test_flow_control_is_a_key_with_limits(value: str, expected: FlowControlSpec) -> None:
    options = parse(Flow_Control_Key="k", Flow_Control_Value=value)
    assert options == MessageOptions(flow_control=expected)


TRUTH = 'must be "true" or "false".'
COUNT = "must be a whole number, 0 or more."
DURATION = (
    "is not a duration: write numbers with the units s, m, h, d, w, mo or y, "
    'such as "30s", "1h30m" or "1d", or a number of seconds.'
)
URL = "is not a URL to send requests to; it must be absolute and begin with http:// or https://."


@pytest.mark.parametrize(
    ("header", "value", "kind", "rule"),
    [
        ("Method", "STEAL", InvalidInput, "one of GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS."),
        ("Delay", "soon", InvalidDuration, DURATION),
        ("Delay", "--5s", InvalidDuration, DURATION),
        ("Timeout", "1 hour", InvalidDuration, DURATION),
        ("Not-Before", "tomorrow", InvalidDuration, "or unix seconds (not milliseconds)."),
        ("Retries", "-1", InvalidInput, COUNT),
        ("Retries", "1.5", InvalidInput, COUNT),
        ("Retries", "9" * 5000, InvalidInput, COUNT),
        ("Retries", "٣", InvalidInput, COUNT),
        ("Retry-Delay", "10s", InvalidExpression, "the result counts milliseconds."),
        ("Content-Based-Deduplication", "yes", InvalidInput, TRUTH),
        ("Workflow-Init", "1", InvalidInput, TRUTH),
        ("Redact-Fields", "everything", InvalidInput, '"body", "header" or "header[Name]".'),
        ("Redact-Fields", "header[]", InvalidInput, '"body", "header" or "header[Name]".'),
        ("Callback", "my-topic", InvalidUrl, URL),
        ("Failure-Callback", "ftp://x/", InvalidUrl, URL),
        ("Workflow-Runid", "a/b", InvalidRunId, 'printable characters without "/".'),
        (
            "Workflow-Calltype",
            "other",
            InvalidInput,
            "must be one of step, toCallback, fromCallback, failureCall.",
        ),
        ("Forward-Upstash-Workflow-Invoke-Count", "deep", InvalidInput, COUNT),
    ],
    ids=range(19),
)
@pytest.mark.parametrize("prefix", ["Upstash-", "Upstash-Callback-", "Upstash-Failure-Callback-"])
def test_a_bad_value_is_refused_by_header_and_rule(
    prefix: str, header: str, value: str, kind: type[InvalidInput], rule: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_headers([(f"{prefix}{header}".lower(), value)])
    assert type(refusal.value) is kind
    assert refusal.value.message.startswith(f"{prefix}{header}: ")
    assert refusal.value.message.endswith(rule)


LIMITS = (
    "must give parallelism, rate or both, and may give a period, "
    'such as "parallelism=2, rate=5, period=1m".'
)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("period=1m", f"'period=1m' {LIMITS}"),
        (",", f"',' {LIMITS}"),
        ("speed=1", f"'speed=1' {LIMITS}"),
        ("rate=1,burst=2", f"'rate=1,burst=2' {LIMITS}"),
        ("rate", "rate is '' but must be a whole number from 1."),
        ("rate=0", "rate is '0' but must be a whole number from 1."),
        ("rate=-1", "rate is '-1' but must be a whole number from 1."),
        ("parallelism=1.5", "parallelism is '1.5' but must be a whole number from 1."),
        ("rate=1,period=0", "period is '0' but must be more than 0s and at most 7d."),
        ("rate=1,period=8d", "period is '8d' but must be more than 0s and at most 7d."),
        ("rate=1,period=x", f"'x' {DURATION}"),
    ],
)
def test_flow_control_limits_are_checked(value: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse(Flow_Control_Key="k", Flow_Control_Value=value)
    assert refusal.value.message == f"Upstash-Flow-Control-Value: {sentence}"


@pytest.mark.parametrize(
    ("here", "value", "missing"),
    [
        ("Upstash-Flow-Control-Key", "k", "Upstash-Flow-Control-Value"),
        ("Upstash-Flow-Control-Value", "rate=1", "Upstash-Flow-Control-Key"),
        (
            "Upstash-Failure-Callback-Flow-Control-Key",
            "k",
            "Upstash-Failure-Callback-Flow-Control-Value",
        ),
    ],
    ids=["key", "value", "callback"],
)
def test_half_a_flow_control_is_refused(here: str, value: str, missing: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_headers([(here, value)])
    assert refusal.value.message == f"{here}: {missing} must be sent with it."


def test_what_follows_a_callback_prefix_is_about_the_callback() -> None:
    assert parse(
        Retries="1",
        Callback="https://cb.example/",
        Callback_Retries="2",
        Callback_Forward_X="callback",
        Callback_Workflow_RunId="wfr_1",
        Callback_Workflow_CallType="fromCallback",
        Callback_Failure_Callback="https://fcb.example/",
        Callback_Failure_Callback_Retries="3",
        Failure_Callback="https://failed.example/",
        Failure_Callback_Retries="4",
        Failure_Callback_Forward_X="failure",
        Failure_Callback_Feature_Set="InitialBody",
    ) == MessageOptions(
        retries=1,
        callback_url="https://cb.example/",
        callback=MessageOptions(
            retries=2,
            forward={"X": "callback"},
            workflow_run_id="wfr_1",
            workflow_call_type="fromCallback",
            failure_callback_url="https://fcb.example/",
            failure_callback=MessageOptions(retries=3),
        ),
        failure_callback_url="https://failed.example/",
        failure_callback=MessageOptions(
            retries=4, forward={"X": "failure"}, features=frozenset({"InitialBody"})
        ),
    )


def test_callback_options_may_come_without_a_url() -> None:
    assert parse(Failure_Callback_Retries="1") == MessageOptions(
        failure_callback=MessageOptions(retries=1)
    )


def test_callbacks_are_not_nested_without_end() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_headers([("upstash-" + "callback-" * 1000 + "retries", "1")])
    assert refusal.value.message == (
        "Upstash-Callback-Callback-Callback-...: callbacks are nested too deeply."
    )


def test_forwarded_headers_lose_the_prefix_once() -> None:
    options = parse(
        Forward_Authorization="Bearer of the endpoint",
        Forward_X_EMPTY="",
        Forward_Upstash_Forward_X="kept",
        Forward_Upstash_Workflow_Sdk_Version="1",
        Forward_Upstash_Label="a",
    )
    assert options == MessageOptions(
        forward={
            "Authorization": "Bearer of the endpoint",
            "X-Empty": "",
            "Upstash-Forward-X": "kept",
            "Upstash-Workflow-Sdk-Version": "1",
            "Upstash-Label": "a",
        }
    )


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Accept-Encoding",
        "Proxy-Authorization",
        "Proxy-Connection",
        "User-Agent",
        "Upstash-Signature",
        "Upstash-Message-Id",
        "Upstash-Retried",
        "Upstash-Caller-Ip",
        "Upstash-Region",
        "Upstash-Schedule-Id",
        "Upstash-Topic-Name",
        "Upstash-Queue-Name",
        "Upstash-Workflow-RunId",
        "Upstash-Workflow-Init",
        "Upstash-Workflow-Url",
        "Upstash-Workflow-CreatedAt",
        "Upstash-Workflow-CallType",
        "Upstash-Telemetry-Sdk",
    ],
)
def test_callers_cannot_set_what_is_the_servers_or_the_connections(name: str) -> None:
    assert parse_headers([(f"Upstash-Forward-{name}", "x")]) == MessageOptions()
    assert parse_headers([(f"upstash-callback-forward-{name.lower()}", "x")]) == MessageOptions(
        callback=MessageOptions()
    )


@pytest.mark.parametrize(
    "name",
    [
        "Upstash-Workflow-Callback",
        "Upstash-Workflow-StepId",
        "Upstash-Workflow-StepName",
        "Upstash-Workflow-StepType",
        "Upstash-Workflow-Concurrent",
        "Upstash-Workflow-ContentType",
        "Upstash-Workflow-Is-Failure",
        "Upstash-Workflow-Failure-Callback",
        "Upstash-Workflow-Unknown-Sdk",
    ],
)
def test_what_callbacks_need_is_forwarded(name: str) -> None:
    (forwarded,) = parse_headers([(f"Upstash-Forward-{name}", "x")]).forward.items()
    assert (forwarded[0].lower(), forwarded[1]) == (name.lower(), "x")


@pytest.mark.parametrize("name", ["a b", "a:b", "ü", "a\r\nb"], ids=repr)
def test_a_forwarded_name_must_be_a_header_name(name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_headers([(f"Upstash-Forward-{name}", "x")])
    assert refusal.value.message == f"Upstash-Forward-{name}: this is no header name."


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\x00", "\x7f", "\ud800"], ids=repr)
def test_no_value_can_smuggle_further_headers(value: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_headers([("Upstash-Forward-X", value + "y")])
    assert refusal.value.message == ("Upstash-Forward-X: control characters cannot be in a header.")


@pytest.mark.parametrize(
    ("headers", "content_type"),
    [
        ([("content-type", "text/xml")], "text/xml"),
        ([("Upstash-Forward-Content-Type", "text/xml")], "text/xml"),
        ([("Content-Type", "text/a"), ("Upstash-Forward-Content-Type", "text/b")], "text/a"),
    ],
    ids=["raw", "forwarded", "both"],
)
def test_the_raw_content_type_wins(headers: list[tuple[str, str]], content_type: str) -> None:
    assert parse_headers(headers) == MessageOptions(content_type=content_type)


def test_all_other_headers_travel_along_when_asked_for() -> None:
    headers = [
        ("Upstash-Header-Forward", "true"),
        ("Authorization", "Bearer of this server"),
        ("Content-Type", "text/plain"),
        ("Host", "qstash.example"),
        ("User-Agent", "curl"),
        ("X-Github-Event", "push"),
        ("X-Both", "plain"),
        ("Upstash-Forward-X-Both", "explicit"),
    ]
    assert parse_headers(headers) == MessageOptions(
        content_type="text/plain", forward={"X-Github-Event": "push", "X-Both": "explicit"}
    )


def test_whether_headers_travel_along_is_said_clearly_or_refused() -> None:
    assert parse_headers([("Upstash-Header-Forward", "false"), ("X", "1")]) == MessageOptions()
    with pytest.raises(InvalidInput) as refusal:
        parse_headers([("Upstash-Header-Forward", "on")])
    assert refusal.value.message == f"Upstash-Header-Forward: 'on' {TRUTH}"


def test_headers_that_were_sent_several_times_are_joined() -> None:
    pairs = [("Upstash-Feature-Set", "A"), ("x-one", " 1 "), ("UPSTASH-FEATURE-SET", "B")]
    assert collect_headers(pairs) == {"upstash-feature-set": "A,B", "x-one": "1"}
    assert parse_headers(pairs) == MessageOptions(features=frozenset({"A", "B"}))


def test_a_trigger_by_the_javascript_client_is_understood() -> None:
    """The headers of `client.trigger`, Upstash reference 2.4."""
    own = {
        "upstash-workflow-init": "true",
        "upstash-workflow-runid": "wfr_1",
        "upstash-workflow-url": WORKFLOW,
        "upstash-feature-set": "LazyFetch,InitialBody,WF_DetectTrigger,WF_TriggerOnConfig",
        "upstash-workflow-sdk-version": "1",
        "upstash-telemetry-sdk": "@upstash/workflow@v1.3.3",
        "content-type": "application/json",
        "upstash-forward-upstash-workflow-sdk-version": "1",
        "upstash-forward-x-user": "ada",
        "upstash-label": "nightly",
        "upstash-forward-upstash-label": "nightly",
        "upstash-retries": "5",
        "upstash-retry-delay": "1000",
        "upstash-flow-control-key": "k",
        "upstash-flow-control-value": "parallelism=1",
        "upstash-failure-callback": WORKFLOW,
        "upstash-failure-callback-forward-upstash-workflow-is-failure": "true",
        "upstash-failure-callback-forward-upstash-workflow-failure-callback": "true",
        "upstash-failure-callback-forward-x-user": "ada",
        "upstash-failure-callback-workflow-runid": "wfr_1",
        "upstash-failure-callback-workflow-init": "false",
        "upstash-failure-callback-workflow-url": WORKFLOW,
        "upstash-failure-callback-workflow-calltype": "failureCall",
        "upstash-failure-callback-feature-set": "LazyFetch,InitialBody",
        "upstash-failure-callback-retries": "5",
    }
    assert parse_headers(own.items()) == MessageOptions(
        workflow_init=True,
        workflow_run_id="wfr_1",
        features=frozenset({"LazyFetch", "InitialBody", "WF_DetectTrigger", "WF_TriggerOnConfig"}),
        content_type="application/json",
        forward={
            "Upstash-Workflow-Sdk-Version": "1",
            "X-User": "ada",
            "Upstash-Label": "nightly",
        },
        labels=("nightly",),
        retries=5,
        retry_delay="1000",
        flow_control=FlowControlSpec(key="k", parallelism=1),
        failure_callback_url=WORKFLOW,
        failure_callback=MessageOptions(
            forward={
                "Upstash-Workflow-Is-Failure": "true",
                "Upstash-Workflow-Failure-Callback": "true",
                "X-User": "ada",
            },
            workflow_run_id="wfr_1",
            workflow_init=False,
            workflow_call_type="failureCall",
            features=frozenset({"LazyFetch", "InitialBody"}),
            retries=5,
        ),
    )
