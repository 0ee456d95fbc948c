"""Flow control keys and their limits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from tests.admin import flows
from tests.admin.pages import messages, read, rows
from tests.conftest import Clock
from workflows_app import FlowControlSpec
from workflows_app.engine import flow_control, leases
from workflows_app.models import FlowControl

URL = "/admin/workflows_app/flowcontrol/"
AT_WORK = "reports open 1 of 1 10 per 1 min 9 left until 12:01:00, in 1 min 2 Runs"


@pytest.fixture
def reports(db: None) -> FlowControl:
    """A key for two at once and ten a minute; one of its three runs is at work."""
    limit = FlowControlSpec(key="reports", parallelism=1, rate=10, period=timedelta(minutes=1))
    flows.order.trigger_many([1, 2, 3], flow_control=limit)
    leases.claim(5)
    return FlowControl.objects.get()


def test_each_key_shows_its_limits_and_how_far_they_are_used(
    admin_client: Client, reports: FlowControl
):
    assert rows(admin_client.get(URL)) == [AT_WORK]


def test_new_limits_hold_for_the_work_that_waits(admin_client: Client, reports: FlowControl):
    page = admin_client.post(
        f"{URL}{reports.pk}/change/",
        {"parallelism": "3", "rate": "", "period": "0:00:01"},
        follow=True,
    )

    assert messages(page) == ["The flow-control key “reports” was changed successfully."]
    assert rows(page) == ["reports open 1 of 3 - 2 Runs"]
    assert len(leases.claim(5)) == 2
    assert LogEntry.objects.get().object_repr == "reports"


def test_a_key_is_made_before_it_is_used(admin_client: Client, db: None):
    page = admin_client.post(
        f"{URL}add/",
        {"account": "1", "key": "mails", "parallelism": "", "rate": "5", "period": "0:01:00"},
        follow=True,
    )

    assert messages(page) == ["The flow-control key “mails” was added successfully."]
    assert rows(page) == [
        "mails open 0, no limit 5 per 1 min all of them left: no period has begun 0 Runs"
    ]


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"parallelism": "", "rate": ""}, "Give a parallelism, a rate, or both."),
        ({"parallelism": "0"}, "Ensure this value is greater than or equal to 1."),
        ({"rate": "-3"}, "Ensure this value is greater than or equal to 1."),
        ({"rate": "1", "period": "0"}, "A period is longer than 0 seconds."),
        ({"rate": "1", "period": "soon"}, "Enter a valid duration."),
        (
            {"rate": "1", "key": "reports"},
            "Flow-control key with this Account and Key already exists.",
        ),
    ],
)
def test_limits_that_limit_nothing_are_refused(
    admin_client: Client, reports: FlowControl, limits: dict[str, str], complaint: str
):
    form = {"account": "1", "key": "mails", "parallelism": "", "rate": "", "period": "1"} | limits

    page = admin_client.post(f"{URL}add/", form)

    assert complaint in page.content.decode()
    assert FlowControl.objects.count() == 1


def test_a_key_is_paused_and_resumed(admin_client: Client, reports: FlowControl):
    paused = admin_client.post(f"{URL}{reports.pk}/pause/", follow=True)

    assert messages(paused) == ["Nothing of the key “reports” starts now."]
    assert rows(admin_client.get(URL)) == [AT_WORK.replace("open", "paused")]
    resumed = admin_client.post(f"{URL}{reports.pk}/resume/", follow=True)
    assert messages(resumed) == ["The key “reports” goes on."]
    assert rows(admin_client.get(URL)) == [AT_WORK]


def test_pinned_limits_are_changed_once_they_are_unpinned(
    admin_client: Client, reports: FlowControl
):
    flow_control.pin(reports.account, "reports", parallelism=2)
    change = {"parallelism": "3", "rate": "20", "period": "0:01:00"}

    admin_client.post(f"{URL}{reports.pk}/change/", change)
    assert rows(admin_client.get(URL)) == [
        "reports open 1 of 2 pinned 20 per 1 min 19 left until 12:01:00, in 1 min 2 Runs"
    ]
    page = admin_client.post(f"{URL}{reports.pk}/unpin/", follow=True)
    assert messages(page) == ["The limits of the key “reports” were unpinned."]
    admin_client.post(f"{URL}{reports.pk}/change/", change)
    assert rows(admin_client.get(URL)) == [
        "reports open 1 of 3 20 per 1 min 19 left until 12:01:00, in 1 min 2 Runs"
    ]


def test_a_pinned_limit_is_limit_enough(admin_client: Client, reports: FlowControl):
    flow_control.pin(reports.account, "reports", rate=5)
    change = {"parallelism": ""}

    page = admin_client.post(f"{URL}{reports.pk}/change/", change, follow=True)

    assert rows(page) == [
        "reports open 1, no limit 5 per 1 s pinned 5 left until 12:00:01, in 1 s 2 Runs"
    ]


def test_a_rate_is_reset(admin_client: Client, reports: FlowControl):
    page = admin_client.post(f"{URL}{reports.pk}/reset-rate/", follow=True)

    assert messages(page) == ["The key “reports” begins a new period."]
    reports.refresh_from_db()
    assert reports.window_count == 0


def test_limits_are_pinned_as_they_are(admin_client: Client, reports: FlowControl):
    page = admin_client.post(f"{URL}{reports.pk}/pin/", follow=True)

    assert messages(page) == ["The limits of the key “reports” were pinned."]
    assert rows(admin_client.get(URL)) == [
        "reports open 1 of 1 pinned 10 per 1 min pinned 10 left until 12:01:00, in 1 min 2 Runs"
    ]


def test_a_key_leads_to_its_runs(admin_client: Client, reports: FlowControl):
    page = admin_client.get(URL).content.decode()

    assert f'href="/admin/workflows_app/run/?flow_control={reports.pk}"' in page


def test_a_period_that_is_over_leaves_all_starts(
    admin_client: Client, reports: FlowControl, clock: Clock
):
    clock.advance("1m")

    (row,) = rows(admin_client.get(URL))
    assert "10 per 1 min all of them left: no period has begun" in row


def test_what_waits_is_counted_so_far_only(
    admin_client: Client, reports: FlowControl, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workflows_app.admin.flow_control.MOST_COUNTED", 1)

    (row,) = rows(admin_client.get(URL))
    assert row.endswith("1+ Runs")


def test_the_number_of_queries_does_not_grow_with_the_keys(
    admin_client: Client, reports: FlowControl, django_assert_num_queries
):
    with django_assert_num_queries(8):
        admin_client.get(URL)
    for number in range(5):
        limit = FlowControlSpec(key=f"key-{number}", parallelism=1)
        flows.order.trigger_many([1, 2], flow_control=limit)

    with django_assert_num_queries(8):
        admin_client.get(URL)


def test_where_no_key_was_named_the_page_says_what_one_is(admin_client: Client, db: None):
    page = read(admin_client.get(URL))

    assert "No run has named a flow-control key yet." in page
    assert 'FlowControlSpec(key="reports", parallelism=5)' in page
