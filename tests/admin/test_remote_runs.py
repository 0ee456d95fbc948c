"""Runs whose function lives elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from tests.admin.pages import read, rows
from tests.conftest import Clock
from tests.rest.conftest import Endpoint
from tests.rest.remote_runs import RemoteRun
from workflows_app.admin import remote_steps, run_steps
from workflows_app.engine import events, leases
from workflows_app.engine.drain import drain_here
from workflows_app.models import Step
from workflows_app.protocol.redaction import redacted
from workflows_app.protocol.runs import FlowControlSpec, RunRequest

CHILD = RunRequest(url="https://app.example/child", run_id="child")


@pytest.fixture
def run(db: None, clock: Clock, endpoint: Endpoint) -> RemoteRun:
    return RemoteRun.start(endpoint, retries=1)


def page_of(client: Client, run: RemoteRun, query: str = "") -> str:
    return read(client.get(f"/admin/workflows_app/run/{run.row.pk}/change/{query}"))


def steps_of(client: Client, run: RemoteRun) -> str:
    page = page_of(client, run).partition("\nSteps ")[2].partition("\nOwed work")[0]
    return page.partition("Attempts Result\n")[2]


# -- steps


def test_a_step_shows_its_result(admin_client: Client, run: RemoteRun, clock: Clock):
    run.publish(1, "one", out="[1]")

    assert steps_of(admin_client, run) == "one run +0 s 0 s 1 [1]\nKey\n1\nResult\n[\n1\n]"


def test_a_plan_and_its_result_are_one_step_that_lasted_from_one_to_the_other(
    admin_client: Client, run: RemoteRun, clock: Clock
):
    clock.advance("1s")
    run.plan(1, "left", "Run", of=2)
    run.plan(2, "right", "Run", of=2)
    clock.advance("2s")
    run.publish(1, "left", out="1", concurrent=2)
    clock.advance("1s")

    assert steps_of(admin_client, run) == "\n".join(
        [
            "left parallel run +1 s 2 s 1 1",
            "Key\n1",
            "When\nplanned +1 s, result +3 s",
            "Result\n1",
            "right parallel run +1 s 3 s 1 at work, or about to be",
            "Key\n2",
        ]
    )


def test_a_call_is_one_step_with_its_request_its_answer_and_its_result(
    admin_client: Client, run: RemoteRun, clock: Clock
):
    drain_here()
    clock.advance("1s")
    run.call(1, "ask", "https://api.example/x")
    assert "ask call +1 s 0 s 1 call under way" in steps_of(admin_client, run)

    clock.advance("2s")
    run.endpoint.answers_with(200, b'"hi"', Server=["x"])
    drain_here(limit=1)
    asked = (
        'Input\n{\n"url": "https://api.example/x",\n"method": "POST",\n"headers": {\n'
        '"Authorization": "••••••"\n},\n"retries": 0,\n"body": "{\\"q\\":1}"\n}'
    )
    assert steps_of(admin_client, run) == "\n".join(
        [
            "ask call +1 s 2 s 1 answered; the endpoint is being told",
            "Key\n1",
            "When\nrequest +1 s, answer +3 s",
            asked,
            'Answer\n{\n"status": 200,\n"headers": {\n"Server": [\n"x"\n]\n},\n'
            '"body": "\\"hi\\""\n}',
        ]
    )

    clock.advance("1s")
    run.publish(1, "ask", "Call", out='{"status":200}')
    assert steps_of(admin_client, run) == "\n".join(
        [
            'ask call +1 s 3 s 1 {"status":200}',
            "Key\n1",
            "When\nrequest +1 s, answer +3 s, result +4 s",
            asked,
            'Result\n{\n"status": 200\n}',
        ]
    )


def test_a_wait_shows_its_deadline_and_then_its_event(
    admin_client: Client, run: RemoteRun, clock: Clock
):
    run.wait(1, "approval", "approved")
    assert steps_of(admin_client, run) == (
        "approval wait +0 s 0 s 1 waits for event approved, until 12:00:20, in 20 s\n"
        'Key\n1\nInput\n{\n"event": "approved"\n}'
    )

    clock.advance("5s")
    events.notify(run.account, "approved", b'{"by":"ada"}')
    assert steps_of(admin_client, run) == (
        'approval wait +0 s 5 s 1 {"by":"ada"}\nKey\n1\n'
        "When\nbegan to wait +0 s, result +5 s\n"
        'Input\n{\n"waitEventId": "approved"\n}\nResult\n{\n"by": "ada"\n}'
    )


def test_a_wait_that_was_canceled_still_says_what_for(
    admin_client: Client, run: RemoteRun, clock: Clock
):
    run.wait(1, "approval", "approved")
    clock.advance("5s")
    run.cancel()

    assert steps_of(admin_client, run) == (
        'approval wait +0 s 5 s 1 never finished\nKey\n1\nInput\n{\n"event": "approved"\n}'
    )


def test_an_invocation_leads_to_its_run_and_that_to_its_invoker(
    admin_client: Client, run: RemoteRun
):
    child = run.invoke(1, "child", CHILD)

    page = admin_client.get(f"/admin/workflows_app/run/{run.row.pk}/change/")
    assert "child invoke +0 s 0 s 1 waits for run child\nKey\n1\nRun\nchild" in read(page)
    assert f"/admin/workflows_app/run/{child.pk}/change/" in page.content.decode()
    invoked = admin_client.get(f"/admin/workflows_app/run/{child.pk}/change/")
    assert "Invoked by\nrun" in read(invoked)
    assert f"/admin/workflows_app/run/{run.row.pk}/change/" in invoked.content.decode()


def test_a_sleep_says_when_it_ends(admin_client: Client, run: RemoteRun, clock: Clock):
    run.publish(1, "nap", "SleepFor", delay="60", sleepFor=60)
    clock.advance("15s")

    assert "nap sleep +0 s 15 s 1 ends in 45 s, at 12:01:00" in steps_of(admin_client, run)

    run.cancel()
    assert "nap sleep +0 s 15 s 1 was to end at 12:01:00" in steps_of(admin_client, run)


def test_what_was_never_finished_says_so(admin_client: Client, run: RemoteRun):
    run.plan(1, "left", "Run", of=2)
    run.cancel()

    assert "left parallel run +0 s 0 s 1 never finished" in steps_of(admin_client, run)


def test_what_only_its_sdk_understands_is_shown_as_it_came(admin_client: Client, run: RemoteRun):
    run.publish(1, "one", "Telepathy", out='"hello"')

    assert steps_of(admin_client, run) == 'one other +0 s 0 s 1 "hello"\nKey\n1\nResult\n"hello"'


def test_what_is_no_step_is_shown_all_the_same(admin_client: Client, run: RemoteRun):
    run.publish_raw(b"hello")

    assert steps_of(admin_client, run) == "(unknown) other +0 s 0 s 1\nKey\n-"


@pytest.mark.parametrize("out", ["not base64!", "/wA="])
def test_what_is_no_event_data_is_shown_all_the_same(
    admin_client: Client, run: RemoteRun, out: str
):
    run.publish(1, "approval", "Wait", out=out)

    shown = {"not base64!": "not base64!", "/wA=": "binary"}[out]
    assert (
        steps_of(admin_client, run) == f"approval wait +0 s 0 s 1 {shown}\nKey\n1\nResult\n{shown}"
    )


def test_an_answer_too_long_to_be_read_here_has_a_page_of_its_own(
    admin_client: Client, run: RemoteRun
):
    drain_here()
    run.call(1, "ask", "https://api.example/x", body=None)
    run.endpoint.answers_with(200, b"x" * remote_steps.MOST_READ)
    drain_here(limit=1)

    page = admin_client.get(f"/admin/workflows_app/run/{run.row.pk}/change/")
    answered = Step.objects.get(key="1:answered")
    assert f"/steps/{answered.pk}/raw/" in page.content.decode()
    assert '"body"' not in read(page)


# -- failures


def test_a_delivery_that_failed_is_shown_with_its_attempts(admin_client: Client, run: RemoteRun):
    run.publish(1, "one", out="1")
    drain_here(limit=1)
    run.answered(500, b"oops")

    page = page_of(admin_client, run)
    assert (
        "Deliveries that failed\nafter one to be tried again\n"
        "Attempt 1 failed at 12:00:00, after 0 s · next attempt in 12 s, at 12:00:12\n"
        "HttpError https://app.example/order answered 500\n"
    ) in page


def test_a_delivery_that_went_through_later_says_so(
    admin_client: Client, run: RemoteRun, clock: Clock
):
    run.answered(500, b"oops")
    clock.advance("12s")
    drain_here()
    run.publish(1, "one")
    drain_here()

    assert "Deliveries that failed\nthe start went through later\n" in page_of(admin_client, run)


def test_a_delivery_that_was_cancelled_never_went_through(admin_client: Client, run: RemoteRun):
    run.answered(500, b"oops")
    run.cancel()

    assert "Deliveries that failed\nthe start never went through\n" in page_of(admin_client, run)


def test_the_delivery_that_failed_the_run_is_named(
    admin_client: Client, run: RemoteRun, clock: Clock
):
    run.answered(500, b"oops")
    clock.advance("12s")
    run.answered(500, b"oops")

    page = page_of(admin_client, run)
    assert "failed run\nHttpError took 12 s" in page
    assert "Deliveries that failed\nthe start failed the run\nAttempt 1" in page


def test_a_branch_whose_delivery_fails_shows_its_attempts(
    admin_client: Client, run: RemoteRun, clock: Clock
):
    drain_here()
    run.plan(1, "left", "Run", of=2)
    run.answered(500, b"oops")
    assert "left parallel run +0 s 0 s 2 next attempt in 12 s" in steps_of(admin_client, run)

    clock.advance("12s")
    run.answered(500, b"oops")
    steps = steps_of(admin_client, run)
    assert steps.startswith("left parallel run +0 s 12 s 2 HttpError\nKey\n1\nFailed attempts\n")


# -- what it is doing


def slot_taken(run: RemoteRun) -> None:
    RemoteRun.start(
        run.endpoint, "limited", flow_control=FlowControlSpec(key="shop", parallelism=1)
    )
    run.cancel()


Story = Callable[[RemoteRun], Any]

STORIES: list[tuple[Story, str, str]] = [
    (lambda run: None, "queued", "for a free worker"),
    (slot_taken, "queued", "for a slot of shop"),
    (lambda run: leases.claim(1), "at work", "at its first step"),
    (lambda run: drain_here(), "running", "0 s"),
    (lambda run: run.answered(500), "retrying", "its first step next attempt in 12 s"),
    (
        lambda run: (drain_here(), run.publish(1, "one"), leases.claim(1)),
        "at work",
        "at the step after one",
    ),
    (
        lambda run: (drain_here(), run.plan(1, "left", "Run", of=2), leases.claim(1)),
        "at work",
        "at left",
    ),
    (
        lambda run: (drain_here(), run.publish(1, "nap", "SleepFor", delay="60")),
        "asleep",
        "in nap wakes in 1 min",
    ),
    (
        lambda run: (drain_here(), run.call(1, "ask", "https://api.example/x")),
        "waiting",
        "for the answer to ask",
    ),
    (
        lambda run: (drain_here(), run.wait(1, "approval", "approved")),
        "waiting",
        "for event approved gives up in 20 s",
    ),
    (
        lambda run: (
            drain_here(),
            run.wait(1, "one", "approved", concurrent=2),
            run.wait(2, "two", "denied", concurrent=2),
        ),
        "waiting",
        "for event approved and 1 more gives up in 20 s",
    ),
]


@pytest.mark.parametrize(
    ("story", "state", "doing"), STORIES, ids=[f"{state} {doing}" for _, state, doing in STORIES]
)
def test_the_list_says_what_each_run_is_doing(
    admin_client: Client, run: RemoteRun, story: Story, state: str, doing: str
):
    story(run)

    row = rows(admin_client.get("/admin/workflows_app/run/"))[0]
    assert row.startswith(f"{state} https://app.example/order ")
    assert doing in row


def test_a_run_that_waits_for_another_says_so(admin_client: Client, run: RemoteRun):
    drain_here()
    run.invoke(1, "child", CHILD)

    parent = rows(admin_client.get("/admin/workflows_app/run/?q=run"))[0]
    assert parent.startswith("waiting") and "for run child" in parent


def test_a_delayed_run_says_when_it_starts(admin_client: Client, db: None, endpoint: Endpoint):
    RemoteRun.start(endpoint, delay=timedelta(hours=2))

    (row,) = rows(admin_client.get("/admin/workflows_app/run/"))
    assert row.startswith("delayed") and "starts in 2 h" in row


def test_owed_work_is_named(admin_client: Client, run: RemoteRun):
    run.wait(1, "approval", "approved")

    page = page_of(admin_client, run)
    assert "deliver to the endpoint now, for 0 s free 0" in page
    assert "stop waiting for an event 1 in 20 s free 0" in page


# -- much of it


def test_many_steps_are_shown_in_pages(
    admin_client: Client, run: RemoteRun, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_steps, "PER_PAGE", 2)
    for number in range(1, 4):
        run.publish(number, f"step-{number}")

    page = page_of(admin_client, run, "?steps=2")
    assert "3 to 3 of 3" in page
    assert ("step-2 run" in page, "step-3 run" in page) == (False, True)


def test_the_number_of_queries_does_not_depend_on_the_number_of_steps(
    admin_client: Client, run: RemoteRun, django_assert_max_num_queries: Any
):
    for number in range(1, 20):
        run.publish(number, f"step-{number}", out="1")
    run.wait(20, "approval", "approved")

    with django_assert_max_num_queries(35):
        page_of(admin_client, run)


def test_a_result_too_long_to_be_read_here_has_a_page_of_its_own(
    admin_client: Client, run: RemoteRun
):
    run.publish(1, "one", out="x" * remote_steps.MOST_READ)
    step = Step.objects.get()

    page = admin_client.get(f"/admin/workflows_app/run/{run.row.pk}/change/")
    url = f"/admin/workflows_app/run/{run.row.pk}/steps/{step.pk}/raw/"
    assert url in page.content.decode()
    assert admin_client.get(url).content == bytes(step.raw or b"")


# -- redaction


def test_what_is_to_be_hidden_is_hidden(admin_client: Client, db: None, endpoint: Endpoint):
    run = RemoteRun.start(
        endpoint, body=b"the secret", redaction="body,header[Authorization]", retries=0
    )
    drain_here()
    run.call(1, "ask", "https://api.example/x", body=b"the question")
    endpoint.answers_with(200, b"the answer", Authorization=["the key"])
    drain_here(limit=1)

    pages = [page_of(admin_client, run)]
    run.publish(1, "ask", "Call", out="the result")
    endpoint.answers_with(400, b"the reason")
    drain_here()
    pages.append(page_of(admin_client, run))
    for page in pages:
        assert not {f"the {word}" for word in _SECRETS if f"the {word}" in page}
    assert redacted(b"the answer") in pages[0]
    assert redacted(b"the result") in pages[1]
    sent = Step.objects.get(key="1:sent")
    whole = admin_client.get(f"/admin/workflows_app/run/{run.row.pk}/steps/{sent.pk}/raw/")
    assert whole.content.decode() == redacted(b"the question")


_SECRETS = ("secret", "question", "answer", "key", "result", "reason")
