"""What all routes of the dialect have in common: who may ask, and how errors read."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from tests.rest.cloudflare.conftest import CloudflareApi, refusal_of, result_of
from workflows_app import errors
from workflows_app.models import Account
from workflows_app.rest.cloudflare.codes import Code
from workflows_app.rest.cloudflare.envelope import success
from workflows_app.rest.cloudflare.errors import CODE_OF_ERROR, ApiError
from workflows_app.rest.cloudflare.views import CloudflareView

MISSING = 'a token is missing: send it as "Authorization: Bearer <token>"'
UNKNOWN = "this token is unknown or has been revoked; ask whoever runs this server for another"


class Anything(CloudflareView):
    """Answers what it was told to, or fails with it."""

    outcome: Any = None

    def get(self, request: Request) -> Response:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return success(self.outcome)

    def post(self, request: Request) -> Response:
        return success("changed")


def ask(account: Account | str, outcome: Any = "yes", method: str = "get", **headers: str) -> Any:
    account_id = account if isinstance(account, str) else account.public_id.hex
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = getattr(RequestFactory(), method)("/", headers=named)
    response: Any = Anything.as_view(outcome=outcome)(request, account_id=account_id)
    response.render()
    response.json = lambda: json.loads(response.content)
    return response


def bearer(api: CloudflareApi) -> dict[str, str]:
    return {"authorization": f"Bearer {api.token}"}


# -- who may ask


@pytest.mark.parametrize("header", ["x_auth_key", "x_auth_user_service_key"])
def test_a_token_may_stand_where_clients_send_a_key(cloudflare: CloudflareApi, header: str):
    response = ask(
        cloudflare.account, x_auth_email="ada@flows.example", **{header: cloudflare.token}
    )

    assert result_of(response) == "yes"


def test_a_wrong_token_is_not_mended_by_a_right_key(cloudflare: CloudflareApi):
    response = ask(cloudflare.account, authorization="Bearer wrong", x_auth_key=cloudflare.token)

    assert refusal_of(response) == (401, 10000, UNKNOWN)


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({}, MISSING),
        ({"authorization": "Basic abc"}, MISSING),
        ({"authorization": "Bearer wrong"}, UNKNOWN),
        ({"x_auth_key": "wröng\x7f"}, UNKNOWN),
        ({"x_auth_email": "ada@flows.example"}, MISSING),
    ],
)
def test_nothing_is_told_without_a_token(account: Account, headers: Any, sentence: str):
    response = ask(account, **headers)

    assert refusal_of(response) == (401, 10000, sentence)
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_read_only_token_reads_and_does_nothing_else(read_only: CloudflareApi):
    assert result_of(ask(read_only.account, **bearer(read_only))) == "yes"
    assert refusal_of(ask(read_only.account, method="post", **bearer(read_only))) == (
        403,
        10000,
        "This token may only read; use a full token to change anything.",
    )


def test_the_account_may_be_written_with_hyphens(cloudflare: CloudflareApi):
    written = str(cloudflare.account.public_id).upper()

    assert result_of(ask(written, **bearer(cloudflare))) == "yes"


@pytest.mark.parametrize("account_id", ["", "1", "a" * 32, "ü", "\x00", "0" * 5000])
def test_a_token_reaches_its_own_account_alone(cloudflare: CloudflareApi, account_id: str):
    status, code, sentence = refusal_of(ask(account_id, **bearer(cloudflare)))

    assert (status, code) == (404, 7003)
    assert sentence.endswith(f"its own is {cloudflare.account.public_id.hex}")


def test_the_account_of_another_is_as_unknown_as_one_that_does_not_exist(
    cloudflare: CloudflareApi, other_account: Account
):
    assert refusal_of(ask(other_account, **bearer(cloudflare)))[:2] == (404, 7003)


# -- errors


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.InvalidInput("page is odd"), (400, 10002, "page is odd")),
        (errors.PayloadTooLarge("too much"), (413, 10002, "too much")),
        (errors.UnknownWorkflow("no such"), (404, 10200, "no such")),
        (errors.RunNotFound("no such"), (404, 10400, "no such")),
        (errors.RunEnded("it is over"), (400, 10002, "it is over")),
        (ParseError("what?"), (400, 10002, "what?")),
        (ApiError(Code.UNKNOWN_VERSION, "no such"), (404, 10300, "no such")),
        (ApiError(Code.CANNOT_PAUSE, "it is over"), (409, 10402, "it is over")),
        (ApiError(Code.INSTANCE_EXISTS, "twice"), (400, 10405, "twice")),
        (ValueError("the secret is 42"), (500, 10001, "internal error")),
        (errors.LeaseLost(), (500, 10001, "internal error")),
        (
            OperationalError("the secret is 42"),
            (503, 10001, "the database is not available; try again"),
        ),
    ],
    ids=repr,
)
def test_errors_have_the_codes_of_the_dialect(
    cloudflare: CloudflareApi, caplog: Any, error: Exception, expected: tuple[int, int, str]
):
    caplog.set_level(logging.CRITICAL)

    response = ask(cloudflare.account, error, **bearer(cloudflare))

    assert refusal_of(response) == expected
    retries_are_useless = expected[0] in (409, 500)
    assert (response.headers.get("x-should-retry") == "false") == retries_are_useless


def test_what_nobody_expected_is_logged(cloudflare: CloudflareApi, caplog: Any):
    ask(cloudflare.account, ValueError("the secret is 42"), **bearer(cloudflare))

    assert "the secret is 42" in caplog.text


def leaves(kind: type[errors.WorkflowsError]) -> list[type[errors.WorkflowsError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]


@pytest.mark.parametrize(
    "code",
    sorted(
        {
            error.code
            for family in (errors.InvalidInput, errors.NotFound, errors.Refused)
            for error in leaves(family)
        }
        # Of transactions, and of the other dialect's lists.
        - {errors.InsideTransaction.code, errors.DeadLetterNotFound.code}
    ),
)
def test_every_fault_of_a_caller_has_a_code(code: str):
    assert 400 <= CODE_OF_ERROR[code].status < 500


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch", "options", "head"])
@pytest.mark.parametrize(
    "path",
    ["", "nowhere", "accounts/x/workers", "accounts/x/workflows/a/b/c", "a%0Ab", "a%00b", "%ff"],
)
def test_a_route_that_does_not_exist_is_refused_in_the_envelope(method: str, path: str):
    response = getattr(Client(), method)(f"/client/v4/{path}")

    assert response.status_code == 404
    if method != "head":
        assert refusal_of(response)[:2] == (404, 7003)
        assert response.json()["errors"][0]["message"] == "workflows.api.error.not_found"


def test_a_method_that_a_route_lacks_is_refused_in_the_envelope(cloudflare: CloudflareApi):
    response = ask(cloudflare.account, method="put", **bearer(cloudflare))

    assert refusal_of(response) == (
        405,
        7001,
        "PUT is not possible here; use GET or HEAD or POST",
    )
    assert response["Allow"] == "GET, HEAD, POST"
