"""Versions of a workflow: list, show, and the graph of one (Cloudflare reference 2.10 and 2.11)."""

from __future__ import annotations

import uuid

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.models import Account, Version
from workflows_app.rest.authentication import account_of
from workflows_app.rest.cloudflare import version_operations as operations
from workflows_app.rest.cloudflare.codes import Code
from workflows_app.rest.cloudflare.envelope import success
from workflows_app.rest.cloudflare.errors import ApiError
from workflows_app.rest.cloudflare.names import find_workflow
from workflows_app.rest.cloudflare.paging import numbered
from workflows_app.rest.cloudflare.reading import Query
from workflows_app.rest.cloudflare.version_rows import render_dag, render_graph, render_version
from workflows_app.rest.cloudflare.views import CloudflareView

_PER_PAGE = 50


class VersionsView(CloudflareView):
    @operations.list_versions
    def get(self, request: Request, workflow_name: str) -> Response:
        definition = find_workflow(account_of(request), workflow_name)
        found = definition.versions.select_related("definition").order_by("-pk")
        page = numbered(found, Query(request), default=_PER_PAGE)
        return success([render_version(each) for each in page.rows], page=page.info)


class VersionView(CloudflareView):
    @operations.show_version
    def get(self, request: Request, workflow_name: str, version_id: str) -> Response:
        version = _find_version(account_of(request), workflow_name, version_id)
        return success(render_version(version))


class VersionGraphView(CloudflareView):
    @operations.show_graph
    def get(self, request: Request, workflow_name: str, version_id: str) -> Response:
        version = _find_version(account_of(request), workflow_name, version_id)
        return success(render_graph(version))


class VersionDagView(CloudflareView):
    @operations.show_dag
    def get(self, request: Request, workflow_name: str, version_id: str) -> Response:
        version = _find_version(account_of(request), workflow_name, version_id)
        return success(render_dag(version))


def _find_version(account: Account, name: str, version_id: str) -> Version:
    definition = find_workflow(account, name)
    version = None
    if (public_id := _uuid(version_id)) is not None:
        versions = definition.versions.select_related("definition")
        version = versions.filter(public_id=public_id).first()
    if version is None:
        raise ApiError(
            Code.UNKNOWN_VERSION,
            f'the workflow "{name}" has no version of this id; list those that it has',
        )
    return version


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
