"""`/serve/{name}`: runs over the http transport, and what the endpoint refuses."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client

from tests.conftest import Clock
from tests.rest.conftest import Api, Register, Shop, answer_of
from workflows_app import AsyncContext, Context, FlowControlSpec, Undo, get_workflow
from workflows_app.engine.addresses import serve_url
from workflows_app.models import Account, Attempt, DeadLetter, Message, Run, Step
from workflows_app.protocol.runs import History
from workflows_app.protocol.signing import sign
from workflows_app.protocol.wire import ANSWER_CONTENT_TYPE, decode_answer, encode_turn
from workflows_app.rest.serve import signing_keys_of
from workflows_app.sdk import authoring
from workflows_app.worker.http import default_sender
from workflows_app.worker.local import run_info

Work = Callable[[], int]


@pytest.fixture
def over_http(live_server, settings, clock: Clock, transactional_db) -> Iterator[Any]:
    """This server delivers to itself over HTTP. Its threads end with their connections."""
    settings.WORKFLOWS = {
        "TRANSPORT": "http",
        "BASE_URL": live_server.url,
        "ALLOW_PRIVATE_ADDRESSES": True,
    }
    yield live_server
    default_sender()._pools.clear()
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(5)


def the_run() -> Run:
    return Run.objects.get()


def journal() -> list[tuple[str, Any]]:
    return list(Step.objects.order_by("id").values_list("key", "result"))


# -- whole runs


@pytest.fixture
def delivered(over_http, registry: Register, work: Work) -> Callable[..., Run]:
    """Run a workflow function over HTTP as far as it comes without waiting."""

    def delivered(function: Any, body: Any = None, **options: Any) -> Run:
        registry("delivered", **options)(function)
        get_workflow("delivered").trigger(body, workflow_run_id="run")
        work()
        return the_run()

    return delivered


Delivered = Callable[..., Run]


def test_each_step_takes_a_delivery_of_its_own(delivered: Delivered):
    calls: list[str] = []

    def note(name: str, value: int) -> int:
        calls.append(name)
        return value

    def add(context: Context) -> int:
        calls.append("function")
        first = context.run("one", note, "one", 1)
        return first + context.run("two", note, "two", context.request_payload)

    run = delivered(add, 2)

    assert (run.status, run.result, journal()) == (
        Run.Status.SUCCEEDED,
        "3",
        [("one", "1"), ("two", "2")],
    )
    assert calls == ["function", "one", "function", "two"]


def test_the_function_sees_what_the_trigger_said(over_http, registry: Register, work: Work):
    @registry("curious")
    def curious(context: Context) -> list[Any]:
        return [
            context.workflow_run_id,
            context.url,
            dict(context.headers),
            list(context.labels),
            context.request_payload,
        ]

    curious.trigger({"ü": 1}, workflow_run_id="läuft", headers={"X-Tenant": "acme"}, labels="a")
    work()

    assert the_run().result == (
        f'["läuft","{serve_url("curious")}",{{"X-Tenant":"acme"}},["a"],{{"ü":1}}]'
    )


@pytest.mark.parametrize("run_id", ["plain", "größe", "ラン", "a b"])
def test_a_run_of_any_id_can_be_delivered(
    delivered: Delivered, registry: Register, work: Work, run_id: str
):
    registry("named")(lambda context: context.run("one", lambda: context.workflow_run_id))

    get_workflow("named").trigger(workflow_run_id=run_id)
    work()

    assert the_run().result == f'"{run_id}"'


def test_a_workflow_of_any_name_can_be_served(over_http, registry: Register, work: Work):
    registry("größe & co:✓")(lambda context: "served")

    get_workflow("größe & co:✓").trigger()
    work()

    assert the_run().result == '"served"'


def test_parallel_steps_share_a_delivery(delivered: Delivered):
    def fan(context: Context) -> int:
        results = context.parallel(*(partial(context.run, f"branch-{n}", int, n) for n in range(5)))
        return context.run("sum", sum, results)

    run = delivered(fan)

    assert (run.status, run.result) == (Run.Status.SUCCEEDED, "10")
    assert sorted(key for key, _ in journal()) == [
        *(f"branch-{n}@{n + 1}" for n in range(5)),
        "sum",
    ]


def test_async_workflows_are_delivered_as_well(delivered: Delivered):
    async def fan(context: AsyncContext) -> int:
        pair = await asyncio.gather(context.run("a", lambda: 1), context.run("b", lambda: 2))
        return await context.run("sum", sum, pair)

    run = delivered(fan)

    assert (run.status, run.result) == (Run.Status.SUCCEEDED, "3")


def test_a_sleep_holds_no_delivery(delivered: Delivered, clock: Clock, work: Work):
    def nap(context: Context) -> str:
        context.run("before", lambda: 1)
        context.sleep("nap", "1h")
        return context.run("after", lambda: "rested")

    run = delivered(nap)

    assert run.is_live
    assert Message.objects.get().due_at == clock.now + timedelta(hours=1)
    clock.advance("1h")
    work()
    run.refresh_from_db()
    assert (run.status, run.result) == (Run.Status.SUCCEEDED, '"rested"')


def test_events_and_webhooks_work_over_http(delivered: Delivered, over_http, work: Work):
    def shop(context: Context) -> Any:
        told = context.notify("tell", "paid", 1, context.workflow_run_id)
        paid = context.wait_for_event("payment", "paid")
        webhook = context.create_webhook("hook")
        called = context.wait_for_webhook("call", webhook)
        assert called.request is not None
        return [len(told.notify_response), paid.event_data, called.request.payload]

    delivered(shop)
    url = json.loads(dict(journal())["hook"])["webhookUrl"]
    assert url.startswith(f"{over_http.url}/v2/workflows/hooks/")

    Client().post(url.removeprefix(over_http.url), b"7", content_type="text/plain")
    work()

    assert the_run().result == "[1,1,7]"


def test_a_failing_step_is_tried_again_by_its_policy(
    delivered: Delivered, clock: Clock, work: Work
):
    def flaky(context: Context) -> int:
        def attempt() -> int:
            if context.attempt < 3:
                raise ConnectionError(f"attempt {context.attempt}")
            return context.attempt

        return context.run("flaky", attempt)

    run = delivered(flaky, retries=2, retry_delay="1000 * (retried + 1)")
    for pause in ("1s", "2s"):
        clock.advance(pause)
        work()

    run.refresh_from_db()
    assert (run.status, run.result) == (Run.Status.SUCCEEDED, "3")
    assert list(Attempt.objects.order_by("id").values_list("key", "number")) == [
        ("flaky", 1),
        ("flaky", 2),
    ]


def test_a_step_is_sensitive_over_http_too(delivered: Delivered):
    def secretive(context: Context) -> bool:
        token = context.options(sensitive=True).run("token", "".join, ["hun", "ter2"])
        return token == "hunter2"

    run = delivered(secretive)

    assert (run.result, journal()) == ("true", [("token", '"hunter2"')])
    assert list(Step.objects.values_list("sensitive", "input")) == [(True, None)]


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_a_run_that_fails_over_http_is_undone_one_delivery_after_another(
    delivered: Delivered, shell: str
):
    did: list[str] = []

    def undo(undo: Undo) -> None:
        did.append(f"undo {undo.step} {undo.result}")

    async def undo_async(undo: Undo) -> None:
        did.append(f"undo {undo.step} {undo.result}")

    def order(context: Context) -> None:
        did.append("function")
        undoable = context.options(rollback=undo)
        undoable.run("charge", int, 7)
        undoable.run("ship", int, "no number")

    async def order_async(context: AsyncContext) -> None:
        did.append("function")
        undoable = context.options(rollback=undo_async)
        await undoable.run("charge", int, 7)
        await undoable.run("ship", int, "no number")

    run = delivered(order if shell == "sync" else order_async, retries=0)

    assert (run.status, run.error_info and run.error_info["step"]) == (Run.Status.FAILED, "ship")
    assert did == [
        *("function", "function", "function", "undo ship None"),
        *("function", "undo charge 7"),
    ]
    assert [key for key, _ in journal()] == ["charge", "ship", "@undo", "ship@undo", "charge@undo"]


def test_a_run_is_rolled_back_on_request_over_http(delivered: Delivered):
    undone: list[Any] = []

    def order(context: Context) -> None:
        context.options(rollback=lambda undo: undone.append(undo.result)).run("charge", int, 7)
        context.roll_back("no stock")

    run = delivered(order)

    assert (run.status, undone) == (Run.Status.CANCELED, [7])


def test_a_step_that_takes_too_long_is_told_from_a_delivery_that_does(delivered: Delivered):
    def slow(context: Context) -> None:
        context.run("slow", threading.Event().wait, 0.5)

    delivered(slow, timeout="0.05s")

    (attempt,) = Attempt.objects.all()
    assert (attempt.key, attempt.error_info["type"]) == ("slow", "StepTimeout")


def test_a_run_fails_with_its_step_and_its_failure_function_is_called(
    delivered: Delivered, registry: Register, work: Work
):
    def doomed(context: Context) -> None:
        def fail() -> None:
            raise ConnectionError("closed")

        context.run("sell", fail)

    told: list[Any] = []
    run = delivered(doomed, retries=0, failure_function=told.append)

    assert (run.status, run.error_info and run.error_info["step"]) == (Run.Status.FAILED, "sell")
    assert DeadLetter.objects.get().callback_state == DeadLetter.CallbackState.SUCCEEDED
    (failure,) = told
    assert (failure.workflow_run_id, failure.step, failure.error_type) == (
        "run",
        "sell",
        "StepError",
    )


def test_a_function_that_raises_is_tried_again(delivered: Delivered, clock: Clock, work: Work):
    def fragile(context: Context) -> str:
        if context.attempt == 1:
            raise ValueError("not yet")
        return "now"

    run = delivered(fragile, retries=1, retry_delay="1000")
    clock.advance("1s")
    work()

    run.refresh_from_db()
    assert (run.status, run.result) == (Run.Status.SUCCEEDED, '"now"')


def test_a_workflow_can_cancel_its_run(delivered: Delivered):
    def quit_early(context: Context) -> None:
        context.run("one", lambda: 1)
        context.cancel()

    assert delivered(quit_early).status == Run.Status.CANCELED


def test_a_call_is_sent_by_the_server_while_the_run_waits(delivered: Delivered, over_http):
    def ask(context: Context) -> Any:
        answer = context.call("ask", url=f"{over_http.url}/v2/liveness")
        return [answer.status, answer.body]

    run = delivered(ask)

    assert (run.status, run.result) == (Run.Status.SUCCEEDED, "[200,{}]")


def test_what_a_served_workflow_invokes_is_started_by_the_server(
    over_http, registry: Register, work: Work
):
    @registry("pack", flow_control=FlowControlSpec(key="packing", parallelism=1))
    def pack(context: Context) -> Any:
        return {"packed": context.request_payload}

    @registry("order")
    def order(context: Context) -> Any:
        first = context.run("first", int, 1)
        return context.invoke("pack", workflow="pack", body=first, labels="vip").body

    get_workflow("order").trigger(workflow_run_id="order")
    work()

    assert Run.objects.get(run_id="order").result == '{"packed":1}'
    child = Run.objects.get(workflow="pack")
    assert (child.label_list, str(child.flow_control)) == (["vip"], "packing")


def test_an_atomic_step_needs_the_local_transport(delivered: Delivered):
    def transact(context: Context) -> None:
        context.atomic("write", lambda: 1)

    run = delivered(transact, retries=5)

    assert run.status == Run.Status.FAILED
    assert run.error_info is not None
    assert (run.error_info["type"], run.error_info["message"]) == (
        "StepMisuse",
        "context.atomic needs the local transport: only there do the step and its result share a "
        'transaction. Use context.run, or @workflow(..., transport="local")',
    )
    assert (journal(), Attempt.objects.count()) == ([], 0)


def test_a_workflow_may_choose_the_local_transport(delivered: Delivered):
    run = delivered(lambda context: context.atomic("write", lambda: 1), transport="local")

    assert (run.status, run.result) == (Run.Status.SUCCEEDED, "1")


def test_a_failure_url_is_told_by_a_signed_request(
    over_http, registry: Register, broken, shop: Shop, work: Work
):
    get_workflow("broken").trigger(failure_url=f"{over_http.url}/v2/liveness")
    work()

    letter = DeadLetter.objects.get()
    assert letter.callback_state == DeadLetter.CallbackState.FAILED
    assert '"status":405' in letter.callback_response


def test_a_run_whose_code_is_gone_is_tried_again_and_then_fails(
    over_http, registry: Register, clock: Clock, work: Work
):
    registry("gone", retries=1, retry_delay="0")(lambda context: None)
    get_workflow("gone").trigger()
    authoring._registry.pop("gone")
    work()

    run = the_run()
    assert run.status == Run.Status.FAILED
    assert run.error_info is not None
    assert run.error_info["message"].startswith('no workflow "gone" is registered here')


# -- single deliveries


@pytest.fixture
def live(api: Api, hello, clock: Clock) -> Run:
    """A run that can be delivered."""
    api.post(f"/v2/trigger/{hello}", '"Ada"', upstash_workflow_runid="live")
    return the_run()


def deliver(
    run: Run,
    *,
    path: str = "/serve/hello",
    body: bytes | None = None,
    sent: bytes | None = None,
    signed_by: str = "",
    at: Any = None,
    url: str = "",
    **headers: str,
) -> Any:
    """Post a delivery of the run's first turn; what is given differs from a proper one."""
    content = encode_turn(run_info(run), History()) if body is None else body
    signature = sign(
        content,
        url=url or serve_url("hello"),
        key=signed_by or run.account.current_signing_key,
        now=at or run.created_at,
    )
    given = {"Upstash-Signature": signature, "Upstash-Workflow-RunId": run.run_id, **headers}
    return Client().post(
        path,
        content if sent is None else sent,
        content_type="application/vnd.workflows.turn+json",
        headers={name: value for name, value in given.items() if value},
    )


def test_a_delivery_is_answered_with_what_was_done(live: Run):
    response = deliver(live)

    assert (response.status_code, response.headers["Content-Type"]) == (200, ANSWER_CONTENT_TYPE)
    did = decode_answer(response.content)
    assert [(step.key, step.result) for step in did.steps] == [("greet", '"Ada"')]
    assert journal() == []


def test_the_next_key_signs_as_well_as_the_current_one(live: Run):
    assert deliver(live, signed_by=live.account.next_signing_key).status_code == 200


def test_csrf_protection_is_no_matter_of_signed_requests(live: Run):
    response = Client(enforce_csrf_checks=True).post("/serve/hello")

    assert response.status_code == 401


SIGNATURE = "Upstash-Signature"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {SIGNATURE: ""},
            "The signature is missing; send it as the header Upstash-Signature.",
        ),
        (
            {SIGNATURE: "nonsense"},
            "The signature is malformed; it must be a JSON Web Token signed with HS256.",
        ),
        (
            {"signed_by": "sig_" + "x" * 28},
            "The signature was made with none of the signing keys of this server; compare the "
            "current and the next key.",
        ),
        (
            {"url": "https://elsewhere.example/serve/hello"},
            "The signature is for another URL; the one that is signed must be the one at which "
            "the request arrives.",
        ),
        (
            {"sent": b"{}"},
            "The signature is for another body; the body must reach the check unchanged.",
        ),
        (
            {"Upstash-Workflow-RunId": ""},
            "The signature was made with none of the signing keys of this server; compare the "
            "current and the next key.",
        ),
        (
            {"Upstash-Workflow-RunId": "another"},
            "The signature was made with none of the signing keys of this server; compare the "
            "current and the next key.",
        ),
        (
            {"Upstash-Workflow-RunId": "a\x01b"},
            "The signature was made with none of the signing keys of this server; compare the "
            "current and the next key.",
        ),
    ],
)
def test_a_delivery_that_is_not_properly_signed_is_refused(
    live: Run, changes: dict[str, Any], sentence: str
):
    assert answer_of(deliver(live, **changes)) == (401, {"error": sentence})


def test_an_expired_signature_is_refused(live: Run):
    old = live.created_at - timedelta(minutes=6)

    assert answer_of(deliver(live, at=old)) == (
        401,
        {"error": "The signature has expired; every attempt must be signed anew."},
    )


def test_the_keys_of_another_account_sign_nothing_here(live: Run, stranger: Api):
    other = Account.objects.get(name="another")

    assert deliver(live, signed_by=other.current_signing_key).status_code == 401


def test_another_account_with_a_run_of_the_same_id_cannot_sign_for_this_one(
    live: Run, stranger: Api, hello
):
    """Its keys are accepted, but for its own run: what they sign names no account."""
    stranger.post(f"/v2/trigger/{hello}", upstash_workflow_runid="live")
    other = Account.objects.get(name="another")

    assert deliver(live, signed_by=other.current_signing_key).status_code == 200
    assert set(signing_keys_of("live")) == {*live.account.signing_keys, *other.signing_keys}


def test_the_signed_body_must_be_about_the_run_that_the_header_names(live: Run, api: Api, hello):
    api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="other")

    other: dict[str, Any] = {"Upstash-Workflow-RunId": "other"}
    response = deliver(live, **other)

    assert answer_of(response) == (
        401,
        {"error": "The signature is for another run than Upstash-Workflow-RunId says."},
    )


def test_an_ended_run_is_delivered_no_more(live: Run, api: Api):
    api.delete("/v2/workflows/runs/live")

    assert deliver(live).status_code == 401


def test_the_keys_of_a_run_are_found_by_one_query(live: Run, django_assert_num_queries):
    keys = list(live.account.signing_keys)

    with django_assert_num_queries(1):
        assert signing_keys_of("live") == keys


@pytest.mark.parametrize("path", ["/serve/hullo", "/serve/hello/more"])
def test_an_unknown_workflow_is_refused_without_the_known_names(live: Run, path: str):
    name = path.removeprefix("/serve/")

    assert answer_of(deliver(live, path=path)) == (
        404,
        {"error": f'no workflow "{name}" is served here; check the URL'},
    )


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch", "options"])
def test_only_post_delivers(live: Run, method: str):
    response = getattr(Client(), method)("/serve/hello")

    assert answer_of(response) == (
        405,
        {
            "error": f"{method.upper()} is not served here; a workflow takes signed POST requests",
        },
    )
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"run": 1}', b"\xff", b"{"])
def test_a_signed_body_that_is_no_delivery_is_refused(live: Run, body: bytes):
    response = deliver(live, body=body)

    assert (response.status_code, list(response.json())) == (400, ["error"])


def test_a_delivery_that_is_too_large_is_refused(live: Run, settings):
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 100}

    assert answer_of(deliver(live)) == (
        413,
        {"error": "the delivery is larger than the 200 bytes that this server accepts"},
    )


def test_a_delivery_in_chunks_that_cannot_be_read_is_refused(live: Run):
    response = Client().post("/serve/hello", HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="")

    assert answer_of(response) == (
        400,
        {"error": "this server cannot read a body in chunks; send it with Content-Length"},
    )


def test_the_query_of_the_url_is_part_of_what_is_signed(live: Run):
    url = f"{serve_url('hello')}?tenant=acme"

    assert deliver(live, path="/serve/hello?tenant=acme", url=url).status_code == 200
    assert deliver(live, path="/serve/hello?tenant=other", url=url).status_code == 401
