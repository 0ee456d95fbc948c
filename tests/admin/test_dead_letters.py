"""The dead letter queue."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.admin import flows
from tests.admin.pages import messages, read, rows
from tests.conftest import Clock
from workflows_app.engine import settling
from workflows_app.engine.drain import drain_here
from workflows_app.engine.triggering import trigger
from workflows_app.models import Account, DeadLetter, Message, Run, WorkflowLimit
from workflows_app.protocol.runs import RunRequest

URL = "/admin/workflows_app/deadletter/"
ENTRIES = f"{URL}?entries=all"
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

    assert rows(admin_client.get(ENTRIES)) == [
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

    assert "m" * 160 + "…" in rows(admin_client.get(ENTRIES))[0]
    assert "m" * 161 not in rows(admin_client.get(ENTRIES))[0]


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
            "Resume…\nRestart…\nEdit and retry…\nDismiss…\nRetry failure callback…\nHistory",
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


def test_dismissing_entries_keeps_their_runs_and_drops_their_callbacks(
    admin_client: Client, failed_run: Run, alarm: DeadLetter
):
    admin_client.post(f"{URL}{alarm.pk}/retry-callback/")

    page = act(admin_client, "dismiss", confirmed="yes")

    assert messages(page)[-1] == "2 dismissed"
    assert not DeadLetter.objects.exists()
    assert not Message.objects.exists()
    assert [run.status for run in Run.objects.all()] == ["failed", "failed"]


def test_dismissing_one_entry_is_remembered_by_its_run(
    admin_client: Client, failed_run: Run, dead_letter: DeadLetter
):
    page = admin_client.post(f"{URL}{dead_letter.pk}/dismiss/", follow=True)

    assert messages(page) == ["Run card-5 was taken out of the dead letter queue."]
    assert page.request["PATH_INFO"] == URL
    assert LogEntry.objects.get().object_repr == "card-5"
    assert Run.objects.get().status == "failed"


def test_to_dismiss_takes_the_permission_to_delete(
    client_with: Callable[..., Client], dead_letter: DeadLetter
):
    client = client_with("view_deadletter", "change_deadletter")

    assert client.post(f"{URL}{dead_letter.pk}/dismiss/").status_code == 403
    assert "Dismiss" not in client.get(f"{URL}{dead_letter.pk}/change/").content.decode()
    assert "Dismiss" not in client.get(URL).content.decode()


def test_the_number_of_queries_does_not_grow_with_the_entries(
    admin_client: Client, django_assert_num_queries, django_assert_max_num_queries
):
    def fail() -> None:
        flows.alarm.trigger()
        drain_here()

    fail()
    with django_assert_max_num_queries(12) as few:
        admin_client.get(ENTRIES)
    for _ in range(5):
        fail()

    with django_assert_num_queries(len(few)):
        admin_client.get(ENTRIES)


# -- groups


def test_entries_are_grouped_by_what_failed(
    admin_client: Client, failed_run: Run, alarm: DeadLetter, clock: Clock
):
    clock.advance("2h")
    flows.charge.trigger({"cart": 6}, workflow_run_id="card-6")
    drain_here()
    clock.advance("1m")
    drain_here()

    page = read(admin_client.get(URL))

    assert page == "\n".join(
        [
            "Dead letters",
            "Groups Entries",
            "2 runs ConnectionError at step charge-card",
            "admin-charge since 12:01:00 2 h ago, last 14:02:00 just now",
            "<b>no funds</b>",
            "See all Newest: card-6",
            "1 run KeyError",
            "admin-alarm since 12:01:00 2 h ago",
            "'pager'",
            "See all Newest: alarm-1",
        ]
    )


def group_of(client: Client, error: str) -> str:
    """The address of its entries."""
    found = re.findall(r'href="[?]([^"]*)">See all', client.get(URL).content.decode())
    (query,) = (unescape(each) for each in found if f"error={error}" in each)
    return f"{URL}?{query}"


def test_a_group_leads_to_its_entries(admin_client: Client, failed_run: Run, alarm: DeadLetter):
    page = admin_client.get(group_of(admin_client, "KeyError"))

    assert [row.split()[0] for row in rows(page)] == [alarm.public_id]
    assert "By step" in page.content.decode()


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [("resume", "1 resumed"), ("restart", "1 restarted"), ("dismiss", "1 dismissed")],
)
def test_a_group_is_dealt_with_as_a_whole(
    admin_client: Client, failed_run: Run, alarm: DeadLetter, verb: str, sentence: str
):
    address = group_of(admin_client, "ConnectionError")
    letter = DeadLetter.objects.get(run=failed_run)
    chosen = {"index": "0", "select_across": "1", "_selected_action": str(letter.pk)}
    asked = admin_client.post(address, {**chosen, "action": verb})

    assert "1 dead letter:" in read(asked)
    page = admin_client.post(address, {**chosen, "action": verb, "confirmed": "yes"}, follow=True)
    assert messages(page) == [sentence]
    assert DeadLetter.objects.get() == alarm


def test_what_a_run_hides_is_not_in_the_sample_of_its_group(admin_client: Client):
    flows.charge.trigger(redact="body", retries=0)
    drain_here()

    page = admin_client.get(URL).content.decode()

    assert "ConnectionError" in page
    assert "no funds" not in page


def test_runs_of_other_services_are_grouped_under_their_url(admin_client: Client):
    account = Account.objects.default()
    (started,) = trigger(account, [RunRequest(url="https://peer.example/flow")])
    settling.fail(started.run, '{"type":"Gone","message":"410"}')

    assert "1 run Gone\nhttps://peer.example/flow" in read(admin_client.get(URL))
    assert len(rows(admin_client.get(group_of(admin_client, "Gone")))) == 1


def test_only_the_newest_entries_are_grouped_and_the_page_says_so(
    admin_client: Client, failed_run: Run, alarm: DeadLetter, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workflows_app.admin.dead_letter_groups.MOST_GROUPED", 1)

    page = read(admin_client.get(URL))

    assert "1 run KeyError" in page
    assert "ConnectionError" not in page
    assert "entries are grouped here" in page


def test_an_empty_queue_says_what_it_is_for(admin_client: Client):
    assert "No run waits for a decision." in read(admin_client.get(URL))


def test_the_number_of_queries_does_not_grow_with_the_groups(
    admin_client: Client, failed_run: Run, alarm: DeadLetter, django_assert_num_queries
):
    admin_client.get(URL)
    DeadLetter.objects.filter(run=failed_run).update(step="other")

    with django_assert_num_queries(5):
        admin_client.get(URL)


def test_who_is_limited_sees_the_groups_of_their_workflows_alone(
    client_with: Callable[..., Client], failed_run: Run, alarm: DeadLetter
):
    client = client_with("view_deadletter", "resume_run")
    group = Group.objects.create(name="pagers")
    WorkflowLimit.objects.create(group=group, workflow=flows.alarm.name)
    User.objects.get(username="staff").groups.add(group)
    letter = DeadLetter.objects.get(run=failed_run)
    chosen = {"index": "0", "select_across": "1", "_selected_action": str(letter.pk)}

    page = client.get(URL).content.decode()
    client.post(ENTRIES, {**chosen, "action": "resume", "confirmed": "yes"})

    assert "KeyError" in page
    assert "Resume all…" in page
    assert "Dismiss all…" not in page
    assert "ConnectionError" not in page
    assert DeadLetter.objects.get() == letter


# -- another payload


def test_a_failed_run_is_done_again_with_another_payload(
    admin_client: Client, failed_run: Run, dead_letter: DeadLetter
):
    address = f"{URL}{dead_letter.pk}/edit/"

    asked = admin_client.get(address)
    page = admin_client.post(address, {"payload": '{"cart": 6}'}, follow=True)

    new = failed_run.successors.get()
    assert "&quot;cart&quot;: 5" in asked.content.decode()
    assert messages(page) == [f"Run card-5 is done again as {new.run_id}, with another payload."]
    assert bytes(new.payload) == b'{"cart": 6}'
    assert not DeadLetter.objects.exists()
    assert LogEntry.objects.count() == 2


def test_who_may_not_restart_edits_nothing(
    client_with: Callable[..., Client], dead_letter: DeadLetter
):
    client = client_with("view_deadletter", "resume_run", "delete_deadletter")

    assert client.get(f"{URL}{dead_letter.pk}/edit/").status_code == 403
    assert "Edit and retry" not in client.get(f"{URL}{dead_letter.pk}/change/").content.decode()
