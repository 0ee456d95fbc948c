"""`context.api`: calls of well-known services: `context.call` with their URLs and headers.

What they are called with beside that, and what they answer, is up to the services.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack

from workflows_app.errors import InvalidInput

R = TypeVar("R")
"""What `context.call` returns: the answer, or in an async workflow what gives it when awaited."""

ANTHROPIC_VERSION = "2023-06-01"

OpenAIOperation = Literal["chat.completions.create", "embeddings.create", "responses.create"]
AnthropicOperation = Literal["messages.create", "messages.count_tokens"]

_OPENAI: Mapping[str, str] = {
    "chat.completions.create": "/v1/chat/completions",
    "embeddings.create": "/v1/embeddings",
    "responses.create": "/v1/responses",
}
_ANTHROPIC: Mapping[str, str] = {
    "messages.create": "/v1/messages",
    "messages.count_tokens": "/v1/messages/count_tokens",
}


class CallOptions(TypedDict, total=False):
    """As in `Context.call`. A header that is given here replaces the one of its name."""

    headers: Mapping[str, str]
    retries: int
    retry_delay: timedelta | str | None
    timeout: timedelta | str | None


@dataclass(frozen=True, slots=True)
class OpenAI(Generic[R]):
    """OpenAI, and services with the same API."""

    _call: Callable[..., R]

    def call(  # noqa: PLR0913 - what the service wants to know
        self,
        name: str,
        *,
        token: str,
        operation: OpenAIOperation,
        body: Mapping[str, Any] | str,
        base_url: str = "https://api.openai.com",
        organization: str | None = None,
        **options: Unpack[CallOptions],
    ) -> R:
        """`base_url` leads to another service; with or without its "/v1"."""
        url = _url(base_url, _path(name, "OpenAI", operation, _OPENAI))
        own = {"Authorization": _bearer(token)}
        if organization is not None:
            own["OpenAI-Organization"] = organization
        return self._call(name, **_posted(url, own, body, options))


@dataclass(frozen=True, slots=True)
class Anthropic(Generic[R]):
    _call: Callable[..., R]

    def call(
        self,
        name: str,
        *,
        token: str,
        operation: AnthropicOperation,
        body: Mapping[str, Any] | str,
        base_url: str = "https://api.anthropic.com",
        **options: Unpack[CallOptions],
    ) -> R:
        url = _url(base_url, _path(name, "Anthropic", operation, _ANTHROPIC))
        own = {"X-Api-Key": token, "Anthropic-Version": ANTHROPIC_VERSION}
        return self._call(name, **_posted(url, own, body, options))


@dataclass(frozen=True, slots=True)
class Resend(Generic[R]):
    _call: Callable[..., R]

    def call(
        self,
        name: str,
        *,
        token: str,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | str,
        batch: bool = False,
        base_url: str = "https://api.resend.com",
        **options: Unpack[CallOptions],
    ) -> R:
        """Send the mail that `body` describes; with `batch`, all that it lists."""
        url = _url(base_url, "/emails/batch" if batch else "/emails")
        return self._call(name, **_posted(url, {"Authorization": _bearer(token)}, body, options))


@dataclass(frozen=True, slots=True)
class Api(Generic[R]):
    """The services that have a method of their own; all others are reached by `context.call`."""

    _call: Callable[..., R]

    @property
    def openai(self) -> OpenAI[R]:
        return OpenAI(self._call)

    @property
    def anthropic(self) -> Anthropic[R]:
        return Anthropic(self._call)

    @property
    def resend(self) -> Resend[R]:
        return Resend(self._call)


def _path(name: str, service: str, operation: str, paths: Mapping[str, str]) -> str:
    if operation not in paths:
        raise InvalidInput(
            f'step "{name}" asks for the operation {operation!r:.80} of {service}; known are '
            f"{', '.join(paths)}. Reach any other by context.call and its URL"
        )
    return paths[operation]


def _url(base_url: str, path: str) -> str:
    """Client libraries disagree about whether a base URL ends with the version of the API."""
    root = base_url.rstrip("/").removesuffix(path)
    return (root.removesuffix("/v1") if path.startswith("/v1/") else root) + path


def _bearer(token: Any) -> Any:
    """What is no text is left as it is, for `call` to refuse should it be sent."""
    return f"Bearer {token}" if isinstance(token, str) else token


def _posted(
    url: str, own: Mapping[str, str], body: object, options: CallOptions
) -> Mapping[str, Any]:
    given = options.get("headers", {})
    replaced = {header.lower() for header in given}
    usual = {"Content-Type": "application/json", **own}
    kept = {header: value for header, value in usual.items() if header.lower() not in replaced}
    return {"method": "POST", "url": url, "body": body, **options, "headers": {**kept, **given}}
