"""How errors read that are nobody's fault, or a caller's who is far off."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.core.exceptions import SuspiciousOperation
from django.db import OperationalError
from django.test import Client, RequestFactory
from rest_framework.request import Request
from rest_framework.response import Response

from tests.rest.conftest import Api, answer_of
from workflows_app import errors
from workflows_app.rest.errors import STATUS_OF_CODE
from workflows_app.rest.views import OpenView


class Failing(OpenView):
    error: Exception = Exception()

    def get(self, request: Request) -> Response:
        raise self.error


def answer_to(error: Exception) -> tuple[int, Any]:
    response = Failing.as_view(error=error)(RequestFactory().get("/"))
    response.render()
    return response.status_code, json.loads(response.content)


def test_what_nobody_expected_is_logged_and_tells_the_caller_nothing(caplog):
    assert answer_to(ValueError("the secret is 42")) == (500, {"error": "internal error"})
    assert "the secret is 42" in caplog.text


def test_an_error_that_is_no_callers_business_is_an_internal_one(caplog):
    caplog.set_level(logging.CRITICAL)

    assert answer_to(errors.LeaseLost()) == (500, {"error": "internal error"})


def test_a_database_that_is_away_is_said_to_be(caplog):
    caplog.set_level(logging.CRITICAL)

    assert answer_to(OperationalError("the secret is 42")) == (
        503,
        {"error": "the database is not available; try again"},
    )


def test_what_django_finds_suspicious_is_malformed():
    assert answer_to(SuspiciousOperation("the secret is 42")) == (
        400,
        {"error": "The request is malformed."},
    )


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch", "options", "head"])
@pytest.mark.parametrize("path", ["/v2/nowhere", "/v2/workflows", "/v2/workflows/logs/"])
def test_a_route_that_does_not_exist_is_refused_in_the_dialect(method: str, path: str):
    response = getattr(Client(), method)(path)

    assert response.status_code == 404
    if method != "head":
        assert response.json() == {
            "error": f"there is no {path}; /docs/ lists the routes of this server"
        }


@pytest.mark.parametrize("method", ["put", "patch", "options", "trace"])
def test_a_method_that_a_route_lacks_is_refused_in_the_dialect(api: Api, method: str):
    response = getattr(Client(), method)(
        "/v2/workflows/dlq", headers={"Authorization": f"Bearer {api.token}"}
    )

    assert answer_of(response) == (
        405,
        {"error": f"{method.upper()} is not possible here; use GET or HEAD or DELETE"},
    )
    assert response.headers["Allow"] == "GET, HEAD, DELETE"


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", "*/*;q=0"])
def test_answers_are_json_whatever_is_accepted(api: Api, accept: str):
    response = Client().get(
        "/v2/keys?format=xml", headers={"Authorization": f"Bearer {api.token}", "Accept": accept}
    )

    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")


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
        - {errors.InsideTransaction.code}
    ),
)
def test_every_fault_of_a_caller_has_a_status(code: str):
    assert 400 <= STATUS_OF_CODE[code] < 500


def test_a_path_with_a_line_break_is_no_route(api: Api):
    response = api.get("/v2/messages/a%0Ab")

    assert response.status_code == 404
    assert response.json()["error"].startswith("there is no /v2/messages/a")
