"""`workflows trigger`."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import Clock
from tests.management.conftest import Define, Verb
from workflows_app import Workflow
from workflows_app.engine.drain import drain_here
from workflows_app.models import Message, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def echo(define: Define) -> Workflow:
    @define("echo", retries=2)
    async def echo(context):
        return await context.run("say", dict, payload=context.request_payload)

    return echo


@pytest.fixture
def broken(define: Define) -> Workflow:
    @define("broken", retries=0)
    async def broken(context):
        await context.run("fall", int, "down")

    return broken


def test_the_id_of_the_run_is_the_answer(workflows: Verb, echo: Workflow) -> None:
    said = workflows("trigger", "echo", "--body", '{"a": [1, null]}')

    run = Run.objects.get()
    assert said.stdout == [run.run_id]
    assert (run.workflow, bytes(run.payload), run.retries) == ("echo", b'{"a":[1,null]}', 2)


def test_every_option_reaches_the_run(workflows: Verb, echo: Workflow, clock: Clock) -> None:
    workflows(
        "trigger",
        "echo",
        *("--run-id", "mine"),
        *("--delay", "10m"),
        *("--label", "a", "--label", "b"),
        *("--retries", "7"),
        *("--retry-delay", "1000 * retried"),
        *("--header", "X-Shop: tea:pot", "--header", "X-Empty:"),
    )

    run = Run.objects.get()
    assert run.run_id == "mine"
    assert Message.objects.get().due_at == clock.now + timedelta(minutes=10)
    assert run.label_list == ["a", "b"]
    assert (run.retries, run.retry_delay) == (7, "1000 * retried")
    assert run.header_map == {"X-Shop": "tea:pot", "X-Empty": ""}


def test_a_run_may_be_put_off_to_a_moment(workflows: Verb, echo: Workflow, clock: Clock) -> None:
    workflows("trigger", "echo", "--not-before", "2030-01-03T00:00:00Z")

    assert Message.objects.get().due_at == datetime(2030, 1, 3, tzinfo=UTC)


def test_the_id_of_a_live_run_starts_nothing(workflows: Verb, echo: Workflow) -> None:
    workflows("trigger", "echo", "--run-id", "mine")

    again = workflows("trigger", "echo", "--run-id", "mine")

    assert again.stdout == ["mine"]
    assert again.stderr == ["a live run has this id already; nothing was started"]
    assert Run.objects.count() == 1


def test_the_body_may_come_from_a_file(workflows: Verb, echo: Workflow, tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text('{"item": "tea"}')

    workflows("trigger", "echo", "--body", f"@{file}")

    assert bytes(Run.objects.get().payload) == b'{"item":"tea"}'


def test_the_body_may_come_from_stdin(
    workflows: Verb, echo: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"[1, 2]")))

    workflows("trigger", "echo", "--body", "-")

    assert bytes(Run.objects.get().payload) == b"[1,2]"


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["nope"], 'no workflow "nope" is registered here'),
        (["echo", "--body", "{"], "argument --body: This is not JSON"),
        (["echo", "--body", "@/no/such/file"], "argument --body: /no/such/file cannot be read"),
        (["echo", "--run-id", "a/b"], "'a/b' is not a run id"),
        (["echo", "--delay", "soon"], "argument --delay: 'soon' is not a duration"),
        (["echo", "--delay", "2y"], "a run can be delayed by at most 365d"),
        (["echo", "--not-before", "noon"], "argument --not-before: 'noon' is not a point in time"),
        (["echo", "--label", "a,b"], "a label is a text of 1 to 255 characters without a comma"),
        (["echo", "--retries", "many"], "argument --retries: 'many' is not a whole number from 0"),
        (["echo", "--retries", "1001"], "retries must be 0 to 1000"),
        (["echo", "--retry-delay", "eval(1)"], "The retry delay expression 'eval(1)'"),
        (["echo", "--header", "X"], 'argument --header: a header looks like "Name: value"'),
        (["echo", "--header", ": x"], 'argument --header: a header looks like "Name: value"'),
        ([], "the following arguments are required: name"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence_and_starts_nothing(
    workflows: Verb, echo: Workflow, arguments: list[str], refusal: str
) -> None:
    said = workflows("trigger", *arguments)

    assert said.refusal is not None
    assert said.refusal.startswith(refusal)
    assert "\n" not in said.refusal
    assert said.stdout == []
    assert not Run.objects.exists()


@pytest.fixture
def worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits between two looks at a run finds it worked on."""
    monkeypatch.setattr("time.sleep", lambda seconds: drain_here() and None)


@pytest.mark.usefixtures("worked_on_at_once")
def test_waiting_prints_the_result_after_the_id(workflows: Verb, echo: Workflow) -> None:
    said = workflows("trigger", "echo", "--run-id", "mine", "--body", '"tea"', "--wait")

    assert said.stdout == ["mine", '{"payload":"tea"}']
    assert said.stderr == ['step "say" finished']


@pytest.mark.usefixtures("worked_on_at_once")
def test_waiting_for_a_run_that_begins_anew_prints_the_last_result(
    workflows: Verb, define: Define
) -> None:
    @define("countdown")
    async def countdown(context):
        if context.request_payload == 0:
            return "lift-off"
        return await context.continue_as_new(context.request_payload - 1)

    said = workflows("trigger", "countdown", "--run-id", "mine", "--body", "2", "--wait")

    assert said.stdout == ["mine", '"lift-off"']


@pytest.mark.usefixtures("worked_on_at_once")
def test_waiting_for_a_run_that_fails_ends_with_its_error(
    workflows: Verb, broken: Workflow
) -> None:
    said = workflows("trigger", "broken", "--run-id", "mine", "--wait")

    assert said.stdout == ["mine"]
    assert said.stderr == ['step "fall" failed']
    assert said.refusal is not None
    assert said.refusal.startswith(
        'run mine failed: step "fall" failed after 1 attempt: ValueError'
    )
