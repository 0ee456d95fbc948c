"""The shapes of versions and their graphs (Cloudflare reference 2.10 and 2.11).

Annotations are evaluated here, so that `NotRequired` is seen at runtime.
"""

from typing import Any, Literal, NotRequired, TypedDict


class StepLimitBody(TypedDict):
    steps: int


class ConcurrencyBody(TypedDict):
    limit: int


class DefaultRetentionBody(TypedDict):
    success_retention: NotRequired[int]
    error_retention: NotRequired[int]


class VersionHeaderBody(TypedDict):
    id: str
    workflow_id: str
    class_name: str
    created_on: str
    modified_on: str


class VersionBody(VersionHeaderBody):
    language: Literal["python"]
    has_dag: bool
    limits: NotRequired[StepLimitBody]
    concurrency: NotRequired[ConcurrencyBody]
    default_retention: NotRequired[DefaultRetentionBody]


class GraphedWorkflowBody(TypedDict):
    class_name: str
    functions: dict[str, dict[str, Any]]
    nodes: list[dict[str, Any]]
    payload: NotRequired[dict[str, Any]]


class GraphBody(TypedDict):
    version: int
    workflow: GraphedWorkflowBody


class VersionGraphBody(VersionHeaderBody):
    graph: GraphBody | None


class VersionDagBody(VersionHeaderBody):
    dag: GraphBody | None
