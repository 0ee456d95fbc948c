"""Routes of the dialect, below `/client/v4/`.

Where one pattern fits what another means, the narrower stands first.
"""

from __future__ import annotations

from django.urls import URLPattern, re_path

from workflows_app.rest.cloudflare.instance_batches import (
    BatchDeleteView,
    BatchTerminateView,
    TerminationView,
)
from workflows_app.rest.cloudflare.instance_commands import (
    InstanceEventView,
    InstanceStatusView,
)
from workflows_app.rest.cloudflare.instances import (
    InstanceBatchView,
    InstancesView,
    InstanceView,
)
from workflows_app.rest.cloudflare.routes import (
    ACCOUNT,
    INSTANCE,
    INSTANCES,
    VERSIONS,
    WORKFLOW,
    route,
)
from workflows_app.rest.cloudflare.settings import SettingsView
from workflows_app.rest.cloudflare.step_outputs import StepOutputView
from workflows_app.rest.cloudflare.versions import (
    VersionDagView,
    VersionGraphView,
    VersionsView,
    VersionView,
)
from workflows_app.rest.cloudflare.views import NoSuchRouteView
from workflows_app.rest.cloudflare.workflows import WorkflowsView, WorkflowView

urlpatterns: list[URLPattern] = [
    *route(ACCOUNT, WorkflowsView),
    *route(f"{ACCOUNT}/settings", SettingsView),
    *route(WORKFLOW, WorkflowView),
    *route(INSTANCES, InstancesView),
    *route(f"{INSTANCES}/batch", InstanceBatchView),
    *route(f"{INSTANCES}/batch/delete", BatchDeleteView),
    *route(f"{INSTANCES}/batch/terminate", BatchTerminateView),
    *route(f"{INSTANCES}/terminate", TerminationView),
    *route(f"{INSTANCE}/step", StepOutputView),
    *route(f"{INSTANCE}/status", InstanceStatusView),
    *route(f"{INSTANCE}/events/<anything:event_type>", InstanceEventView),
    *route(INSTANCE, InstanceView),
    *route(VERSIONS, VersionsView),
    *route(f"{VERSIONS}/<str:version_id>", VersionView),
    *route(f"{VERSIONS}/<str:version_id>/graph", VersionGraphView),
    *route(f"{VERSIONS}/<str:version_id>/dag", VersionDagView),
    # No converter matches line breaks, which a percent-encoded path may hold.
    re_path(r"[\s\S]*", NoSuchRouteView.as_view(schema=None)),
]
