"""`workflows check`: do the runs that are open still fit the code?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.core.management import CommandError, CommandParser

from workflows_app.management.console import Console
from workflows_app.management.rehearsal import rehearse
from workflows_app.management.verbs import Options
from workflows_app.management.wording import counted, do_not
from workflows_app.models import Run
from workflows_app.sdk.authoring import Workflow, registered_workflows

HELP = "replay what open runs have recorded against the code, without running a step"

SHOWN = 10
"""Misfits that are printed for each workflow."""
CHUNK = 200


@dataclass(slots=True)
class Findings:
    """What was found out about the open runs of one workflow."""

    runs: int = 0
    misfits: list[str] = field(default_factory=list)
    following: Counter[str] = field(default_factory=Counter)
    """How many runs follow a change."""
    passed: Counter[str] = field(default_factory=Counter)
    """How many had passed its place before, and keep to the old code."""


def add_arguments(parser: CommandParser) -> None:
    """There is nothing to choose."""


def run(console: Console, options: Options) -> None:
    names = Run.objects.live().order_by("workflow").values_list("workflow", flat=True).distinct()
    misfits = 0
    for name in names:
        findings = _findings(name)
        misfits += len(findings.misfits)
        for line in _report(name, findings):
            console.show(line)
    if misfits:
        raise CommandError(
            f"{counted(misfits, 'open run')} {do_not(misfits)} fit this code; deploy what fits, or "
            "let runs end first"
        )
    console.show("every open run fits this code")


def _findings(name: str) -> Findings:
    findings = Findings()
    runs = Run.objects.live().filter(workflow=name).order_by("pk")
    if not name:
        findings.runs = runs.count()
        return findings
    workflow = registered_workflows().get(name)
    for run in runs.iterator(chunk_size=CHUNK):
        findings.runs += 1
        reason = _rehearse(workflow, run, findings)
        if reason is not None:
            findings.misfits.append(f"run {run.run_id}: {reason}")
    return findings


def _rehearse(workflow: Workflow | None, run: Run, findings: Findings) -> str | None:
    if workflow is None:
        return "no such workflow is registered"
    rehearsed = rehearse(workflow, run)
    for change_id, is_followed in rehearsed.patches.items():
        (findings.following if is_followed else findings.passed)[change_id] += 1
    return rehearsed.misfit


def _report(name: str, findings: Findings) -> Iterator[str]:
    if not name:
        yield f"elsewhere: {counted(findings.runs, 'open run')} of URLs whose code is not here"
        return
    misfits = len(findings.misfits)
    yield f"{name}: {counted(findings.runs, 'open run')}, {misfits} {do_not(misfits)} fit"
    yield from (f"  {line}" for line in findings.misfits[:SHOWN])
    if more := findings.misfits[SHOWN:]:
        yield f"  and {len(more)} more"
    for change_id in sorted(findings.following | findings.passed):
        yield (
            f'  patched "{change_id}": {findings.passed[change_id]} by the old code, '
            f"{findings.following[change_id]} by the new"
        )
