"""The Django admin of the app: it shows rows, and changes them through the engine's verbs alone."""

from workflows_app.admin import (
    access,
    channels,
    dead_letters,
    definitions,
    flow_control,
    messages,
    publications,
    runs,
    schedules,
    versions,
    waiting,
)

__all__ = [
    "access",
    "channels",
    "dead_letters",
    "definitions",
    "flow_control",
    "messages",
    "publications",
    "runs",
    "schedules",
    "versions",
    "waiting",
]
