"""How a version is shown."""

from __future__ import annotations

from workflows_app.models import Version
from workflows_app.protocol.codec import decode_json
from workflows_app.rest.cloudflare.retention import write_retention
from workflows_app.rest.cloudflare.times import write_time
from workflows_app.rest.cloudflare.version_bodies import (
    DefaultRetentionBody,
    GraphBody,
    VersionBody,
    VersionDagBody,
    VersionGraphBody,
    VersionHeaderBody,
)


def render_version(version: Version) -> VersionBody:
    """What was not set is left out. A version is never modified."""
    body: VersionBody = {
        "id": str(version.public_id),
        "workflow_id": str(version.definition.public_id),
        "class_name": version.class_name,
        "language": "python",
        "has_dag": version.graph is not None,
        "created_on": write_time(version.created_at),
        "modified_on": write_time(version.created_at),
    }
    if version.step_limit is not None:
        body["limits"] = {"steps": version.step_limit}
    if version.parallelism is not None:
        body["concurrency"] = {"limit": version.parallelism}
    if retention := _retention(version):
        body["default_retention"] = retention
    return body


def render_graph(version: Version) -> VersionGraphBody:
    return {**_header(version), "graph": _graph(version)}


def render_dag(version: Version) -> VersionDagBody:
    return {**_header(version), "dag": _graph(version)}


def _header(version: Version) -> VersionHeaderBody:
    return {
        "id": str(version.public_id),
        "workflow_id": str(version.definition.public_id),
        "class_name": version.class_name,
        "created_on": write_time(version.created_at),
        "modified_on": write_time(version.created_at),
    }


def _retention(version: Version) -> DefaultRetentionBody:
    body: DefaultRetentionBody = {}
    if version.success_retention is not None:
        body["success_retention"] = write_retention(version.success_retention)
    if version.error_retention is not None:
        body["error_retention"] = write_retention(version.error_retention)
    return body


def _graph(version: Version) -> GraphBody | None:
    if version.graph is None:
        return None
    graph: GraphBody = decode_json(version.graph)
    return graph
