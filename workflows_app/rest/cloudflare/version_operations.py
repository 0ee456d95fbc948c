"""How /schema/ describes the routes of versions."""

from __future__ import annotations

from workflows_app.rest.cloudflare.describing import BAD, PAGE_PARAMETERS, described
from workflows_app.rest.cloudflare.version_bodies import (
    GraphBody,
    VersionBody,
    VersionDagBody,
    VersionGraphBody,
    VersionHeaderBody,
)
from workflows_app.rest.schema import Access

_HEADER: VersionHeaderBody = {
    "id": "5b1c2f4e-7d0a-4c58-8a64-0f5f3a1f6b02",
    "workflow_id": "0d1f6d3c-92c5-4f0e-9f0a-6a4f2a6d5a01",
    "class_name": "OrderWorkflow",
    "created_on": "2030-01-02T12:00:00.000Z",
    "modified_on": "2030-01-02T12:00:00.000Z",
}
_VERSION: VersionBody = {
    **_HEADER,
    "language": "python",
    "has_dag": True,
    "limits": {"steps": 500},
    "concurrency": {"limit": 10},
    "default_retention": {"success_retention": 259200000, "error_retention": 2592000000},
}
_GRAPH: GraphBody = {
    "version": 1,
    "workflow": {
        "class_name": "OrderWorkflow",
        "functions": {},
        "nodes": [
            {
                "type": "step_do",
                "name": "charge",
                "config": {
                    "retries": {"limit": 5, "delay": 10000, "backoff": "exponential"},
                    "timeout": "10 minutes",
                },
                "nodes": [],
            },
            {
                "type": "if",
                "branches": [
                    {
                        "condition": "event['payload']['gift']",
                        "nodes": [{"type": "step_sleep", "name": "wrap", "duration": "1 hour"}],
                    }
                ],
            },
        ],
        "payload": {"type": "object", "fields": {"gift": {"type": "unknown"}}},
    },
}
_GRAPHED: VersionGraphBody = {**_HEADER, "graph": _GRAPH}
_DRAWN: VersionDagBody = {**_HEADER, "dag": _GRAPH}

list_versions = described(
    Access.ANY_TOKEN,
    name="versions_list",
    summary="The versions of a workflow, newest first",
    result=list[VersionBody],
    example=[_VERSION],
    page={"count": 1, "per_page": 50, "total_count": 1, "page": 1, "total_pages": 1},
    refused=[BAD],
    parameters=PAGE_PARAMETERS,
)
show_version = described(
    Access.ANY_TOKEN,
    name="versions_get",
    summary="One version: its code, and what was set for its instances",
    result=VersionBody,
    example=_VERSION,
)
show_graph = described(
    Access.ANY_TOKEN,
    name="versions_graph",
    summary="The steps of a version as its source has them; null where there is no source to read",
    result=VersionGraphBody,
    example=_GRAPHED,
)
show_dag = described(
    Access.ANY_TOKEN,
    name="versions_dag",
    summary="The same, by the name that it had before",
    result=VersionDagBody,
    example=_DRAWN,
)
