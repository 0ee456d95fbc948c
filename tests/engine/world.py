"""The world that the engine reaches through its ports, as a test scripts it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from workflows_app.engine.ports import Turn
from workflows_app.protocol.exchange import Answer, Outgoing, SendFailed
from workflows_app.protocol.runs import TurnOutcome
from workflows_app.worker.transport import WorkflowTransport


class World(WorkflowTransport):
    """Calls local workflow functions as ever; everyone else answers as scripted."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.failure: Exception | None = None
        """What every turn fails with, before it reaches the workflow function."""
        self._answers: deque[Answer | SendFailed] = deque()

    def take_turn(self, turn: Turn) -> TurnOutcome:
        if self.failure is not None:
            raise self.failure
        return super().take_turn(turn)

    def answers(self, *answers: Answer | SendFailed | int) -> None:
        """What the next requests are answered with, in this order; a number is a bare status."""
        for each in answers:
            self._answers.append(answer(each) if isinstance(each, int) else each)

    def send(self, request: Outgoing) -> Answer:
        self.sent.append(request)
        assert self._answers, f"no answer to {request.method} {request.url} is scripted"
        found = self._answers.popleft()
        if isinstance(found, SendFailed):
            raise found
        return found


@dataclass
class Bell:
    """A dispatcher that counts its rings."""

    rings: int = field(default=0)

    def ring(self) -> None:
        self.rings += 1


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    """Keywords are headers, as `Retry_After="5"`."""
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return Answer(status=status, headers=named, body=body)
