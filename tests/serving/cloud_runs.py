"""What the server in memory keeps."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class CloudRun:
    run_id: str
    url: str
    headers: dict[str, str]
    payload: bytes
    elements: list[tuple[str, bytes]] = field(default_factory=list)
    status: str = "running"
    result: Any = None
    error: Any = None
    waits: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    kept: dict[str, list[bytes]] = field(default_factory=dict)
    parent: tuple[str, dict[str, Any]] | None = None

    @property
    def steps(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.elements]

    @property
    def results(self) -> list[str]:
        return [step["stepName"] for step in self.steps if step["stepId"]]

    @property
    def plans(self) -> list[str]:
        return [step["stepName"] for step in self.steps if not step["stepId"]]


@dataclass
class Owed:
    run: CloudRun
    count: int
    """How many elements its list has."""
    retried: int = 0
    callback: tuple[bytes, dict[str, str]] | None = None
    body: bytes | None = None
