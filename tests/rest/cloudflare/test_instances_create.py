"""Creating instances: one, and many at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from tests.rest.cloudflare.conftest import CloudflareApi, refusal_of, result_of
from tests.rest.cloudflare.shapes import CREATED, UUID, checked, many
from tests.rest.conftest import Register
from workflows_app.models import Definition, Message, Run

Json = Any


@pytest.fixture(autouse=True)
def greet(registry: Register) -> None:
    @registry("greet")
    def greet(context: Any) -> Any:
        return context.run("echo", lambda: context.request_payload)


def create(api: CloudflareApi, **body: Any) -> Any:
    return api.post("greet/instances", body)


def create_all(api: CloudflareApi, *items: Any) -> Any:
    return api.post("greet/instances/batch", list(items))


def payload_of(instance_id: str) -> bytes:
    return bytes(Run.objects.get(run_id=instance_id).payload)


# -- one


def test_a_new_instance_is_queued_and_known_by_its_workflow_and_version(
    cloudflare: CloudflareApi,
) -> None:
    body = checked(CREATED, result_of(create(cloudflare, instance_id="order-7", params="[1]")))

    definition = Definition.objects.get(name="greet")
    assert body == {
        "id": "order-7",
        "workflow_id": str(definition.public_id),
        "version_id": str(definition.versions.get().public_id),
        "status": "queued",
        "trigger_source": "api",
    }
    run = Run.objects.get()
    assert (run.run_id, run.source, run.caller_ip) == ("order-7", Run.Source.API, "127.0.0.1")
    assert (run.live_id, bytes(run.payload)) == ("greet/order-7", b"[1]")


def test_it_runs_with_what_its_workflow_says_about_runs(
    cloudflare: CloudflareApi, registry: Register, work: Any
) -> None:
    @registry("greet", retries=1, retry_delay="5s", timeout="1m")
    def greet(context: Any) -> Any:
        return context.run("echo", lambda: context.request_payload)

    create(cloudflare, instance_id="order-7", params='{"to":"Ada"}')
    work()

    run = Run.objects.get()
    assert (run.status, run.result) == (Run.Status.SUCCEEDED, '{"to":"Ada"}')
    assert (run.retries, run.retry_delay, run.timeout) == (1, "5000", timedelta(minutes=1))


@pytest.mark.parametrize("body", [None, b"", {}, {"unknown": 1, "params": None}])
def test_all_that_can_be_said_may_be_left_out(cloudflare: CloudflareApi, body: Any) -> None:
    created = result_of(cloudflare.post("greet/instances", body))

    checked(UUID, created["id"])
    assert payload_of(created["id"]) == b"{}"


@pytest.mark.parametrize(
    ("params", "payload"),
    [
        ('{"order": 7}', b'{"order":7}'),
        ('"a text"', b'"a text"'),
        ("null", b"null"),
        ({"order": 7}, b'{"order":7}'),
        ([1, "zwei"], b'[1,"zwei"]'),
        (0, b"0"),
        (False, b"false"),
    ],
)
def test_a_text_is_the_json_of_the_payload_and_all_else_the_payload_itself(
    cloudflare: CloudflareApi, params: Any, payload: bytes
) -> None:
    result_of(create(cloudflare, instance_id="order-7", params=params))

    assert payload_of("order-7") == payload


@pytest.mark.parametrize(
    ("given", "kept"), [(60_000, timedelta(minutes=1)), ("3 days", timedelta(days=3))]
)
def test_an_instance_is_kept_as_long_as_it_says(
    cloudflare: CloudflareApi, given: Any, kept: timedelta
) -> None:
    retention = {"success_retention": given, "error_retention": "1 hour"}

    result_of(create(cloudflare, instance_retention=retention, location_hint="weur"))

    run = Run.objects.get()
    assert (run.success_retention, run.error_retention) == (kept, timedelta(hours=1))


def test_an_id_is_used_once_also_after_its_instance_has_ended(
    cloudflare: CloudflareApi, work: Any
) -> None:
    result_of(create(cloudflare, instance_id="order-7"))
    work()

    refused = create(cloudflare, instance_id="order-7")

    assert refusal_of(refused) == (
        400,
        10405,
        'workflow "greet" has an instance "order-7" already; its id is free again once that one '
        "is deleted",
    )
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"instance_id": "-a"}, "instance_id must be 1 to 100 letters"),
        ({"instance_id": "a.b"}, "instance_id must be 1 to 100 letters"),
        ({"instance_id": "a\n"}, "instance_id must be 1 to 100 letters"),
        ({"instance_id": "a" * 101}, "instance_id must be a text of 1 to 100 characters"),
        ({"instance_id": ""}, "instance_id must be a text of 1 to 100 characters"),
        ({"instance_id": 7}, "instance_id must be a text of 1 to 100 characters"),
        ({"instance_id": "batch"}, "instance_id 'batch' is reserved"),
        ({"instance_id": "terminateAll"}, "instance_id 'terminateAll' is reserved"),
        ({"instance_id": "cf_" + "0" * 64}, "instance_id 'cf_000"),
        ({"params": "{order: 7}"}, "params is a text, which must be the JSON of the payload"),
        ({"params": "NaN"}, "params is a text, which must be the JSON of the payload"),
        ({"location_hint": "moon"}, "location_hint is 'moon' but must be one of wnam, weur"),
        ({"location_hint": ["weur"]}, "location_hint is ['weur'] but must be one of wnam"),
        (
            {"instance_retention": {"success_retention": "soon"}},
            "instance_retention.success_retention is 'soon' but must be milliseconds",
        ),
        ({"instance_retention": 5}, "instance_retention must be a JSON object"),
        ([], "the body must be a JSON object"),
        (b"{", "This is not JSON"),
        (b"\xff", "The JSON is not UTF-8"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_starts_nothing(
    cloudflare: CloudflareApi, body: Any, sentence: str
) -> None:
    status, code, said = refusal_of(cloudflare.post("greet/instances", body))

    assert (status, code) == (400, 10002)
    assert said.startswith(sentence)
    assert not Run.objects.exists()


def test_a_payload_has_at_most_the_size_that_is_set(
    cloudflare: CloudflareApi, settings: Settings
) -> None:
    settings.WORKFLOWS = {"MAX_INSTANCE_PAYLOAD_BYTES": 10}
    result_of(create(cloudflare, params="[1,2,3,45]"))

    refused = create(cloudflare, params="[1,2,3,456]")

    assert refusal_of(refused) == (
        400,
        10002,
        "params has 11 bytes of JSON; at most 10 are taken",
    )


@pytest.mark.parametrize("path", ["nowhere/instances", "nowhere/instances/batch"])
def test_an_instance_of_an_unknown_workflow_is_not_created(
    cloudflare: CloudflareApi, path: str
) -> None:
    status, code, _ = refusal_of(cloudflare.post(path, [{}] if path.endswith("batch") else {}))

    assert (status, code) == (404, 10200)


# -- many


def test_many_are_created_in_their_order(cloudflare: CloudflareApi) -> None:
    answer = create_all(cloudflare, {"instance_id": "b"}, {"params": "[1]"}, {"instance_id": "a"})

    created = checked(many(CREATED), result_of(answer))
    assert [created[0]["id"], created[2]["id"]] == ["b", "a"]
    assert payload_of(created[1]["id"]) == b"[1]"
    assert {each["status"] for each in created} == {"queued"}
    assert Run.objects.count() == Message.objects.count() == 3


def test_ids_that_are_taken_are_left_out_and_told_of(cloudflare: CloudflareApi) -> None:
    create(cloudflare, instance_id="old")

    answer = create_all(
        cloudflare,
        {"instance_id": "new"},
        {"instance_id": "old"},
        {"instance_id": "new", "params": "[2]"},
    )

    assert [each["id"] for each in result_of(answer)] == ["new"]
    assert answer.json()["messages"] == [
        {"code": 10405, "message": "workflows.api.error.instance.already_exists: old"},
        {"code": 10415, "message": "workflows.api.error.instance.duplicate_in_batch: new"},
    ]
    assert payload_of("new") == b"{}"


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ([], "the body must be a JSON array of 1 to 100 items"),
        ([{}] * 101, "the body must be a JSON array of 1 to 100 items"),
        ({"instances": []}, "the body must be a JSON array of 1 to 100 items"),
        (None, "the body must be a JSON array of 1 to 100 items"),
        ([{"instance_id": "a"}, 7], "item 1 must be a JSON object, not 7"),
        ([{"instance_id": "a"}, {"instance_id": "b.c"}], "item 1: instance_id must be 1 to 100"),
        ([{"instance_id": "a"}, {"params": "{"}], "item 1: params is a text, which must be"),
    ],
)
def test_when_one_of_many_cannot_be_used_none_is_created(
    cloudflare: CloudflareApi, items: Any, sentence: str
) -> None:
    status, code, said = refusal_of(cloudflare.post("greet/instances/batch", items))

    assert (status, code) == (400, 10002)
    assert said.startswith(sentence)
    assert not Run.objects.exists()


def test_a_hundred_at_once_are_no_more_than_there_may_be(cloudflare: CloudflareApi) -> None:
    assert len(result_of(create_all(cloudflare, *[{}] * 100))) == 100
