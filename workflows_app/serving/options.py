"""How a workflow is served: what its view was given, completed from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypedDict

from workflows_app.errors import StepMisuse
from workflows_app.sdk.authoring import FailureFunction
from workflows_app.sdk.middlewares import Middleware
from workflows_app.serving.payloads import Parser, payload_reader
from workflows_app.serving.publisher import Publisher, QStash

DEFAULT_SERVER = "https://qstash.upstash.io"
_BASE = re.compile(r"^https?://[^/]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """The keys of which one has to have signed a delivery."""

    current_signing_key: str
    next_signing_key: str

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.current_signing_key, self.next_signing_key)


class Options(TypedDict, total=False):
    """Of `serve`; docs/serving.md says what each is for."""

    initial_payload_parser: Parser
    schema: Any
    failure_function: FailureFunction
    failure_url: str
    url: str
    base_url: str
    receiver: Receiver
    publisher: Publisher
    env: Mapping[str, str]
    verbose: bool
    middlewares: Sequence[Middleware]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """`env` is read when a request comes, so views can be made before it is complete."""

    initial_payload_parser: Parser | None = None
    schema: Any = None
    failure_function: FailureFunction | None = None
    failure_url: str | None = None
    url: str | None = None
    base_url: str | None = None
    receiver: Receiver | None = None
    publisher: Publisher | None = None
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    verbose: bool = False
    middlewares: Sequence[Middleware] = ()
    now: Callable[[], datetime] = _now

    @cached_property
    def server(self) -> Publisher:
        """Raises StepMisuse where nothing says which."""
        if self.publisher is not None:
            return self.publisher
        token = self.env.get("QSTASH_TOKEN")
        if not token:
            raise StepMisuse(
                "set QSTASH_URL and QSTASH_TOKEN to the address and a token of the workflow "
                "server that this workflow is served to, or pass serve(..., publisher=...)"
            )
        return QStash(self.env.get("QSTASH_URL") or DEFAULT_SERVER, token)

    @property
    def keys(self) -> tuple[str, ...]:
        """None when deliveries are not signed: then anybody may post them."""
        if self.receiver is not None:
            return self.receiver.keys
        names = ("QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY")
        keys = tuple(self.env.get(name, "") for name in names)
        return keys if all(keys) else ()

    @cached_property
    def read_payload(self) -> Callable[[bytes], Any]:
        return payload_reader(self.initial_payload_parser, self.schema)

    def url_of(self, requested: str) -> str:
        """Of the workflow, as the server is to reach it."""
        url = self.url or requested
        base = self.base_url or self.env.get("UPSTASH_WORKFLOW_URL")
        return _BASE.sub(lambda _: base.rstrip("/"), url) if base else url
