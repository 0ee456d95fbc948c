"""Runs that go on in the place of another: what they have from it."""

from __future__ import annotations

from datetime import datetime

from workflows_app.models import Run, RunLabel


def successor(old: Run, run_id: str, now: datetime) -> Run:
    """A run like the other one, which it names as its origin. Not stored, and not live yet."""
    return Run(
        account_id=old.account_id,
        run_id=run_id,
        workflow=old.workflow,
        named_within=old.named_within,
        url=old.url,
        payload=bytes(old.payload),
        content_type=old.content_type,
        headers=old.headers,
        labels=old.labels,
        retries=old.retries,
        retry_delay=old.retry_delay,
        timeout=old.timeout,
        failure_url=old.failure_url,
        failure_options=old.failure_options,
        endpoint_check=old.endpoint_check,
        redaction=old.redaction,
        flow_control_id=old.flow_control_id,
        caller_ip=old.caller_ip,
        source=old.source,
        schedule=old.schedule,
        version_id=old.version_id,
        success_retention=old.success_retention,
        error_retention=old.error_retention,
        origin=old,
        created_at=now,
    )


def store(new: Run) -> None:
    """With its labels."""
    new.save(force_insert=True)
    RunLabel.objects.bulk_create(RunLabel(run=new, name=label) for label in new.label_list)
