"""What a resumed or restarted run does again, and what it keeps (Upstash reference 4.11)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.conftest import Clock
from tests.remote.conftest import Define, World, answered, the_run
from tests.remote.programs import Delivery, call, run, sleep, wait
from tests.rest.conftest import Api
from workflows_app.engine import dead_letters
from workflows_app.engine.dead_letters import Overrides
from workflows_app.models import DeadLetter, FlowControl, Message, Run
from workflows_app.protocol.exchange import Answer

Work = Callable[[], int]
THIRD = "https://third.example/q"


def resume(**overrides: object) -> Run:
    return dead_letters.resume(DeadLetter.objects.get(), Overrides(**overrides))  # type: ignore[arg-type]


def test_a_resumed_run_keeps_its_steps_and_makes_the_failed_delivery_again(
    program: Define, work: Work
) -> None:
    story = program(run("first", 1), run("second", 2), returns='"done"')
    story.trouble = [None, answered(489)]
    story.trigger(Upstash_Forward_Mood="good")
    work()

    resumed = resume()
    work()

    resumed.refresh_from_db()
    assert (resumed.status, resumed.result) == (Run.Status.SUCCEEDED, '"done"')
    assert the_run("order-7").status == Run.Status.FAILED
    assert [each.names for each in story.deliveries] == [
        [],
        ["first"],
        ["first"],
        ["first", "second"],
    ]
    old, new = story.deliveries[1:3]
    assert old.elements[-1]["messageId"] != new.elements[-1]["messageId"]
    assert new.headers["Upstash-Message-Id"] == new.elements[-1]["messageId"]
    assert new.headers["Mood"] == "good"
    assert new.headers["Upstash-Workflow-Runid"] == resumed.run_id
    assert not DeadLetter.objects.exists()


def test_a_run_whose_start_failed_starts_again(program: Define, work: Work) -> None:
    story = program(run("first"))
    story.trouble = [answered(489)]
    story.trigger(body="hello")
    work()
    resumed = resume()
    work()
    resumed.refresh_from_db()
    assert resumed.status == Run.Status.SUCCEEDED
    assert {each.payload for each in story.deliveries} == {b"hello"}


def test_of_parallel_steps_only_those_without_a_result_are_done_again(
    program: Define, work: Work
) -> None:
    story = program([run("left", 1), run("right", 2)], run("last"))
    # The start, the plan of "left", then that of "right".
    story.trouble = [None, None, answered(489)]
    story.trigger()
    work()
    before = len(story.deliveries)

    resumed = resume()
    work()

    resumed.refresh_from_db()
    assert resumed.status == Run.Status.SUCCEEDED
    again = [each.names[-1] for each in story.deliveries[before:]]
    assert "(left)" not in again
    assert again.count("(right)") == 1
    assert again.count("last") == 1


def test_a_call_whose_callback_failed_is_not_sent_again(
    program: Define, world: World, work: Work
) -> None:
    story = program(call("ask", THIRD), run("last"))
    world.answers[THIRD] = [answered(200, b"yes")]
    story.trouble = [None, answered(489)]
    story.trigger()
    work()
    resumed = resume()
    work()
    resumed.refresh_from_db()
    assert resumed.status == Run.Status.SUCCEEDED
    assert len(world.asked) == 1


def test_a_call_in_a_branch_that_had_no_answer_is_sent_again(
    program: Define, world: World, work: Work, clock: Clock
) -> None:
    ask = call("ask", THIRD, Upstash_Retries="3", Upstash_Retry_Delay="3600000")
    story = program([ask, run("charge")], run("last"))
    world.answers[THIRD] = [answered(503), answered(200, b"yes")]
    story.trouble = [None, None, answered(500), answered(489)]
    story.trigger(Upstash_Retry_Delay="1000")
    work()
    clock.advance("1s")
    work()
    assert the_run().status == Run.Status.FAILED

    resumed = resume()
    work()

    resumed.refresh_from_db()
    assert resumed.status == Run.Status.SUCCEEDED
    assert len(world.asked) == 2


def test_a_branch_that_waited_waits_again(program: Define, api: Api, work: Work) -> None:
    story = program([wait("approval", "approved"), run("charge")], run("last"))
    story.trouble = [None, None, answered(489)]
    story.trigger()
    work()

    resumed = resume()
    work()
    (told,) = api.post("/v2/notify/approved", b"yes").json()
    work()

    assert told["workflowRunId"] == resumed.run_id
    resumed.refresh_from_db()
    assert resumed.status == Run.Status.SUCCEEDED


def test_a_sleep_that_was_over_is_not_slept_again(
    program: Define, work: Work, clock: Clock
) -> None:
    story = program(sleep("nap", "1h"), run("last"))
    story.trigger()
    work()
    story.trouble = [answered(489)]
    clock.advance("1h")
    work()
    resumed = resume()
    work()
    resumed.refresh_from_db()
    assert resumed.status == Run.Status.SUCCEEDED


def test_what_sleeps_beside_the_step_that_failed_sleeps_on_in_the_resumed_run(
    program: Define, work: Work, clock: Clock
) -> None:
    story = program([sleep("nap", "1h"), run("charge")], run("last"))
    story.trouble = [None, answered(489)]
    story.trigger()
    work()
    clock.advance("30m")

    resumed = resume()
    work()
    assert "(nap)" not in [each.names[-1] for each in story.deliveries if each.names]
    clock.advance("29m")
    assert work() == 0
    clock.advance("1m")
    work()

    resumed.refresh_from_db()
    assert resumed.status == Run.Status.SUCCEEDED


def test_a_restarted_run_begins_with_nothing_but_its_payload(program: Define, work: Work) -> None:
    story = program(run("first", 1))
    story.trouble = [None, answered(489)]
    story.trigger(body="hello")
    work()

    restarted = dead_letters.restart(DeadLetter.objects.get())
    work()

    restarted.refresh_from_db()
    assert restarted.status == Run.Status.SUCCEEDED
    assert [each.names for each in story.deliveries] == [[], ["first"], [], ["first"]]


@pytest.mark.parametrize("verb", ["resume", "restart"])
def test_a_resumed_or_restarted_run_goes_by_what_is_said_about_it(
    program: Define, api: Api, work: Work, clock: Clock, verb: str
) -> None:
    story = program(run("first"))
    story.trouble = [answered(489), answered(500)]
    story.trigger()
    work()
    letter = DeadLetter.objects.get().public_id

    answer = api.post(f"/v2/workflows/dlq/{verb}/{letter}", upstash_retries="0", upstash_delay="1m")
    assert work() == 0
    clock.advance("1m")
    work()

    again = the_run(answer.json()["workflowRunId"])
    assert again.status == Run.Status.FAILED
    assert not Message.objects.exists()


def test_a_call_that_is_sent_again_keeps_its_own_flow_control(
    program: Define, world: World, work: Work
) -> None:
    limits = {
        "Upstash_Flow_Control_Key": "third",
        "Upstash_Flow_Control_Value": "parallelism=2, rate=5, period=1m",
    }
    story = program(run("first"), call("ask", THIRD, **limits), run("last"))

    def publish_then_give_up(delivery: Delivery) -> Answer:
        story.go_on(delivery)
        return answered(489)

    story.trouble = [None, publish_then_give_up]
    story.trigger(Upstash_Flow_Control_Key="own", Upstash_Flow_Control_Value="parallelism=1")
    work()
    FlowControl.objects.filter(key="third").delete()

    resumed = resume()

    owed = Message.objects.get(run=resumed, kind=Message.Kind.CALL)
    control = owed.flow_control
    assert control is not None
    assert (control.key, control.parallelism, control.rate) == ("third", 2, 5)
    assert control.period == timedelta(minutes=1)
