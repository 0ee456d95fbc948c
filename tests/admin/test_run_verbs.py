"""The buttons on a run's page: asked for once, done by the engine, told and remembered."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from tests.admin import flows
from tests.admin.conftest import run_called
from tests.admin.pages import NO_SUCH_RUN, messages, read
from tests.conftest import Clock
from tests.shells import registry
from workflows_app import Context, Workflow, workflow
from workflows_app.engine import leases
from workflows_app.engine.drain import drain_here
from workflows_app.models import DeadLetter, Message, Run, Step

__all__ = ["registry"]


def url(run: Run, verb: str) -> str:
    return f"/admin/workflows_app/run/{run.pk}/{verb}/"


def told(page) -> tuple[list[str], str]:
    """The messages on the page where one has arrived, and its path."""
    return messages(page), page.request["PATH_INFO"]


def history() -> list[tuple[str, str, str]]:
    return [
        (entry.user.get_username(), entry.object_repr, entry.get_change_message())
        for entry in LogEntry.objects.select_related("user").order_by("id")
    ]


@pytest.mark.parametrize("verb", ["cancel", "wake", "pause"])
def test_looking_at_the_question_changes_nothing(
    admin_client: Client, sleeping_run: Run, verb: str
):
    before = list(Message.objects.values()), list(Run.objects.values())

    page = read(admin_client.get(url(sleeping_run, verb)))

    assert page.endswith("1 run:\nadmin-nap nap-1\nNo, take me back")
    assert (list(Message.objects.values()), list(Run.objects.values())) == before


def test_cancelling_ends_the_run(admin_client: Client, sleeping_run: Run):
    page = admin_client.post(url(sleeping_run, "cancel"), follow=True)

    assert told(page) == (
        ["Run nap-1 was cancelled."],
        f"/admin/workflows_app/run/{sleeping_run.pk}/change/",
    )
    sleeping_run.refresh_from_db()
    assert sleeping_run.status == "canceled"
    assert history() == [("admin", "nap-1", "Run nap-1 was cancelled.")]


def test_waking_lets_the_run_go_on_now(admin_client: Client, sleeping_run: Run):
    page = admin_client.post(url(sleeping_run, "wake"), follow=True)
    drain_here()

    assert messages(page) == ["Run nap-1 was woken and goes on now."]
    sleeping_run.refresh_from_db()
    assert sleeping_run.result == '"rested"'
    assert history() == [("admin", "nap-1", "Run nap-1 was woken and goes on now.")]


def test_pausing_keeps_the_run_from_going_on_until_it_is_resumed(
    admin_client: Client, sleeping_run: Run, clock: Clock
):
    page = admin_client.post(url(sleeping_run, "pause"), follow=True)

    assert messages(page) == ["Run nap-1 is paused."]
    clock.advance("1d")
    assert drain_here() == 0
    text = read(page := admin_client.get(url(sleeping_run, "change")))
    assert "paused nap-1\nsince 2030-01-02 12:00:00, 1 d ago" in text
    assert "Cancel…\nCancel and roll back…\nResume…\nRestart…" in text
    assert "ends 8 h after the run is resumed" in text
    assert "go on with the function 8 h after its run is resumed free" in text

    page = admin_client.post(url(sleeping_run, "resume"), follow=True)
    assert messages(page) == ["Run nap-1 was resumed and goes on."]
    clock.advance("8h")
    drain_here()
    sleeping_run.refresh_from_db()
    assert sleeping_run.result == '"rested"'


def test_a_run_whose_step_is_in_flight_is_said_to_be_pausing(admin_client: Client, db: None):
    flows.nap.trigger(workflow_run_id="nap-1")
    leases.claim(1)
    run = Run.objects.get()
    page = admin_client.post(url(run, "pause"), follow=True)

    assert messages(page) == ["Run nap-1 is paused, once its step in flight has ended."]
    assert "pausing nap-1\nas soon as what is in flight has ended" in read(page)


def test_resuming_leads_to_the_successor_which_keeps_finished_steps(
    admin_client: Client, failed_run: Run
):
    page = admin_client.post(url(failed_run, "resume"), follow=True)

    new = failed_run.successors.get()
    sentence = f"Run card-5 was resumed: it goes on as {new.run_id}."
    assert told(page) == ([sentence], f"/admin/workflows_app/run/{new.pk}/change/")
    assert [step.key for step in Step.objects.filter(run=new)] == ["load-cart"]
    assert not DeadLetter.objects.exists()
    assert history() == [("admin", "card-5", sentence), ("admin", new.run_id, sentence)]


def test_restarting_leads_to_the_run_that_begins_again_under_its_id(
    admin_client: Client, failed_run: Run
):
    page = admin_client.post(url(failed_run, "restart"), follow=True)

    new = failed_run.successors.get()
    sentence = "Run card-5 was restarted: it begins again."
    assert told(page) == ([sentence], f"/admin/workflows_app/run/{new.pk}/change/")
    assert new.run_id == "card-5"
    assert not Step.objects.filter(run=new).exists()
    assert not DeadLetter.objects.exists()
    assert history() == [("admin", "card-5", sentence)] * 2
    assert "Restarted from\ncard-5" in read(page)
    assert "Restarted as\ncard-5" in read(admin_client.get(url(failed_run, "change")))


def test_what_is_restarted_though_it_has_succeeded_with_nothing_is_said_to_be(
    admin_client: Client, registry: dict[str, Workflow], clock: Clock
):
    @workflow("sweep")
    def sweep(context: Context) -> None:
        pass

    sweep.trigger(workflow_run_id="sweep-1")
    drain_here()
    swept = run_called("sweep-1")
    clock.advance("1s")

    page = admin_client.post(url(swept, "restart"), follow=True)

    assert "Restarted from\nsweep-1" in read(page)
    assert "Restarted as\nsweep-1" in read(admin_client.get(url(swept, "change")))


def test_a_live_run_ends_as_it_is_restarted(admin_client: Client, sleeping_run: Run):
    admin_client.post(url(sleeping_run, "restart"))

    sleeping_run.refresh_from_db()
    assert sleeping_run.status == "canceled"
    assert sleeping_run.successors.get().is_live


def test_a_run_is_restarted_from_one_of_its_steps(admin_client: Client, failed_run: Run):
    step = Step.objects.get(run=failed_run, key="charge-card")
    target = f"{url(failed_run, 'restart')}{step.pk}/"

    asked = read(admin_client.get(target))
    page = admin_client.post(target, follow=True)

    assert "Restart from charge-card?" in asked
    assert "Steps that began before this one keep their results." in asked
    assert messages(page) == ["Run card-5 was restarted: it begins again."]
    new = failed_run.successors.get()
    assert [kept.key for kept in Step.objects.filter(run=new)] == ["load-cart"]


def test_a_step_of_another_run_is_not_found(
    admin_client: Client, failed_run: Run, sleeping_run: Run
):
    step = Step.objects.filter(run=failed_run).first()
    assert step is not None

    answer = admin_client.get(f"{url(sleeping_run, 'restart')}{step.pk}/")

    assert answer.status_code == 404


def test_rolling_back_undoes_what_was_done(admin_client: Client, db: None):
    flows.undoable.trigger(workflow_run_id="undoable")
    drain_here()
    run = run_called("undoable")

    page = admin_client.post(url(run, "roll-back"), follow=True)
    drain_here()

    assert messages(page) == ["Run undoable ends as cancelled once its steps have been undone."]
    run.refresh_from_db()
    assert run.status == "canceled"
    shown = read(admin_client.get(url(run, "change")))
    assert "Rolled back\nall that was done" in shown
    assert "undo charge" in shown


def test_a_run_that_has_not_begun_is_cancelled_at_once(admin_client: Client, db: None):
    flows.undoable.trigger(workflow_run_id="undoable")

    page = admin_client.post(url(run_called("undoable"), "roll-back"), follow=True)

    assert messages(page) == ["Run undoable was cancelled: there was nothing to undo."]


def test_a_run_whose_steps_have_been_undone_is_not_resumed(admin_client: Client, db: None):
    flows.undone.trigger(workflow_run_id="undone")
    drain_here()
    run = run_called("undone")

    page = admin_client.post(url(run, "resume"), follow=True)

    assert messages(page) == [
        "Run undone was rolled back: what its steps had done has been undone, so there is nothing "
        "to go on with; restart it, to run all steps again"
    ]
    assert DeadLetter.objects.filter(run=run).exists()


def test_what_the_engine_refuses_is_told_and_leaves_no_trace(admin_client: Client, failed_run: Run):
    cancelled = admin_client.post(url(failed_run, "cancel"), follow=True)
    woken = admin_client.post(url(failed_run, "wake"), follow=True)
    admin_client.post(url(failed_run, "resume"))
    resumed = admin_client.post(url(failed_run, "resume"), follow=True)

    assert messages(cancelled) == ["Run card-5 has ended already and cannot be cancelled"]
    assert messages(woken) == ["Run card-5 has ended and cannot be woken"]
    assert messages(resumed)[-1] == (
        "Run card-5 is not in the dead letter queue: it has not failed, or has been resumed,"
        " restarted or deleted from there already"
    )
    assert failed_run.successors.count() == 1
    assert len(history()) == 2


def test_a_run_that_is_gone_cannot_be_acted_on(admin_client: Client):
    page = admin_client.post("/admin/workflows_app/run/404/cancel/", follow=True)

    assert messages(page) == [NO_SUCH_RUN]


def test_nobody_edits_runs(admin_client: Client, sleeping_run: Run):
    before = Run.objects.values().get()

    answer = admin_client.post(
        f"/admin/workflows_app/run/{sleeping_run.pk}/change/", {"status": "failed"}
    )

    assert answer.status_code == 403
    assert Run.objects.values().get() == before
