"""Every example of docs/writing-workflows.md does what stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from tests.conftest import Clock
from tests.docs.examples import run_examples
from tests.docs.pages import ROOT, Block, read_blocks, read_code
from tests.docs.servers import Rates
from tests.places import without_places
from workflows_app.engine.drain import drain_here
from workflows_app.engine.leases import next_due
from workflows_app.models import Attempt, DeadLetter, Run, Step

PAGE = ROOT / "docs/writing-workflows.md"
PYTHON = ("python", "pycon")
PREAMBLE = ""
_EXAMPLE_HOST = re.compile(r"https://(?:rates|llm)\.example\.org")

SECTIONS = list(
    dict.fromkeys(block.section for block in read_blocks(PAGE) if block.language in PYTHON)
)[1:]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_registry"),
]


@pytest.fixture
def rates() -> Iterator[Rates]:
    with Rates() as server:
        yield server


@pytest.fixture
def run_section(rates: Rates, settings: Settings) -> Any:
    settings.WORKFLOWS = {"ALLOW_PRIVATE_ADDRESSES": True}

    def run(section: str) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": "docs.writing_workflows"}
        blocks = [*read_code(PAGE, PYTHON, PREAMBLE), *read_code(PAGE, PYTHON, section)]
        run_examples([_at(rates, block) for block in blocks], PAGE.name, names)
        return names

    return run


def _at(rates: Rates, block: Block) -> Block:
    """The block with its services' hosts replaced by one that answers."""
    return block.__class__(
        language=block.language,
        text=_EXAMPLE_HOST.sub(rates.url, block.text),
        section=block.section,
        above=block.above,
        line=block.line,
    )


def work_until_nothing_is_owed(clock: Clock) -> None:
    drain_here()
    while (due := next_due()) is not None:
        clock.stop_at(max(due, clock.now))
        drain_here()


def failed_runs() -> dict[str, str]:
    failed = Run.objects.filter(status=Run.Status.FAILED)
    return {run.workflow: (run.error_info or {})["type"] for run in failed}


FAILS_ON_PURPOSE = {
    "Retries, delays and timeouts": {"charge-card": "StepError"},
    "Undo what was done": {"holiday": "StepError"},
    "Running other workflows": {"pack": "WorkflowNonRetryableError"},
    "Being told of failures": {"import-products": "StepError"},
    "Values": {"careless": "StepError"},
    "What must not change": {"careful": "IncompatibleHistory"},
}


@pytest.mark.parametrize("section", SECTIONS)
def test_its_examples_print_what_they_say_and_all_their_runs_end(
    section: str, run_section: Any, clock: Clock
):
    run_section(section)

    work_until_nothing_is_owed(clock)

    assert not Run.objects.live().exists()
    assert failed_runs() == FAILS_ON_PURPOSE.get(section, {})


def results(workflow: str) -> list[Any]:
    runs = Run.objects.filter(workflow=workflow).order_by("id")
    return [run.result for run in runs]


def test_what_waits_for_an_event_goes_on_with_it(run_section: Any, clock: Clock):
    run_section("Waiting for events")
    work_until_nothing_is_owed(clock)

    assert results("onboarding") == ['"approved by Ann"']


def test_a_payment_service_calls_the_webhook_back(run_section: Any, clock: Clock, client: Client):
    names = run_section("Webhooks")

    answer = client.post(names["called"][0], '{"status": "paid"}', content_type="application/json")
    work_until_nothing_is_owed(clock)

    assert answer.status_code == 200
    assert results("charge") == ['"paid"']


def test_an_order_placed_in_a_view_is_shipped(run_section: Any, clock: Clock):
    names = run_section("Starting runs")
    Run.objects.all().delete()

    names["place_order"](None)
    work_until_nothing_is_owed(clock)

    assert results("ship-order") == ['"order 7 has left"']


def test_a_function_that_raised_between_steps_keeps_its_recorded_steps(
    run_section: Any, clock: Clock
):
    run_section("Errors between steps")

    work_until_nothing_is_owed(clock)

    assert results("lottery") == ['{"number":4,"attempt":2}']
    assert [step.attempts for step in Step.objects.all()] == [1]
    assert [attempt.key for attempt in Attempt.objects.all()] == [""]


def test_a_retry_waits_as_long_as_the_step_asked(run_section: Any, clock: Clock):
    run_section("Retries, delays and timeouts")

    busy = Attempt.objects.get(retry_at__isnull=False)

    assert busy.retry_at == clock.now + timedelta(seconds=90)


def test_a_run_goes_on_with_what_became_of_those_that_it_invoked(run_section: Any, clock: Clock):
    run_section("Running other workflows")

    work_until_nothing_is_owed(clock)

    assert results("dispatch") == ["[3,null,6]"]


def test_sleeps_end_when_they_say(run_section: Any, clock: Clock):
    began = clock.now
    run_section("Sleeping")

    work_until_nothing_is_owed(clock)

    sleeps = Step.objects.filter(kind=Step.Kind.SLEEP).order_by("id")
    assert [sleep.ended_at for sleep in sleeps] == [
        began + timedelta(days=14),
        datetime.fromisoformat("2035-01-31T08:00:00Z"),
    ]


def test_the_call_sends_what_it_says_and_returns_the_answer(
    run_section: Any, clock: Clock, rates: Rates
):
    run_section("Calling other services")

    work_until_nothing_is_owed(clock)

    assert rates.requests == [("POST", "/latest", "Bearer secret", b'{"base":"EUR"}')]
    assert results("rates") == ['{"status":200,"body":{"EUR":1},"type":["application/json"]}']


def test_the_services_are_sent_their_tokens(run_section: Any, clock: Clock, rates: Rates):
    run_section("Calling AI and mail services")

    work_until_nothing_is_owed(clock)

    assert [request[:3] for request in rates.requests] == [
        ("POST", "/v1/chat/completions", "Bearer sk-secret"),
        ("POST", "/emails", "Bearer re-secret"),
    ]
    assert results("summary") == ["200"]
    assert "-secret" not in repr(list(Step.objects.values()))


def test_the_failure_function_is_told_what_stands_there(run_section: Any, clock: Clock):
    names = run_section("Being told of failures")

    work_until_nothing_is_owed(clock)

    (mail,) = names["mails"]
    assert f"`{mail}`" in " ".join(PAGE.read_text().split())
    assert [letter.callback_state for letter in DeadLetter.objects.all()] == ["succeeded"]


def test_changed_code_is_refused_with_the_error_that_is_quoted(run_section: Any, clock: Clock):
    names = run_section("What must not change")

    work_until_nothing_is_owed(clock)

    (quoted,) = read_code(PAGE, ("text",), "What must not change")
    error = (Run.objects.get().error_info or {})["message"]
    said = " ".join(quoted.text.split()).replace("wfr_…", names["run_id"])
    assert without_places(error) == without_places(said)


def test_the_steps_have_the_keys_that_are_named(run_section: Any):
    run_section("Parallel steps")

    keys = set(Step.objects.values_list("key", flat=True))

    assert keys == {f"{name}@{branch}" for name in ("scale", "upload") for branch in (1, 2, 3)}


def test_a_decision_wins_against_the_end_of_patience(run_section: Any, clock: Clock):
    run_section("The first of several")
    work_until_nothing_is_owed(clock)

    assert results("holiday-request") == ['{"request":"approved"}']
    assert (Step.objects.get(name="two-days").error_info or {})["type"] == "Canceled"
