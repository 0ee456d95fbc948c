"""What arrives at an endpoint, told apart by its headers (Upstash reference 3.1, 3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from workflows_app.errors import InvalidInput
from workflows_app.protocol.exchange import canonical_header, is_hop_by_hop
from workflows_app.protocol.header_values import parse_list
from workflows_app.protocol.published import read_number
from workflows_app.serving.messages import VERSION

_PROXIES = ("x-vercel-", "x-forwarded-", "cf-")
_NOT_THE_USERS = ("cdn-loop", "content-type", "render-proxy-ttl", "signature")
_SERVER = "Upstash-QStash"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(Enum):
    START = auto()
    """Somebody posted a payload: a run is to be started with it."""
    STARTED_ELSEWHERE = auto()
    """The server has started a run that this endpoint is to start anew."""
    STEPS = auto()
    CALL_ANSWERED = auto()
    FAILURE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A request. Header names are in lower case; `url` is where it was sent to."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> Kind:
        """Raises InvalidInput for another version of the protocol."""
        said = self.headers
        if "upstash-workflow-unknown-sdk" in said:
            return Kind.STARTED_ELSEWHERE
        is_failure = said.get("upstash-workflow-is-failure", "").lower() == "true"
        if is_failure or "upstash-workflow-failure-callback" in said:
            return Kind.FAILURE
        if "upstash-workflow-callback" in said:
            return Kind.CALL_ANSWERED
        version = said.get("upstash-workflow-sdk-version")
        if version not in (None, VERSION):
            raise InvalidInput(
                f"version {version} of the protocol is not spoken here, but {VERSION}"
            )
        return Kind.START if version is None else Kind.STEPS

    @property
    def run_id(self) -> str:
        """Raises InvalidInput."""
        run_id = self.headers.get("upstash-workflow-runid")
        if not run_id:
            raise InvalidInput("Upstash-Workflow-RunId must say which run is delivered")
        return run_id

    @property
    def message_id(self) -> str:
        return self.headers.get("upstash-message-id", "")

    @property
    def signature(self) -> str:
        return self.headers.get("upstash-signature", "")

    @property
    def retried(self) -> int:
        return read_number(self.headers.get("upstash-retried", "")) or 0

    @property
    def depth(self) -> int:
        """How many runs, each invoked by the one before, stand above this one."""
        return read_number(self.headers.get("upstash-workflow-invoke-count", "")) or 0

    @property
    def created_at(self) -> datetime:
        """Of the run. Where the server does not say it, always the same moment."""
        said = self.headers.get("upstash-workflow-createdat", "")
        return _EPOCH + timedelta(milliseconds=int(said)) if said.isdecimal() else _EPOCH

    @property
    def labels(self) -> tuple[str, ...]:
        return parse_list(self.headers.get("upstash-label", ""))

    @property
    def users_headers(self) -> dict[str, str]:
        """Without those that servers and proxies on the way have added."""
        return {
            canonical_header(name): value
            for name, value in self.headers.items()
            if _is_the_users(name) and value != _SERVER
        }


def _is_the_users(name: str) -> bool:
    added = name.startswith(("upstash-", *_PROXIES)) or name in _NOT_THE_USERS
    return not added and not is_hop_by_hop(name)
