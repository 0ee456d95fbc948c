"""`/v2/topics`: URL groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, ThirdParty, answer_of
from tests.rest.messages import NOON
from workflows_app.models import Publication, UrlGroup

Work = Callable[[], int]

A = {"name": "a", "url": "https://a.example.org/"}
B = {"url": "https://b.example.org/"}


def add(api: Api, body: str, name: str = "all") -> Any:
    return api.post(f"/v2/topics/{name}/endpoints", body)


def endpoints(api: Api, name: str = "all") -> Any:
    return api.get(f"/v2/topics/{name}").json()["endpoints"]


@pytest.fixture
def group(api: Api, clock: Clock) -> None:
    """With two endpoints."""
    both = '[{"url":"https://a.example.org/","name":"a"},{"url":"https://b.example.org/"}]'
    assert add(api, f'{{"endpoints":{both}}}').status_code == 200


def test_a_group_is_made_with_its_first_endpoints(api: Api, group):
    shown = {"name": "all", "createdAt": NOON, "updatedAt": NOON, "endpoints": [A, B]}

    assert answer_of(api.get("/v2/topics/all")) == (200, shown)
    assert answer_of(api.get("/v2/topics")) == (200, [shown])


def test_endpoints_are_added_and_replaced_by_url_or_name(api: Api, group, clock: Clock):
    clock.advance("1s")
    add(
        api,
        '{"endpoints":[{"url":"https://c.example.org/"},{"url":"https://b.example.org/","name":"b"}]}',
    )
    add(api, '{"endpoints":[{"url":"https://d.example.org/","name":"a"}]}')

    assert endpoints(api) == [
        {"url": "https://c.example.org/"},
        {"url": "https://b.example.org/", "name": "b"},
        {"url": "https://d.example.org/", "name": "a"},
    ]
    assert api.get("/v2/topics/all").json()["updatedAt"] == NOON + 1000


def test_endpoints_are_removed_by_url_or_name_until_the_group_is_gone(api: Api, group):
    api.delete("/v2/topics/all/endpoints", '{"endpoints":[{"name":"a"}]}')
    assert endpoints(api) == [B]

    api.delete("/v2/topics/all/endpoints", '{"endpoints":[{"url":"https://b.example.org/"}]}')
    assert api.get("/v2/topics/all").status_code == 404


def test_a_group_can_be_deleted_even_if_there_is_none(api: Api, group):
    assert api.delete("/v2/topics/all").status_code == 200
    assert api.delete("/v2/topics/all").status_code == 200
    assert api.get("/v2/topics").json() == []


def test_each_endpoint_gets_what_is_published(api: Api, group, third_party: ThirdParty, work: Work):
    third_party.answers_with(200)
    third_party.answers_with(200)
    published = api.post("/v2/publish/all", "x").json()
    work()

    assert [each["url"] for each in published] == [A["url"], B["url"]]
    assert {request.url for request in third_party.asked} == {A["url"], B["url"]}
    assert {request.headers["Upstash-Topic-Name"] for request in third_party.asked} == {"all"}


def test_default_headers_hold_where_a_publication_says_nothing(api: Api, group):
    headers = '{"Upstash-Retries":"7","upstash-forward-x":["1","2"],"Upstash-Method":"PUT"}'
    status, body = answer_of(api._send("PATCH", "/v2/topics/all", f'{{"headers":{headers}}}', {}))
    api.post("/v2/publish/all", "x", upstash_retries="1")

    assert status == 200
    assert body["headers"] == {
        "Upstash-Retries": ["7"],
        "Upstash-Forward-X": ["1,2"],
        "Upstash-Method": ["PUT"],
    }
    publication = Publication.objects.first()
    assert publication is not None
    assert (publication.retries, publication.method) == (1, "PUT")
    assert publication.header_map == {"X": "1,2"}


@pytest.mark.parametrize("said", ["POST", "GET"])
def test_what_a_publication_says_wins_even_where_it_is_what_holds_anyway(
    api: Api, group, said: str
):
    defaults = '{"Upstash-Method":"PUT","Upstash-Content-Based-Deduplication":"true"}'
    api._send("PATCH", "/v2/topics/all", f'{{"headers":{defaults}}}', {})
    own = {"upstash_method": said, "upstash_content_based_deduplication": "false"}

    for _ in range(2):
        api.post("/v2/publish/all", "x", **own)

    assert [each.method for each in Publication.objects.all()] == [said] * 4


def test_a_schedule_of_a_group_goes_by_the_method_of_the_group(
    api: Api, group, clock: Clock, work: Work
):
    api._send("PATCH", "/v2/topics/all", '{"headers":{"Upstash-Method":"PUT"}}', {})
    api.post("/v2/schedules/all", "x", upstash_cron="* * * * *")
    clock.advance("1m")

    work()

    assert {each.method for each in Publication.objects.all()} == {"PUT"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v2/topics/all/endpoints", "", 400),
        ("POST", "/v2/topics/all/endpoints", "[]", 400),
        ("POST", "/v2/topics/all/endpoints", "{}", 400),
        ("POST", "/v2/topics/all/endpoints", '{"endpoints":[]}', 400),
        ("POST", "/v2/topics/all/endpoints", '{"endpoints":["https://a.example.org/"]}', 400),
        ("POST", "/v2/topics/all/endpoints", '{"endpoints":[{}]}', 400),
        ("POST", "/v2/topics/all/endpoints", '{"endpoints":[{"name":"a"}]}', 400),
        ("POST", "/v2/topics/all/endpoints", '{"endpoints":[{"url":"ftp://a.example.org/"}]}', 400),
        ("POST", "/v2/topics/all/endpoints", '{"endpoints":[{"url":7}]}', 400),
        ("POST", "/v2/topics/a%20b/endpoints", '{"endpoints":[{"url":"http://a.example/"}]}', 400),
        ("DELETE", "/v2/topics/all/endpoints", '{"endpoints":[{"name":"a"}]}', 404),
        ("PATCH", "/v2/topics/all", '{"headers":{}}', 404),
        ("PATCH", "/v2/topics/all", '{"headers":{"Upstash-Retries":"many"}}', 400),
        ("PATCH", "/v2/topics/all", '{"headers":{"Upstash-Retries":7}}', 400),
        ("PATCH", "/v2/topics/all", '{"headers":{"Upstash-Retries":[7]}}', 400),
        ("PATCH", "/v2/topics/all", '{"headers":[]}', 400),
        ("GET", "/v2/topics/all", "", 404),
    ],
)
def test_what_cannot_be_done_is_refused(api: Api, method: str, path: str, body: str, status: int):
    response = api._send(method, path, body, {})

    assert response.status_code == status
    assert "error" in response.json()
    assert not UrlGroup.objects.exists()


def test_a_name_of_an_endpoint_has_a_limit(api: Api):
    assert (
        add(
            api, f'{{"endpoints":[{{"url":"http://a.example/","name":"{"x" * 256}"}}]}}'
        ).status_code
        == 400
    )


def test_only_so_many_endpoints_are_taken_at_once(api: Api, settings):
    settings.WORKFLOWS = {"MAX_BATCH": 1}

    assert (
        add(
            api, '{"endpoints":[{"url":"http://a.example/"},{"url":"http://b.example/"}]}'
        ).status_code
        == 412
    )


def test_groups_of_another_account_are_out_of_reach(api: Api, stranger: Api, group):
    assert stranger.get("/v2/topics").json() == []
    assert stranger.get("/v2/topics/all").status_code == 404
    assert stranger.post("/v2/publish/all", "x").status_code == 404
    assert stranger.delete("/v2/topics/all").status_code == 200
    assert (
        stranger.delete("/v2/topics/all/endpoints", '{"endpoints":[{"name":"a"}]}').status_code
        == 404
    )
    assert stranger._send("PATCH", "/v2/topics/all", '{"headers":{}}', {}).status_code == 404
    assert endpoints(api) == [A, B]


def test_a_read_only_token_changes_nothing(api: Api, read_only_api: Api, group):
    body = '{"endpoints":[{"url":"https://a.example.org/"}]}'
    refused: list[Any] = [
        add(read_only_api, body),
        read_only_api.delete("/v2/topics/all/endpoints", body),
        read_only_api._send("PATCH", "/v2/topics/all", '{"headers":{}}', {}),
        read_only_api.delete("/v2/topics/all"),
    ]

    assert [response.status_code for response in refused] == [403] * 4
    assert endpoints(read_only_api) == [A, B]
