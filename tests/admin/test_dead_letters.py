"""The dead letter queue."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from tests.admin import flows
from tests.admin.pages import messages, read, rows
from tests.conftest import Clock
from workflows_app.engine.drain import drain_here
from workflows_app.models import DeadLetter, Message, Run

URL = "/admin/workflows_app/deadletter/"
CALLBACKS = "1 told again, 1 refused: run card-5 has no failed failure callback to retry"


@pytest.fixture
def alarm(db: None) -> DeadLetter:
    """An entry whose failure callback has failed."""
    flows.alarm.trigger(workflow_run_id="alarm-1")
    drain_here()
    return DeadLetter.objects.get(run__run_id="alarm-1")


def test_each_entry_says_what_failed_where_and_whether_anyone_was_told(
    admin_client: Client, failed_run: Run, dead_letter: DeadLetter, clock: Clock
):
    clock.advance("30s")
    flows.alarm.trigger(workflow_run_id="alarm-1")
    drain_here()
    newest = DeadLetter.objects.latest("id")

    assert rows(admin_client.get(URL)) == [
        f"{newest.public_id} just now admin-alarm alarm-1 KeyError 'pager' failed",
        f"{dead_letter.public_id} 30 s ago admin-charge card-5"
        " ConnectionError at charge-card <b>no funds</b> -",
    ]


def test_a_long_message_is_cut(admin_client: Client):
    flows.order.trigger(workflow_run_id="order-1")
    flows.echo.trigger({"x": "y" * 500})
    drain_here()
    run = Run.objects.get(run_id="order-1")
    DeadLetter.objects.create(account=run.account, run=run, created_at=run.created_at)
    Run.objects.filter(pk=run.pk).update(
        error='{"type":"Error","message":"' + "m" * 500 + '","stack":""}'
    )

    assert "m" * 160 + "…" in rows(admin_client.get(URL))[0]
    assert "m" * 161 not in rows(admin_client.get(URL))[0]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=card-5", 1),
        ("q=card", 1),
        ("q=ard", 0),
        ("workflow=admin-charge", 1),
        ("workflow=admin-order", 0),
        ("callback_state__exact=failed", 1),
    ],
)
def test_entries_are_found_by_run_workflow_and_callback(
    admin_client: Client, failed_run: Run, alarm: DeadLetter, query: str, found: int
):
    assert len(rows(admin_client.get(f"{URL}?{query}"))) == found


def test_an_entry_is_found_by_its_id(admin_client: Client, failed_run: Run, alarm: DeadLetter):
    assert len(rows(admin_client.get(f"{URL}?q={alarm.public_id}"))) == 1


def test_the_page_of_an_entry_shows_error_and_failure_callback(
    admin_client: Client, alarm: DeadLetter
):
    page = read(admin_client.get(f"{URL}{alarm.pk}/change/"))

    head, _, answer = page.partition("Answer of the failure callback\n")
    assert head == "\n".join(
        [
            "Dead letter",
            "Resume…\nRestart…\nRetry failure callback…\nHistory\nDelete…",
            alarm.public_id,
            "Run\nalarm-1",
            "Workflow\nadmin-alarm",
            "Failed\n12:00:00 just now",
            "Account\ndefault",
            "Failure callback\nfailed",
            "Error",
            "KeyError 'pager'",
            "Traceback\nKeyError: 'pager'\n",
        ]
    )
    assert '"status": 500,' in answer
    assert '"message": "nobody answers"' in answer
    assert answer.endswith(
        "Failed attempts of the failure callback\n"
        "Attempt 1 failed at 12:00:00, after 0 s\n"
        "RuntimeError nobody answers\n"
        "Traceback\nRuntimeError: nobody answers"
    )


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        ("resume", "Run card-5 was resumed: it goes on as {}."),
        ("restart", "Run card-5 was restarted: it begins again."),
    ],
)
def test_an_entry_is_resumed_or_restarted_from_its_page(
    admin_client: Client, failed_run: Run, dead_letter: DeadLetter, verb: str, sentence: str
):
    asked = read(admin_client.get(f"{URL}{dead_letter.pk}/{verb}/"))
    page = admin_client.post(f"{URL}{dead_letter.pk}/{verb}/", follow=True)

    new = failed_run.successors.get()
    assert f"1 dead letter:\n{dead_letter.public_id}: admin-charge card-5" in asked
    assert messages(page) == [sentence.format(new.run_id)]
    assert page.request["PATH_INFO"] == f"/admin/workflows_app/run/{new.pk}/change/"
    assert LogEntry.objects.filter(object_id=str(failed_run.pk)).count() == 1


def test_an_entry_that_was_dealt_with_meanwhile_leads_back_to_the_list(
    admin_client: Client, failed_run: Run, dead_letter: DeadLetter
):
    admin_client.post(f"{URL}{dead_letter.pk}/resume/")

    page = admin_client.post(f"{URL}{dead_letter.pk}/resume/", follow=True)

    assert "Perhaps it was deleted?" in messages(page)[-1]
    assert failed_run.successors.count() == 1


def test_the_failure_callback_is_made_again(admin_client: Client, alarm: DeadLetter):
    page = admin_client.post(f"{URL}{alarm.pk}/retry-callback/", follow=True)

    assert messages(page) == ["The failure callback of run alarm-1 is made again."]
    assert Message.objects.get().kind == "failure"
    alarm.refresh_from_db()
    assert alarm.callback_state == "in_progress"


def test_a_failure_callback_that_nobody_asked_for_cannot_be_retried(
    admin_client: Client, dead_letter: DeadLetter
):
    page = admin_client.post(f"{URL}{dead_letter.pk}/retry-callback/", follow=True)

    assert messages(page) == ["Run card-5 has no failed failure callback to retry"]
    assert page.request["PATH_INFO"] == f"{URL}{dead_letter.pk}/change/"


def act(client: Client, verb: str, **more: str):
    chosen = [str(pk) for pk in DeadLetter.objects.values_list("pk", flat=True)]
    return client.post(URL, {"action": verb, "_selected_action": chosen, **more}, follow=True)


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        ("resume", "2 resumed"),
        ("restart", "2 restarted"),
        (
            "retry-callback",
            CALLBACKS,
        ),
    ],
)
def test_many_entries_are_acted_on_at_once(
    admin_client: Client, failed_run: Run, alarm: DeadLetter, verb: str, sentence: str
):
    assert "2 dead letters:" in read(act(admin_client, verb))

    assert messages(act(admin_client, verb, confirmed="yes")) == [sentence]


def test_deleting_entries_keeps_their_runs_and_drops_their_callbacks(
    admin_client: Client, failed_run: Run, alarm: DeadLetter
):
    admin_client.post(f"{URL}{alarm.pk}/retry-callback/")

    page = act(admin_client, "delete_selected", post="yes")

    assert messages(page)[-1] == "Successfully deleted 2 dead letters."
    assert not DeadLetter.objects.exists()
    assert not Message.objects.exists()
    assert [run.status for run in Run.objects.all()] == ["failed", "failed"]


def test_deleting_one_entry_from_its_page_is_remembered(
    admin_client: Client, failed_run: Run, dead_letter: DeadLetter
):
    page = admin_client.post(f"{URL}{dead_letter.pk}/delete/", {"post": "yes"}, follow=True)

    name = dead_letter.public_id
    assert messages(page) == [f"The dead letter “{name}” was deleted successfully."]
    assert LogEntry.objects.get().object_repr == name
    assert Run.objects.get().status == "failed"


def test_the_number_of_queries_does_not_grow_with_the_entries(
    admin_client: Client, django_assert_num_queries, django_assert_max_num_queries
):
    def fail() -> None:
        flows.alarm.trigger()
        drain_here()

    fail()
    with django_assert_max_num_queries(12) as few:
        admin_client.get(URL)
    for _ in range(5):
        fail()

    with django_assert_num_queries(len(few)):
        admin_client.get(URL)
