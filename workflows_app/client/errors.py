"""What the client raises.

ClientError
├── NotConfigured          no address or no token, or one that cannot be used
├── ServerUnreachable      no connection: nothing was done
├── AnswerLost             sent, and no answer came: it may have been done
├── UnreadableAnswer       what answered is no such server
└── RequestRefused         the server answered with an error
    ├── TokenRefused       401, 403
    ├── NotOnServer        404
    ├── TooManyRequests    429
    └── ServerFailed       5xx: it may have been done
"""

from __future__ import annotations

from http import HTTPStatus

from workflows_app.errors import WorkflowsError


class ClientError(WorkflowsError):
    """The server could not be asked, or gave no answer that can be used."""

    code = "client_error"
    status: int | None = None
    """Of the server's answer, where there was one."""


class NotConfigured(ClientError):
    """The client does not know which server to ask, or with which token."""

    code = "client_not_configured"


class ServerUnreachable(ClientError):
    """No connection could be made, so nothing was done."""

    code = "server_unreachable"


class AnswerLost(ClientError):
    """The request was sent and no answer came: the server may have done what it was asked for."""

    code = "answer_lost"


class UnreadableAnswer(ClientError):
    """What answered is not a workflow server."""

    code = "unreadable_answer"


class RequestRefused(ClientError):
    """The server answered with an error; `status` says which, `server_message` in its words."""

    code = "request_refused"

    def __init__(self, message: str = "", *, status: int, server_message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.server_message = server_message


class TokenRefused(RequestRefused):
    """The server knows no such token, or the token may not do this."""

    code = "token_refused"


class NotOnServer(RequestRefused):
    """The server has no such run, entry, schedule or workflow."""

    code = "not_on_server"


class TooManyRequests(RequestRefused):
    """The server asks its callers to slow down."""

    code = "too_many_requests"


class ServerFailed(RequestRefused):
    """The server failed at the request; it may have done a part of it."""

    code = "server_failed"


def kind_of(status: int) -> type[RequestRefused]:
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return TokenRefused
        case HTTPStatus.NOT_FOUND:
            return NotOnServer
        case HTTPStatus.TOO_MANY_REQUESTS:
            return TooManyRequests
    return ServerFailed if status >= HTTPStatus.INTERNAL_SERVER_ERROR else RequestRefused
