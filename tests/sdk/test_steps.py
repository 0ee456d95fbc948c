"""`context.run`: a step is called once and its result is kept, by both shells alike."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import CREATED_AT, Journal, assert_failed, finished, loaded
from tests.shells import Awaitable, Shell, body_for
from workflows_app import workflow
from workflows_app.errors import StepMisuse
from workflows_app.protocol.runs import Finished, History, StepKind, StepRecord, Suspended
from workflows_app.sdk.base_context import current_step


def test_a_step_is_called_once_however_often_its_function_is_replayed(rehearse: Rehearse) -> None:
    called: list[int] = []

    def call(number: int) -> int:
        called.append(number)
        return number

    async def story(context: Any) -> Any:
        first = await context.run("first", call, 1)
        await context.sleep("night", "8h")
        second = await context.run("second", call, 2)
        return [first, second]

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished([1, 2])
    assert rehearsal.turn() == finished([1, 2])
    assert called == [1, 2]


def test_a_step_passes_its_arguments_on(rehearse: Rehearse) -> None:
    def charge(amount: int, *, currency: str) -> str:
        return f"{amount} {currency}"

    async def story(context: Any) -> Any:
        return await context.run("charge", charge, 5, currency="EUR")

    assert rehearse(story).play() == finished("5 EUR")


def test_a_finished_step_is_recorded_with_its_input_and_times(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return await context.run("add", lambda a, b: a + b, 2, b=3)

    rehearsal = rehearse(story)
    rehearsal.play()

    assert rehearsal.journal.steps == [
        StepRecord(
            key="add",
            name="add",
            kind=StepKind.RUN,
            branch="",
            input='{"args":[2],"kwargs":{"b":3}}',
            result="5",
            error=None,
            attempts=1,
            started_at=CREATED_AT,
            ended_at=CREATED_AT,
        )
    ]


@pytest.mark.parametrize(
    ("args", "kwargs", "shown"),
    [
        ((), {}, None),
        ((1, "two"), {}, [1, "two"]),
        ((1,), {"two": 2}, {"args": [1], "kwargs": {"two": 2}}),
        (({1},), {}, ["{1}"]),
        (([{"at": b"x"}],), {"by": b"y"}, {"args": [[{"at": "b'x'"}]], "kwargs": {"by": "b'y'"}}),
        (("x" * 10_000,), {}, '["' + "x" * 9_998 + "…"),
    ],
    ids=["nothing", "positional", "named", "not JSON", "not JSON inside", "long"],
)
def test_what_a_step_is_called_with_is_shown_readably(
    args: Any, kwargs: Any, shown: Any, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.run("look", lambda *_, **__: None, *args, **kwargs)

    rehearsal = rehearse(story)
    rehearsal.play()

    assert loaded(rehearsal.journal.steps[0].input) == shown


@pytest.mark.parametrize(
    ("returned", "seen"),
    [
        (None, None),
        (0, 0),
        ("text", "text"),
        ("lone \ud800", "lone \ud800"),
        ((1, (2,)), [1, [2]]),
        ({1: "one", None: "none"}, {"1": "one", "null": "none"}),
        ({"a": [{}]}, {"a": [{}]}),
    ],
    ids=["None", "0", "text", "lone surrogate", "tuples", "keys", "nested"],
)
def test_a_result_looks_the_same_at_once_and_in_a_replay(
    returned: Any, seen: Any, rehearse: Rehearse
) -> None:
    saw = []

    async def story(context: Any) -> Any:
        saw.append(await context.run("make", lambda: returned))

    rehearsal = rehearse(story)
    rehearsal.turn()
    rehearsal.turn()

    assert saw == [seen, seen]


def test_a_function_that_changes_what_a_step_returned_changes_only_its_copy(
    rehearse: Rehearse,
) -> None:
    stock = {"tea": 1}

    async def story(context: Any) -> Any:
        first = await context.run("stock", lambda: stock)
        first["tea"] += 1
        return first

    rehearsal = rehearse(story)

    assert rehearsal.turn() == finished({"tea": 2})
    assert rehearsal.turn() == finished({"tea": 2})
    assert (stock, rehearsal.recorded) == ({"tea": 1}, {"stock": {"tea": 1}})


def test_steps_of_one_name_are_told_apart_by_their_occurrence(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return [await context.run("square", lambda i=i: i * i) for i in range(3)]

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished([0, 1, 4])
    assert rehearsal.recorded == {"square": 0, "square#2": 1, "square#3": 4}
    assert rehearsal.turn() == finished([0, 1, 4])


def test_a_name_that_looks_like_a_second_occurrence_is_not_mistaken_for_one(
    rehearse: Rehearse,
) -> None:
    async def story(context: Any) -> Any:
        names = ["mail#2", "mail", "mail", "mail#2"]
        return [await context.run(name, lambda n=n: n) for n, name in enumerate(names)]

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished([0, 1, 2, 3])
    assert rehearsal.recorded == {"mail#2": 0, "mail": 1, "mail#3": 2, "mail#2#2": 3}
    assert rehearsal.turn() == finished([0, 1, 2, 3])


def test_a_loop_may_call_a_step_of_one_name_thousands_of_times(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return sum([await context.run("count", lambda: 1) for _ in range(5_000)])

    rehearsal = rehearse(story)
    rehearsal.threads = False

    assert rehearsal.play() == finished(5_000)
    assert rehearsal.turn() == finished(5_000)
    assert rehearsal.journal.steps[-1].key == "count#5000"


def test_which_steps_run_may_depend_on_results_and_on_the_payload(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        done: list[str] = []
        while await context.run("more", lambda: len(done) < context.request_payload):
            if len(done) % 2:
                done.append(await context.run("odd", lambda: "odd"))
            else:
                done.append(await context.run("even", lambda: "even"))
        return done

    rehearsal = rehearse(story, payload=b"3")

    assert rehearsal.play() == finished(["even", "odd", "even"])
    assert list(rehearsal.recorded) == [
        "more",
        "even",
        "more#2",
        "odd",
        "more#3",
        "even#2",
        "more#4",
    ]
    assert rehearsal.turn() == finished(["even", "odd", "even"])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "a step's name is a text of 1 to 256 characters, not ''"),
        ("n" * 257, f"a step's name is a text of 1 to 256 characters, not '{'n' * 79}"),
        ("mail@2", "a step's name must not end like \"@2\", as 'mail@2' does: that marks branches"),
        (
            "mail@2.1",
            "a step's name must not end like \"@2\", as 'mail@2.1' does: that marks branches",
        ),
    ],
    ids=["empty", "long", "branch", "nested branch"],
)
def test_a_name_that_cannot_identify_a_step_is_refused(
    name: str, sentence: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.run(name, lambda: None)

    rehearsal = rehearse(story, retries=3)
    outcome = rehearsal.turn()

    assert_failed(outcome, "StepMisuse", sentence)
    assert rehearsal.journal.steps == []


@pytest.mark.parametrize("name", ["nul \x00", "half a pair \ud800"], ids=["NUL", "surrogate"])
def test_a_name_that_no_database_holds_is_refused(name: str, rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.run(name, lambda: None)

    assert_failed(
        rehearse(story, retries=3).turn(),
        "InvalidInput",
        f"a step's name must not contain NUL or half a surrogate pair: {name!r}",
    )


@pytest.mark.parametrize("name", ["n" * 256, "ada@example.com", "a/b c#1", "größe 茶"])
def test_any_other_text_is_a_name(name: str, rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return await context.run(name, lambda: "done")

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("done")
    assert rehearsal.recorded == {name: "done"}


@pytest.mark.parametrize("verb", ["run", "atomic", "sleep", "sleep_until", "call"])
def test_a_step_inside_a_step_is_refused(verb: str, rehearse: Rehearse) -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "run": (int,),
        "atomic": (int,),
        "sleep": ("1d",),
        "sleep_until": (0,),
        "call": (),
    }
    keywords = {"url": "https://peer.example"} if verb == "call" else {}

    async def story(context: Any) -> Any:
        def outer() -> None:
            step = getattr(context, verb)("inner", *arguments[verb], **keywords)
            with pytest.raises(StopIteration):
                step.send(None)

        await context.run("outer", outer)

    rehearsal = rehearse(story, retries=3)
    outcome = rehearsal.play()

    assert_failed(
        outcome,
        "StepError",
        'step "outer" failed after 1 attempt: StepMisuse: step "inner" was called inside step '
        '"outer" of run wfr_1. Steps are called by the workflow function itself: return a value '
        "from the outer step and call the inner one after it.",
    )
    assert list(rehearsal.recorded) == ["outer"]


def test_a_step_knows_that_it_is_one_and_the_function_that_it_is_not(rehearse: Rehearse) -> None:
    saw = []

    def look() -> None:
        step = current_step.get()
        saw.append(step and step.key)

    async def story(context: Any) -> Any:
        look()
        await context.run("a-step", look)
        look()

    rehearse(story).play()

    assert saw == [None, "a-step", None]


def test_bytes_come_back_as_bytes_wherever_they_are_in_a_result(rehearse: Rehearse) -> None:
    seen = []

    async def story(context: Any) -> Any:
        picture = await context.run("draw", lambda: b"\x89PNG")
        parts = await context.run("cut", lambda: {"parts": (b"\x00", b"")})
        seen.append((picture, parts))
        await context.sleep("dry", "1h")
        return {"picture": picture}

    outcome = rehearse(story).play()

    assert seen == [(b"\x89PNG", {"parts": [b"\x00", b""]})] * 2
    assert outcome == Finished(result='{"picture":{"$bytes":"iVBORw=="}}')


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({1, 2}, "the value is a set, which JSON cannot hold; convert it first"),
        (
            {"at": [{"$bytes": "cmF3"}]},
            'at[0] is a dict whose only key is "$bytes", and would be read as bytes; add another '
            "key, or put the bytes themselves there",
        ),
        (float("nan"), "the value is nan, which JSON cannot hold; use None instead"),
    ],
    ids=["set", "as if bytes", "not a number"],
)
def test_a_result_that_json_cannot_hold_fails_its_step_at_once(
    value: Any, what: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.run("make", lambda: value)

    rehearsal = rehearse(story, retries=3)

    assert_failed(
        rehearsal.play(),
        "StepError",
        'step "make" failed after 1 attempt: NotSerializable: the result of step "make" cannot be '
        f"stored: {what}",
    )
    assert rehearsal.turns == 1


def test_a_result_over_the_allowed_size_fails_its_step_at_once(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.run("fits", lambda: "é" * 49)
        await context.run("read-file", lambda: "é" * 50)

    rehearsal = rehearse(story, retries=3)
    rehearsal.max_result_bytes = 100

    assert_failed(
        rehearsal.play(),
        "StepError",
        'step "read-file" failed after 1 attempt: InvalidInput: step "read-file" returned '
        "102 bytes of JSON, more than the 100 that WORKFLOWS['MAX_RESULT_BYTES'] allows; store the "
        "data elsewhere and return a reference to it",
    )
    assert rehearsal.recorded == {"fits": "é" * 49, "read-file": None}


def test_a_return_value_that_json_cannot_hold_fails_the_run(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return {"when": CREATED_AT}

    outcome = rehearse(story, retries=3).turn()

    assert_failed(
        outcome,
        "NotSerializable",
        "the workflow's return value cannot be stored: when is a datetime, which JSON cannot hold; "
        "convert it first",
    )


def test_a_return_value_over_the_allowed_size_fails_the_run(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return "é" * 50

    rehearsal = rehearse(story, retries=3)
    rehearsal.max_result_bytes = 100

    assert_failed(
        rehearsal.turn(),
        "InvalidInput",
        "the workflow returned 102 bytes of JSON, more than the 100 that "
        "WORKFLOWS['MAX_RESULT_BYTES'] allows; store the data elsewhere and return a reference to "
        "it",
    )


def test_a_run_may_return_nothing(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.run("only", lambda: None)

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished(None)
    assert rehearsal.recorded == {"only": None}


def test_what_another_worker_recorded_first_stands(rehearse: Rehearse) -> None:
    """Two deliveries of one run may overlap; the journal has one result of a step."""

    async def story(context: Any) -> Any:
        return [await context.run("draw", lambda: "mine"), await context.run("show", lambda: "me")]

    rehearsal = rehearse(story)
    rehearsal.turn()
    theirs = replace(rehearsal.journal.steps[0], result='"theirs"')
    rehearsal.journal = Overtaken(theirs)

    assert rehearsal.turn() == finished(["theirs", "me"])


class Overtaken(Journal):
    """In which another worker stores a step after this one has read the history."""

    def __init__(self, theirs: StepRecord) -> None:
        super().__init__()
        self._theirs = theirs

    def history(self) -> History:
        before = super().history()
        self.add(self._theirs)
        return before


def test_nothing_is_recorded_by_a_turn_that_only_replays(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.run("only", lambda: None)
        await context.sleep("night", "8h")

    rehearsal = rehearse(story)
    rehearsal.turn()
    before = rehearsal.journal.writes

    assert rehearsal.turn() == Suspended(wake_at=rehearsal.journal.steps[1].ended_at)
    assert rehearsal.journal.writes == before == 2


def test_a_misused_step_is_a_misuse_whatever_the_retries(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        raise StepMisuse("by hand")

    rehearsal = rehearse(story, retries=3)

    assert_failed(rehearsal.turn(), "StepMisuse", "by hand")


@pytest.mark.parametrize("inner_shell", list(Shell), ids=str)
def test_a_step_may_work_on_another_run(
    inner_shell: Shell, rehearse: Rehearse, rehearse_workflow: Rehearse
) -> None:
    """As when it calls `other_workflow.run()`."""

    async def other(context: Any) -> Any:
        return [await context.run("a-step", lambda: context.attempt), context.idempotency_key]

    inner = rehearse_workflow(workflow("other")(body_for(inner_shell, other)), run_id="wfr_2")

    def work_on_other() -> Any:
        inner.journal.thread = threading.get_ident()
        return loaded(inner.turn().result)  # type: ignore[union-attr]  # it finishes

    async def story(context: Any) -> Any:
        async def branch() -> Any:
            return await context.run("a-step", work_on_other)

        return await context.parallel(branch, lambda: context.run("more", int))

    outer = rehearse(story)

    assert outer.play() == finished([[1, "wfr_2:1893585600000"], 0])
    assert inner.recorded == {"a-step": 1}
    assert set(outer.recorded) == {"a-step@1", "more@2"}


def test_a_function_may_work_on_another_run_between_its_steps(
    rehearse: Rehearse, rehearse_workflow: Rehearse
) -> None:
    async def other(context: Any) -> Any:
        return await context.run("a-step", lambda: "of the other")

    inner = rehearse_workflow(workflow("other")(body_for(Shell.SYNC, other)), run_id="wfr_2")

    async def story(context: Any) -> Any:
        async def branch() -> Any:
            await context.run("a-step", int)
            if isinstance(context, Awaitable):
                work_on_other()
            else:
                await asyncio.to_thread(work_on_other)
            return await context.run("a-step", int)

        return await context.parallel(branch, branch)

    def work_on_other() -> None:
        inner.journal.thread = threading.get_ident()
        inner.turn()

    outer = rehearse(story)

    assert outer.play() == finished([0, 0])
    assert inner.recorded == {"a-step": "of the other"}
    assert set(outer.recorded) == {"a-step@1", "a-step@1#2", "a-step@2", "a-step@2#2"}
