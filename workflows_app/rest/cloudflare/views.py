"""What all routes of the dialect share."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.errors import NotFound
from workflows_app.rest.authentication import account_of
from workflows_app.rest.cloudflare.authentication import CloudflareAuthentication
from workflows_app.rest.cloudflare.codes import Code
from workflows_app.rest.cloudflare.errors import ApiError, render_error
from workflows_app.rest.views import ApiView


class CloudflareView(ApiView):
    """A route below an account, which is not among the arguments of its methods: `account_of` says
    which it is. The one that the path names has to be that of the token.
    """

    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    authentication_classes = [CloudflareAuthentication]

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self._named_account = kwargs.pop("account_id", "")
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not _names(self._named_account, account_of(request).public_id):
            raise ApiError(
                Code.UNKNOWN_ACCOUNT,
                f"this token is of no account {self._named_account[:100]!r}; "
                f"its own is {account_of(request).public_id.hex}",
            )

    def handle_exception(self, exc: Exception) -> Response:
        answer = render_error(exc)
        answer.exception = True
        return answer


class NoSuchRouteView(CloudflareView):
    """Answers in the dialect where Django would send a page."""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        raise NotFound(f"there is no {request.path}; /docs/ lists the routes of this server")


def _names(text: str, public_id: uuid.UUID) -> bool:
    return text.lower() in (public_id.hex, str(public_id))
