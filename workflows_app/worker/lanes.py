"""Which of django-q2's clusters, as the project has set them up, work on workflows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workflows_app.conf import q_cluster

BROKER = "workflows_app.worker.broker.DoorbellBroker"
NAME_VARIABLE = "Q_CLUSTER_NAME"
"""The environment variable by which django-q2 chooses among its lanes, when it is imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A cluster whose broker is ours, with the values in force for it."""

    name: str
    setting: str
    """Where its values are written."""
    values: Mapping[str, Any]
    is_alternative: bool

    @property
    def workers(self) -> int:
        return int(self.values.get("workers") or os.cpu_count() or 1)

    def environment(self) -> dict[str, str]:
        """This process's environment, for a `qcluster` that is to run in this lane."""
        inherited = {name: value for name, value in os.environ.items() if name != NAME_VARIABLE}
        return inherited | {NAME_VARIABLE: self.name} if self.is_alternative else inherited


def workflow_lanes() -> list[Lane]:
    """The cluster of `Q_CLUSTER` itself first, where it is one of ours."""
    return [lane for lane in _lanes() if lane.values.get("broker_class") == BROKER]


def lane_names() -> list[str]:
    """All that `Q_CLUSTER_NAME` may say."""
    base = q_cluster()
    names = [base.get("name", "default"), base.get("cluster_name"), *base.get("ALT_CLUSTERS", {})]
    return [name for name in names if name]


def _lanes() -> Iterator[Lane]:
    given = q_cluster()
    base = {name: value for name, value in given.items() if name != "ALT_CLUSTERS"}
    name = base.get("cluster_name") or base.get("name", "default")
    yield Lane(name=name, setting="Q_CLUSTER", values=base, is_alternative=False)
    for name, own in given.get("ALT_CLUSTERS", {}).items():
        yield Lane(
            name=name,
            setting=f'Q_CLUSTER["ALT_CLUSTERS"]["{name}"]',
            values={**base, **own},
            is_alternative=True,
        )
