"""Schedules publish at the times of their cron expression."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.conftest import Clock
from tests.engine.publishing import URL
from tests.engine.world import World
from workflows_app.engine import schedules, url_groups
from workflows_app.engine.drain import drain_here
from workflows_app.engine.url_groups import Endpoint, add_endpoints
from workflows_app.errors import InvalidCron, InvalidInput, InvalidUrl, LimitExceeded, NotFound
from workflows_app.models import Account, Message, Publication, Schedule

EVERY_HOUR = {"upstash-cron": "0 * * * *"}


def schedule(
    account: Account,
    headers: dict[str, str] = EVERY_HOUR,
    destination: str = URL,
    body: bytes = b"x",
) -> Schedule:
    return schedules.create(account, destination, headers.items(), body, caller_ip="203.0.113.7")


def due() -> list[datetime | None]:
    return [message.due_at for message in Message.objects.filter(kind=Message.Kind.SCHEDULE)]


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2030, 1, 2, hour, minute, tzinfo=UTC)


def test_a_schedule_publishes_at_each_of_its_times(account, world: World, clock: Clock):
    world.answers(200, 200)
    made = schedule(account, {**EVERY_HOUR, "upstash-forward-a": "b", "upstash-label": "hourly"})

    assert drain_here() == 0
    clock.advance("1h")
    drain_here()
    clock.advance("1h")
    drain_here()

    assert [request.headers["Upstash-Schedule-Id"] for request in world.sent] == [
        made.public_id
    ] * 2
    assert (world.sent[0].body, world.sent[0].headers["A"]) == (b"x", "b")
    publication = Publication.objects.newest_first()[0]
    assert (publication.schedule_id, publication.caller_ip) == (made.public_id, "203.0.113.7")
    made.refresh_from_db()
    assert made.last_slot_at == at(14)
    assert due() == [at(15)]


def test_of_slots_that_passed_while_nobody_worked_one_counts(account, world, clock: Clock):
    world.answers(200)
    schedule(account)
    clock.advance("3h5m")

    drain_here()

    assert len(world.sent) == 1
    assert due() == [at(16)]


def test_a_schedule_may_delay_what_it_publishes(account, world, clock: Clock):
    world.answers(200)
    schedule(account, {**EVERY_HOUR, "upstash-delay": "10s"})
    clock.advance("1h")

    drain_here()
    assert world.sent == []
    clock.advance("10s")
    drain_here()
    assert len(world.sent) == 1


def test_a_schedule_publishes_to_a_url_group_and_through_a_queue(account, world, clock: Clock):
    add_endpoints(account, "all", [Endpoint(url=URL), Endpoint(url="https://b.example.org/")])
    world.answers(200, 200)
    schedule(account, {**EVERY_HOUR, "upstash-queue-name": "line"}, destination="all")
    clock.advance("1h")

    drain_here()

    assert [request.headers["Upstash-Queue-Name"] for request in world.sent] == ["line", "line"]
    assert [request.headers["Upstash-Topic-Name"] for request in world.sent] == ["all", "all"]


def test_what_cannot_be_published_at_a_slot_is_said_and_tried_at_the_next(
    account, world, clock: Clock
):
    add_endpoints(account, "all", [Endpoint(url=URL)])
    made = schedule(account, destination="all")
    url_groups.delete(account, "all")
    clock.advance("1h")
    drain_here()

    made.refresh_from_db()
    assert "no URL group" in made.error
    assert due() == [at(14)]

    add_endpoints(account, "all", [Endpoint(url=URL)])
    world.answers(200)
    clock.advance("1h")
    drain_here()
    made.refresh_from_db()
    assert (made.error, len(world.sent)) == ("", 1)


def test_the_same_id_is_the_same_schedule_with_all_that_is_said_anew(account, clock: Clock):
    first = schedule(account, {**EVERY_HOUR, "upstash-schedule-id": "s", "upstash-label": "old"})
    clock.advance("1m")
    again = schedule(
        account,
        {"upstash-cron": "30 * * * *", "upstash-schedule-id": "s"},
        destination="https://b.example.org/",
        body=b"",
    )

    assert (again.pk, again.created_at) == (first.pk, first.created_at)
    assert schedules.options_of(again).labels == ()
    assert bytes(Schedule.objects.get().body) == b""
    assert due() == [at(12, 30)]


def test_one_id_in_two_accounts_names_two_schedules(account, other_account):
    named = {**EVERY_HOUR, "upstash-schedule-id": "s"}

    assert schedule(account, named).pk != schedule(other_account, named).pk
    with pytest.raises(NotFound):
        schedules.find_schedule(Account.objects.create(name="third"), "s")


def test_slots_pass_by_a_paused_schedule(account, world, clock: Clock):
    made = schedule(account)

    schedules.pause(made)
    clock.advance("90m")
    assert drain_here() == 0
    assert schedules.next_slot_of(made) is None
    schedules.resume(made)

    assert due() == [at(14)]


def test_a_paused_schedule_stays_paused_when_it_is_made_anew(account):
    named = {**EVERY_HOUR, "upstash-schedule-id": "s"}
    schedules.pause(schedule(account, named))

    assert schedule(account, named).paused
    assert due() == []


def test_a_deleted_schedule_publishes_no_more(account, clock: Clock):
    schedules.delete(schedule(account))
    clock.advance("1h")

    assert drain_here() == 0


def test_the_token_of_who_made_a_schedule_is_not_kept(account):
    asked = {**EVERY_HOUR, "authorization": "Bearer t", "x-mine": "1", "content-type": "a/b"}

    kept = schedule(account, asked).header_map
    forwarding = schedule(account, {**asked, "upstash-header-forward": "true"}).header_map

    assert kept == {**EVERY_HOUR, "content-type": "a/b"}
    assert "authorization" not in forwarding
    assert forwarding["x-mine"] == "1"


@pytest.mark.parametrize(
    ("headers", "destination", "error"),
    [
        ({}, URL, InvalidInput),
        ({"upstash-cron": "every day"}, URL, InvalidCron),
        ({"upstash-cron": "0 0 30 2 *"}, URL, InvalidCron),
        ({"upstash-cron": ",".join("12345") + "," + "1," * 200 + "1 * * * *"}, URL, InvalidInput),
        ({**EVERY_HOUR, "upstash-schedule-id": "a/b"}, URL, InvalidInput),
        ({**EVERY_HOUR, "upstash-queue-name": "a/b"}, URL, InvalidInput),
        ({**EVERY_HOUR, "upstash-retries": "1000000"}, URL, LimitExceeded),
        (EVERY_HOUR, "ftp://a.example.org/", InvalidUrl),
        (EVERY_HOUR, "nowhere", NotFound),
    ],
    ids=str,
)
def test_what_could_never_be_published_is_no_schedule(account, headers, destination, error):
    with pytest.raises(error):
        schedule(account, headers, destination)

    assert not Schedule.objects.exists()
