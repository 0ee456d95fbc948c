"""How the dialect's URLs are matched."""

from __future__ import annotations

from django.urls import URLPattern, path, register_converter
from django.urls.converters import StringConverter

from workflows_app.rest.cloudflare.views import CloudflareView

ACCOUNT = "accounts/<str:account_id>/workflows"
WORKFLOW = f"{ACCOUNT}/<str:workflow_name>"
INSTANCES = f"{WORKFLOW}/instances"
INSTANCE = f"{INSTANCES}/<anything:instance_id>"
VERSIONS = f"{WORKFLOW}/versions"


class AnythingConverter(StringConverter):
    """Any text that does not end in a slash, line breaks included.

    Ids of instances that a cron schedule has started hold slashes, and servers hand paths over
    decoded: `%2F` cannot be told from the slash of a route. So routes match what they know the end
    of, from the longest to the shortest.
    """

    regex = r"[\s\S]*[^/]"


register_converter(AnythingConverter, "anything")


def route(pattern: str, view: type[CloudflareView]) -> list[URLPattern]:
    """With and without a slash at its end: a redirect would cost a POST its body."""
    return [path(pattern, view.as_view()), path(f"{pattern}/", view.as_view(schema=None))]
