"""Plain messages, and the queues, URL groups and schedules that they go through and come from."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from tests.admin.pages import messages, read, rows
from tests.conftest import Clock
from tests.engine.publishing import URL, send, stored
from tests.rest.conftest import Endpoint
from workflows_app.engine import queues, schedules
from workflows_app.engine.drain import drain_here
from workflows_app.models import Account, Publication, Queue, Schedule, UrlGroup, UrlGroupEndpoint
from workflows_app.protocol.redaction import redacted

BASE = "/admin/workflows_app"


@pytest.fixture
def account(db: None) -> Account:
    return Account.objects.default()


def page_of(client: Client, publication: Publication) -> str:
    return read(client.get(f"{BASE}/publication/{publication.pk}/change/"))


def failed(account: Account, endpoint: Endpoint, message_id: str = "") -> Publication:
    message_id = message_id or send(account, retries="0")
    endpoint.answers_with(503, b"busy")
    drain_here()
    return stored(message_id)


# -- messages


def test_messages_are_listed_newest_first(admin_client: Client, account: Account, clock: Clock):
    first = send(account, label="shop,fast")
    clock.advance("1m")
    second = send(account, queue="orders")

    assert rows(admin_client.get(f"{BASE}/publication/")) == [
        f"waiting POST {URL} {second} 12:01:00 just now orders -",
        f"waiting POST {URL} {first} 12:00:00 1 min ago - shop, fast",
    ]


def test_a_message_shows_what_was_published_and_what_became_of_it(
    admin_client: Client, account: Account, clock: Clock, endpoint: Endpoint
):
    endpoint.answers_with(503, b"busy")
    message_id = send(
        account,
        body=b'{"a":1}',
        retries="1",
        retry_delay="60000",
        label="shop",
        forward_x_trace="abc",
        failure_callback="https://ops.example.org/failed",
    )
    drain_here()

    assert page_of(admin_client, stored(message_id)) == "\n".join(
        [
            "Plain message",
            "Cancel…\nHistory",
            f"waiting {message_id} shop",
            f"URL\nPOST {URL}",
            "Published\n12:00:00 just now",
            "Next delivery\nin 1 min",
            "Account\ndefault",
            "Retries\n1, delayed by 60000 ms",
            "Failure URL\nhttps://ops.example.org/failed",
            "Caller\n203.0.113.7",
            'Body\n{\n"a": 1\n}',
            'Headers\n{\n"X-Trace": "abc"\n}',
            "Log",
            "State When Error Status Answer Next attempt",
            "created 12:00:00 just now - - - 12:00:00",
            "active 12:00:00 just now - - - -",
            "error 12:00:00 just now 503 Service Unavailable 503",
            "busy",
            "-",
            "retry 12:00:00 just now - - - 12:01:00",
        ]
    )


def test_what_is_to_be_hidden_is_hidden(
    admin_client: Client, account: Account, endpoint: Endpoint, clock: Clock
):
    message_id = send(
        account,
        retries="0",
        redact_fields="body,header[X-Token]",
        forward_x_token="the key",
        forward_x_open="plain",
    )

    page = page_of(admin_client, failed(account, endpoint, message_id))
    assert redacted(b"hello") in page
    assert redacted(b"busy") in page
    assert redacted(b"the key") in page
    assert "plain" in page
    assert not {word for word in ("hello", "busy", "the key") if f"\n{word}" in page}


def test_a_message_that_waits_is_cancelled(admin_client: Client, account: Account, clock: Clock):
    publication = stored(send(account, delay="1h"))

    page = admin_client.post(f"{BASE}/publication/{publication.pk}/cancel/", follow=True)

    assert messages(page) == [f"Message {publication.public_id} was cancelled."]
    assert stored(publication.public_id).status == Publication.Status.CANCELED
    again = admin_client.post(f"{BASE}/publication/{publication.pk}/cancel/", follow=True)
    assert messages(again) == [
        f'Message "{publication.public_id}" has ended and cannot be cancelled'
    ]


def test_a_message_that_failed_is_published_again(
    admin_client: Client, account: Account, endpoint: Endpoint, clock: Clock
):
    publication = failed(account, endpoint)
    assert "Publish again…\nDismiss…\nHistory" in page_of(admin_client, publication)

    page = admin_client.post(f"{BASE}/publication/{publication.pk}/retry/", follow=True)

    again = Publication.objects.latest("id")
    assert messages(page) == [
        f"Message {publication.public_id} was published again as {again.public_id}."
    ]
    assert f"waiting {again.public_id}" in read(page)
    assert LogEntry.objects.count() == 2


def test_a_message_that_failed_is_dismissed_once(
    admin_client: Client, account: Account, endpoint: Endpoint, clock: Clock
):
    publication = failed(account, endpoint)
    address = f"{BASE}/publication/{publication.pk}/dismiss/"

    told = [messages(admin_client.post(address, follow=True)) for _ in range(2)]

    assert told == [
        [f"Message {publication.public_id} was taken out of the dead letter queue."],
        [
            f"Message {publication.public_id} has been retried or deleted from the dead letter "
            "queue already"
        ],
    ]


def test_many_messages_are_cancelled_at_once(admin_client: Client, account: Account, clock: Clock):
    for _ in range(2):
        send(account)
    chosen = {
        "action": "cancel",
        "_selected_action": [str(pk) for pk in Publication.objects.values_list("pk", flat=True)],
        "confirmed": "yes",
    }

    first = admin_client.post(f"{BASE}/publication/", chosen, follow=True)
    second = admin_client.post(f"{BASE}/publication/", chosen, follow=True)

    assert messages(first) == ["2 cancelled"]
    assert messages(second) == ["2 refused: already ended, or gone"]


def test_owed_work_leads_to_its_message_or_schedule(
    admin_client: Client, account: Account, clock: Clock
):
    message_id = send(account)
    schedule = schedules.create(
        account, URL, [("upstash-cron", "0 * * * *")], b"", caller_ip="203.0.113.7"
    )

    listed = rows(admin_client.get(f"{BASE}/message/"))
    assert f"Publication {URL} {message_id} - now, for 0 s free 0 -" in listed
    assert f"Schedule {URL} {schedule.public_id} - in 1 h free 0 -" in listed


# -- queues


def test_a_queue_shows_how_far_it_is_and_is_paused_and_resumed(
    admin_client: Client, account: Account, clock: Clock
):
    queues.upsert(account, "orders", parallelism=2)
    for _ in range(3):
        send(account, queue="orders")
    queue = Queue.objects.get()

    assert rows(admin_client.get(f"{BASE}/queue/")) == ["at work orders 2 3 default"]
    page = admin_client.post(f"{BASE}/queue/{queue.pk}/pause/", follow=True)
    assert messages(page) == ["Queue orders was paused."]
    assert "Resume…\nHistory\npaused orders\nParallelism\n2\nTo deliver\n3" in read(page)
    page = admin_client.post(f"{BASE}/queue/{queue.pk}/resume/", follow=True)
    assert messages(page) == ["Queue orders goes on."]
    assert f"queue__id__exact={queue.pk}" in page.content.decode()
    assert len(rows(admin_client.get(f"{BASE}/publication/?queue__id__exact={queue.pk}"))) == 3


# -- URL groups


def test_a_url_group_shows_its_endpoints(admin_client: Client, account: Account, clock: Clock):
    group = UrlGroup.objects.create(
        account=account,
        name="all",
        headers='{"upstash-retries":"1","authorization":"Bearer s"}',
        created_at=clock.now,
        updated_at=clock.now,
    )
    UrlGroupEndpoint.objects.create(group=group, url="https://a.example/", name="a")
    UrlGroupEndpoint.objects.create(group=group, url="https://b.example/")

    (listed,) = rows(admin_client.get(f"{BASE}/urlgroup/"))
    assert listed.startswith("all https://a.example/ https://b.example/ default")
    page = read(admin_client.get(f"{BASE}/urlgroup/{group.pk}/change/"))
    assert "Endpoints\nName URL\na https://a.example/\n- https://b.example/" in page
    assert '"upstash-retries": "1"' in page
    assert "Bearer s" not in page


# -- schedules


def test_a_schedule_shows_its_times_and_is_paused_and_resumed(
    admin_client: Client, account: Account, clock: Clock
):
    schedules.create(
        account,
        URL,
        [
            ("upstash-cron", "0 * * * *"),
            ("upstash-schedule-id", "hourly"),
            ("upstash-forward-x-token", "the key"),
            ("upstash-redact-fields", "body,header[X-Token]"),
        ],
        b"hello",
        caller_ip="203.0.113.7",
    )
    schedule = Schedule.objects.get()

    assert rows(admin_client.get(f"{BASE}/schedule/")) == [
        f"at work {URL} hourly 0 * * * * every hour, at minute 0 13:00:00 in 1 h -"
    ]
    page = read(admin_client.get(f"{BASE}/schedule/{schedule.pk}/change/"))
    assert f"In words\nevery hour, at minute 0\nDestination\n{URL}" in page
    assert f"Body\n{redacted(b'hello')}" in page
    assert f'"upstash-forward-x-token": "{redacted(b"the key")}"' in page
    assert '"upstash-cron": "0 * * * *"' in page

    paused = admin_client.post(f"{BASE}/schedule/{schedule.pk}/pause/", follow=True)
    assert messages(paused) == ["Schedule hourly was paused."]
    assert "Resume…\nTrigger now…\nHistory\npaused hourly" in read(paused)
    resumed = admin_client.post(f"{BASE}/schedule/{schedule.pk}/resume/", follow=True)
    assert messages(resumed) == ["Schedule hourly goes on."]
