"""Whether the server answers at all (Upstash reference 1.1 (20)), and what is not there."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.errors import NotFound
from workflows_app.rest.upstash import operations
from workflows_app.rest.views import OpenView


class LivenessView(OpenView):
    @operations.liveness
    def get(self, request: Request) -> Response:
        return Response({})


class NoSuchRouteView(OpenView):
    """Answers in the dialect where Django would send a page."""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        raise NotFound(f"there is no {request.path}; /docs/ lists the routes of this server")
