"""What workflow authors have, feature by feature: the list in docs/features.md."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from types import FunctionType
from typing import Any

import pytest

from tests.docs.pages import ROOT
from tests.shells import Define
from tests.traces import Trace
from workflows_app import (
    Failure,
    StepError,
    Undo,
    WorkflowNonRetryableError,
    WorkflowRetryAfterError,
    notify,
)
from workflows_app.testing import WorkflowTest

shows = pytest.mark.shows
"""`@shows("context.sleep")` above the test that shows it."""

SHOP = "https://shop.example/"


class Diary:
    """Functions for steps, and what was called."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def write(self, entry: str) -> str:
        self.entries.append(entry)
        return entry

    def fail_first(self, entry: str) -> int:
        """Fails at its first call; how often it was called."""
        self.write(entry)
        if self.entries.count(entry) == 1:
            raise ConnectionError("busy")
        return self.entries.count(entry)

    def fail(self, entry: str) -> None:
        self.write(entry)
        raise LookupError("sold out")

    def undo(self, undo: Undo) -> None:
        self.write(f"undo {undo.step}")


@pytest.fixture
def diary() -> Diary:
    return Diary()


# -- steps


@shows("context.run")
def test_a_step_returns_what_json_holds_of_its_result(define: Define, flows: WorkflowTest) -> None:
    given: list[Any] = [None, True, 1.5, "žluť 🦓", {"a": [{}]}]

    @define()
    async def story(context: Any) -> Any:
        return await context.run("give", list, given)

    assert flows.start(story).result == given


@shows("context.run: called once, however often the function is")
def test_a_step_is_executed_once(define: Define, flows: WorkflowTest, diary: Diary) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.run("a", diary.write, "a")
        await context.sleep("rest", "1d")
        await context.run("b", diary.write, "b")

    flows.always_replay()
    flows.advance_to_end(flows.start(story))

    assert diary.entries == ["a", "b"]


@shows("context.atomic")
def test_a_result_commits_together_with_what_its_step_wrote(
    define: Define, flows: WorkflowTest, diary: Diary, transport: str
) -> None:
    """Where the function is called by the server; over http there is no common transaction."""

    @define(retries=0)
    async def story(context: Any) -> Any:
        return await context.atomic("write", diary.write, "once")

    run = flows.start(story)

    if transport == "local":
        assert run.result == "once"
    else:
        assert run.error is not None
        assert "atomic" in run.error.message
        assert diary.entries == []


@shows("context.sleep, context.sleep_until")
def test_a_run_sleeps(define: Define, flows: WorkflowTest) -> None:
    until = flows.now + timedelta(days=30)

    @define()
    async def story(context: Any) -> Any:
        await context.sleep("a-week", timedelta(weeks=1))
        await context.sleep_until("a-month", until)
        return "awake"

    run = flows.start(story)
    flows.advance("7d")
    assert run.waits_for == ["a-month"]
    flows.advance("23d")

    assert run.result == "awake"


@shows("context.call")
def test_the_server_calls_while_the_run_waits(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        answer = await context.call(
            "order", url=SHOP, method="PUT", body={"a": 1}, headers={"X": "y"}
        )
        return [answer.status, answer.body, answer.header["X-Id"]]

    flows.answer_call("order", status=404, body={"no": "stock"}, headers={"X-Id": "7"})

    assert flows.start(story).result == [404, {"no": "stock"}, ["7"]]
    sent = flows.sent[0]
    assert (sent.method, sent.payload, sent.headers["X"]) == ("PUT", {"a": 1}, "y")


@shows("context.call: retries")
def test_a_call_is_sent_again(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        answer = await context.call("order", url=SHOP, retries=1, retry_delay="1m", timeout="9s")
        return answer.status

    flows.answer_call("order", status=503)
    flows.answer_call("order", status=200)
    run = flows.start(story)
    flows.advance("1m")

    assert run.result == 200


@shows("context.api.openai.call, anthropic.call, resend.call")
def test_well_known_services_are_called_by_name(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        asked = {"model": "m", "messages": []}
        first = await context.api.openai.call(
            "gpt", token="t1", operation="chat.completions.create", body=asked
        )
        second = await context.api.anthropic.call(
            "claude", token="t2", operation="messages.create", body=asked
        )
        third = await context.api.resend.call(
            "mail",
            token="t3",
            body=[{"to": "a@b.example"}],
            batch=True,
            base_url="https://r.example",
        )
        return [first.body, second.body, third.body]

    for step in ("gpt", "claude", "mail"):
        flows.answer_call(step, body=step)

    assert flows.start(story).result == ["gpt", "claude", "mail"]
    assert [sent.url for sent in flows.sent] == [
        "https://api.openai.com/v1/chat/completions",
        "https://api.anthropic.com/v1/messages",
        "https://r.example/emails/batch",
    ]


# -- events, webhooks, other runs


@shows("context.wait_for_event")
def test_a_run_waits_for_an_event_or_its_timeout(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        came = await context.wait_for_event("approval", "approved", timeout="2d")
        missed = await context.wait_for_event("parcel", "arrived", timeout=3600)
        return [came.event_data, came.timeout, missed.event_data, missed.timeout]

    run = flows.start(story)
    flows.notify("approved", {"by": "Ann"})
    flows.advance("1h")

    assert run.result == [{"by": "Ann"}, False, None, True]


@shows("context.notify")
def test_a_run_notifies_all_that_wait(define: Define, flows: WorkflowTest) -> None:
    @define("waiting")
    async def waiting(context: Any) -> Any:
        return (await context.wait_for_event("wait", "go")).event_data

    @define("notifying")
    async def notifying(context: Any) -> Any:
        told = await context.notify("tell", "go", [1, 2])
        return [told.event_id, told.event_data, len(told.notify_response)]

    runs = [flows.start(waiting), flows.start(waiting)]

    assert flows.start(notifying).result == ["go", [1, 2], 2]
    assert [run.result for run in runs] == [[1, 2], [1, 2]]


@shows("context.notify: one run, ahead of its wait")
def test_an_event_for_one_run_is_found_later(define: Define, flows: WorkflowTest) -> None:
    @define("late")
    async def late(context: Any) -> Any:
        await context.sleep("first", "1h")
        return (await context.wait_for_event("wait", "go")).event_data

    @define("early")
    async def early(context: Any) -> None:
        await context.notify("tell", "go", "early", context.request_payload)

    run = flows.start(late)
    flows.start(early, run.workflow_run_id)
    flows.advance("1h")

    assert run.result == "early"


@shows("workflows_app.notify")
def test_other_code_notifies(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        return (await context.wait_for_event("wait", "go")).event_data

    run = flows.start(story)
    notify("go", "from a view", run.workflow_run_id)
    flows.work()

    assert run.result == "from a view"


@shows("context.invoke")
def test_a_run_invokes_another_and_is_told_how_it_ended(
    define: Define, flows: WorkflowTest
) -> None:
    @define("child", retries=0)
    async def child(context: Any) -> Any:
        match context.request_payload:
            case "fail":
                raise WorkflowNonRetryableError("no")
            case "cancel":
                await context.cancel()
        return {"asked": context.request_payload}

    @define("parent")
    async def parent(context: Any) -> Any:
        ends = [
            await context.invoke(how, workflow=child, body=how) for how in ("do", "fail", "cancel")
        ]
        return [[end.body, end.is_failed, end.is_canceled] for end in ends]

    assert flows.start(parent).result == [
        [{"asked": "do"}, False, False],
        [None, True, False],
        [None, False, True],
    ]


@shows("context.create_webhook, context.wait_for_webhook")
def test_a_run_is_called_back(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        webhook = await context.create_webhook("create")
        first = await context.wait_for_webhook("first", webhook, timeout="1h")
        second = await context.wait_for_webhook("second", webhook, timeout="1h")
        return [first.request.method, first.request.payload, first.timeout, second.timeout]

    run = flows.start(story)
    flows.deliver_webhook(run, method="PUT", body={"paid": True})
    flows.advance("1h")

    assert run.result == ["PUT", {"paid": True}, False, True]


@shows("context.cancel")
def test_a_run_cancels_itself(define: Define, flows: WorkflowTest, diary: Diary) -> None:
    @define()
    async def story(context: Any) -> None:
        await context.cancel()
        diary.write("went on")

    assert flows.start(story).status == "canceled"
    assert diary.entries == []


# -- groups


@shows("context.parallel (async: asyncio.gather)")
def test_branches_of_all_kinds_run_at_once(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def sleep() -> str:
            await context.sleep("rest", "1h")
            return "slept"

        async def call() -> Any:
            return (await context.call("ask", url=SHOP)).body

        async def wait() -> Any:
            first = await context.run("first", lambda: 1)
            return [first, (await context.wait_for_event("wait", "go")).event_data]

        return [
            *await context.parallel(sleep, call, wait),
            await context.run("join", lambda: "end"),
        ]

    flows.answer_call("ask", body="answered")
    run = flows.start(story)
    assert run.waits_for == ["rest", "wait"]
    flows.notify("go", "event")
    flows.advance("1h")

    assert run.result == ["slept", "answered", [1, "event"], "end"]


@shows("context.race")
def test_the_first_branch_that_ends_wins(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def approved() -> Any:
            return (await context.wait_for_event("approval", "approved")).event_data

        async def too_late() -> str:
            await context.sleep("patience", "2d")
            return "too late"

        return await context.race(approved, too_late)

    in_time, late = flows.start(story), flows.start(story)
    flows.notify("approved", "yes", run=in_time)
    flows.advance("2d")
    flows.notify("approved", "yes", run=late)

    assert (in_time.result, late.result) == ("yes", "too late")


@shows("context.map")
def test_a_function_is_mapped_over_items(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def pack(item: int) -> Any:
            await context.sleep("rest", "1h")
            return await context.run("pack", lambda: item * 10)

        return await context.map(pack, range(5), concurrency=2)

    run = flows.start(story)
    assert len(run.waits) == 2
    flows.advance("3h")

    assert run.result == [0, 10, 20, 30, 40]


# -- when things go wrong


@shows("options: retries, retry_delay, backoff")
def test_a_step_is_tried_again(define: Define, flows: WorkflowTest, diary: Diary) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        patient = context.options(retries=2, retry_delay="10s", backoff="exponential")
        return await patient.run("charge", diary.fail_first, "charge")

    run = flows.start(story)
    flows.advance("10s")

    assert run.result == 2
    run.assert_step("charge", attempts=2)


@shows("options: timeout")
def test_a_step_has_no_more_than_its_time(define: Define, flows: WorkflowTest) -> None:
    """In a test's transaction, functions of plain workflows get no thread that could be left."""

    @define(timeout="30s")
    async def story(context: Any) -> Any:
        return await context.options(timeout="1s").run("quick", lambda: "in time")

    assert flows.start(story).result == "in time"


@shows("WorkflowNonRetryableError")
def test_a_step_can_refuse_other_attempts(define: Define, flows: WorkflowTest) -> None:
    def refuse() -> None:
        raise WorkflowNonRetryableError("never")

    @define(retries=5)
    async def story(context: Any) -> None:
        await context.run("refuse", refuse)

    run = flows.start(story)

    assert run.status == "failed"
    run.assert_step("refuse", attempts=1)


@shows("WorkflowRetryAfterError")
def test_a_step_can_say_when_it_is_to_be_tried_again(
    define: Define, flows: WorkflowTest, diary: Diary
) -> None:
    def busy() -> str:
        if diary.write("busy") and len(diary.entries) == 1:
            raise WorkflowRetryAfterError("later", retry_after="1h")
        return "done"

    @define(retries=1, retry_delay="0")
    async def story(context: Any) -> Any:
        return await context.run("busy", busy)

    run = flows.start(story)
    flows.advance("59m")
    assert run.status == "running"
    flows.advance("1m")

    assert run.result == "done"


@shows("StepError")
def test_a_step_that_has_failed_can_be_handled(
    define: Define, flows: WorkflowTest, diary: Diary
) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        try:
            await context.run("charge", diary.fail, "charge")
        except StepError as error:
            message = str(error)
            return await context.run("instead", lambda: message)

    assert flows.start(story).result == (
        'step "charge" failed after 1 attempt: LookupError: sold out'
    )


@shows("failure_function")
def test_the_failure_of_a_run_is_told(define: Define, flows: WorkflowTest, diary: Diary) -> None:
    def told(failure: Failure) -> None:
        diary.write(f"{failure.step}: {failure.error_message} ({failure.request_payload})")

    @define(retries=0, failure_function=told)
    async def story(context: Any) -> None:
        await context.run("charge", diary.fail, "charge")

    assert flows.start(story, 12).status == "failed"
    assert diary.entries == [
        "charge",
        'charge: step "charge" failed after 1 attempt: LookupError: sold out (12)',
    ]


@shows("options: rollback")
def test_a_run_that_fails_undoes_its_steps_in_reverse(
    define: Define, flows: WorkflowTest, diary: Diary
) -> None:
    @define(retries=0)
    async def story(context: Any) -> None:
        undoing = context.options(rollback=diary.undo)
        await undoing.run("reserve", diary.write, "reserve")
        await undoing.run("charge", diary.write, "charge")
        await context.run("ship", diary.fail, "ship")

    assert flows.start(story).status == "failed"
    assert diary.entries == ["reserve", "charge", "ship", "undo charge", "undo reserve"]


@shows("context.roll_back")
def test_a_run_can_ask_to_be_undone(define: Define, flows: WorkflowTest, diary: Diary) -> None:
    @define()
    async def story(context: Any) -> None:
        await context.options(rollback=diary.undo).run("reserve", diary.write, "reserve")
        await context.roll_back("changed my mind")

    flows.start(story)

    assert diary.entries == ["reserve", "undo reserve"]


@shows("options: sensitive")
def test_a_sensitive_result_is_used_and_not_shown(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        secret = await context.options(sensitive=True).run("secret", lambda: "hunter2")
        return len(secret)

    run = flows.start(story)

    assert run.result == 7
    assert run.row.steps.get(name="secret").sensitive


# -- long lives


@shows("context.patched")
def test_a_run_follows_a_change_that_it_has_not_passed(define: Define, flows: WorkflowTest) -> None:
    async def old(context: Any) -> Any:
        await context.sleep("rest", "1h")
        return await context.run("charge", lambda: "old")

    async def new(context: Any) -> Any:
        is_new = await context.patched("two-parts")
        await context.sleep("rest", "1h")
        return await context.run("charge", lambda: "new" if is_new else "old")

    before = flows.start(define()(old))
    after = flows.start(define()(new))
    flows.advance("1h")

    assert (before.result, after.result) == ("old", "new")


@shows("context.continue_as_new")
def test_a_run_begins_anew_with_another_payload(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        left = context.request_payload
        await context.run("count", lambda: left)
        if left:
            await context.continue_as_new(left - 1)
        return "none left"

    run = flows.start(story, 3)

    assert run.result == "none left"
    run.assert_steps("count")


# -- what a function knows


@shows("request_payload, headers, url, env, labels, attempt, idempotency_key")
def test_a_function_knows_its_run(
    define: Define, flows: WorkflowTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGION", "north")

    @define()
    async def story(context: Any) -> Any:
        def inside() -> list[Any]:
            return [context.attempt, context.idempotency_key]

        return {
            "payload": context.request_payload,
            "headers": dict(context.headers),
            "url": context.url,
            "env": context.env["REGION"],
            "labels": list(context.labels),
            "inside": await context.run("inside", inside),
        }

    run = flows.start(
        story, {"a": 1}, headers={"X-Tenant": "t"}, labels="first", workflow_run_id="o-1"
    )

    said = run.result
    assert said["payload"] == {"a": 1}
    assert said["headers"] == {"X-Tenant": "t"}
    assert said["url"].endswith("/serve/story")
    assert (said["env"], said["labels"]) == ("north", ["first"])
    assert said["inside"][0] == 1
    assert said["inside"][1].startswith("o-1:")


# -- who is told


@shows("middlewares")
def test_middlewares_are_told_once_of_a_run_and_its_steps(
    define: Define, flows: WorkflowTest
) -> None:
    trace = Trace()

    @define(middlewares=[trace.middleware])
    async def story(context: Any) -> Any:
        await context.run("work", lambda: 1)
        await context.sleep("nap", "1h")

    run = flows.start(story)
    flows.advance("1h")

    assert trace.lines == [
        f"story {run.workflow_run_id} started",
        "before work 1",
        "after work 1: 1",
        "before nap 1",
        "after nap 1: None",
        "completed: None",
    ]


@shows("workflow_run_id, workflow_run_created_at")
def test_a_function_knows_when_its_run_began(define: Define, flows: WorkflowTest) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.sleep("rest", "1d")
        return [context.workflow_run_id, context.workflow_run_created_at.isoformat()]

    run = flows.start(story)
    flows.advance("1d")

    assert run.result == [run.workflow_run_id, run.row.created_at.isoformat()]


# -- the list


def _features() -> Counter[str]:
    return Counter(
        mark.args[0]
        for test in globals().values()
        if isinstance(test, FunctionType)
        for mark in getattr(test, "pytestmark", [])
        if mark.name == "shows"
    )


def test_the_page_lists_what_the_tests_show() -> None:
    page = (ROOT / "docs" / "features.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| `")]

    assert Counter(row.replace("`", "") for row in rows) == _features()
