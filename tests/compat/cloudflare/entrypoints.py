"""The workflows that the clients start: one for each thing that can happen to an instance."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from workflows_app import (
    NonRetryableError,
    PlainWorkflowStep,
    WorkflowEntrypoint,
    WorkflowEvent,
    WorkflowStep,
    WorkflowTimeoutError,
)

SOON = {"retries": {"limit": 3, "delay": 50, "backoff": "constant"}, "timeout": "5 seconds"}
NEVER_AGAIN = {"retries": {"limit": 0, "delay": 0}}


class Purchase(WorkflowEntrypoint, name="purchase"):
    """A step, a sleep, an event, a step."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        @step.do("price", config=SOON)
        async def price() -> dict[str, Any]:
            return {"amount": 3 * event["payload"]["quantity"]}

        owed = await price()
        await step.sleep("grace", 20)
        paid = await step.wait_for_event("payment", "paid", timeout="1 hour")

        @step.do("ship")
        async def ship() -> str:
            return f"shipped to {paid['payload']['name']}"

        return {**owed, "shipped": await ship(), "event": paid["type"]}


class Plain(WorkflowEntrypoint, name="plain"):
    """Not asynchronous; returns what it is given, by two steps of the same name."""

    def run(self, event: WorkflowEvent, step: PlainWorkflowStep) -> Any:
        step.do("same", lambda: event["payload"])
        return step.do("same", lambda: event["payload"])


class Flaky(WorkflowEntrypoint, name="flaky"):
    """A step that fails `failures` times."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        @step.do("flaky", config=SOON)
        async def flaky(ctx: Any) -> int:
            if ctx["attempt"] <= event["payload"]["failures"]:
                raise ConnectionError(f"attempt {ctx['attempt']} failed")
            return int(ctx["attempt"])

        return await flaky()


class Patient(WorkflowEntrypoint, name="patient"):
    """Fails once and waits an hour for its second attempt; sleeps for a day, or waits for an event
    of a type, as it is told.
    """

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        match event["payload"]:
            case "retry":
                hour = {"retries": {"limit": 1, "delay": "1 hour", "backoff": "constant"}}
                return await step.do("retried", fails, config=hour)
            case "sleep":
                await step.sleep("night", "1 day")
            case "wait":
                news = await step.wait_for_event("news", "news", timeout="1 day")
                return {"type": news["type"], "payload": news["payload"]}
        return "awake"


def fails() -> None:
    raise ConnectionError("nobody there")


class Slow(WorkflowEntrypoint, name="slow"):
    """A step that takes `seconds`, and one that takes no time."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        async def work() -> str:
            await asyncio.sleep(event["payload"]["seconds"])
            return "worked"

        worked = await step.do("work", work)
        return [worked, await step.do("after", time.time)]


class Narrow(WorkflowEntrypoint, name="narrow"):
    """When its step began and when it ended."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        async def work() -> list[float]:
            began = time.time()
            await asyncio.sleep(0.1)
            return [began, time.time()]

        return await step.do("work", work)


class Impatient(WorkflowEntrypoint, name="impatient"):
    """Goes on when the event does not come."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        try:
            await step.wait_for_event("news", "news", timeout="1 second")
        except WorkflowTimeoutError as error:
            return f"{type(error).__name__}: {error}"


class Twice(WorkflowEntrypoint, name="twice"):
    """Waits for two events of a type, and for one of another."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        got = [await step.wait_for_event(name, name[0]) for name in ("a1", "a2", "b1")]
        return [each["payload"] for each in got]


class Broken(WorkflowEntrypoint, name="broken"):
    """Fails as it is told: in its function, for good, or in a step without retries."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        async def broken() -> None:
            if event["payload"] == "for good":
                raise NonRetryableError("no use")
            raise ValueError("in a step")

        if event["payload"] == "in the function":
            raise LookupError("nothing there")
        config = SOON if event["payload"] == "for good" else NEVER_AGAIN
        await step.do("broken", broken, config=config)


class Secret(WorkflowEntrypoint, name="secret"):
    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        async def read() -> str:
            return "top secret"

        secret = await step.do("read", read, config={"sensitive": "output"})
        return len(secret)


class Talkative(WorkflowEntrypoint, name="talkative"):
    """A step whose result is longer than a list of steps shows."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        said = await step.do("talk", lambda: "la" * 2000)
        return len(said)


class Picture(WorkflowEntrypoint, name="picture"):
    """A step whose result is bytes that are no text."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        drawn = await step.do("draw", lambda: b"\x89PNG\x00" * 1000)
        return len(drawn)


class Trip(WorkflowEntrypoint, name="trip"):
    """Books, and cancels what it has booked: when it fails, or is ended while it waits."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        async def cancel(undo: Any) -> str:
            if event["payload"].get("stuck"):
                raise RuntimeError("no cancellation")
            return f"canceled {undo['output']}"

        undone = {"rollback": cancel, "rollbackConfig": NEVER_AGAIN}
        await step.do("flight", lambda: "LH 1", rollback=undone)
        await step.do("hotel", lambda: "Ritz", rollback=undone)
        if event["payload"].get("fails"):
            raise ValueError("no car")
        await step.wait_for_event("departure", "departed", timeout="1 day")


class Counted(WorkflowEntrypoint, name="counted"):
    """Steps of the same name, a sleep and an event between them; each step says when it ran."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        times = [await step.do("tick", time.time)]
        await step.sleep("pause", 20)
        times.append(await step.do("tick", time.time))
        news = await step.wait_for_event("news", "news", timeout="1 day")
        times.append(await step.do("tick", time.time))
        return {"times": times, "news": news["payload"]}


class Every(WorkflowEntrypoint, name="every-construct"):
    """Never run: its graph is what counts."""

    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
        first = await step.do("first", same, SOON)
        await step.sleep("nap", "1 minute")
        await step.sleep_until("morning", event["payload"]["morning"])
        await step.wait_for_event("go", "gone", timeout="2 hours")
        for item in event["payload"]["items"]:
            await step.do(f"item {item}", same)
        await asyncio.gather(step.do("left", same), step.do("right", same))
        task = asyncio.create_task(step.do("beside", same))
        try:
            await step.do("risky", same)
        except ValueError:
            await step.do("mend", same)
        finally:
            await step.do("tidy", same)
        if first:
            await self.helped(step)
        elif event["payload"]["other"]:
            return "early"
        else:
            await step.do("otherwise", same)
        match event["payload"]["kind"]:
            case "a":
                await step.do("kind a", same)
            case _:
                await step.do("any kind", same)
        while True:
            await step.do("once", same)
            break
        return await task

    async def helped(self, step: WorkflowStep) -> None:
        await step.do("help", same)


def same() -> bool:
    return True
