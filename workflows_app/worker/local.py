"""Workflow functions called in this process."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connections

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.addresses import webhook_url
from workflows_app.engine.begun import begun_steps
from workflows_app.engine.database import connection
from workflows_app.engine.journal import Journal
from workflows_app.engine.keeping import keeper
from workflows_app.engine.ports import Turn
from workflows_app.engine.terms import step_limit_of
from workflows_app.models import Run
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.exchange import Answer
from workflows_app.protocol.invocations import without_depth
from workflows_app.protocol.runs import RunInfo, TurnOutcome
from workflows_app.sdk.authoring import Failure, Workflow
from workflows_app.sdk.base_context import Ports
from workflows_app.sdk.interrupts import ordinary_errors
from workflows_app.sdk.payloads import decode_payload
from workflows_app.sdk.replay import Extent
from workflows_app.sdk.turn import run_turn


def run_info(run: Run) -> RunInfo:
    return RunInfo(
        run_id=run.run_id,
        workflow=run.workflow,
        url=run.url,
        payload=bytes(run.payload),
        content_type=run.content_type,
        headers=without_depth(run.header_map),
        labels=tuple(run.label_list),
        retries=run.retries,
        retry_delay=run.retry_delay,
        timeout=run.timeout,
        created_at=run.created_at,
        schedule=run.schedule,
        step_limit=step_limit_of(run),
    )


def ports_of(turn: Turn) -> Ports:
    return Ports(
        recorder=Journal(turn.lease, turn.stopping),
        webhook_url=partial(webhook_url, turn.run),
        # A caller's open transaction lives in this thread alone.
        threads=not connection().in_atomic_block,
        thread_ends=connections.close_all,
        # Nothing can have begun before the first claim of a message.
        watch=partial(keeper().watch, turn.lease),
        begun=partial(begun_steps, [turn.run.pk] if turn.lease.claims > 1 else []),
    )


def take_turn(
    workflow: Workflow, turn: Turn, ports: Ports, extent: Extent = Extent.TO_THE_NEXT_WAIT
) -> TurnOutcome:
    """Go on until the run ends or waits; each step is stored as it finishes."""
    return run_turn(
        workflow,
        run_info(turn.run),
        turn.history,
        ports,
        now=clock.now,
        max_result_bytes=get_settings().MAX_RESULT_BYTES,
        extent=extent,
    )


def call_failure_function(workflow: Workflow, run: Run, attempt: int) -> Answer:
    """Call the workflow's failure function. Raises what it raises."""
    error = run.error_info or {}
    failure = Failure(
        workflow_run_id=run.run_id,
        request_payload=decode_payload(bytes(run.payload)),
        headers=without_depth(run.header_map),
        labels=tuple(run.label_list),
        error_type=error.get("type", ""),
        error_message=error.get("message", ""),
        step=error.get("step"),
        attempt=attempt,
    )
    function: Any = workflow.failure_function
    call = async_to_sync(function) if workflow.failure_is_async else function
    with ordinary_errors:
        returned = call(failure)
    body = b"" if returned is None else encode_json(returned).encode()
    return Answer(status=HTTPStatus.OK, headers={}, body=body)
