"""Every operation that /schema/ describes, asked by those who may not, and with nonsense."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps

from tests.rest.cloudflare.conftest import MINE, CloudflareApi, refusal_of, result_of
from tests.rest.cloudflare.surface import Operation, operations
from tests.rest.test_nasty_input import NASTY
from workflows_app.models import Account

OPERATIONS = operations()
CHANGING = [operation for operation in OPERATIONS if operation.changes]
NONSENSE: list[Any] = [
    *(None, 0, -1, 1.5, 1e308, 10**40, 10**400, True, [], {}, [[]], [None], {"a": 1}),
    *("", "\x00", "\ud800", "x" * 5000, "٣", "-"),
]
BODIES = [
    *(b"", b" ", b"{", b"\xff", b"nul", b"null", b"[]", b"{}", b'""', b"3", b"NaN"),
    *(b"[" * 5000, b'{"a": 1e999}', b'{"a": 1}{}', b'["' + b"x" * 5000 + b'"]'),
]

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def filled(operation: Operation, mine: dict[str, str]) -> str:
    return operation.path.format(**{name: quote(value, safe="") for name, value in mine.items()})


def ask(api: CloudflareApi, operation: Operation, mine: dict[str, str]) -> Any:
    """As the description's example does."""
    return api.send(operation.method, filled(operation, mine), operation.body)


def rows(account: Account) -> dict[str, list[Any]]:
    """All that there is, but for what another account has made for itself."""
    found: dict[str, list[Any]] = {}
    for model in apps.get_app_config("workflows_app").get_models():
        owned = model._default_manager.all()
        fields = {field.name for field in model._meta.get_fields()}
        if "account" in fields:
            owned = owned.filter(account=account)
        elif "definition" in fields:
            owned = owned.filter(definition__account=account)
        found[model.__name__] = list(owned.order_by("pk").values())
    found["Account"] = [row for row in found["Account"] if row["id"] == account.pk]
    return found


def check(response: Any, *asked: Any) -> None:
    """That it is in the envelope, and nobody's fault but the caller's."""
    assert response.status_code < 500, asked
    if response.status_code == 200:
        result_of(response)
    else:
        refusal_of(response)


def test_there_are_operations():
    assert len(OPERATIONS) >= 4


@every_operation
def test_a_read_only_token_may_read_everything_and_change_nothing(
    read_only: CloudflareApi, account: Account, mine: dict[str, str], operation: Operation
) -> None:
    before = rows(account)

    response = ask(read_only, operation, mine)

    if operation.changes:
        assert refusal_of(response)[:2] == (403, 10000)
    else:
        assert response.status_code in (200, 400, 404)
    assert rows(account) == before


@every_operation
def test_a_token_of_another_account_does_not_reach_this_one(
    foreigner: CloudflareApi, account: Account, mine: dict[str, str], operation: Operation
) -> None:
    before = rows(account)
    foreigner.account = account

    response = ask(foreigner, operation, mine)

    assert refusal_of(response)[:2] == (404, 7003)
    assert rows(account) == before


@every_operation
def test_in_its_own_account_a_token_finds_nothing_of_this_one(
    foreigner: CloudflareApi, account: Account, mine: dict[str, str], operation: Operation
) -> None:
    before = rows(account)

    response = ask(foreigner, operation, mine)

    check(response)
    assert MINE not in response.content.decode()
    assert mine["version_id"] not in response.content.decode()
    assert rows(account) == before


@every_operation
def test_without_a_token_nothing_is_told(
    account: Account, mine: dict[str, str], operation: Operation
) -> None:
    before = rows(account)

    response = ask(CloudflareApi("", account), operation, mine)

    assert refusal_of(response)[:2] == (401, 10000)
    assert rows(account) == before


@every_operation
def test_a_slash_at_the_end_makes_no_difference(
    read_only: CloudflareApi, mine: dict[str, str], operation: Operation
) -> None:
    path = filled(operation, mine)

    without, with_slash = (
        read_only.send(operation.method, each, operation.body) for each in (path, f"{path}/")
    )

    assert with_slash.status_code == without.status_code
    assert with_slash.content == without.content


@every_operation
def test_no_name_breaks_a_route(
    cloudflare: CloudflareApi, mine: dict[str, str], operation: Operation
) -> None:
    for name in mine:
        if f"{{{name}}}" not in operation.path:
            continue
        for value in NASTY[1:]:
            response = ask(cloudflare, operation, {**mine, name: value})
            check(response, name, value)


@every_operation
def test_no_query_breaks_a_route(
    cloudflare: CloudflareApi, mine: dict[str, str], operation: Operation
) -> None:
    path = filled(operation, mine)
    for name in operation.query:
        for value in NASTY:
            response = cloudflare.send(operation.method, path, operation.body, **{name: value})
            check(response, name, value)


@pytest.mark.parametrize("operation", CHANGING, ids=str)
def test_no_body_breaks_a_route(
    cloudflare: CloudflareApi, mine: dict[str, str], operation: Operation
) -> None:
    path = filled(operation, mine)
    changed = (json.dumps(each).encode() for each in mutations(operation.body))
    for body in (*BODIES, *changed):
        response = cloudflare.send(operation.method, path, body)
        check(response, body[:200])


def mutations(value: Any) -> Iterator[Any]:
    """The value with each of its parts replaced by nonsense in turn."""
    yield from NONSENSE
    if isinstance(value, dict):
        for key, part in value.items():
            yield from ({**value, key: changed} for changed in mutations(part))
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from ([*value[:index], each, *value[index + 1 :]] for each in mutations(part))
