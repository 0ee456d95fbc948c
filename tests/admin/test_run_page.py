"""The page of one run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from tests.admin import flows
from tests.admin.conftest import deleted_when_asked_for, run_called
from tests.admin.pages import NO_SUCH_RUN, messages, read, rows, shows
from tests.conftest import Clock
from tests.shells import registry
from workflows_app import Context, FlowControlSpec, Workflow, workflow
from workflows_app.admin import run_steps, values
from workflows_app.engine import leases
from workflows_app.engine.dead_letters import resume
from workflows_app.engine.delivery import deliver
from workflows_app.engine.drain import drain_here
from workflows_app.models import Attempt, DeadLetter, Message, Run, Step

__all__ = ["registry"]


def url(run: Run) -> str:
    return f"/admin/workflows_app/run/{run.pk}/change/"


def page_of(client: Client, run: Run, query: str = "") -> str:
    return read(client.get(url(run) + query))


def test_a_run_that_succeeded_shows_its_payload_result_and_steps(
    admin_client: Client, clock: Clock
):
    flows.order.trigger(
        {"cart": 5},
        workflow_run_id="order-1",
        headers={"X-Trace": "abc"},
        labels=["shop"],
        retries=2,
        retry_delay="1000",
        timeout="30s",
        failure_url="https://alerts.example/",
        flow_control=FlowControlSpec(key="shop", rate=5),
    )
    drain_here()
    clock.advance("3h")

    assert page_of(admin_client, run_called("order-1")) == "\n".join(
        [
            "admin-order",
            "History",
            "succeeded order-1 shop",
            "took 0 s",
            "Restart…\nFork…\nDelete…",
            "URL",
            "http://127.0.0.1:8000/serve/admin-order",
            "Started",
            "12:00:00 3 h ago",
            "Ended",
            "12:00:00 3 h ago",
            "Triggered by",
            "Python",
            "Account",
            "default",
            "Version",
            "order of 2030-01-02 12:00",
            "Retries",
            "2, delayed by 1000 ms",
            "Step timeout",
            "30 s",
            "Flow control",
            "shop",
            "Failure URL",
            "https://alerts.example/",
            "Timeline\nqueued\nrunning\nwaiting\nfailed attempt\nrun that it invoked\n+",
            "2 steps in 0 s. The bars show what the table of steps tells.",
            "create 0 s",
            "confirm 0 s",
            "Graph\n✓ done",
            "The graph as a list\ncreate: 3 retries: done\nconfirm: 3 retries: done",
            "Payload",
            '{\n"cart": 5\n}',
            "Headers",
            '{\n"X-Trace": "abc"\n}',
            "Result",
            '{\n"order": 7\n}',
            "Steps 2",
            "Step Kind Started Took Attempts Result",
            "create run +0 s 0 s 1 7",
            "Key\ncreate",
            "Input\n[\n7\n]",
            "Result\n7",
            "Restart from here… Fork from here…",
            "confirm run +0 s 0 s 1 7",
            "Key\nconfirm",
            "Input\n[\n7\n]",
            "Result\n7",
            "Restart from here… Fork from here…",
        ]
    )


def test_a_failed_run_shows_its_error_and_each_failed_attempt_under_its_step(
    admin_client: Client, failed_run: Run, dead_letter: DeadLetter
):
    assert page_of(admin_client, failed_run) == "\n".join(
        [
            "admin-charge",
            "History",
            "failed card-5 shop card",
            "at charge-card: ConnectionError took 1 min",
            "Resume…\nRestart…\nFork…\nDelete…",
            "URL\nhttp://127.0.0.1:8000/serve/admin-charge",
            "Started\n12:00:00 1 min ago",
            "Ended\n12:01:00 just now",
            "Triggered by\nPython",
            "Account\ndefault",
            "Version\ncharge of 2030-01-02 12:00",
            "Retries\n1, delayed by 60000 ms",
            f"Dead letter\n{dead_letter.public_id}",
            "Error at step charge-card",
            "ConnectionError <b>no funds</b>",
            "Traceback\nConnectionError: <b>no funds</b>",
            "Timeline\nqueued\nrunning\nwaiting\nfailed attempt\nrun that it invoked\n+",
            "2 steps in 1 min. The bars show what the table of steps tells.",
            "load-cart 0 s",
            "charge-card ✕ 1 min",
            "Graph\n✓ done ✗ failed",
            "The graph as a list\nload-cart: 1 retry: done\ncharge-card: 1 retry: failed",
            'Payload\n{\n"cart": 5\n}',
            "Steps 2",
            "Step Kind Started Took Attempts Result",
            'load-cart run +0 s 0 s 1 ["teapot"]',
            "Key\nload-cart",
            'Input\n[\n[\n"teapot"\n]\n]',
            'Result\n[\n"teapot"\n]',
            "Restart from here… Fork from here…",
            "charge-card run +1 min 0 s 2 ConnectionError",
            "Key\ncharge-card",
            'Input\n[\n"<b>no funds</b>"\n]',
            "Failed attempts",
            "Attempt 1 failed at 12:00:00, after 0 s · retry due at 12:01:00",
            "ConnectionError <b>no funds</b>",
            "Traceback\nConnectionError: <b>no funds</b>",
            "Attempt 2 failed at 12:01:00, after 0 s",
            "ConnectionError <b>no funds</b>",
            "Traceback\nConnectionError: <b>no funds</b>",
            "Restart from here… Fork from here…",
        ]
    )


def test_a_sleeping_run_says_when_it_wakes_and_what_is_owed(
    admin_client: Client, sleeping_run: Run, clock: Clock
):
    clock.advance("1h")

    page = page_of(admin_client, sleeping_run)

    assert "asleep nap-1\nin night wakes in 7 h started 1 h ago" in page
    assert "Cancel…\nCancel and roll back…\nRun now…\nPause…\nRestart…" in page
    assert "night sleep +0 s 1 h 1 ends in 7 h, at 20:00:00" in page
    assert ("Owed work\nWork Step Due Lease Claims\ngo on with the function in 7 h free 1") in page


def test_a_step_to_be_tried_again_is_shown_as_not_finished(admin_client: Client, clock: Clock):
    flows.charge.trigger(workflow_run_id="card-1")
    drain_here()
    clock.advance("10s")

    page = page_of(admin_client, run_called("card-1"))

    assert "retrying card-1\ncharge-card next attempt in 50 s started 10 s ago" in page
    assert (
        "Not finished\n"
        "charge-card to be tried again\n"
        "Attempt 1 failed at 12:00:00, after 0 s · next attempt in 50 s, at 12:01:00\n"
        "ConnectionError <b>no funds</b>\n"
        "Traceback\nConnectionError: <b>no funds</b>"
    ) in page


def test_a_call_under_way_is_shown_as_not_finished(admin_client: Client):
    flows.ask.trigger(workflow_run_id="ask-1")
    drain_here(limit=1)
    leases.claim(1)

    page = page_of(admin_client, run_called("ask-1"))

    assert "Not finished\nask-registry call under way" in page
    assert (
        "go on with the function when it is woken free 1\n"
        "send an HTTP call ask-registry being delivered held for another 15 s 1"
    ) in page


def test_a_run_and_those_that_it_invoked_lead_to_each_other(admin_client: Client):
    flows.invoke.trigger(workflow_run_id="invoke-1")
    drain_here()
    parent, echo = run_called("invoke-1"), Run.objects.get(workflow="admin-echo")

    page = admin_client.get(url(parent))
    assert f"Run\n{echo.run_id}" in read(page)
    assert url(echo) in page.content.decode()
    assert "Not finished\nrest waits for the end of nap-1" in read(page)
    assert url(run_called("nap-1")) in page.content.decode()
    invoked = admin_client.get(url(echo))
    assert "Invoked by\ninvoke-1" in read(invoked)
    assert url(parent) in invoked.content.decode()


def test_what_has_lost_a_race_is_shown_as_cancelled(admin_client: Client, clock: Clock):
    flows.race.trigger(workflow_run_id="race-1")
    claimed = leases.claim(1)
    deliver(claimed[0])
    Message.objects.filter(kind="call").update(due_at=clock.now + timedelta(days=1))
    clock.advance("1h")
    drain_here()
    clock.advance("1h")

    page = page_of(admin_client, run_called("race-1"))

    lost = "cancelled: another branch was first"
    assert "asleep race-1\nin later wakes in 23 h started 2 h ago" in page
    assert f"month 5 sleep +0 s 1 h 1 {lost}" in page
    assert "hour 6 sleep +0 s 1 h 1" in page
    assert f"approval 1 wait +0 s 1 h 1 {lost}" in page
    assert f"ask-registry 2 call +0 s 1 h 1 {lost}" in page
    assert f"rest 3 invoke +0 s 1 h 1 {lost}" in page
    assert f"charge-card 4 run +0 s 1 h 1 {lost}" in page
    assert 'race race +0 s 1 h 1 {"winner":"6"}' in page
    assert "later sleep +1 h 1 h 1 ends in 23 h" in page
    assert "Not finished" not in page
    assert "ConnectionError" in page


def test_a_run_that_waits_for_another_says_so(admin_client: Client):
    flows.invoke.trigger(workflow_run_id="invoke-1")
    drain_here()

    (row,) = rows(admin_client.get("/admin/workflows_app/run/?q=invoke-1"))
    assert row.startswith("waiting")
    assert "for run nap-1" in row


def test_parallel_steps_name_their_branches(admin_client: Client):
    flows.branches.run(workflow_run_id="branches-1")

    page = page_of(admin_client, run_called("branches-1"))

    assert "branch-0 1 run" in page
    assert "Key\nbranch-2@3" in page


def test_a_function_that_raised_between_its_steps_shows_its_attempts_and_its_callbacks(
    admin_client: Client,
):
    flows.alarm.trigger(workflow_run_id="alarm-1")
    drain_here()

    page = page_of(admin_client, run_called("alarm-1"))

    assert "Error\nKeyError 'pager'\nTraceback\nKeyError: 'pager'" in page
    assert (
        "Failed attempts of the function, between its steps\n"
        "Attempt 1 failed at 12:00:00, after 0 s\n"
        "KeyError 'pager'\n"
        "Traceback\nKeyError: 'pager'"
    ) in page
    assert "No step has finished." in page
    assert (
        "Failed attempts of the failure callback\n"
        "Attempt 1 failed at 12:00:00, after 0 s\n"
        "RuntimeError nobody answers\n"
        "Traceback\nRuntimeError: nobody answers"
    ) in page


def test_an_error_that_wraps_a_step_s_failure_is_shown_as_it_was_raised(admin_client: Client):
    flows.wrap.trigger(workflow_run_id="wrap-1")
    drain_here()

    page = page_of(admin_client, run_called("wrap-1"))

    assert (
        "Error at step charge-card\n"
        "ValueError the order cannot be paid\n"
        "Traceback\nValueError: the order cannot be paid"
    ) in page


def test_an_attempt_that_was_overtaken_is_shown_as_superseded(
    admin_client: Client, failed_run: Run
):
    Attempt.objects.filter(run=failed_run, number=1).update(outcome=Attempt.Outcome.SUPERSEDED)

    assert "Attempt 1 superseded at 12:00:00" in page_of(admin_client, failed_run)


def test_a_run_that_begins_anew_and_the_new_one_lead_to_each_other(
    admin_client: Client, registry: dict[str, Workflow]
):
    @workflow("countdown")
    def countdown(context: Context):
        if context.request_payload:
            context.continue_as_new(context.request_payload - 1)

    countdown.trigger(1, workflow_run_id="launch")
    drain_here()
    old, new = Run.objects.filter(run_id="launch").order_by("pk")

    old_page, new_page = page_of(admin_client, old), page_of(admin_client, new)

    assert "Continued as new\nlaunch" in old_page
    assert "Continued from\nlaunch" in new_page


def test_a_resumed_run_and_its_successor_lead_to_each_other(
    admin_client: Client, failed_run: Run, dead_letter: DeadLetter, clock: Clock
):
    clock.advance("1m")
    new = resume(dead_letter)

    old_page, new_page = page_of(admin_client, failed_run), page_of(admin_client, new)

    assert f"Goes on as\n{new.run_id}" in old_page
    assert "Dead letter" not in old_page
    assert "Goes on from\ncard-5" in new_page
    assert 'load-cart kept run 12:00:00 0 s 1 ["teapot"]' in new_page
    assert shows(admin_client.get(url(new)), f"{failed_run.pk}/change/")


# -- values


def echoed(payload: Any) -> tuple[Run, Step]:
    result = flows.echo.run(payload)
    run = run_called(result.workflow_run_id)
    return run, Step.objects.get(run=run)


def test_values_are_never_markup(admin_client: Client):
    run, _ = echoed({"<script>alert(1)</script>": "</pre><img src=x>"})

    content = admin_client.get(url(run)).content.decode()

    assert "alert(1)" in content
    assert "<script>alert" not in content
    assert "<img src=x" not in content


def test_a_large_value_is_cut_and_linked(admin_client: Client):
    run, step = echoed(["x" * 100_000])
    whole = f"/admin/workflows_app/run/{run.pk}/steps/{step.pk}/result/"

    page = admin_client.get(url(run))

    assert len(page.content) < 60_000
    assert shows(page, whole)
    assert shows(page, f"/admin/workflows_app/run/{run.pk}/value/payload/")
    answer = admin_client.get(whole)
    assert answer.content == json.dumps(["x" * 100_000]).encode()
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_the_whole_of_payload_result_and_input_can_be_read(admin_client: Client):
    run, step = echoed({"a": 1})
    base = f"/admin/workflows_app/run/{run.pk}"

    wholes = {
        place: admin_client.get(f"{base}/{place}/").content
        for place in ("value/payload", "value/result", f"steps/{step.pk}/input")
    }

    assert wholes == {
        "value/payload": b'{"a":1}',
        "value/result": b'{"a":1}',
        f"steps/{step.pk}/input": b'[{"a":1}]',
    }


def test_bytes_that_are_no_text_are_a_file(admin_client: Client):
    flows.order.run(b"\xff\x00\xfe", workflow_run_id="raw")
    run = run_called("raw")

    page = page_of(admin_client, run)
    answer = admin_client.get(f"/admin/workflows_app/run/{run.pk}/value/payload/")

    assert "Payload\nbinary Download, 3 bytes" in page
    assert answer.content == b"\xff\x00\xfe"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == 'attachment; filename="value.bin"'


def test_a_result_that_is_bytes_is_told_by_its_size_and_can_be_downloaded(admin_client: Client):
    flows.draw.run(workflow_run_id="drawn")
    run = run_called("drawn")
    step = run.steps.get()

    page = page_of(admin_client, run)
    answers = [
        admin_client.get(f"/admin/workflows_app/run/{run.pk}/{place}/")
        for place in ("value/result", f"steps/{step.pk}/result")
    ]

    told = page.replace("\xa0", " ")
    assert told.count("Result\n11.7 KB of bytes Download, 11.7 KB") == 2
    assert "$bytes" not in page
    assert [answer.content for answer in answers] == [bytes(12_000)] * 2
    assert {answer["Content-Type"] for answer in answers} == {"application/octet-stream"}


@pytest.mark.parametrize("place", ["value/error", "value/headers", "steps/0/result", "steps/0/key"])
def test_what_is_no_value_is_not_found(admin_client: Client, sleeping_run: Run, place: str):
    answer = admin_client.get(f"/admin/workflows_app/run/{sleeping_run.pk}/{place}/")

    assert answer.status_code == 404


def test_a_step_of_another_run_is_not_found_under_this_one(admin_client: Client, sleeping_run: Run):
    _, step = echoed(1)

    answer = admin_client.get(f"/admin/workflows_app/run/{sleeping_run.pk}/steps/{step.pk}/result/")

    assert answer.status_code == 404


def test_credentials_in_headers_are_not_shown(admin_client: Client):
    flows.order.run(headers={"Authorization": "Bearer hush", "X-Trace": "abc"}, workflow_run_id="a")
    flows.ask.trigger(headers={"Cookie": "session=hush"}, workflow_run_id="b")
    drain_here(limit=1)

    for name in ("a", "b"):
        content = admin_client.get(url(run_called(name))).content.decode()
        assert "hush" not in content
        assert "top-secret" not in content
        assert values.MASK in content


def test_numbers_of_the_page_do_not_follow_the_language(
    admin_client: Client, settings, clock: Clock
):
    settings.LANGUAGE_CODE, settings.USE_I18N = "de", True
    settings.USE_THOUSAND_SEPARATOR = True
    flows.nap.trigger(workflow_run_id="nap-1")
    drain_here()
    clock.advance("8h")
    drain_here()

    page = admin_client.get(url(run_called("nap-1"))).content.decode()

    places = re.findall(r'<rect class="wf-doing-\w+" (x="[^"]+" width="[^"]+" y="\d+")', page)
    assert places == [
        'x="0.000%" width="0.300%" y="28"',
        'x="0.000%" width="100.000%" y="50"',
    ]


# -- the part that changes


def test_the_part_that_changes_is_to_be_had_alone_and_is_what_the_page_shows(
    admin_client: Client, sleeping_run: Run
):
    page = admin_client.get(url(sleeping_run))

    part = admin_client.get(f"/admin/workflows_app/run/{sleeping_run.pk}/fragment/")

    assert part.content.decode().strip() in page.content.decode()


def test_the_part_that_changes_is_for_those_who_may_see_the_run(
    client_with: Callable[..., Client], sleeping_run: Run
):
    client = client_with("view_deadletter")

    assert client.get(f"/admin/workflows_app/run/{sleeping_run.pk}/fragment/").status_code == 403


def test_a_run_that_is_deleted_while_its_page_is_read_is_not_found(
    admin_client: Client, sleeping_run: Run
):
    with deleted_when_asked_for(Step._meta.db_table, sleeping_run):
        page = admin_client.get(url(sleeping_run))

    assert page["Location"] == "/admin/"


def test_nor_is_the_part_that_changes_of_such_a_run(admin_client: Client, sleeping_run: Run):
    with deleted_when_asked_for(Step._meta.db_table, sleeping_run):
        part = admin_client.get(f"/admin/workflows_app/run/{sleeping_run.pk}/fragment/")

    assert part.status_code == 404


def test_the_part_that_changes_of_no_run_is_not_found(admin_client: Client):
    assert admin_client.get("/admin/workflows_app/run/404/fragment/").status_code == 404


# -- many steps


def test_a_long_run_is_shown_in_pages_or_as_a_whole(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_steps, "PER_PAGE", 10)
    flows.many.run(25, workflow_run_id="many")
    run = run_called("many")

    def steps(query: str) -> tuple[int, str]:
        page = page_of(admin_client, run, query)
        lines = page.split("\n")
        return sum(line.startswith("step-") and " run " in line for line in lines), next(
            line for line in lines if " of 25" in line
        )

    assert steps("") == (10, "1 to 10 of 25: 1 2 3 show all")
    assert steps("?steps=3") == (5, "21 to 25 of 25: 1 2 3 show all")
    assert steps("?steps=99") == (5, "21 to 25 of 25: 1 2 3 show all")
    assert steps("?steps=-1") == (10, "1 to 10 of 25: 1 2 3 show all")
    assert steps("?steps=" + "9" * 5000) == (10, "1 to 10 of 25: 1 2 3 show all")
    assert steps("?steps=all") == (25, "All of 25: 1 2 3 all")


def test_a_failed_step_on_a_later_page_is_explained_at_the_top(
    admin_client: Client, failed_run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_steps, "PER_PAGE", 1)

    page = page_of(admin_client, failed_run)

    assert "charge-card run" not in page
    assert "Error at step charge-card\nConnectionError <b>no funds</b>" in page


def test_the_number_of_queries_does_not_grow_with_the_steps(
    admin_client: Client, django_assert_num_queries, django_assert_max_num_queries
):
    flows.many.run(5, workflow_run_id="short")
    flows.many.run(150, workflow_run_id="long")
    admin_client.get(url(run_called("short")))
    with django_assert_max_num_queries(28) as few:
        admin_client.get(url(run_called("short")))

    with django_assert_num_queries(len(few)):
        admin_client.get(url(run_called("long")))


def test_a_run_that_is_gone_leads_back_to_the_index(admin_client: Client):
    page = admin_client.get("/admin/workflows_app/run/404/change/", follow=True)

    assert messages(page) == [NO_SUCH_RUN]


def test_what_was_undone_is_shown_as_steps_and_what_could_not_be_in_the_error(
    admin_client: Client, db: None
) -> None:
    flows.undo.trigger(workflow_run_id="undo")
    drain_here()

    page = read(admin_client.get(url(run_called("undo"))))

    said, _, steps = page.partition("Steps")
    assert 'no such guest; not undone: step "charge": ConnectionError: the bank is closed' in said
    for name in ("rollback", "undo charge", "undo reserve"):
        assert name in steps
