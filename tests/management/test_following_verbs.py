"""`workflows runs`, `show`, `tail` and `dlq`."""

from __future__ import annotations

import json
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tests.admin import flows
from tests.conftest import Clock
from tests.management.conftest import Verb
from workflows_app.engine import run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.models import Account, DeadLetter, Run

pytestmark = pytest.mark.django_db


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(*arguments: str) -> str:
    stdout = Terminal()
    call_command("workflows", *arguments, stdout=stdout, stderr=StringIO())
    return stdout.getvalue()


@pytest.fixture
def some_runs(clock: Clock) -> None:
    """One that has failed, one that sleeps, and one of a minute later that went well."""
    flows.wrap.trigger(workflow_run_id="wrap-1", labels=["shop", "card"])
    flows.nap.trigger(workflow_run_id="nap-1")
    drain_here()
    clock.advance("1m")
    flows.order.trigger(workflow_run_id="order-1")
    drain_here()


# -- runs


def test_runs_are_listed_newest_first_as_lines_with_tabs(
    workflows: Verb, some_runs: None, settings: Settings
) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"

    error = "ValueError: the order cannot be paid"

    lines = [line.split("\t") for line in workflows("runs").stdout]

    assert lines == [
        ["succeeded", "order-1", "admin-order", "2030-01-02 21:01:00", "0ms", "", ""],
        ["waiting", "nap-1", "admin-nap", "2030-01-02 21:00:00", "1m", "", ""],
        ["failed", "wrap-1", "admin-wrap", "2030-01-02 21:00:00", "0ms", "shop,card", error],
    ]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--state", "waiting"], ["nap-1"]),
        (["--state", "live"], ["nap-1"]),
        (["--state", "failed"], ["wrap-1"]),
        (["--workflow", "admin-order"], ["order-1"]),
        (["--label", "card", "--label", "none"], ["wrap-1"]),
        (["--limit", "2"], ["order-1", "nap-1"]),
    ],
)
def test_runs_are_listed_by_what_they_are(
    workflows: Verb, some_runs: None, filters: list[str], expected: list[str]
) -> None:
    found = [json.loads(line) for line in workflows("runs", "--json", *filters).stdout]

    assert [each["runId"] for each in found] == expected


def test_on_a_terminal_there_is_a_table_with_names_over_its_columns(some_runs: None) -> None:
    shown = on_a_terminal("runs", "--workflow", "admin-order")

    head, _, row = shown.split("\n", 2)
    assert head.split() == ["state", "run", "workflow", "started", "took", "labels", "error"]
    assert "order-1" in row


def test_that_there_is_no_run_is_no_error(workflows: Verb) -> None:
    said = workflows("runs", "--state", "failed")

    assert (said.stdout, said.stderr, said.refusal) == ([], ["no run is like that"], None)


def test_what_a_run_says_cannot_change_the_lines_or_the_terminal(workflows: Verb) -> None:
    label = "[red]c\x1b[2J\x9b2J\u202e"
    flows.echo.trigger("x", labels=["a\tb", label])

    (line,) = workflows("runs").stdout
    (told,) = workflows("runs", "--json").stdout

    assert line.count("\t") == 6
    assert "a b" in line
    assert "\x1b" not in line
    assert told.isprintable()
    assert label in json.loads(told)["labels"]
    assert "[red]c" in on_a_terminal("runs")


# -- show


def test_a_run_is_shown_with_its_steps_and_its_error(workflows: Verb, some_runs: None) -> None:
    lines = [line.split("\t") for line in workflows("show", "wrap-1").stdout]

    assert ["state", "failed"] in lines
    assert ["error", "ValueError: the order cannot be paid"] in lines
    moment = "2030-01-02 12:00:00"
    failed = ["step.failed", "charge-card", moment, "0ms", "1", "ConnectionError: no funds"]
    assert failed in lines


def test_the_story_of_a_run_as_json(workflows: Verb, some_runs: None) -> None:
    (line,) = workflows("show", "nap-1", "--json").stdout

    shown = json.loads(line)
    assert (shown["runId"], shown["state"], shown["payload"]) == ("nap-1", "waiting", "")
    types = [event["type"] for event in shown["events"]]
    assert types == ["run.accepted", "run.started", "step.finished", "step.sleeping"]


def test_what_is_to_be_hidden_is_not_shown_here_either(workflows: Verb) -> None:
    flows.echo.trigger("a secret", workflow_run_id="echo-1", redact="body")
    flows.secret.trigger(workflow_run_id="secret-1")
    drain_here()

    for verb in (["show", "echo-1"], ["show", "secret-1"], ["runs"], ["dlq", "list"]):
        said = "\n".join(workflows(*verb).stdout + workflows(*verb, "--json").stdout)
        assert said
        assert "a secret" not in said
        assert "hunter2" not in said


def test_a_run_of_another_account_is_not_there(workflows: Verb, some_runs: None) -> None:
    Account.objects.create(name="other")

    for verb in ("show", "tail"):
        refusal = workflows(verb, "nap-1", "--account", "other").refusal
        assert refusal == 'there is no run "nap-1" in this account'


# -- tail


def tail(*arguments: str) -> tuple[list[str], int]:
    """What it prints, and its exit status."""
    stdout = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("workflows", "tail", *arguments, stdout=stdout, stderr=StringIO())
    return stdout.getvalue().splitlines(), int(str(ended.value.code))


def test_a_tail_ends_with_its_run_and_says_how_it_ended(some_runs: None) -> None:
    lines, status = tail("order-1")
    assert [line.split("\t")[2:4] for line in lines] == [
        ["run.accepted", ""],
        ["run.started", ""],
        ["step.finished", "create"],
        ["step.finished", "confirm"],
        ["run.ended", "succeeded"],
    ]
    assert status == 0
    assert tail("wrap-1")[1] == 1

    run_moves.cancel(Run.objects.get(run_id="nap-1"))
    assert tail("nap-1", "--json")[1] == 3


def test_a_tail_of_many_goes_on_until_it_is_interrupted(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = iter([lambda: flows.order.trigger(workflow_run_id="order-1"), drain_here])

    def sleep(seconds: float) -> None:
        pause: Any = next(pauses, None)
        if pause is None:
            raise KeyboardInterrupt
        pause()

    # Not that of other threads.
    monkeypatch.setattr("workflows_app.management.verbs.tail.time", SimpleNamespace(sleep=sleep))

    lines, status = tail("--workflow", "admin-order", "--json")

    assert [json.loads(line)["type"] for line in lines] == [
        "run.accepted",
        "run.started",
        "step.finished",
        "step.finished",
        "run.ended",
    ]
    assert status == 130


def test_a_tail_of_one_run_takes_no_filters(workflows: Verb, some_runs: None) -> None:
    refusal = workflows("tail", "nap-1", "--label", "a").refusal

    assert refusal == "a run id names one run; leave --workflow and --label out"


# -- dlq


@pytest.fixture
def failures(clock: Clock) -> None:
    for number in range(3):
        flows.wrap.trigger(workflow_run_id=f"wrap-{number}")
    flows.undone.trigger(workflow_run_id="undone-1")
    drain_here()


def test_failures_are_shown_in_groups_the_largest_first(workflows: Verb, failures: None) -> None:
    moment = "2030-01-02 12:00:00"

    lines = [line.split("\t") for line in workflows("dlq").stdout]

    assert [line[:2] for line in lines] == [["3", "admin-wrap"], ["1", "admin-undone"]]
    assert lines[0][4:] == [moment, moment]
    groups = [json.loads(line) for line in workflows("dlq", "--json").stdout]
    assert groups[0]["number"] == 3


def test_single_entries_are_listed(workflows: Verb, failures: None) -> None:
    found = [json.loads(line) for line in workflows("dlq", "list", "--json").stdout]

    assert [each["runId"] for each in found] == ["undone-1", "wrap-2", "wrap-1", "wrap-0"]
    (line,) = workflows("dlq", "list", found[0]["entry"]).stdout
    assert line.split("\t")[1] == "undone-1"


@pytest.mark.parametrize(
    ("verb", "done"), [("resume", "resumed"), ("restart", "restarted"), ("delete", "deleted")]
)
def test_a_group_is_dealt_with_once_somebody_says_yes(
    workflows: Verb, failures: None, verb: str, done: str
) -> None:
    group = ("dlq", verb, "--workflow", "admin-wrap")
    looked = workflows(*group, "--dry-run")
    asked = workflows(*group)
    assert looked.stderr == [f"3 failed runs would be {done}"]
    assert asked.refusal == f"{verb} 3 failed runs? Say so with --yes, or look with --dry-run"
    assert DeadLetter.objects.count() == 4

    acted = workflows(*group, "--yes")

    assert acted.stdout == [f"3 failed runs {done}"]
    assert DeadLetter.objects.get().run.run_id == "undone-1"
    assert Run.objects.live().count() == (0 if verb == "delete" else 3)


def test_what_is_restarted_begins_again_under_its_id(workflows: Verb, failures: None) -> None:
    workflows("dlq", "restart", "--workflow", "admin-wrap", "--yes")

    live = Run.objects.live().order_by("run_id").values_list("run_id", flat=True)
    assert list(live) == ["wrap-0", "wrap-1", "wrap-2"]


def test_what_cannot_be_done_is_said_and_the_rest_is_done(workflows: Verb, failures: None) -> None:
    said = workflows("dlq", "resume", "--all", "--yes")

    assert said.stdout == ["3 failed runs resumed"]
    assert "run undone-1 was rolled back" in said.stderr[0]
    assert said.refusal == "1 failed run not resumed; why stands above"


def test_nothing_is_done_to_all_by_mistake(workflows: Verb, failures: None) -> None:
    said = workflows("dlq", "delete", "--yes")

    assert said.refusal == "say which entries: by id, --workflow, --error, --step, or --all"


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 4), ("", 4)])
def test_on_a_terminal_one_is_asked(
    failures: None, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(answer))

    try:
        on_a_terminal("dlq", "delete", "--all")
    except CommandError as error:
        assert str(error) == "nothing was done"

    assert DeadLetter.objects.count() == left


def test_entries_of_another_account_are_not_touched(workflows: Verb, failures: None) -> None:
    Account.objects.create(name="other")

    assert workflows("dlq", "--account", "other").stdout == []
    workflows("dlq", "delete", "--all", "--yes", "--account", "other")
    assert DeadLetter.objects.count() == 4
