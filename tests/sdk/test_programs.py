"""Any function of steps ends the same way, whichever shell runs it and however often it is cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Clock
from tests.sdk.rehearsal import CREATED_AT, Rehearsal, finished, run_of
from tests.shells import Shell, body_for
from workflows_app import StepError, Workflow
from workflows_app.protocol.runs import CallRequest
from workflows_app.sdk.replay import Extent

RETRIES = 2


Calls = Counter[str]
"""How often each step was called, by its idempotency key."""


@dataclass(frozen=True)
class Step:
    """Fails so often before it succeeds; more often than it may be retried, it fails for good."""

    name: str
    failures: int
    verb: str

    def result(self) -> str:
        return f"{self.name} after {self.failures}"

    def expected(self) -> str:
        return f"no {self.name}" if self.failures > RETRIES else self.result()

    async def follow(self, context: Any, calls: Calls) -> Any:
        def work() -> str:
            calls[context.idempotency_key] += 1
            if context.attempt <= self.failures:
                raise OSError
            return self.result()

        try:
            return await getattr(context, self.verb)(self.name, work)
        except StepError:
            return f"no {self.name}"


@dataclass(frozen=True)
class Sleep:
    name: str

    def expected(self) -> str:
        return f"slept {self.name}"

    async def follow(self, context: Any, _calls: Calls) -> Any:
        await context.sleep(self.name, "1h")
        return f"slept {self.name}"


@dataclass(frozen=True)
class Call:
    name: str

    def expected(self) -> str:
        return f"answered {self.name}"

    async def follow(self, context: Any, _calls: Calls) -> Any:
        answer = await context.call(self.name, url="https://peer.example")
        return f"{answer.body} {self.name}"


@dataclass(frozen=True)
class Invocation:
    name: str

    def expected(self) -> str:
        return f"{self.name} returned"

    async def follow(self, context: Any, _calls: Calls) -> Any:
        ended = await context.invoke(
            self.name, workflow="https://peer.example/it", body=self.expected()
        )
        return ended.body


@dataclass(frozen=True)
class InSequence:
    parts: tuple[Part, ...]

    def expected(self) -> list[Any]:
        return [part.expected() for part in self.parts]

    async def follow(self, context: Any, calls: Calls) -> Any:
        return [await part.follow(context, calls) for part in self.parts]


@dataclass(frozen=True)
class InParallel:
    parts: tuple[Part, ...]

    def expected(self) -> list[Any]:
        return [part.expected() for part in self.parts]

    async def follow(self, context: Any, calls: Calls) -> Any:
        branches = (partial(part.follow, context, calls) for part in self.parts)
        return await context.parallel(*branches)


Part = Step | Sleep | Call | Invocation | InSequence | InParallel

names = st.sampled_from(["a", "b", "a#2"])
single_steps = st.builds(
    Step,
    name=names,
    failures=st.sampled_from([0, 0, 0, 1, RETRIES + 1]),
    verb=st.sampled_from(["run", "atomic"]),
)
programs: st.SearchStrategy[Part] = st.recursive(
    single_steps | st.builds(Sleep, names) | st.builds(Call, names) | st.builds(Invocation, names),
    lambda inner: (
        st.builds(InSequence, st.lists(inner, max_size=4).map(tuple))
        | st.builds(InParallel, st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=10,
)


def workflow_of(shell: Shell, program: Part, calls: Calls) -> Workflow:
    async def story(context: Any) -> Any:
        return await program.follow(context, calls)

    return Workflow(
        "program",
        body_for(shell, story),
        retries=None,
        retry_delay=None,
        timeout=None,
        failure_function=None,
        failure_url=None,
        flow_control=None,
        transport=None,
    )


def answer(call: CallRequest) -> dict[str, Any]:
    return {"status": 200, "header": {}, "body": "answered"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs)
def test_any_function_of_steps_ends_the_same_way(program: Part) -> None:
    clock = Clock(CREATED_AT)
    journals = []
    try:
        for shell in Shell:
            for extent in (Extent.TO_THE_NEXT_WAIT, Extent.ONE_BATCH):
                clock.stop_at(CREATED_AT)
                calls: Calls = Counter()
                workflow = workflow_of(shell, program, calls)
                run = run_of(workflow, retries=RETRIES, retry_delay="1000")
                rehearsal = Rehearsal(workflow, clock, run)
                rehearsal.respond = answer

                assert rehearsal.play(extent) == finished(program.expected())
                assert rehearsal.turn(extent) == finished(program.expected())
                journals.append(rehearsal.journal)
                assert calls == {
                    f"wfr_1:1893585600000:{step.key}": step.attempts
                    for step in rehearsal.journal.steps
                    if step.kind in ("run", "atomic")
                }
    finally:
        clock.release()

    first, *others = ({step.key: step.result for step in each.steps} for each in journals)
    assert others == [first] * 3
