"""`/schema/` and `/docs/`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client, modify_settings, override_settings
from django.urls import URLPattern, get_resolver
from django.urls.resolvers import RoutePattern
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema
from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # publishes no types

from tests.rest.conftest import Api
from tests.rest.fuzzing import read_schema
from workflows_app.rest.cloudflare.urls import urlpatterns as of_cloudflare
from workflows_app.rest.upstash.urls import urlpatterns as of_upstash

Json = dict[str, Any]

FOR_ANYONE = (
    "/healthz",
    "/readyz",
    "/v2/liveness",
    "/v2/workflows/hooks/{user_id}/{run_id}/{event_id}",
)
TICKETS = "/realtime/tickets"
SECURITY: dict[str, list[Json]] = {
    "v2": [{"token": []}, {"tokenInQuery": []}],
    "client": [{"bearer": []}, {"key": []}, {"serviceKey": []}],
    "realtime": [{"ticket": []}, {"token": []}, {"tokenInQuery": []}],
    "tickets": [{"token": []}, {"tokenInQuery": []}],
    "metrics": [{"metricsToken": []}],
}


@pytest.fixture(scope="module")
def schema() -> Json:
    return read_schema()


def operations(schema: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def closed(schema: Any) -> Any:
    """Objects with named properties have no others, so that nothing is left undescribed; null is
    said as JSON Schema says it.
    """
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {name: closed(part) for name, part in schema.items()}
    if "properties" in parts:
        parts["additionalProperties"] = False
    return {"anyOf": [parts, {"type": "null"}]} if parts.get("nullable") is True else parts


def test_the_schema_is_valid_openapi(schema: Json):
    validate_schema(schema)  # type: ignore[no-untyped-call]


def test_nothing_of_the_schema_is_a_guess():
    Client().get("/schema/")

    assert not GENERATOR_STATS, (GENERATOR_STATS._warn_cache, GENERATOR_STATS._error_cache)


def routes(prefix: str, patterns: list[URLPattern]) -> set[str]:
    return {
        prefix + re.sub(r"<\w+:(\w+)>", r"{\1}", str(each.pattern))
        for each in patterns
        if isinstance(each.pattern, RoutePattern)
    }


def test_the_schema_describes_every_route_of_the_dialects_and_no_other_api(schema: Json):
    upstash = routes("/v2/", of_upstash)
    cloudflare = routes("/client/v4/", of_cloudflare)
    spelled_otherwise = {
        "/v2/Schedules/{schedule}",
        "/v2/flowControl/{key}/reset",
        *(path for path in cloudflare if path.endswith("/")),
    }

    others = {"/healthz", "/readyz", "/metrics", "/realtime", TICKETS}

    assert set(schema["paths"]) == (upstash | cloudflare | others) - spelled_otherwise


def test_every_operation_has_an_id_of_its_own(schema: Json):
    ids = [operation["operationId"] for _, _, operation in operations(schema)]

    assert len(set(ids)) == len(ids)


def test_every_answer_has_an_example_that_its_own_type_allows(schema: Json):
    for method, path, operation in operations(schema):
        for status, answer in operation["responses"].items():
            content = next(iter(answer["content"].values()))
            for example in content["examples"].values():
                errors = list(
                    Draft4Validator(closed(content["schema"])).iter_errors(example["value"])
                )
                assert errors == [], (method, path, status)


def test_every_operation_for_tokens_says_how_it_is_refused(schema: Json):
    for method, path, operation in operations(schema):
        needs_token = "security" in operation and {} not in operation["security"]
        reads = method == "get" or path == TICKETS
        expected = {"401"} if reads else {"401", "403"}
        assert needs_token == (path not in FOR_ANYONE), path
        if needs_token:
            assert expected <= set(operation["responses"]), (method, path)
            assert operation["security"] == SECURITY[path.split("/")[1 + (path == TICKETS)]]


@pytest.mark.parametrize(
    ("method", "path", "described"),
    [
        ("GET", "/v2/workflows/logs", "/v2/workflows/logs"),
        ("GET", "/v2/workflows/dlq", "/v2/workflows/dlq"),
        ("GET", "/v2/keys", "/v2/keys"),
        ("GET", "/healthz", "/healthz"),
        ("POST", "/v2/trigger/https://flows.example.org", "/v2/trigger/{destination}"),
        ("POST", "/v2/workflows/dlq/restart", "/v2/workflows/dlq/restart"),
        ("DELETE", "/v2/workflows/dlq", "/v2/workflows/dlq"),
        ("DELETE", "/v2/workflows/runs", "/v2/workflows/runs"),
    ],
)
def test_real_answers_are_as_described(
    api: Api,
    hello,
    broken,
    work: Callable[[], int],
    schema: Json,
    method: str,
    path: str,
    described: str,
):
    for url in (hello, broken):
        api.post(f"/v2/trigger/{url}", '"x"', upstash_label="a", upstash_retry_delay="1")
    work()

    response = api.get(path) if method == "GET" else api._send(method, path, "", {})

    assert response.status_code == 200
    answer = schema["paths"][described][method.lower()]["responses"]["200"]
    type_ = closed(answer["content"]["application/json"]["schema"])
    assert list(Draft4Validator(type_).iter_errors(response.json())) == []


def test_the_docs_show_the_schema():
    response = Client().get("/docs/")

    assert response.status_code == 200
    assert "/schema/" in response.content.decode()


def test_a_project_need_not_install_the_libraries_as_apps():
    removed = {"remove": ["rest_framework", "drf_spectacular"]}

    with modify_settings(INSTALLED_APPS=removed), override_settings(REST_FRAMEWORK={}):
        assert Client().get("/docs/").status_code == 200
        assert Client().get("/schema/").status_code == 200


def test_all_routes_of_the_app_can_be_resolved():
    for path in ("/v2/keys", "/serve/x", "/healthz", "/readyz", "/metrics", "/schema/"):
        get_resolver().resolve(path)
