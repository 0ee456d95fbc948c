"""The steps of a run in groups, numbered as the SDKs number them (Upstash reference 6.2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

from workflows_app.protocol.ids import start_message_id
from workflows_app.rest.upstash.bodies import StepBody, StepGroupBody
from workflows_app.rest.upstash.remote_steps import render_remote_steps
from workflows_app.rest.upstash.run_rows import RunRows
from workflows_app.rest.upstash.step_entries import Entry, entries_of, initial_details
from workflows_app.rest.upstash.vocabulary import local_message_id


def render_steps(rows: RunRows, now: datetime) -> list[StepGroupBody]:
    initial: StepBody = {
        "messageId": start_message_id(rows.run.pk),
        "state": "STEP_SUCCESS",
        **initial_details(rows),
    }
    start: StepGroupBody = {"type": "sequential", "steps": [initial]}
    if rows.run.is_remote:
        return [start, *render_remote_steps(rows, now)]
    entries = entries_of(rows, now)
    known = [entry for entry in entries if not entry.is_next]
    unknown = [entry for entry in entries if entry.is_next]
    return [
        start,
        *_groups(rows.run.pk, known),
        *_next_group(rows.run.pk, unknown, after=len(known)),
    ]


def _groups(run_pk: int, known: list[Entry]) -> Iterator[StepGroupBody]:
    """Steps count from 1 in the order of the program: in a group, by their branches."""
    number = 0
    for is_parallel, together in groupby(known, lambda entry: entry.branch != ""):
        group = sorted(together, key=lambda entry: _path(entry.branch))
        concurrent = len({entry.branch for entry in group})
        steps: list[StepBody] = []
        for entry in group:
            number += 1
            steps.append(_placed(run_pk, entry, number, concurrent))
        if is_parallel:
            yield {"type": "parallel", "steps": steps}
            continue
        for step in steps:
            yield {"type": "sequential", "steps": [step]}


def _placed(run_pk: int, entry: Entry, number: int, concurrent: int) -> StepBody:
    return {
        "messageId": local_message_id(run_pk, number),
        "state": entry.state,
        "stepId": number,
        "concurrent": concurrent,
        **entry.details,
    }


def _next_group(run_pk: int, unknown: list[Entry], *, after: int) -> Iterator[StepGroupBody]:
    steps: list[StepBody] = [
        {
            "messageId": local_message_id(run_pk, number),
            "state": entry.state,
            **entry.details,
        }
        for number, entry in enumerate(unknown, after + 1)
    ]
    if steps:
        yield {"type": "next", "steps": steps}


def _path(branch: str) -> list[int]:
    return [int(part) for part in branch.split(".") if part]
