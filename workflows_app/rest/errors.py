"""Which status an error has, and how it reads: decided here for every route."""

from __future__ import annotations

import logging
from http import HTTPStatus

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import set_rollback

from workflows_app.errors import WorkflowsError

logger = logging.getLogger("workflows_app")

STATUS_OF_CODE = {
    "invalid_input": HTTPStatus.BAD_REQUEST,
    "invalid_duration": HTTPStatus.BAD_REQUEST,
    "invalid_expression": HTTPStatus.BAD_REQUEST,
    "invalid_cron": HTTPStatus.BAD_REQUEST,
    "invalid_url": HTTPStatus.BAD_REQUEST,
    "invalid_run_id": HTTPStatus.BAD_REQUEST,
    # What makes the SDKs give up at once instead of trying again (Upstash reference 1.2).
    "limit_exceeded": HTTPStatus.PRECONDITION_FAILED,
    "not_serializable": HTTPStatus.BAD_REQUEST,
    "payload_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "not_found": HTTPStatus.NOT_FOUND,
    "unknown_workflow": HTTPStatus.NOT_FOUND,
    "run_not_found": HTTPStatus.NOT_FOUND,
    "dead_letter_not_found": HTTPStatus.NOT_FOUND,
    # 400 is what the SDKs expect of a run that has ended (Upstash reference 1.2).
    "refused": HTTPStatus.BAD_REQUEST,
    "run_ended": HTTPStatus.BAD_REQUEST,
    "not_authenticated": HTTPStatus.UNAUTHORIZED,
    "invalid_signature": HTTPStatus.UNAUTHORIZED,
    "read_only_token": HTTPStatus.FORBIDDEN,
}


def render_error(error: Exception) -> Response:
    """The answer to a request that ended in `error`.

    What nobody expected is logged, and the caller learns nothing about it.
    """
    set_rollback()
    if isinstance(error, WorkflowsError) and error.code in STATUS_OF_CODE:
        return _refusal(error)
    return _answer(*explain(error))


def explain(error: Exception) -> tuple[int, str]:
    """Status and sentence for what is no error of ours, or none that callers are told."""
    if isinstance(error, APIException):
        return error.status_code, str(error.detail)
    if isinstance(error, SuspiciousOperation):
        return HTTPStatus.BAD_REQUEST, "The request is malformed."
    logger.error("a request failed", exc_info=error)
    if isinstance(error, OperationalError | InterfaceError):
        return HTTPStatus.SERVICE_UNAVAILABLE, "the database is not available; try again"
    return HTTPStatus.INTERNAL_SERVER_ERROR, "internal error"


def _refusal(error: WorkflowsError) -> Response:
    answer = _answer(STATUS_OF_CODE[error.code], error.message)
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        answer["WWW-Authenticate"] = "Bearer"
    return answer


def _answer(status: int, sentence: str) -> Response:
    return Response({"error": sentence}, status=status)
