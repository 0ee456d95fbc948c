"""How deep a run stands below those that invoked one another: a forwarded header says it, which the
SDKs of other services count up as well (Upstash reference 2.2).
"""

from __future__ import annotations

from collections.abc import Mapping

from workflows_app.protocol.published import read_number

_DEPTH = "Upstash-Workflow-Invoke-Count"


def depth_of(headers: Mapping[str, str]) -> int:
    """Of a run with these headers; 0 for one that nothing invoked."""
    said = (value for name, value in headers.items() if _is_depth(name))
    return max((read_number(value) or 0 for value in said), default=0)


def at_depth(headers: Mapping[str, str], depth: int) -> dict[str, str]:
    return {**without_depth(headers), _DEPTH: str(depth)}


def without_depth(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if not _is_depth(name)}


def _is_depth(name: str) -> bool:
    return name.title() == _DEPTH
