"""How runs begin over the protocol, who may begin them, and with what."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pydantic
import pytest
from django.test import RequestFactory
from rest_framework import serializers

from tests.serving.cloud import CURRENT, HOST, Cloud
from tests.serving.conftest import KEYS, ServeStory
from tests.shells import Define
from workflows_app import FlowControlSpec
from workflows_app.errors import RunEnded, StepMisuse
from workflows_app.protocol.signing import new_signing_key, sign
from workflows_app.serving import serve_many

URL = f"{HOST}/story"


async def echo(context: Any) -> Any:
    return await context.run("echo", lambda: context.request_payload)


def said(response: Any) -> tuple[int, dict[str, Any]]:
    return response.status_code, json.loads(response.content)


def test_a_payload_that_is_posted_starts_a_run(serve_story: ServeStory, cloud: Cloud):
    serve_story(
        echo,
        {
            "retries": 5,
            "retry_delay": "1000",
            "flow_control": FlowControlSpec(key="shop", parallelism=2),
            "failure_url": "https://ops.example/failed",
        },
    )

    headers = {"x-user": "ada", "upstash-label": "a,b", "x-forwarded-for": "1.2.3.4"}
    status, answer = said(cloud.post_signed(URL, b'{"n":1}', headers))

    assert (status, answer["finishCondition"]) == (200, "success")
    run = cloud.runs[answer["workflowRunId"]]
    assert (run.url, run.payload) == (URL, b'{"n":1}')
    assert run.headers["upstash-workflow-init"] == "true"
    assert run.headers["upstash-forward-upstash-workflow-sdk-version"] == "1"
    assert run.headers["upstash-forward-x-user"] == "ada"
    assert run.headers["upstash-label"] == "a,b"
    assert "upstash-forward-x-forwarded-for" not in run.headers
    assert (run.headers["upstash-retries"], run.headers["upstash-retry-delay"]) == ("5", "1000")
    assert run.headers["upstash-flow-control-value"] == "parallelism=2, period=1s"
    assert run.headers["upstash-failure-callback"] == "https://ops.example/failed"
    assert run.headers["upstash-failure-callback-forward-x-user"] == "ada"
    cloud.deliver_all()
    assert run.result == {"n": 1}


def test_a_run_that_was_started_for_an_unknown_sdk_is_taken_over(
    serve_story: ServeStory, cloud: Cloud
):
    run = serve_story(echo).run(7, **{"upstash-forward-upstash-workflow-unknown-sdk": "true"})

    taken = cloud.runs[run.run_id]
    assert taken is not run
    assert taken.headers["upstash-workflow-trigger-by-sdk"] == "true"
    assert taken.result == 7


@pytest.mark.parametrize("signature", ["", "forged", "of another body"])
def test_what_the_server_did_not_sign_is_refused(
    serve_story: ServeStory, cloud: Cloud, signature: str
):
    serve_story(echo)
    key = new_signing_key() if signature == "forged" else CURRENT
    headers = {}
    if signature:
        made = sign(b"another", url=URL, key=key, now=datetime.now(UTC))
        headers["upstash-signature"] = made

    status, answer = said(cloud.post(URL, b'{"n":1}', **headers))

    assert (status, answer["error"]) == (401, "InvalidSignature")
    assert cloud.sent == []


def test_a_url_that_is_given_is_the_one_that_must_be_signed(serve_story: ServeStory, cloud: Cloud):
    serve_story(echo, url="https://public.example/story")

    assert cloud.post_signed(URL, b"1", {}).status_code == 401
    signed = "https://public.example/story"
    assert cloud.post_signed(signed, b"1", {}).status_code == 200
    (run,) = cloud.runs.values()
    assert run.url == signed


def test_the_base_of_the_url_may_be_another(serve_story: ServeStory, cloud: Cloud):
    serve_story(echo, base_url="https://tunnel.example/")

    cloud.post_signed(URL, b"1", {})

    assert [run.url for run in cloud.runs.values()] == ["https://tunnel.example/story"]


def test_without_keys_anybody_may_post(serve_story: ServeStory, cloud: Cloud):
    serve_story(echo, receiver=None)

    assert cloud.post(URL, b"1").status_code == 200


def test_only_post_is_served(serve_story: ServeStory):
    response = serve_story(echo).view(RequestFactory().get("/story"))

    assert (response.status_code, response["Allow"]) == (405, "POST")


@pytest.mark.parametrize("receiver", [KEYS, None])
def test_a_function_that_returns_before_its_first_step_lets_nobody_in(
    serve_story: ServeStory, cloud: Cloud, receiver: Any
):
    async def story(context: Any) -> Any:
        if context.headers.get("Authorization") != "Bearer letmein":
            return None
        return (await context.call("ask", url="https://bank.example/")).status

    site = serve_story(story, receiver=receiver)
    refused = cloud.post_signed(URL, b"1", {})
    let_in = cloud.post_signed(URL, b"1", {"authorization": "Bearer letmein"})
    cloud.deliver_all()

    assert said(refused)[0] == 400
    assert said(refused)[1]["workflowRunId"] == "no-workflow-id"
    run = cloud.runs[said(let_in)[1]["workflowRunId"]]
    assert run.result == 200
    assert site.run().status == "failed"


def test_the_payload_is_parsed_as_the_view_says(serve_story: ServeStory):
    run = serve_story(echo, initial_payload_parser=lambda text: json.loads(text).split(",")).run(
        "a,ü"
    )

    assert run.result == ["a", "ü"]


class Order(pydantic.BaseModel):
    amount: int
    items: list[str] = []


class OrderSerializer(serializers.Serializer[Any]):
    amount = serializers.IntegerField()


async def amount(context: Any) -> Any:
    order = context.request_payload
    found = order["amount"] if isinstance(order, dict) else order.amount
    return await context.run("amount", lambda: found)


@pytest.mark.parametrize("schema", [Order, OrderSerializer])
def test_a_payload_that_fits_the_schema_is_what_the_schema_makes_of_it(
    serve_story: ServeStory, schema: Any
):
    assert serve_story(amount, schema=schema).run({"amount": "12"}).result == 12


@pytest.mark.parametrize("schema", [Order, OrderSerializer])
def test_a_payload_that_does_not_fit_is_refused_naming_the_field(
    serve_story: ServeStory, cloud: Cloud, schema: Any
):
    serve_story(amount, schema=schema)

    status, answer = said(cloud.post_signed(URL, b'{"amount":"many"}', {}))

    assert (status, answer["error"]) == (400, "InvalidPayload")
    assert answer["message"].startswith("the payload does not fit: amount: ")
    assert cloud.runs == {}


def test_a_payload_that_does_not_fit_and_came_otherwise_fails_its_run_at_once(
    serve_story: ServeStory, cloud: Cloud
):
    cloud.retries = 3
    run = serve_story(amount, schema=Order).run({"items": [1]})

    assert run.status == "failed"
    assert [answer.status_code for answer in cloud.answers] == [489]
    assert "amount: Field required; items.0: " in run.error["message"]


def test_a_schema_that_is_none_is_refused(serve_story: ServeStory):
    with pytest.raises(StepMisuse, match="pydantic model"):
        serve_story(echo, schema=dict)


def test_without_a_server_nothing_can_be_served(serve_story: ServeStory, cloud: Cloud):
    serve_story(echo, publisher=None)

    status, answer = said(cloud.post_signed(URL, b"1", {}))

    assert status == 500
    assert "set QSTASH_URL and QSTASH_TOKEN" in answer["message"]


def test_another_version_of_the_protocol_is_refused(serve_story: ServeStory, cloud: Cloud):
    serve_story(echo)

    status, answer = said(cloud.post_signed(URL, b"[]", {"upstash-workflow-sdk-version": "2"}))

    assert (status, answer["error"]) == (400, "InvalidInput")


def test_the_function_has_the_environment_that_its_view_was_given(serve_story: ServeStory):
    async def story(context: Any) -> Any:
        return await context.run("look", lambda: context.env["REGION"])

    assert serve_story(story, env={"REGION": "north"}).run().result == "north"


# -- several workflows on one route


def test_workflows_that_are_served_together_invoke_one_another(define: Define, cloud: Cloud):
    async def parent(context: Any) -> Any:
        child = await context.invoke("child", workflow="child ü", body={"n": 20}, labels="one")
        missing = await context.invoke("broken", workflow="broken")
        return [child.body, child.is_failed, missing.body, missing.is_failed]

    async def child(context: Any) -> Any:
        return await context.run("double", lambda: 2 * context.request_payload["n"])

    async def broken(context: Any) -> Any:
        await context.run("breaks", int, "no number")

    cloud.views["/many/<name>"] = serve_many(
        {
            "parent": define("parent")(parent),
            "child ü": define("child ü")(child),
            "broken": define("broken", retries=0)(broken),
        },
        publisher=cloud,
        receiver=KEYS,
        env={},
    )
    run_id = said(cloud.post_signed(f"{HOST}/many/parent", b"", {}))[1]["workflowRunId"]
    cloud.deliver_all()

    assert cloud.runs[run_id].result == [40, False, None, True]
    started = cloud.runs[next(each for each in cloud.runs if each != run_id)]
    assert started.headers["upstash-label"] == "one"
    assert started.headers["upstash-forward-upstash-workflow-invoke-count"] == "1"


def test_a_workflow_that_is_served_alone_has_none_beside_it(serve_story: ServeStory):
    async def story(context: Any) -> Any:
        await context.invoke("child", workflow="other")

    run = serve_story(story).run()

    assert run.error["error"] == "StepMisuse"
    assert "served alone" in run.error["message"]


def test_a_name_that_is_not_served_is_not_found(define: Define, cloud: Cloud):
    view = serve_many({"story": define()(echo)}, publisher=cloud, receiver=KEYS, env={})

    response = view(RequestFactory().post("/many/other"), name="other")

    assert said(response)[0] == 404
    assert response["Upstash-Workflow-Sdk-Version"] == "1"


# -- what does not fit the protocol


@pytest.mark.parametrize("callback", ["upstash-workflow-callback", "upstash-workflow-is-failure"])
def test_without_keys_the_function_lets_in_callbacks_too(
    serve_story: ServeStory, cloud: Cloud, callback: str
):
    told: list[Any] = []

    async def story(context: Any) -> Any:
        if context.headers.get("Authorization") == "Bearer letmein":
            await context.run("first", lambda: 1)

    serve_story(story, receiver=None, failure_function=told.append)
    body = json.dumps({"status": 500, "workflowRunId": "wfr_1"}).encode()
    headers = {callback: "true", "upstash-workflow-runid": "wfr_1"}

    status, answer = said(cloud.post(URL, body, **headers))

    assert (status, answer["workflowRunId"]) == (400, "wfr_1")
    assert (told, cloud.sent) == ([], [])


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"no json", {"upstash-workflow-sdk-version": "1", "upstash-workflow-runid": "wfr_1"}),
        (b"[]", {"upstash-workflow-sdk-version": "1"}),
        (b"{}", {"upstash-workflow-callback": "true", "upstash-workflow-runid": "wfr_1"}),
        (
            b'{"status":200}',
            {"upstash-workflow-callback": "true", "upstash-workflow-runid": "wfr_1"},
        ),
        (b"{}", {"upstash-workflow-is-failure": "true"}),
        (
            b'{"workflowRunId":"wfr_1","body":"%"}',
            {"upstash-workflow-is-failure": "true"},
        ),
    ],
)
def test_what_cannot_be_read_is_refused(
    serve_story: ServeStory, cloud: Cloud, body: bytes, headers: dict[str, str]
):
    serve_story(echo, failure_function=lambda failure: None)

    status, answer = said(cloud.post_signed(URL, body, headers))

    assert (status, answer["error"]) == (400, "InvalidInput")
    assert cloud.sent == []


def test_a_payload_that_cannot_be_parsed_is_refused(serve_story: ServeStory, cloud: Cloud):
    serve_story(echo, initial_payload_parser=int)

    status, answer = said(cloud.post_signed(URL, b"twelve", {}))

    assert (status, answer["error"]) == (400, "InvalidPayload")
    assert "cannot be parsed: invalid literal" in answer["message"]


def test_a_payload_that_is_no_text_cannot_be_sent_on(serve_story: ServeStory, cloud: Cloud):
    serve_story(echo)

    status, answer = said(cloud.post_signed(URL, b"\xff", {}))

    assert (status, answer["error"]) == (400, "InvalidInput")
    assert "not UTF-8" in answer["message"]


def test_a_server_that_does_not_start_the_run_is_told_of(serve_story: ServeStory, cloud: Cloud):
    serve_story(echo)
    cloud.refuses = lambda path: RunEnded("the destination is unknown")

    status, answer = said(cloud.post_signed(URL, b"1", {}))

    assert (status, answer["error"]) == (500, "NotPublished")
    assert "the destination is unknown" in answer["message"]


def test_a_name_beside_which_it_is_not_served_is_refused(define: Define, cloud: Cloud):
    async def parent(context: Any) -> Any:
        await context.invoke("child", workflow="other")

    define("other")(echo)
    given: dict[str, Any] = {"publisher": cloud, "receiver": KEYS, "env": {}}
    cloud.views["/many/<name>"] = serve_many({"parent": define("parent")(parent)}, **given)
    cloud.post_signed(f"{HOST}/many/parent", b"", {})
    cloud.deliver_all()

    (run,) = cloud.runs.values()
    assert 'no workflow "other" is served beside this one (parent are)' in run.error["message"]


def test_what_goes_on_is_logged_where_it_is_asked_for(
    serve_story: ServeStory, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", "workflows_app.serving")

    serve_story(echo).run(1)
    assert caplog.messages == []
    serve_story(echo, verbose=True).run(1)
    assert caplog.messages[:2] == ["workflow story: STEPS", "run wfr_2: Send"]
