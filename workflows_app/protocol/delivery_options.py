"""How a single delivery differs from what its run, or the settings, would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from workflows_app.protocol.codec import decode_json, encode_json


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOptions:
    """What is None is decided by the run, or by the settings."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Forwarded headers by canonical name; they win over those of the run."""
    content_type: str | None = None
    method: str = "POST"
    delay: timedelta | None = None
    retries: int | None = None
    retry_delay: str | None = None
    timeout: timedelta | None = None

    def encode(self) -> str:
        """As JSON, without what is not set."""
        said: dict[str, Any] = {
            "headers": dict(self.headers),
            "contentType": self.content_type,
            "method": None if self.method == "POST" else self.method,
            "delay": _seconds(self.delay),
            "retries": self.retries,
            "retryDelay": self.retry_delay,
            "timeout": _seconds(self.timeout),
        }
        return encode_json({name: value for name, value in said.items() if value not in (None, {})})


def decode_options(text: str) -> DeliveryOptions:
    """Of what `DeliveryOptions.encode` wrote; an empty text says nothing."""
    said: dict[str, Any] = decode_json(text) if text else {}
    return DeliveryOptions(
        headers=said.get("headers", {}),
        content_type=said.get("contentType"),
        method=said.get("method", "POST"),
        delay=_duration(said.get("delay")),
        retries=said.get("retries"),
        retry_delay=said.get("retryDelay"),
        timeout=_duration(said.get("timeout")),
    )


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
