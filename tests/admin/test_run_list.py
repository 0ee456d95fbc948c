"""The list of runs."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from tests.admin import flows
from tests.admin.pages import messages, read, rows
from tests.conftest import Clock
from workflows_app import FlowControlSpec
from workflows_app.admin import run_pages
from workflows_app.engine import leases, run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.models import Account, Message, Run
from workflows_app.protocol.runs import StepInFlight

URL = "/admin/workflows_app/run/"


def test_each_run_is_told_in_one_line_newest_first(
    admin_client: Client, failed_run: Run, sleeping_run: Run, clock: Clock
):
    clock.advance("5s")
    flows.order.run(workflow_run_id="order-1")

    assert rows(admin_client.get(URL)) == [
        "succeeded admin-order order-1 12:01:05 just now 0 s -",
        "asleep admin-nap nap-1 12:01:00 5 s ago 5 s in night wakes in 7 h 59 min -",
        "failed admin-charge card-5 shop card 12:00:00 1 min ago 1 min"
        " at charge-card: ConnectionError 2 failed",
    ]


def test_a_run_whose_step_failed_says_when_it_is_tried_again(admin_client: Client, clock: Clock):
    flows.charge.trigger(workflow_run_id="card-1")
    drain_here()
    clock.advance("10s")

    assert rows(admin_client.get(URL)) == [
        "retrying admin-charge card-1 12:00:00 10 s ago 10 s charge-card next attempt in 50 s"
        " 1 failed"
    ]


def test_a_run_that_waits_for_an_answer_names_the_call(admin_client: Client):
    flows.ask.trigger(workflow_run_id="ask-1")
    drain_here(limit=1)

    assert rows(admin_client.get(URL)) == [
        "waiting admin-ask ask-1 12:00:00 just now 0 s for the answer to ask-registry -"
    ]


def test_queued_delayed_and_leased_runs_say_what_keeps_them(admin_client: Client, clock: Clock):
    flows.nap.trigger(workflow_run_id="leased")
    leases.claim(1)
    limit = FlowControlSpec(key="reports", parallelism=1)
    flows.order.trigger(workflow_run_id="limited", flow_control=limit)
    flows.order.trigger(workflow_run_id="later", delay="1h")
    flows.order.trigger(workflow_run_id="queued")
    clock.advance("2s")

    assert rows(admin_client.get(URL)) == [
        "queued admin-order queued 12:00:00 2 s ago 2 s for a free worker -",
        "delayed admin-order later 12:00:00 2 s ago 2 s starts in 59 min 58 s -",
        "queued admin-order limited 12:00:00 2 s ago 2 s for a slot of reports -",
        "at work admin-nap leased 12:00:00 2 s ago 2 s at its first step -",
    ]


def test_a_run_at_work_on_a_step_that_lasts_names_it(admin_client: Client, clock: Clock):
    flows.nap.trigger(workflow_run_id="busy")
    (lease,) = leases.claim(1)
    at = StepInFlight(key="undress", since=clock.now)
    leases.renew([lease], {lease.message_id: at})
    clock.advance("5s")

    assert rows(admin_client.get(URL)) == [
        "at work admin-nap busy 12:00:00 5 s ago 5 s at undress for 5 s -"
    ]


def test_a_run_whose_worker_died_waits_to_be_taken_over(
    admin_client: Client, sleeping_run: Run, clock: Clock
):
    clock.advance("8h")
    leases.claim(1)
    assert "at work" in rows(admin_client.get(URL))[0]
    assert "after night" in rows(admin_client.get(URL))[0]

    clock.advance("1m")

    assert rows(admin_client.get(URL)) == [
        "queued admin-nap nap-1 12:00:00 8 h ago 8 h 1 min"
        " its worker has gone; the next free one takes over -"
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=failed", ["card-5"]),
        ("status=live", ["nap-1"]),
        ("status=waiting", ["nap-1"]),
        ("status=paused", []),
        ("status=nonsense", ["nap-1", "card-5"]),
        ("status=canceled", []),
        ("workflow=admin-nap", ["nap-1"]),
        ("workflow=-", []),
        ("started=1h", ["nap-1", "card-5"]),
        ("q=card-5", ["card-5"]),
        ("q=car", ["card-5"]),
        ("q=shop", ["card-5"]),
        ("q=ard-5", []),
        ("q=%25", []),
        ("label=card", ["card-5"]),
        ("label=card&status=live", []),
        ("label=card&status=failed&workflow=admin-charge", ["card-5"]),
        ("label=car", []),
        ("source=python", ["nap-1", "card-5"]),
        ("source=schedule", []),
        ("source=python&status=waiting", ["nap-1"]),
        ("from=2030-01-02T12:00:30", ["nap-1"]),
        ("to=2030-01-02T12:00:30", ["card-5"]),
        ("from=2030-01-03", []),
        ("to=2030-01-01&label=card", []),
        ("from=nonsense", ["nap-1", "card-5"]),
        ("flow_control=1", []),
        ("version=0&workflow=admin-nap", []),
        ("version=nonsense", ["nap-1", "card-5"]),
        ("before=nonsense", ["nap-1", "card-5"]),
    ],
)
def test_runs_are_found_by_what_they_are_and_when_they_began(
    admin_client: Client, failed_run: Run, sleeping_run: Run, query: str, found: list[str]
):
    listed = rows(admin_client.get(f"{URL}?{query}"))

    assert [run_id for row in listed for run_id in ("card-5", "nap-1") if run_id in row] == found
    assert len(listed) == len(found)


def test_runs_of_the_last_hour_are_told_from_older_ones(
    admin_client: Client, sleeping_run: Run, clock: Clock
):
    clock.advance("61m")

    assert rows(admin_client.get(f"{URL}?started=1h")) == []
    assert len(rows(admin_client.get(f"{URL}?started=24h"))) == 1


def test_a_run_id_that_is_also_the_beginning_of_another_finds_only_itself(admin_client: Client):
    flows.order.run(workflow_run_id="order-1")
    flows.order.run(workflow_run_id="order-10")

    assert len(rows(admin_client.get(f"{URL}?q=order-1"))) == 1
    assert len(rows(admin_client.get(f"{URL}?q=order-"))) == 2


def test_the_workflow_filter_offers_what_is_registered(admin_client: Client):
    page = read(admin_client.get(URL), root="changelist-filter")

    assert "admin-charge" in page
    assert "other URLs" in page


def test_without_runs_the_page_says_how_to_start_one(admin_client: Client):
    assert read(admin_client.get(URL), root="changelist-form") == (
        "There are no runs yet. Start one from Python:\n"
        "from workflows_app import get_workflow\n"
        'get_workflow("…").trigger({"hello": "world"})\n'
        "Start one from a form\n"
        "0 runs"
    )


def test_the_number_of_queries_does_not_grow_with_the_runs(
    admin_client: Client, django_assert_num_queries, django_assert_max_num_queries, clock: Clock
):
    def load() -> None:
        for kind in (flows.order, flows.nap, flows.charge, flows.ask):
            kind.trigger(labels=["a", "b"])
        drain_here()

    load()
    with django_assert_max_num_queries(14) as few:
        admin_client.get(URL)
    for _ in range(5):
        load()

    with django_assert_num_queries(len(few)):
        admin_client.get(URL)


@pytest.fixture
def ten_runs(db: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Newest first, every other one with a label, of which a page has four."""
    monkeypatch.setattr(run_pages, "SIZES", (4, 8))
    for number in range(10):
        flows.nap.trigger(workflow_run_id=f"n{number}", labels=["even"] if number % 2 == 0 else [])
    return [f"n{number}" for number in range(9, -1, -1)]


def listed(page: Any) -> list[str]:
    return [row.split()[2] for row in rows(page)]


def follow(client: Client, page: Any, rel: str) -> Any:
    link = re.search(rf'<a href="([^"]+)" rel="{rel}"', page.content.decode())
    assert link is not None, rel
    return client.get(URL + html.unescape(link[1]))


@pytest.mark.parametrize("query", ["", "?status=live&workflow=admin-nap&source=python"])
def test_pages_are_turned_to_the_oldest_run_and_back(
    admin_client: Client, ten_runs: list[str], query: str
):
    first = admin_client.get(URL + query)
    second = follow(admin_client, first, "next")
    third = follow(admin_client, second, "next")

    pages = [listed(page) for page in (first, second, third)]
    assert pages == [ten_runs[:4], ten_runs[4:8], ten_runs[8:]]
    assert 'rel="next"' not in third.content.decode()
    back = follow(admin_client, third, "prev")
    assert listed(back) == ten_runs[4:8]
    first = follow(admin_client, back, "prev")
    assert listed(first) == ten_runs[:4]
    assert 'rel="prev"' not in first.content.decode()


def test_runs_that_come_meanwhile_do_not_move_the_pages(admin_client: Client, ten_runs: list[str]):
    page = admin_client.get(URL)
    flows.nap.trigger(workflow_run_id="new")

    assert listed(follow(admin_client, page, "next")) == ten_runs[4:8]


def test_a_page_may_be_longer(admin_client: Client, ten_runs: list[str]):
    assert listed(admin_client.get(f"{URL}?per=8")) == ten_runs[:8]
    assert listed(admin_client.get(f"{URL}?per=5")) == ten_runs[:4]


def test_a_search_among_much_goes_on_where_it_stopped(
    admin_client: Client, ten_runs: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_pages, "LOOKED_AT", 3)

    page = admin_client.get(f"{URL}?label=even&status=live")

    assert listed(page) == ["n8", "n6", "n4"]
    assert "found among 3 runs. There may be more" in read(page)
    assert listed(follow(admin_client, page, "next")) == ["n2", "n0"]


def test_where_there_are_several_accounts_all_their_runs_are_listed(
    admin_client: Client, ten_runs: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_pages, "LOOKED_AT", 6)
    other = Account.objects.create(name="other")
    Run.objects.filter(run_id__in=["n7", "n2"]).update(account=other)

    page = admin_client.get(f"{URL}?workflow=admin-nap&status=live")

    assert listed(page) == ten_runs[:4]
    assert listed(follow(admin_client, page, "next")) == ten_runs[4:8]
    narrowed = admin_client.get(f"{URL}?workflow=admin-nap&account__id__exact={other.pk}")
    assert listed(narrowed) == ["n7", "n2"]


def test_an_action_on_all_that_match_goes_beyond_the_page(
    admin_client: Client, ten_runs: list[str]
):
    page = act(
        admin_client,
        "cancel",
        Run.objects.get(run_id="n8"),
        query="label=even",
        select_across="1",
        confirmed="yes",
    )

    assert messages(page) == ["5 cancelled"]


# -- actions


def act(client: Client, verb: str, *runs: Run, query: str = "", **more: str):
    """Choose the action for the runs, and confirm it."""
    chosen = {"action": verb, "_selected_action": [str(run.pk) for run in runs], **more}
    return client.post(f"{URL}?{query}", chosen, follow=True)


def test_an_action_asks_first_and_says_what_it_is_about(
    admin_client: Client, failed_run: Run, sleeping_run: Run
):
    page = act(admin_client, "cancel", sleeping_run, failed_run)

    assert read(page) == (
        "Cancel?\n"
        "The run ends now. A step at work may still finish, but its result is dropped.\n"
        "2 runs:\n"
        "admin-nap nap-1\n"
        "admin-charge card-5\n"
        "No, take me back"
    )
    sleeping_run.refresh_from_db()
    assert sleeping_run.status == "running"


def test_cancelling_counts_what_was_done_and_what_was_refused(
    admin_client: Client, failed_run: Run, sleeping_run: Run
):
    flows.nap.trigger(workflow_run_id="nap-2")
    naps = list(Run.objects.filter(workflow="admin-nap"))

    page = act(admin_client, "cancel", failed_run, *naps, confirmed="yes")

    assert messages(page) == ["2 cancelled, 1 refused: already ended"]
    assert [run.status for run in Run.objects.order_by("id")] == ["failed", "canceled", "canceled"]
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("resume", "1 resumed, 1 refused: not in the dead letter queue"),
        ("restart", "2 restarted"),
    ],
)
def test_failed_runs_are_resumed_and_any_are_restarted(
    admin_client: Client, failed_run: Run, sleeping_run: Run, verb: str, told: str
):
    page = act(admin_client, verb, failed_run, sleeping_run, confirmed="yes")

    assert messages(page) == [told]
    assert failed_run.successors.get().status == "running"


def test_sleeping_runs_are_woken(admin_client: Client, sleeping_run: Run):
    page = act(admin_client, "wake", sleeping_run, confirmed="yes")

    assert messages(page) == ["1 woken"]
    drain_here()
    sleeping_run.refresh_from_db()
    assert (sleeping_run.status, sleeping_run.result) == ("succeeded", '"rested"')


def test_runs_are_paused_and_with_failed_ones_resumed(
    admin_client: Client, failed_run: Run, sleeping_run: Run
):
    page = act(admin_client, "pause", failed_run, sleeping_run, confirmed="yes")

    assert messages(page) == ["1 paused, 1 refused: already ended"]
    assert [row.split()[:3] for row in rows(admin_client.get(f"{URL}?status=paused"))] == [
        ["paused", "admin-nap", "nap-1"]
    ]
    page = act(admin_client, "resume", failed_run, sleeping_run, confirmed="yes")
    assert messages(page) == ["2 resumed"]


def test_an_action_on_all_of_a_filter_touches_nothing_else(
    admin_client: Client, failed_run: Run, sleeping_run: Run
):
    flows.order.trigger(workflow_run_id="other")
    every = {"select_across": "1", "query": "workflow=admin-nap"}

    asked = act(admin_client, "cancel", sleeping_run, **every)
    page = act(admin_client, "cancel", sleeping_run, query="workflow=admin-nap", confirmed="yes")

    assert "1 run:" in read(asked)
    assert messages(page) == ["1 cancelled"]
    assert run_moves.find_run(sleeping_run.account, "other").is_live


@pytest.mark.parametrize(
    "asked",
    [
        *(f"{name}={digits}" for name in ("version", "flow_control") for digits in ("9" * 30, "²")),
        f"version={'9' * 5000}",
        *("from=0001-01-01", "to=9999-12-31T23:59", "from=0001-01-01T00:00%2B14:00"),
        *("workflow=%00", "label=%00", "q=%00", "before=-1", "per=%D9%A3"),
    ],
)
def test_an_address_that_makes_no_sense_is_no_error(
    admin_client: Client, sleeping_run: Run, asked: str
):
    answer = admin_client.get(f"/admin/workflows_app/run/?{asked}", follow=True)

    assert answer.status_code == 200
