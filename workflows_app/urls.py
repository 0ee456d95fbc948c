"""All URLs of the app (docs/rest.md, docs/deploy.md)."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from workflows_app.rest.health import HealthView, ReadyView
from workflows_app.rest.metrics import MetricsView
from workflows_app.rest.realtime import RealtimeView, TicketsView
from workflows_app.rest.schema import DocsView, SchemaView
from workflows_app.rest.serve import serve_view

urlpatterns: list[URLPattern | URLResolver] = [
    path("v2/", include("workflows_app.rest.upstash.urls")),
    path("client/v4/", include("workflows_app.rest.cloudflare.urls")),
    path("serve/<path:name>", serve_view),
    path("healthz", HealthView.as_view()),
    path("readyz", ReadyView.as_view()),
    path("realtime", RealtimeView.as_view()),
    path("realtime/tickets", TicketsView.as_view()),
    path("metrics", MetricsView.as_view()),
    path("schema/", SchemaView.as_view(), name="workflows-schema"),
    path("docs/", DocsView.as_view()),
]
