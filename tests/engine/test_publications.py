"""Plain messages: published once, with all that was said about them, all or nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from tests.conftest import Clock
from tests.engine.publishing import URL, options, send, stored
from workflows_app.engine.publications import publish
from workflows_app.engine.url_groups import Endpoint, add_endpoints, set_default_headers
from workflows_app.errors import InvalidInput, InvalidUrl, LimitExceeded, NotFound, PayloadTooLarge
from workflows_app.models import Message, Publication, PublicationEvent


def test_a_message_is_stored_with_what_was_said_about_it(account, clock: Clock):
    message_id = send(
        account,
        method="put",
        delay="10s",
        retries="5",
        retry_delay="retried * 1000",
        timeout="30s",
        label="a,b",
        forward_x_order="7",
        callback="https://shop.example.org/called",
        callback_retries="1",
        flow_control_key="shop",
        flow_control_value="parallelism=2",
    )

    publication = stored(message_id)
    assert (publication.host, publication.path) == ("shop.example.org", "/orders")
    assert publication.method == "PUT"
    assert bytes(publication.body) == b"hello"
    assert publication.header_map == {"X-Order": "7"}
    assert publication.retries == 5
    assert publication.label_list == ["a", "b"]
    assert publication.caller_ip == "203.0.113.7"
    assert publication.not_before == clock.now + timedelta(seconds=10)
    message = Message.objects.get(publication=publication)
    assert message.due_at == publication.not_before
    assert message.flow_control is not None and message.flow_control.key == "shop"
    assert [event.state for event in publication.events.all()] == ["created"]


def test_a_message_vanishes_with_the_transaction_that_published_it(account):
    with transaction.atomic():
        send(account)
        transaction.set_rollback(True)

    assert not Publication.objects.exists()
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("destination", "headers", "error"),
    [
        ("ftp://shop.example.org/", {}, InvalidUrl),
        ("https://", {}, InvalidUrl),
        (f"https://{'a' * 300}.example.org/", {}, InvalidUrl),
        ("api/llm", {}, InvalidUrl),
        ("nowhere", {}, NotFound),
        (URL, {"retries": "1000000"}, LimitExceeded),
        (URL, {"delay": "20y"}, LimitExceeded),
        (URL, {"not_before": "99999999999"}, LimitExceeded),
        (URL, {"timeout": "20y"}, LimitExceeded),
        (URL, {"callback_retries": "1000000"}, LimitExceeded),
        (URL, {"forward_content_type": "x" * 201}, InvalidInput),
    ],
    ids=str,
)
def test_what_cannot_be_delivered_is_refused(account, destination, headers, error):
    with pytest.raises(error):
        send(account, destination, **headers)

    assert not Publication.objects.exists()


def test_a_body_that_is_too_large_is_refused(account, settings):
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 4}

    with pytest.raises(PayloadTooLarge, match="5 bytes"):
        send(account, body=b"12345")


# -- URL groups


def test_each_endpoint_of_a_url_group_gets_a_message(account):
    first, second = "https://a.example.org/", "https://b.example.org/"
    add_endpoints(account, "all", [Endpoint(url=first, name="a"), Endpoint(url=second)])

    published = publish(account, "all", options(), b"", caller_ip="")

    assert [each.url for each in published] == [first, second]
    to_first = stored(published[0].message_id)
    assert (to_first.url_group, to_first.endpoint_name) == ("all", "a")


def test_a_url_groups_headers_hold_where_the_publication_says_nothing(account):
    add_endpoints(account, "all", [Endpoint(url=URL)])
    defaults = {"Upstash-Retries": "7", "Upstash-Forward-A": "group", "Upstash-Forward-B": "group"}
    set_default_headers(account, "all", defaults)

    publication = stored(send(account, "all", forward_a="own", delay="1m"))

    assert publication.retries == 7
    assert publication.header_map == {"A": "own", "B": "group"}


def test_a_url_group_belongs_to_its_account(account, other_account):
    add_endpoints(other_account, "all", [Endpoint(url=URL)])

    with pytest.raises(NotFound):
        send(account, "all")


# -- deduplication


def test_the_same_deduplication_id_within_the_window_is_the_same_message(account, clock):
    first = publish(account, URL, options(deduplication_id="7"), b"1", caller_ip="")[0]
    again = publish(account, URL, options(deduplication_id="7"), b"2", caller_ip="")[0]

    assert (again.message_id, again.deduplicated) == (first.message_id, True)
    assert Publication.objects.count() == 1


def test_after_the_window_the_same_deduplication_id_is_another_message(account, clock):
    first = send(account, deduplication_id="7")
    clock.advance("10m")

    assert send(account, deduplication_id="7") != first


def test_accounts_deduplicate_by_themselves(account, other_account):
    assert send(account, deduplication_id="7") != send(other_account, deduplication_id="7")


def test_content_is_destination_body_content_type_and_forwarded_headers(account):
    def content(url: str = URL, body: bytes = b"1", **headers: str) -> str:
        return send(account, url, body, content_based_deduplication="true", **headers)

    first = content()
    others = [
        content(url="https://b.example.org/"),
        content(body=b"2"),
        content(forward_content_type="text/plain"),
        content(forward_x="1"),
    ]

    assert content(retries="1") == first
    assert len({first, *others}) == 5


def test_a_deduplication_id_stands_for_a_message_at_each_endpoint(account):
    add_endpoints(account, "all", [Endpoint(url=URL), Endpoint(url="https://b.example.org/")])
    said = options(deduplication_id="7")

    first = publish(account, "all", said, b"", caller_ip="")
    again = publish(account, "all", said, b"", caller_ip="")

    assert [each.deduplicated for each in (*first, *again)] == [False, False, True, True]
    assert [each.message_id for each in first] == [each.message_id for each in again]
    assert PublicationEvent.objects.count() == 2
