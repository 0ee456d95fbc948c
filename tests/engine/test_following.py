"""Following one run, or many."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.admin import flows
from tests.conftest import Clock
from workflows_app.engine import delivery, leases, pausing, run_moves
from workflows_app.engine.changes import MOST_SHOWN, Change, Kind
from workflows_app.engine.cursors import LATE, Track
from workflows_app.engine.drain import drain_here
from workflows_app.engine.events import notify
from workflows_app.engine.following import Follower
from workflows_app.engine.scopes import Scope
from workflows_app.errors import InvalidInput
from workflows_app.models import Account, Message, Run
from workflows_app.protocol.codec import encode_json

pytestmark = pytest.mark.django_db


def told(changes: list[Change]) -> list[str]:
    """As "step.finished greet"."""
    return [f"{each.kind} {each.step}".strip() for each in changes]


def only_run() -> Run:
    return Run.objects.get()


def follow_run(last_event_id: str = "") -> Follower:
    return Follower(Scope(run=only_run().pk), last_event_id)


def body_of(changes: list[Change], kind: Kind, step: str = "") -> dict[str, Any]:
    (body,) = [each.body() for each in changes if each.kind == kind and each.step == step]
    return body


# -- one run


def test_a_run_is_told_from_its_beginning_to_its_end(clock: Clock):
    flows.order.trigger()
    drain_here()

    follower = follow_run()

    assert told(follower.look()) == [
        "run.accepted",
        "run.started",
        "step.finished create",
        "step.finished confirm",
        "run.ended",
    ]
    assert follower.is_over


def test_each_thing_is_told_once_and_by_the_look_after_it_has_happened(clock: Clock):
    flows.nap.trigger()
    follower = follow_run()
    assert told(follower.look()) == ["run.accepted"]
    assert follower.look() == []

    drain_here()
    assert told(follower.look()) == ["run.started", "step.finished undress", "step.sleeping night"]
    assert follower.look() == []

    pausing.pause(only_run())
    assert told(follower.look()) == ["run.paused"]
    pausing.resume(only_run())
    assert told(follower.look()) == ["run.resumed"]

    clock.advance("8h")
    assert told(follower.look()) == ["step.finished night"]
    drain_here()
    assert told(follower.look()) == ["run.ended"]
    assert follower.is_over


def test_a_sleep_that_is_cut_short_by_the_end_of_its_run_is_not_said_to_have_finished(
    clock: Clock,
):
    flows.nap.trigger()
    drain_here()
    follower = follow_run()
    follower.look()

    run_moves.cancel(only_run())
    assert told(follower.look()) == ["run.ended"]
    clock.advance("8h")
    assert follower.look() == []


def test_a_run_that_is_canceled_before_its_start_has_not_started(clock: Clock):
    flows.order.trigger()
    run_moves.cancel(only_run())

    assert told(follow_run().look()) == ["run.accepted", "run.ended"]


def test_failed_attempts_say_when_the_next_one_comes_and_the_end_says_why(clock: Clock):
    flows.charge.trigger()
    drain_here()
    follower = follow_run()
    failing = follower.look()
    assert told(failing)[-2:] == ["step.finished load-cart", "attempt.failed charge-card"]

    clock.advance("1m")
    drain_here()
    failed = follower.look()

    attempt = body_of(failing, Kind.ATTEMPT_FAILED, "charge-card")
    assert attempt["error"] == {"type": "ConnectionError", "message": "<b>no funds</b>"}
    assert attempt["until"] == attempt["time"] + 60_000
    assert told(failed) == ["attempt.failed charge-card", "step.failed charge-card", "run.ended"]
    ended = body_of(failed, Kind.RUN_ENDED)
    assert ended["status"] == "failed"
    assert ended["error"]["step"] == "charge-card"


def test_who_waits_for_input_says_for_which_and_until_when(clock: Clock):
    flows.wait.trigger()
    drain_here()
    follower = follow_run()
    waiting = body_of(follower.look(), Kind.STEP_WAITING, "payment")

    notify(Account.objects.default(), "paid", b'"cash"')
    drain_here()

    assert waiting["eventId"] == "paid"
    assert waiting["until"] == waiting["time"] + 3_600_000
    resolved = follower.look()
    assert told(resolved) == ["step.finished payment", "run.ended"]
    assert body_of(resolved, Kind.RUN_ENDED)["result"] == "cash"


def test_branches_that_have_lost_are_said_to_be_canceled(clock: Clock):
    flows.race.trigger(workflow_run_id="race")
    delivery.deliver(leases.claim(1)[0])
    Message.objects.filter(kind="call").update(due_at=clock.now + timedelta(days=1))
    follower = Follower(Scope(run=Run.objects.get(run_id="race").pk))
    follower.look()

    clock.advance("1h")
    drain_here()

    after = told(follower.look())
    assert "step.finished hour" in after
    assert "step.canceled month" in after
    assert not any("race" in each for each in after)


def test_a_run_that_is_deleted_is_over(clock: Clock):
    flows.nap.trigger()
    follower = follow_run()
    follower.look()

    Run.objects.all().delete()

    assert follower.look() == []
    assert follower.is_over


# -- what is not shown


def test_hidden_bodies_are_hashes_also_of_what_went_wrong(clock: Clock):
    flows.echo.trigger("a secret", redact="body")
    flows.wrap.trigger(redact="body")
    drain_here()

    changes = [change for run in Run.objects.all() for change in Follower(Scope(run=run.pk)).look()]

    shown = str([change.body() for change in changes])
    assert "a secret" not in shown
    assert "no funds" not in shown
    results = [each.body()["result"] for each in changes if each.result is not None]
    assert len(results) == 2
    assert all(result.startswith("REDACTED:") for result in results)


def test_the_result_of_a_sensitive_step_is_not_even_a_hash(clock: Clock):
    flows.secret.trigger()
    drain_here()

    changes = follow_run().look()

    assert body_of(changes, Kind.STEP_FINISHED, "get-token")["result"] == "[REDACTED]"
    assert "hunter2" not in str([change.body() for change in changes])


def test_what_an_invoked_run_hides_is_hidden_where_it_is_the_result_of_a_step(clock: Clock):
    flows.invoke.trigger()
    drain_here()
    Run.objects.filter(workflow="admin-echo").update(redaction="body")
    parent = Run.objects.get(workflow="admin-invoke")

    body = body_of(Follower(Scope(run=parent.pk)).look(), Kind.STEP_FINISHED, "echo")

    assert body["result"] == "[REDACTED]"


def test_of_a_long_result_only_the_length_is_told(clock: Clock):
    flows.echo.trigger("x" * MOST_SHOWN)
    drain_here()

    body = body_of(follow_run().look(), Kind.STEP_FINISHED, "echo")

    assert body["resultSize"] == MOST_SHOWN + 2
    assert "result" not in body


# -- going on


def encoded(asleep: list[float]) -> str:
    """As a cursor that names these."""
    text = encode_json([0, 0, [0], [0], [0], [0], [], [], [], asleep])
    return urlsafe_b64encode(text.encode()).decode()


def test_who_comes_again_is_told_what_has_happened_meanwhile(clock: Clock):
    flows.nap.trigger()
    drain_here()
    follower = follow_run()
    follower.look()
    last = follower.cursor.encode()
    pausing.pause(only_run())
    assert told(follow_run(last).look()) == ["run.paused"]
    pausing.resume(only_run())
    clock.advance("8h")
    drain_here()

    again = follow_run(last)

    assert told(again.look()) == ["step.finished night", "run.ended"]
    assert follow_run(again.cursor.encode()).is_over


def test_a_long_story_is_told_in_parts_and_none_of_it_twice(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workflows_app.engine.following.MOST", 3)
    flows.many.trigger(7)
    drain_here()
    follower = follow_run()
    story: list[str] = []
    while not follower.is_over:
        story += told(follower.look())
        follower = follow_run(follower.cursor.encode())

    steps = [f"step.finished step-{number}" for number in range(7)]
    assert story == ["run.accepted", "run.started", *steps, "run.ended"]


@pytest.mark.parametrize(
    "text", ["x", "W10", "e30", "WzEsMl0", "é", encoded([-1]), encoded([1.5]), encoded([0] * 102)]
)
def test_an_id_that_is_none_is_refused(clock: Clock, text: str):
    with pytest.raises(InvalidInput, match="Last-Event-ID is none"):
        Follower(Scope(), text)


def test_a_made_up_id_leads_to_no_run_of_another_account(clock: Clock):
    mine = Account.objects.create(name="mine")
    flows.order.trigger()
    leases.claim(1)
    made_up = Follower(Scope(account=mine)).cursor
    made_up.unstarted = {only_run().pk}

    follower = Follower(Scope(account=mine), made_up.encode())

    assert told(follower.look()) == []


def test_an_id_of_long_ago_is_followed(clock: Clock):
    cursor = Follower(Scope()).cursor
    cursor.since = datetime(1, 1, 1, tzinfo=UTC)

    assert told(Follower(Scope(), cursor.encode()).look()) == []


# -- many runs


def test_many_are_followed_from_now_on(clock: Clock):
    flows.order.trigger()
    drain_here()
    follower = Follower(Scope(account=Account.objects.default()))
    assert follower.look() == []

    flows.echo.trigger("tea", workflow_run_id="echo-1")
    drain_here()

    changes = follower.look()
    assert told(changes) == ["run.accepted", "run.started", "step.finished echo", "run.ended"]
    assert {change.run.run_id for change in changes} == {"echo-1"}
    assert follower.look() == []
    clock.advance(LATE * 2)
    assert follower.look() == []


def test_the_end_of_a_run_that_began_before_is_told_also_if_it_is_kept_for_a_time_of_its_own(
    clock: Clock,
):
    flows.nap.trigger()
    flows.nap.trigger()
    drain_here()
    kept = Run.objects.order_by("pk")[0]
    Run.objects.filter(pk=kept.pk).update(success_retention=LATE, error_retention=LATE)
    follower = Follower(Scope(account=Account.objects.default()))
    follower.look()

    clock.advance("8h")
    drain_here()

    assert told(follower.look()) == ["run.ended", "run.ended"]


@pytest.mark.parametrize("pause", [timedelta(), LATE, LATE * 3])
def test_however_many_end_at_once_each_end_is_told_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, pause: timedelta
):
    monkeypatch.setattr("workflows_app.engine.following.MOST", 3)
    for number in range(10):
        flows.nap.trigger(workflow_run_id=f"nap-{number}")
    follower = Follower(Scope(account=Account.objects.default()))
    for run in Run.objects.order_by("pk"):
        run_moves.cancel(run)
        clock.advance(timedelta(milliseconds=1))
    clock.advance(pause)

    ended = follower.look()
    while not follower.is_all:
        ended += follower.look()

    assert [each.run.run_id for each in ended] == [f"nap-{number}" for number in range(10)]
    assert follower.look() == []


def test_only_runs_that_are_asked_for_are_told(clock: Clock):
    other = Account.objects.create(name="other")
    scopes = [
        Scope(account=other),
        Scope(workflow="admin-nap"),
        Scope(labels=("red", "blue")),
        Scope(account=Account.objects.default(), workflow="admin-echo", labels=("blue",)),
    ]
    followers = [Follower(scope) for scope in scopes]
    flows.nap.trigger(workflow_run_id="nap", labels=["red", "blue"])
    flows.echo.trigger(workflow_run_id="echo", labels=["red"])
    drain_here()

    found = [{each.run.run_id for each in follower.look()} for follower in followers]

    assert found == [set(), {"nap"}, {"nap", "echo"}, set()]


def test_a_look_costs_the_same_however_much_there_is_to_tell(
    clock: Clock, django_assert_max_num_queries: Any
):
    follower = Follower(Scope(account=Account.objects.default()))
    for number in range(20):
        flows.many.trigger(3, workflow_run_id=f"run-{number}")
    flows.nap.trigger()
    drain_here()

    with django_assert_max_num_queries(15):
        assert len(follower.look()) == 20 * 6 + 4


def test_who_was_away_for_too_long_is_told_so(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    follower = Follower(Scope(account=Account.objects.default()))
    last = follower.cursor.encode()
    monkeypatch.setattr("workflows_app.engine.following.FARTHEST", 3)
    flows.many.trigger(7)
    drain_here()

    with pytest.raises(InvalidInput, match="too much has happened"):
        Follower(Scope(account=Account.objects.default()), last)


def test_a_row_that_becomes_visible_after_its_successors_is_not_passed_over(clock: Clock):
    track = Track()
    for number in (1, 3):
        track.told.add(number)
        track.settle(clock.now, number, LATE)
    clock.advance(LATE / 2)
    track.settle(clock.now, 4, LATE)
    assert (track.floor, track.told) == (0, {1, 3})  # 2 is still looked for

    clock.advance(LATE / 2)
    track.settle(clock.now, 4, LATE)

    assert (track.floor, track.told) == (3, set())
    assert Track.decode(track.encode()) == Track(floor=3)
