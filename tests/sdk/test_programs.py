"""Any function of steps ends the same way, whichever shell runs it and however often it is cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Clock
from tests.sdk.rehearsal import CREATED_AT, Journal, Rehearsal, finished, run_of
from tests.shells import Shell, body_for
from workflows_app import StepError, Workflow
from workflows_app.protocol.faults import is_cancellation
from workflows_app.protocol.runs import CallRequest, TurnOutcome
from workflows_app.sdk.replay import Extent

RETRIES = 2


Outcomes = list[tuple[int, Any]]
"""What a part may come to, each after so many seconds."""
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

    def outcomes(self) -> Outcomes:
        text = f"no {self.name}" if self.failures > RETRIES else self.result()
        return [(min(self.failures, RETRIES), text)]

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
    seconds: int

    def outcomes(self) -> Outcomes:
        return [(self.seconds, f"slept {self.name}")]

    async def follow(self, context: Any, _calls: Calls) -> Any:
        await context.sleep(self.name, f"{self.seconds}s")
        return f"slept {self.name}"


@dataclass(frozen=True)
class Call:
    name: str

    def outcomes(self) -> Outcomes:
        return [(0, f"answered {self.name}")]

    async def follow(self, context: Any, _calls: Calls) -> Any:
        answer = await context.call(self.name, url="https://peer.example")
        return f"{answer.body} {self.name}"


@dataclass(frozen=True)
class Invocation:
    name: str

    def outcomes(self) -> Outcomes:
        return [(0, f"{self.name} returned")]

    async def follow(self, context: Any, _calls: Calls) -> Any:
        ended = await context.invoke(
            self.name, workflow="https://peer.example/it", body=f"{self.name} returned"
        )
        return ended.body


@dataclass(frozen=True)
class InSequence:
    parts: tuple[Part, ...]

    def outcomes(self) -> Outcomes:
        return combined(self.parts, sum)

    async def follow(self, context: Any, calls: Calls) -> Any:
        return [await part.follow(context, calls) for part in self.parts]


@dataclass(frozen=True)
class InParallel:
    parts: tuple[Part, ...]

    def outcomes(self) -> Outcomes:
        return combined(self.parts, partial(max, default=0))

    async def follow(self, context: Any, calls: Calls) -> Any:
        branches = (partial(part.follow, context, calls) for part in self.parts)
        return await context.parallel(*branches)


@dataclass(frozen=True)
class InMap:
    """One after the other or all at once, so that it is known how long they take."""

    parts: tuple[Part, ...]
    concurrency: int | None

    def outcomes(self) -> Outcomes:
        return combined(self.parts, sum if self.concurrency else partial(max, default=0))

    async def follow(self, context: Any, calls: Calls) -> Any:
        return await context.map(
            lambda part: part.follow(context, calls), self.parts, concurrency=self.concurrency
        )


@dataclass(frozen=True)
class InRace:
    parts: tuple[Part, ...]

    def outcomes(self) -> Outcomes:
        """That of the fastest; of those that are as fast as it, any."""
        lots = [part.outcomes() for part in self.parts]
        least = min(max(seconds for seconds, _ in lot) for lot in lots)
        return [outcome for lot in lots for outcome in lot if outcome[0] <= least]

    async def follow(self, context: Any, calls: Calls) -> Any:
        return await context.race(*(partial(part.follow, context, calls) for part in self.parts))


Part = Step | Sleep | Call | Invocation | InSequence | InParallel | InMap | InRace


def combined(parts: tuple[Part, ...], total: Callable[[list[int]], int]) -> Outcomes:
    every = product(*(part.outcomes() for part in parts))
    return [(total([each[0] for each in some]), [each[1] for each in some]) for some in every]


names = st.sampled_from(["a", "b", "a#2", "race"])
single_steps = st.builds(
    Step,
    name=names,
    failures=st.sampled_from([0, 0, 0, 1, RETRIES + 1]),
    verb=st.sampled_from(["run", "atomic"]),
)
sleeps = st.builds(Sleep, names, st.sampled_from([10, 100, 1000, 3600]))
programs: st.SearchStrategy[Part] = st.recursive(
    single_steps | sleeps | st.builds(Call, names) | st.builds(Invocation, names),
    lambda inner: (
        st.builds(InSequence, st.lists(inner, max_size=4).map(tuple))
        | st.builds(InParallel, st.lists(inner, max_size=3).map(tuple))
        | st.builds(InMap, st.lists(inner, max_size=3).map(tuple), st.sampled_from([None, 1]))
        | st.builds(InRace, st.lists(inner, min_size=1, max_size=3).map(tuple))
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


def rehearsal_of(shell: Shell, program: Part, clock: Clock, calls: Calls) -> Rehearsal:
    clock.stop_at(CREATED_AT)
    workflow = workflow_of(shell, program, calls)
    run = run_of(workflow, retries=RETRIES, retry_delay="1000")
    rehearsal = Rehearsal(workflow, clock, run)
    rehearsal.respond = answer
    return rehearsal


def races(program: Part) -> bool:
    parts = getattr(program, "parts", ())
    return isinstance(program, InRace) or any(map(races, parts))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs)
def test_any_function_of_steps_ends_the_same_way(program: Part) -> None:
    clock = Clock(CREATED_AT)
    journals = []
    expected = [finished(result) for _, result in program.outcomes()]
    try:
        for shell in Shell:
            for extent in (Extent.TO_THE_NEXT_WAIT, Extent.ONE_BATCH):
                calls: Calls = Counter()
                rehearsal = rehearsal_of(shell, program, clock, calls)

                outcome = rehearsal.play(extent)
                assert outcome in expected
                assert rehearsal.turn(extent) == outcome
                journals.append(rehearsal.journal)
                recorded = {
                    f"wfr_1:1893585600000:{step.key}": step.attempts
                    for step in rehearsal.journal.steps
                    if step.kind in ("run", "atomic") and not is_cancellation(step.error)
                }
                assert calls.items() >= recorded.items() if races(program) else calls == recorded
    finally:
        clock.release()

    first, *others = ({step.key: step.result for step in each.steps} for each in journals)
    assert races(program) or others == [first] * 3


class Mortal(Journal):
    """Of a process that ends after each write."""

    def record(self, steps: Any, attempts: Any) -> Any:
        super().record(steps, attempts)
        raise ConnectionError("the process has ended")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(program=programs, shell=st.sampled_from(Shell), threads=st.booleans())
def test_who_wins_does_not_depend_on_crashes(program: Part, shell: Shell, *, threads: bool) -> None:
    clock = Clock(CREATED_AT)
    try:
        rehearsal = rehearsal_of(shell, program, clock, Counter())
        rehearsal.threads = threads
        rehearsal.journal = Mortal()

        outcome = play_through_crashes(rehearsal)
        assert outcome in [finished(result) for _, result in program.outcomes()]
        assert rehearsal.turn() == outcome
    finally:
        clock.release()


def play_through_crashes(rehearsal: Rehearsal) -> TurnOutcome:
    while True:
        try:
            return rehearsal.play()
        except ConnectionError:
            assert rehearsal.turns < 1000, "the run never ends"
