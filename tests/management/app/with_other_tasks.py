"""The settings of a project with tasks of its own under django-q2, and a lane for workflows."""

from __future__ import annotations

from tests.management.app.settings import *  # noqa: F403
from tests.management.app.settings import Q_CLUSTER as DEMO_CLUSTER

Q_CLUSTER = {
    "name": "tasks",
    "orm": "default",
    "timeout": 60,
    "retry": 300,
    "ALT_CLUSTERS": {"workflows": {**DEMO_CLUSTER, "workers": 1}},
}
