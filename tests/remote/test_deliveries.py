"""What an endpoint gets (Upstash reference 3)."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from tests.conftest import Clock
from tests.remote.conftest import URL, Define, World, answered, the_run
from tests.remote.programs import OK, Delivery, call, run, sleep
from tests.rest.conftest import Api
from workflows_app.models import Account, Message, Run, Step
from workflows_app.protocol.exchange import Answer
from workflows_app.protocol.signing import verify

Work = Callable[[], int]


def test_a_run_goes_through_its_steps_one_delivery_each(program: Define, work: Work) -> None:
    story = program(run("first", 1), run("second", "zwei ✓"), returns='{"ok":true}')
    assert story.trigger().json() == [{"messageId": f"msg_r{the_run().pk}"}]

    work()

    assert [each.names for each in story.deliveries] == [[], ["first"], ["first", "second"]]
    assert story.outs() == {"first": "1", "second": '"zwei \\u2713"'}
    found = the_run()
    assert (found.status, found.result) == (Run.Status.SUCCEEDED, '{"ok":true}')
    assert not Message.objects.exists()


def test_a_delivery_is_the_step_list_that_ends_with_its_own_message(
    program: Define, work: Work
) -> None:
    story = program(run("first"), run("second"))
    story.trigger(body='{"n": 1.50}')
    work()

    for delivery in story.deliveries:
        assert delivery.payload == b'{"n": 1.50}'
        assert delivery.headers["Upstash-Message-Id"] == delivery.elements[-1]["messageId"]
    ids = [delivery.elements[-1]["messageId"] for delivery in story.deliveries]
    assert [each["messageId"] for each in story.deliveries[-1].elements] == ids


def test_steps_come_back_byte_for_byte(program: Define, api: Api, work: Work) -> None:
    story = program(run("odd"))
    odd = '{ "stepId":1,"stepName":"odd","stepType":"Run", "out":"\\u00e9" ,"concurrent":1,"x":1e2}'

    def publish_oddly(_: Delivery) -> Answer:
        api._send("POST", f"/v2/publish/{URL}", odd, story.base("order-7"))
        return Answer(status=200, headers=OK, body=b"")

    story.trouble = [publish_oddly]
    story.trigger()
    work()

    last = story.deliveries[-1].elements[-1]
    assert base64.b64decode(last["body"]) == odd.encode()


def test_a_delivery_is_signed_for_its_url_and_body(
    program: Define, account: Account, work: Work, clock: Clock
) -> None:
    story = program(run("first"))
    story.trigger()
    work()

    for delivery in story.deliveries:
        request = delivery.request
        verify(
            request.headers["Upstash-Signature"],
            body=request.body or b"",
            url=URL,
            keys=account.signing_keys,
            now=clock.now,
        )


def test_headers_of_the_trigger_are_on_every_delivery_and_cannot_replace_the_server_s(
    program: Define, work: Work
) -> None:
    story = program(run("first"))
    story.trigger(
        Upstash_Forward_Authorization="Bearer mine",
        Upstash_Forward_Upstash_Signature="stale",
        Upstash_Forward_Upstash_Message_Id="forged",
        Upstash_Forward_Upstash_Label="vip",
        Upstash_Forward_Host="elsewhere",
    )
    work()

    for delivery in story.deliveries:
        headers = delivery.headers
        assert headers["Authorization"] == "Bearer mine"
        assert headers["Upstash-Label"] == "vip"
        assert headers["Upstash-Signature"] != "stale"
        assert headers["Upstash-Message-Id"].startswith("msg_")
        assert headers["Upstash-Workflow-Sdk-Version"] == "1"
        assert headers["Upstash-Workflow-Runid"] == "order-7"
        assert "Host" not in headers
    assert [each.headers["Upstash-Workflow-Init"] for each in story.deliveries] == ["true", "false"]


def test_a_step_s_own_headers_win_over_those_of_the_trigger(
    program: Define, api: Api, work: Work
) -> None:
    """As older SDKs repeat them with every step."""
    story = program(run("first"))
    usual = story.base
    story.base = lambda run_id: {**usual(run_id), "Upstash-Forward-Mood": "better"}  # type: ignore[method-assign]
    story.trigger(Upstash_Forward_Mood="good", Upstash_Forward_Kept="yes")
    work()

    assert [each.headers["Mood"] for each in story.deliveries] == ["good", "better"]
    assert [each.headers["Kept"] for each in story.deliveries] == ["yes", "yes"]


def test_a_retried_delivery_has_the_same_list_whatever_has_come_since(
    program: Define, work: Work, clock: Clock
) -> None:
    story = program(run("first"), sleep("nap", "1h"))
    story.trigger(Upstash_Retry_Delay="1000")
    story.trouble = [story.publish_then_break]
    work()
    clock.advance("1s")
    work()

    assert [each.names for each in story.deliveries] == [[], ["first"], []]
    first, _, again = story.deliveries
    assert first.request.body == again.request.body
    assert [each.headers["Upstash-Retried"] for each in (first, again)] == ["0", "1"]


def test_what_a_repeated_delivery_publishes_again_is_there_once(
    program: Define, work: Work, clock: Clock
) -> None:
    story = program([run("left"), sleep("right", "1m")], run("last"))
    story.trouble = [story.publish_then_break] * 3
    story.trigger(Upstash_Retry_Delay="1000")
    for _ in range(5):
        work()
        clock.advance("1m")

    keys = sorted(Step.objects.values_list("key", flat=True))
    assert keys == ["1", "1:plan", "2", "2:plan", "3"]
    assert the_run().status == Run.Status.SUCCEEDED


def test_parallel_steps_are_planned_done_and_joined(program: Define, work: Work) -> None:
    story = program([run("left", 1), run("middle", 2), run("right", 3)], run("last", 4))
    story.trigger()
    work()

    assert the_run().status == Run.Status.SUCCEEDED
    # The start, three plans, three results, the step after them.
    assert len(story.deliveries) == 8
    assert sum(each.names[-1:] == ["last"] for each in story.deliveries) == 1
    assert story.refused == []


@pytest.mark.parametrize("delay", ["0s", "-5s", "-1d2h"])
def test_a_sleep_that_has_passed_is_over_at_once(program: Define, work: Work, delay: str) -> None:
    story = program(sleep("nap", delay), run("awake"))
    story.trigger()

    work()

    assert the_run().status == Run.Status.SUCCEEDED
    assert story.refused == []


def test_a_sleep_is_delivered_when_it_is_over(program: Define, work: Work, clock: Clock) -> None:
    story = program(sleep("nap", "1h"), run("awake"))
    story.trigger()
    work()
    assert len(story.deliveries) == 1

    clock.advance("59m")
    work()
    assert len(story.deliveries) == 1
    clock.advance("1m")
    work()
    assert the_run().status == Run.Status.SUCCEEDED


def test_a_run_that_is_delayed_begins_when_it_is_time(
    program: Define, work: Work, clock: Clock
) -> None:
    story = program(run("first"))
    story.trigger(Upstash_Delay="2d")
    work()
    assert story.deliveries == []
    clock.advance("2d")
    work()
    assert the_run().status == Run.Status.SUCCEEDED


def test_third_parties_get_nothing_of_the_run_s_own_headers(
    program: Define, world: World, work: Work
) -> None:
    story = program(call("ask", "https://third.example/q", body="{}", method="POST"))
    story.trigger(Upstash_Forward_Authorization="Bearer mine")
    world.answers["https://third.example/q"] = [answered(200)]
    work()

    (asked,) = world.asked
    assert "Authorization" not in asked.headers
    assert "Upstash-Workflow-Sdk-Version" not in asked.headers
    assert "Upstash-Signature" in asked.headers


@pytest.mark.parametrize("path", ["runs/order-7", "runs/unknown"])
def test_the_steps_of_a_live_run_can_be_fetched(
    program: Define, api: Api, work: Work, path: str
) -> None:
    story = program(sleep("nap", "1h"))
    story.trigger()
    work()

    answer = api.get(f"/v2/workflows/{path}")

    if path.endswith("unknown"):
        assert answer.status_code == 404
    else:
        assert [each["callType"] for each in answer.json()] == ["step", "step"]
        assert answer.json()[0] == story.deliveries[0].elements[0]
