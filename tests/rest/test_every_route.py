"""Every route that the description of the API names, asked by those who may not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps

from tests.rest.conftest import Api
from tests.rest.fuzzing import read_schema
from workflows_app.models import Account, DeadLetter

MINE = "mine-alone"
READ_ONLY = {"error": "This token may only read; use a full token to change anything."}
CHOOSE_A_NAME = ("/v2/schedules/{schedule}", "/v2/flowControl/{key}/pin")
"""What they make may have the name of another's."""
BODIES = {"/v2/batch": "[]", "/v2/batch/trigger": "[]"}

OPERATIONS = [
    (method.upper(), path)
    for path, methods in read_schema()["paths"].items()
    for method, operation in methods.items()
    if operation.get("security") and path.startswith("/v2/")
]


@pytest.fixture
def names(api: Api, hello: str, broken: str, work: Callable[[], int]) -> dict[str, str]:
    """What stands for each parameter of a path: all of it is there, and belongs to `api`."""
    limits = {"upstash_flow_control_key": MINE, "upstash_flow_control_value": "parallelism=3"}
    api.post(f"/v2/trigger/{broken}", upstash_workflow_runid=f"{MINE}-failed", upstash_label=MINE)
    work()
    api.post(f"/v2/trigger/{hello}", MINE, upstash_workflow_runid=MINE, **limits)
    queued = f"/v2/enqueue/{MINE}/https://app.example/x"
    message_id = api.post(queued, MINE, upstash_delay="1h", **limits).json()["messageId"]
    endpoint = {"endpoints": [{"url": f"https://app.example/{MINE}"}]}
    api.post(f"/v2/topics/{MINE}/endpoints", json.dumps(endpoint))
    schedule = {"upstash_cron": "0 9 * * 1", "upstash_schedule_id": MINE}
    api.post("/v2/schedules/https://app.example/x", MINE, **schedule)
    return {
        "destination": "https://app.example/x",
        "queue": MINE,
        "name": MINE,
        "schedule": MINE,
        "key": MINE,
        "event_id": MINE,
        "run_id": MINE,
        "message_id": message_id,
        "dlq_id": DeadLetter.objects.get().public_id,
    }


def ask(api: Api, method: str, path: str, names: dict[str, str]) -> Any:
    if method == "GET":
        return api.get(path.format(**names))
    return api._send(method, path.format(**names), BODIES.get(path, ""), {})


def rows(account: Account) -> dict[str, list[Any]]:
    """All that there is, but for what another account has made for itself."""
    found: dict[str, list[Any]] = {}
    for model in apps.get_app_config("workflows_app").get_models():
        owned = model._default_manager.all()
        if any(field.name == "account" for field in model._meta.get_fields()):
            owned = owned.filter(account=account)
        found[model.__name__] = list(owned.order_by("pk").values())
    found["Account"] = [row for row in found["Account"] if row["id"] == account.pk]
    return found


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_read_only_token_may_read_everything_and_change_nothing(
    read_only_api: Api, account: Account, names: dict[str, str], method: str, path: str
) -> None:
    before = rows(account)

    response = ask(read_only_api, method, path, names)

    if method == "GET":
        assert response.status_code in (200, 404)
    else:
        assert (response.status_code, response.json()) == (403, READ_ONLY)
    assert rows(account) == before


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_token_of_another_account_sees_and_changes_nothing(
    stranger: Api, account: Account, names: dict[str, str], method: str, path: str
) -> None:
    before = rows(account)

    response = ask(stranger, method, path, names)

    if method == "GET":
        assert response.status_code in (200, 404)
    assert response.status_code < 500
    if response.status_code == 200 and path not in CHOOSE_A_NAME:
        assert MINE not in response.content.decode()
        assert names["message_id"] not in response.content.decode()
    assert rows(account) == before
