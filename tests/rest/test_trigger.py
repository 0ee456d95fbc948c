"""`POST /v2/trigger/{workflow URL}`."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from io import BytesIO
from typing import Any

import pytest
from django.test import Client, RequestFactory

from tests.rest.conftest import Api, Register, answer_of
from workflows_app.engine.addresses import serve_url
from workflows_app.models import Message, Run
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.rest.destinations import destination_of

FOREIGN = "https://flows.example.org/serve/hello"
ROUTE = "/v2/trigger/"


def the_run() -> Run:
    return Run.objects.get()


def test_a_run_is_started_with_the_body_as_its_payload(api: Api, hello, clock, work):
    response = api.post(
        f"/v2/trigger/{hello}", '{"name": "Ada"}', upstash_workflow_runid="greeting"
    )

    assert answer_of(response) == (
        200,
        {"workflowRunId": "greeting", "workflowCreatedAt": unix_milliseconds(clock.now)},
    )
    work()
    run = the_run()
    assert (run.workflow, run.url, run.status) == ("hello", hello, Run.Status.SUCCEEDED)
    assert run.result == '{"hello":{"name":"Ada"}}'
    assert run.caller_ip == "127.0.0.1"


def test_a_run_without_an_id_is_given_one(api: Api, hello):
    response = api.post(f"/v2/trigger/{hello}")

    assert response.json()["workflowRunId"] == the_run().run_id
    assert the_run().run_id.startswith("wfr_")


def test_a_second_trigger_with_the_id_of_a_live_run_returns_that_run(api: Api, hello, clock):
    first = api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="once").json()
    clock.advance("1m")

    second = api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="once")

    assert answer_of(second) == (200, {**first, "deduplicated": True})
    assert Run.objects.count() == 1


def test_all_options_of_a_run_are_taken_from_the_headers(api: Api, hello, clock):
    api.post(
        f"/v2/trigger/{hello}",
        "text",
        content_type="text/plain",
        upstash_delay="1h",
        upstash_label="shop,fast",
        upstash_retries="7",
        upstash_retry_delay="1000 * (retried + 1)",
        upstash_timeout="30s",
        upstash_flow_control_key="shop",
        upstash_flow_control_value="parallelism=2, rate=5, period=1m",
        upstash_failure_callback="https://ops.example.org/failed",
        upstash_forward_x_tenant="acme",
    )

    run = the_run()
    assert (run.retries, run.retry_delay, run.timeout) == (
        7,
        "1000 * (retried + 1)",
        timedelta(seconds=30),
    )
    assert (run.label_list, run.header_map) == (["shop", "fast"], {"X-Tenant": "acme"})
    assert (run.failure_url, run.content_type) == ("https://ops.example.org/failed", "text/plain")
    assert run.flow_control is not None
    assert (run.flow_control.key, run.flow_control.parallelism, run.flow_control.rate) == (
        "shop",
        2,
        5,
    )
    assert Message.objects.get().due_at == clock.now + timedelta(hours=1)


def test_not_before_wins_over_a_delay(api: Api, hello, clock):
    later = clock.now + timedelta(days=2)

    api.post(
        f"/v2/trigger/{hello}",
        upstash_delay="1h",
        upstash_not_before=str(int(later.timestamp())),
    )

    assert Message.objects.get().due_at == later


def test_configuration_can_come_in_the_query_but_headers_win(api: Api, hello):
    api.post(f"/v2/trigger/{hello}?upstash-retries=5&upstash-label=web", upstash_retries="2")

    run = the_run()
    assert (run.url, run.retries, run.label_list) == (hello, 2, ["web"])


def test_the_workflows_own_url_as_failure_callback_means_its_failure_function(api: Api, hello):
    api.post(f"/v2/trigger/{hello}", upstash_failure_callback=hello)

    assert the_run().failure_url == ""


def test_a_payload_need_not_be_json(api: Api, hello, work):
    api.post(f"/v2/trigger/{hello}", b"\xff\x00raw", content_type="application/octet-stream")

    assert bytes(the_run().payload) == b"\xff\x00raw"


def test_a_workflow_whose_name_is_no_url_is_found_by_its_encoded_name(
    api: Api, registry: Register, work
):
    registry("größe & co", retries=0)(lambda context: "found")

    api.post(f"/v2/trigger/{serve_url('größe & co')}")
    work()

    assert the_run().result == '"found"'


# -- the destination


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("https://host.example//a//b", "https://host.example//a//b"),
        ("https://host.example/a%20b%2Fc", "https://host.example/a%20b%2Fc"),
        ("https://host.example/a?x=1&y=%26", "https://host.example/a?x=1&y=%26"),
        ("https://host.example/a?qstash_token=t&x=1", "https://host.example/a?x=1"),
        ("https://host.example/a?upstash-delay=1s", "https://host.example/a"),
        ("https://host.example/a?format=xml", "https://host.example/a?format=xml"),
        ("https%3A%2F%2Fhost.example%2Fa%20b", "https://host.example/a b"),
        ("https%3A%2F%2Fhost.example%2Fa%3Fx%3D1", "https://host.example/a?x=1"),
        ("https%3A%2F%2Fhost.example%2Fa%3Fx%3D1?y=2", "https://host.example/a?x=1&y=2"),
    ],
)
def test_the_destination_is_what_the_caller_wrote(rf: RequestFactory, target: str, url: str):
    request = rf.post(f"{ROUTE}{target}", RAW_URI=f"{ROUTE}{target}")

    assert destination_of(request, ROUTE) == url


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("https://host.example//a//b", "https://host.example//a//b"),
        ("https://host.example/a%20b", "https://host.example/a%20b"),
        ("https://host.example/%C3%BC?x=%20", "https://host.example/%C3%BC?x=%20"),
        ("https%3A%2F%2Fhost.example%2Fa", "https://host.example/a"),
    ],
)
def test_a_server_that_tells_only_the_decoded_path_is_enough_for_most_urls(
    rf: RequestFactory, target: str, url: str
):
    assert destination_of(rf.post(f"{ROUTE}{target}"), ROUTE) == url


def test_an_asgi_server_tells_the_raw_path_in_its_scope(async_rf):
    request = async_rf.post(f"{ROUTE}https://host.example/a%2Fb?x=1")
    request.scope["raw_path"] = f"{ROUTE}https://host.example/a%2Fb".encode()

    assert destination_of(request, ROUTE) == "https://host.example/a%2Fb?x=1"


def test_the_url_of_a_foreign_workflow_is_kept_raw(api: Api):
    api.post(f"/v2/trigger/{FOREIGN}//first?x=1")

    assert (the_run().url, the_run().workflow) == (f"{FOREIGN}//first?x=1", "")


# -- refusals


def refusal(response: Any, status: int) -> str:
    """The sentence of a refusal, which has left nothing behind."""
    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert Run.objects.count() == 0
    sentence: str = response.json()["error"]
    return sentence


def test_an_unknown_workflow_of_this_server_is_refused_with_the_known_names(api: Api, hello):
    response = api.post(f"/v2/trigger/{serve_url('hullo')}")

    sentence = refusal(response, 404)
    assert sentence.startswith('no workflow "hullo" is registered here (registered: ')
    assert "hello" in sentence


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        (
            {"upstash_workflow_runid": "a/b"},
            "Upstash-Workflow-Runid: 'a/b' is not a run id: use 1 to 256 printable characters "
            'without "/".',
        ),
        (
            {"upstash_retries": "many"},
            "Upstash-Retries: 'many' must be a whole number, 0 or more.",
        ),
        (
            {"upstash_delay": "soon"},
            "Upstash-Delay: 'soon' is not a duration: write numbers with the units s, m, h, d, w, "
            'mo or y, such as "30s", "1h30m" or "1d", or a number of seconds.',
        ),
        (
            {"upstash_failure_callback": "ops.example.org"},
            "Upstash-Failure-Callback: 'ops.example.org' is not a URL to send requests to; it must "
            "be absolute and begin with http:// or https://.",
        ),
        (
            {"upstash_flow_control_key": "shop"},
            "Upstash-Flow-Control-Key: Upstash-Flow-Control-Value must be sent with it.",
        ),
        (
            {
                "upstash_flow_control_key": "k" * 256,
                "upstash_flow_control_value": "rate=1",
            },
            "a flow control key is a text of 1 to 255 characters",
        ),
        (
            {"upstash_redact_fields": "everything"},
            'Upstash-Redact-Fields: \'everything\' must list "body", "header" or "header[Name]".',
        ),
        (
            {"content_type": "x" * 201},
            "a content type has at most 200 characters",
        ),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(
    api: Api, hello, headers: dict[str, str], sentence: str
):
    assert refusal(api.post(f"/v2/trigger/{hello}", **headers), 400) == sentence


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"upstash_retries": "1000000"}, "retries must be 0 to 1000, not 1000000"),
        ({"upstash_delay": "2y"}, "a run can be delayed by at most 365d, not 730d"),
        (
            {"upstash_not_before": "99999999999"},
            "a run can be delayed by at most 365d; 5138-11-16T09:46:39+00:00 is later",
        ),
        ({"upstash_timeout": "99999y"}, "a timeout is at most 365d, not 36499635d"),
    ],
)
def test_an_option_beyond_a_limit_is_refused_for_good(
    api: Api, hello, headers: dict[str, str], sentence: str
):
    """SDKs do not try again what is answered with 412 (Upstash reference 1.2)."""
    assert refusal(api.post(f"/v2/trigger/{hello}", **headers), 412) == sentence


def test_an_expression_that_cannot_be_calculated_is_refused(api: Api, hello):
    response = api.post(f"/v2/trigger/{hello}", upstash_retry_delay="__import__('os')")

    assert refusal(response, 400).startswith("Upstash-Retry-Delay: ")


def test_a_limit_that_no_column_holds_is_refused(api: Api, hello):
    response = api.post(
        f"/v2/trigger/{hello}",
        upstash_flow_control_key="shop",
        upstash_flow_control_value="rate=99999999999",
    )

    assert refusal(response, 400).startswith("flow control needs at least one of")


@pytest.mark.parametrize("target", ["flows.example.org/hello", "ftp://host.example/x", "http://"])
def test_a_workflow_url_that_cannot_be_called_is_refused(api: Api, target: str):
    response = api.post(f"/v2/trigger/{target}")

    assert refusal(response, 400).endswith(
        "it must be absolute and begin with http:// or https://."
    )


def test_a_body_that_is_too_large_is_refused(api: Api, hello, settings):
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 10}

    response = api.post(f"/v2/trigger/{hello}", "x" * 11)

    assert refusal(response, 413) == "the body is larger than the 10 bytes that this server accepts"


def test_a_body_up_to_the_limit_is_taken_whatever_django_allows_forms(api: Api, hello, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10

    response = api.post(f"/v2/trigger/{hello}", "x" * 1000)

    assert response.status_code == 200
    assert len(bytes(the_run().payload)) == 1000


def test_a_body_in_chunks_is_read_where_the_server_tells_its_end(api: Api, hello):
    environ: dict[str, Any] = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    chunked = partial(
        Client().post, f"/v2/trigger/{hello}", headers={"Authorization": f"Bearer {api.token}"}
    )

    refused = chunked(**environ)
    environ |= {"wsgi.input": BytesIO(b"chunks"), "wsgi.input_terminated": True}
    read = chunked(**environ)

    assert answer_of(refused) == (
        400,
        {"error": "this server cannot read a body in chunks; send it with Content-Length"},
    )
    assert read.status_code == 200
    assert bytes(the_run().payload) == b"chunks"


def test_only_post_triggers(api: Api, hello):
    response = api.get(f"/v2/trigger/{hello}")

    assert answer_of(response) == (
        405,
        {"error": "GET is not possible here; use POST"},
    )
    assert response.headers["Allow"] == "POST"


def test_csrf_protection_is_no_matter_of_token_holders(api: Api, hello):
    client = Client(enforce_csrf_checks=True)

    response = client.post(
        f"/v2/trigger/{hello}",
        "{}",
        content_type="application/json",
        headers={"Authorization": f"Bearer {api.token}"},
    )

    assert response.status_code == 200
