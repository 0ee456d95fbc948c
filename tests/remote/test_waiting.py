"""Calls, events, webhooks, invocations (Upstash reference 4.5 to 4.8)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from tests.remote.conftest import URL, Define, World, answered, the_run
from tests.remote.programs import call, invoke, run, sleep, wait
from tests.rest.conftest import Api, Register
from workflows_app import Context
from workflows_app.engine import run_moves
from workflows_app.engine.addresses import serve_url
from workflows_app.models import Account, Event, Message, Run, Waiter
from workflows_app.protocol.exchange import SendFailed

Work = Callable[[], int]
THIRD = "https://third.example/q"
CHILD = "https://app.example/child"


# -- calls


@pytest.mark.parametrize("status", [200, 300, 404, 500])
def test_any_answer_to_a_call_is_its_result(
    program: Define, world: World, work: Work, status: int
) -> None:
    story = program(call("ask", THIRD), run("last"))
    world.answers[THIRD] = [answered(status, "grüße".encode(), Get_Header="v")]
    story.trigger()
    work()

    out = json.loads(story.outs()["ask"])
    assert out == {"status": status, "body": "grüße", "header": {"Get-Header": ["v"]}}
    assert the_run().status == Run.Status.SUCCEEDED
    assert [each["callType"] for each in story.deliveries[-1].elements] == [
        *("step", "toCallback", "fromCallback"),
        *("step", "step"),
    ]


def test_only_the_last_attempt_of_a_call_is_told(
    program: Define, world: World, work: Work, clock: Clock
) -> None:
    story = program(call("ask", THIRD, "PATCH", Upstash_Retries="1", Upstash_Retry_Delay="1000"))
    world.answers[THIRD] = [answered(401, b"no"), answered(401, b"still no")]
    story.trigger()
    work()
    clock.advance("1s")
    work()

    callback = json.loads(story.deliveries[1].request.body or b"")
    assert len(story.deliveries) == 3
    assert (callback["retried"], callback["maxRetries"]) == (1, 1)
    assert base64.b64decode(callback["body"]) == b"still no"
    assert [each.headers["Upstash-Retried"] for each in world.asked] == ["0", "1"]


def test_a_final_answer_to_a_call_counts_as_its_last_attempt(
    program: Define, world: World, work: Work
) -> None:
    story = program(call("ask", THIRD, Upstash_Retries="5"))
    world.answers[THIRD] = [answered(489)]
    story.trigger()
    work()
    callback = json.loads(story.deliveries[1].request.body or b"")
    assert callback["retried"] == callback["maxRetries"] == 5


@pytest.mark.parametrize(
    ("kind", "status"), [("timeout", 504), ("unreachable", 502), ("forbidden", 502)]
)
def test_a_call_that_nobody_answers_has_a_status_all_the_same(
    program: Define, world: World, work: Work, kind: str, status: int
) -> None:
    story = program(call("ask", THIRD))
    world.answers[THIRD] = [SendFailed(kind, "third.example: nobody there.")]  # type: ignore[arg-type]
    story.trigger()
    work()
    out = json.loads(story.outs()["ask"] or "{}") if story.outs() else {}
    callback = json.loads(story.deliveries[1].request.body or b"")
    assert (callback["status"], callback["header"]) == (status, {})
    assert out["body"] == "third.example: nobody there."


def test_a_callback_carries_the_run_s_headers_but_not_the_sign_of_a_step_list(
    program: Define, world: World, work: Work
) -> None:
    story = program(call("ask", THIRD, "POST", "{}", content_type="text/plain"))
    world.answers[THIRD] = [answered(200)]
    story.trigger(Upstash_Forward_Authorization="Bearer mine")
    work()

    (asked,) = world.asked
    assert (asked.method, asked.body, asked.headers["Content-Type"]) == (
        "POST",
        b"{}",
        "text/plain",
    )
    headers = story.deliveries[1].headers
    assert headers["Authorization"] == "Bearer mine"
    assert headers["Upstash-Workflow-Callback"] == "true"
    assert headers["Upstash-Workflow-Stepname"] == "ask"
    assert "Upstash-Workflow-Sdk-Version" not in headers


# -- events


def test_an_event_wakes_all_that_wait_for_it(
    program: Define, api: Api, work: Work, clock: Clock
) -> None:
    story = program(wait("approval", "approved%207"), run("last"))
    story.trigger("one")
    story.trigger("two")
    work()
    assert [each["deadline"] > 0 for each in api.get("/v2/waiters/approved%207").json()] == [
        True
    ] * 2

    told = api.post("/v2/notify/approved%207", b'{"by":"ada"}').json()
    work()

    assert {each["workflowRunId"] for each in told} == {"one", "two"}
    assert all(each["waiter"]["url"] == URL for each in told)
    assert the_run("one").status == the_run("two").status == Run.Status.SUCCEEDED
    approval = story.deliveries[-1].steps[0]
    assert base64.b64decode(approval["out"]) == b'{"by":"ada"}'
    assert (approval["waitTimeout"], approval["waitEventId"]) == (False, "approved 7")
    assert api.post("/v2/notify/approved%207", b"").json() == []
    assert not Message.objects.exists()


def test_a_wait_that_nobody_ends_ends_at_its_deadline(
    program: Define, api: Api, work: Work, clock: Clock
) -> None:
    story = program(wait("approval", "approved", "1h"))
    story.trigger()
    work()
    clock.advance("1h")
    work()

    approval = story.deliveries[-1].steps[0]
    assert approval["waitTimeout"] is True
    assert "out" not in approval
    assert api.get("/v2/waiters/approved").json() == []


def test_an_event_for_a_run_is_kept_until_it_waits(
    program: Define, api: Api, work: Work, clock: Clock
) -> None:
    story = program(sleep("nap", "1h"), wait("approval", "approved"))
    story.trigger()
    work()

    early = api.post("/v2/notify/order-7/approved", b"early").json()
    clock.advance("1h")
    work()

    assert [each["messageId"] for each in early] == [""]
    assert base64.b64decode(story.deliveries[-1].steps[-1]["out"]) == b"early"
    assert not Waiter.objects.exists()
    assert not Event.objects.exists()


def test_an_event_without_data_has_no_result(program: Define, api: Api, work: Work) -> None:
    story = program(wait("approval", "approved"))
    story.trigger()
    work()
    api.post("/v2/notify/order-7/approved")
    work()
    assert "out" not in story.deliveries[-1].steps[0]


def test_an_event_for_a_run_that_is_gone_wakes_nobody(
    program: Define, api: Api, stranger: Api, work: Work
) -> None:
    story = program(wait("approval", "approved"))
    story.trigger()
    work()
    assert api.post("/v2/notify/never/approved").json() == []
    assert stranger.post("/v2/notify/approved").json() == []
    assert stranger.post("/v2/notify/order-7/approved").json() == []
    assert stranger.get("/v2/waiters/approved").json() == []

    api.delete("/v2/workflows/runs/order-7")

    assert api.post("/v2/notify/order-7/approved").json() == []
    assert not Waiter.objects.exists()


def test_a_wait_in_a_branch_ends_while_its_sibling_is_tried_again(
    program: Define, api: Api, work: Work, clock: Clock
) -> None:
    story = program([wait("approval", "approved"), run("charge", 1)], run("last"))
    story.trigger(Upstash_Retry_Delay="60000")
    story.trouble = [None, None, answered(500)]
    work()
    api.post("/v2/notify/approved", b"yes")
    work()
    assert the_run().is_live
    clock.advance("1m")
    work()
    assert the_run().status == Run.Status.SUCCEEDED
    assert sum(each.names[-1:] == ["last"] for each in story.deliveries) == 1


@pytest.mark.parametrize("timeout", ["0s", "-5s"])
def test_a_wait_whose_time_has_passed_ends_at_once(
    program: Define, work: Work, timeout: str
) -> None:
    story = program(wait("approval", "approved", timeout), run("last"))
    story.trigger()

    work()

    assert story.deliveries[1].steps[0]["waitTimeout"] is True
    assert the_run().status == Run.Status.SUCCEEDED


# -- webhooks


def test_each_call_of_a_webhook_ends_one_wait_even_if_it_came_first(
    program: Define, api: Api, account: Account, work: Work, clock: Clock
) -> None:
    hook = f"/v2/workflows/hooks/{account.user_id}/order-7/evt_1"
    story = program(sleep("nap", "1h"), wait("one", "evt_1"), wait("two", "evt_1"))
    story.trigger()
    work()
    anyone = Api("")

    first = anyone._send("PUT", f"{hook}?a=1", b"first", {"X-Trace": "7"})
    second = anyone.post(hook, b"second")
    clock.advance("1h")
    work()

    assert (first.status_code, second.status_code) == (200, 200)
    ones, twos = (json.loads(base64.b64decode(s["out"])) for s in story.deliveries[-1].steps[1:])
    assert (ones["method"], base64.b64decode(ones["body"])) == ("PUT", b"first")
    assert (ones["proto"], ones["host"], ones["url"]) == ("http", "testserver", f"{hook}?a=1")
    assert ones["header"]["X-Trace"] == ["7"]
    assert base64.b64decode(twos["body"]) == b"second"
    assert anyone.post(hook).status_code == 404
    assert anyone.post("/v2/workflows/hooks/nobody/order-7/evt_1").status_code == 404


def test_a_webhook_passes_no_body_on_that_the_sdk_could_not_make_a_request_of(
    program: Define, account: Account, work: Work
) -> None:
    story = program(wait("one", "evt_1"))
    story.trigger()
    work()

    hook = f"/v2/workflows/hooks/{account.user_id}/order-7/evt_1"
    called = Api("")._send("GET", hook, b"surprise", {})
    work()

    assert called.status_code == 200
    said = json.loads(base64.b64decode(story.deliveries[-1].steps[-1]["out"]))
    assert said["method"] == "GET"
    assert "body" not in said


# -- invocations


def test_a_run_goes_on_with_the_result_of_the_one_that_it_invoked(
    program: Define, work: Work
) -> None:
    parent = program(invoke("child", CHILD, '{"n":1}'), run("last"))
    child = program(run("inner"), url=CHILD, returns='{"sum":2}')
    parent.trigger()
    work()

    assert child.deliveries[0].payload == b'{"n":1}'
    out = json.loads(parent.outs()["child"])
    assert out == {"body": '{"sum":2}', "isFailed": False, "isCanceled": False}
    assert the_run().status == Run.Status.SUCCEEDED


def test_a_run_goes_on_when_the_one_that_it_invoked_fails(program: Define, work: Work) -> None:
    parent = program(invoke("child", CHILD), run("last"))
    child = program(run("inner"), url=CHILD)
    child.trouble = [answered(489)]
    parent.trigger()
    work()
    assert json.loads(parent.outs()["child"]) == {"isFailed": True, "isCanceled": False}
    assert the_run().status == Run.Status.SUCCEEDED


def test_a_run_goes_on_when_the_one_that_it_invoked_is_cancelled(
    program: Define, work: Work
) -> None:
    parent = program(invoke("child", CHILD), run("last"))
    program(sleep("inner", "1h"), url=CHILD)
    parent.trigger()
    work()
    run_moves.cancel(Run.objects.get(url=CHILD))
    work()
    assert json.loads(parent.outs()["child"]) == {"isFailed": False, "isCanceled": True}


def test_a_repeated_delivery_invokes_no_second_run(
    program: Define, work: Work, clock: Clock
) -> None:
    parent = program(invoke("child", CHILD), run("last"))
    program(run("inner"), sleep("nap", "1h"), url=CHILD)
    parent.trouble = [parent.publish_then_break]
    parent.trigger(Upstash_Retry_Delay="1000")
    work()
    clock.advance("1s")
    work()
    assert Run.objects.filter(url=CHILD).count() == 1


def test_a_run_that_ends_late_is_told_to_nobody_when_its_parent_has_ended(
    program: Define, work: Work, clock: Clock
) -> None:
    parent = program(invoke("child", CHILD))
    program(sleep("inner", "1h"), url=CHILD)
    parent.trigger()
    work()
    run_moves.cancel(the_run())
    clock.advance("1h")
    work()
    assert Run.objects.get(url=CHILD).status == Run.Status.SUCCEEDED
    assert not Message.objects.exists()


def test_a_workflow_that_is_registered_here_can_be_invoked_from_elsewhere(
    program: Define, work: Work, hello: str
) -> None:
    parent = program(invoke("child", hello, '"ada"'), run("last"))
    parent.trigger()
    work()
    out = json.loads(parent.outs()["child"])
    assert json.loads(out["body"]) == {"hello": "ada"}
    assert the_run().status == Run.Status.SUCCEEDED


@pytest.mark.parametrize("end", ["failed", "canceled"])
def test_a_run_elsewhere_is_told_how_one_here_has_ended(
    end: str, program: Define, work: Work, registry: Register
) -> None:
    @registry("pack", retries=0)
    def pack(context: Context) -> None:
        if end == "canceled":
            context.cancel()
        raise ValueError("no box")

    parent = program(invoke("child", serve_url("pack")), run("last"))
    parent.trigger()
    work()
    assert json.loads(parent.outs()["child"]) == {
        "isFailed": end == "failed",
        "isCanceled": end == "canceled",
    }


def test_runs_here_and_elsewhere_invoke_one_another_only_so_deep(
    program: Define, work: Work, registry: Register, settings: Settings
) -> None:
    settings.WORKFLOWS = {"MAX_INVOKE_DEPTH": 1}

    @registry("pack", retries=0)
    def pack(context: Context) -> Any:
        return context.invoke("deeper", workflow="pack").body

    parent = program(invoke("child", serve_url("pack")))
    usual = parent.base
    parent.base = lambda run_id: {  # type: ignore[method-assign]
        **usual(run_id),
        "Upstash-Forward-Upstash-Workflow-Invoke-Count": "1",
    }
    parent.trigger()
    work()
    assert Run.objects.filter(workflow="pack").count() == 1
    assert json.loads(parent.outs()["child"])["isFailed"]


def test_runs_invoke_one_another_only_so_deep(program: Define, work: Work, clock: Clock) -> None:
    parent = program(invoke("child", CHILD))
    usual = parent.base
    parent.base = lambda run_id: {  # type: ignore[method-assign]
        **usual(run_id),
        "Upstash-Forward-Upstash-Workflow-Invoke-Count": "101",
    }
    parent.trigger()
    work()
    assert parent.refused == [(412, {"error": "runs invoke one another at most 100 levels deep"})]
