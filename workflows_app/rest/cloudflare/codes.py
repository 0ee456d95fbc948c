"""Every code that an answer of the dialect can have (Cloudflare reference 1.8)."""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus


class Code(Enum):
    """Number, name and status. Cloudflare has told nobody what it says where we say 10402 to 10404,
    10406 and 10407.
    """

    NO_ROUTE = 7003, "workflows.api.error.not_found", HTTPStatus.NOT_FOUND
    UNKNOWN_ACCOUNT = 7003, "Could not route to this account", HTTPStatus.NOT_FOUND
    METHOD = 7001, "Method not available for that URI", HTTPStatus.METHOD_NOT_ALLOWED
    NOT_AUTHENTICATED = 10000, "Authentication error", HTTPStatus.UNAUTHORIZED
    READ_ONLY = 10000, "Authentication error", HTTPStatus.FORBIDDEN
    INTERNAL = 10001, "workflows.api.error.internal_server", HTTPStatus.INTERNAL_SERVER_ERROR
    UNAVAILABLE = 10001, "workflows.api.error.internal_server", HTTPStatus.SERVICE_UNAVAILABLE
    BODY = 10002, "workflows.api.error.body", HTTPStatus.BAD_REQUEST
    TOO_LARGE = 10002, "workflows.api.error.body", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    UNKNOWN_WORKFLOW = 10200, "workflows.api.error.workflow.not_found", HTTPStatus.NOT_FOUND
    UNKNOWN_VERSION = 10300, "workflows.api.error.version.not_found", HTTPStatus.NOT_FOUND
    UNKNOWN_INSTANCE = 10400, "workflows.api.error.instance.not_found", HTTPStatus.NOT_FOUND
    CANNOT_TERMINATE = 10401, "workflows.api.error.instance.cannot_terminate", HTTPStatus.CONFLICT
    CANNOT_PAUSE = 10402, "workflows.api.error.instance.cannot_pause", HTTPStatus.CONFLICT
    CANNOT_RESUME = 10403, "workflows.api.error.instance.cannot_resume", HTTPStatus.CONFLICT
    CANNOT_RESTART = 10404, "workflows.api.error.instance.cannot_restart", HTTPStatus.CONFLICT
    INSTANCE_EXISTS = 10405, "workflows.api.error.instance.already_exists", HTTPStatus.BAD_REQUEST
    UNKNOWN_STEP = 10406, "workflows.api.error.instance.step_not_found", HTTPStatus.NOT_FOUND
    CANNOT_DELETE = 10407, "workflows.api.error.instance.cannot_delete", HTTPStatus.CONFLICT
    REPEATED = 10415, "workflows.api.error.instance.duplicate_in_batch", HTTPStatus.BAD_REQUEST

    @property
    def number(self) -> int:
        return self.value[0]

    @property
    def text(self) -> str:
        return self.value[1]

    @property
    def status(self) -> HTTPStatus:
        return self.value[2]

    @property
    def is_final(self) -> bool:
        """Whether a client that tries again without being told so does it in vain."""
        return self.status in (HTTPStatus.CONFLICT, HTTPStatus.INTERNAL_SERVER_ERROR)
