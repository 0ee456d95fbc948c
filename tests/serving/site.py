"""`python -m tests.serving.site`: a Django site that serves workflows to the server that its
environment names. It has no database.
"""

from __future__ import annotations

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import URLPattern, path
from werkzeug.serving import make_server

from tests.serving.stories import make_workflows, notes
from workflows_app.serving import serve, serve_many

if not settings.configured:
    settings.configure(
        ROOT_URLCONF="tests.serving.site", SECRET_KEY="a-key-for-tests", ALLOWED_HOSTS=["*"]
    )
    django.setup()

WORKFLOWS = make_workflows()


def seen(request: HttpRequest) -> JsonResponse:
    return JsonResponse(notes, safe=False)


urlpatterns: list[URLPattern] = [
    path("seen", seen),
    path("workflows/<name>", serve_many(WORKFLOWS)),
    path("alone", serve(WORKFLOWS["async-child"])),
]


def main() -> None:
    server = make_server("127.0.0.1", 0, get_wsgi_application(), threaded=True)
    print(f"listening {server.port}", flush=True)  # noqa: T201 - how it is found
    server.serve_forever()


if __name__ == "__main__":
    main()
