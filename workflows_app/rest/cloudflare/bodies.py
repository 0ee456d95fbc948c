"""The shapes of what is answered about workflows (Cloudflare reference 2.1 to 2.3). /schema/ shows
them as they stand here.
"""

from __future__ import annotations

from typing import Literal, TypedDict


class ScheduleBody(TypedDict):
    cron: str
    next_instance: str


class WorkflowBody(TypedDict):
    id: str
    name: str
    class_name: str
    script_name: str
    created_on: str
    modified_on: str
    triggered_on: str | None
    instances: dict[str, int]
    schedules: list[ScheduleBody]
    script_deleted: bool


class UpdatedBody(TypedDict):
    id: str
    version_id: str
    name: str
    class_name: str
    script_name: str
    created_on: str
    modified_on: str
    triggered_on: str | None
    is_deleted: int
    terminator_running: int


class DeletedBody(TypedDict):
    status: Literal["ok"]
    success: bool | None


class RetentionBody(TypedDict):
    success_retention: int | None
    error_retention: int | None


class SettingsBody(TypedDict):
    default_retention: RetentionBody
