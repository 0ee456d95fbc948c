"""All operations of the dialect, as /schema/ describes them: none can be forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.rest.fuzzing import read_schema

ROOT = "/client/v4/accounts/{account_id}/workflows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    method: str
    path: str
    """Behind `ROOT`, with its parameters in braces."""
    body: Any
    """That of the description's example."""
    query: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def changes(self) -> bool:
        return self.method != "GET"


def operations() -> list[Operation]:
    return [
        Operation(
            method=method.upper(),
            path=path.removeprefix(ROOT).removeprefix("/"),
            body=_example(described.get("requestBody")),
            query=tuple(
                each["name"] for each in described.get("parameters", ()) if each["in"] == "query"
            ),
        )
        for path, methods in read_schema()["paths"].items()
        if path.startswith(ROOT)
        for method, described in methods.items()
    ]


def _example(body: Any) -> Any:
    if body is None:
        return None
    examples = body["content"]["application/json"].get("examples", {"none": {"value": None}})
    return next(iter(examples.values()))["value"]
