"""Which code an error has in the dialect: decided here for every route."""

from __future__ import annotations

from http import HTTPStatus

from rest_framework.response import Response
from rest_framework.views import set_rollback

from workflows_app.errors import WorkflowsError
from workflows_app.rest.cloudflare.codes import Code
from workflows_app.rest.cloudflare.envelope import failure
from workflows_app.rest.errors import explain

CODE_OF_ERROR = {
    "invalid_input": Code.BODY,
    "invalid_duration": Code.BODY,
    "invalid_expression": Code.BODY,
    "invalid_cron": Code.BODY,
    "invalid_url": Code.BODY,
    "invalid_run_id": Code.BODY,
    "limit_exceeded": Code.BODY,
    "not_serializable": Code.BODY,
    "payload_too_large": Code.TOO_LARGE,
    "not_found": Code.NO_ROUTE,
    "unknown_workflow": Code.UNKNOWN_WORKFLOW,
    "run_not_found": Code.UNKNOWN_INSTANCE,
    # Routes whose command has a code of its own for what cannot be done say so by an ApiError.
    "refused": Code.BODY,
    "run_ended": Code.BODY,
    "not_authenticated": Code.NOT_AUTHENTICATED,
    "read_only_token": Code.READ_ONLY,
}
_CODE_OF_STATUS = {
    HTTPStatus.BAD_REQUEST: Code.BODY,
    HTTPStatus.METHOD_NOT_ALLOWED: Code.METHOD,
    HTTPStatus.SERVICE_UNAVAILABLE: Code.UNAVAILABLE,
}


class ApiError(Exception):
    """An answer with a code that only the route knows, as the engine has no word for it."""

    def __init__(self, code: Code, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def render_error(error: Exception) -> Response:
    """The answer to a request that ended in `error`.

    What nobody expected is logged, and the caller learns nothing about it.
    """
    set_rollback()
    if isinstance(error, ApiError):
        return failure(error.code, error.sentence)
    if isinstance(error, WorkflowsError) and error.code in CODE_OF_ERROR:
        return _refusal(CODE_OF_ERROR[error.code], error.message)
    status, sentence = explain(error)
    return failure(_CODE_OF_STATUS.get(HTTPStatus(status), Code.INTERNAL), sentence)


def _refusal(code: Code, sentence: str) -> Response:
    answer = failure(code, sentence)
    if code is Code.NOT_AUTHENTICATED:
        answer["WWW-Authenticate"] = "Bearer"
    return answer
