"""The policy of a step as the dialect tells it (Cloudflare reference 2.8)."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from workflows_app.models import Run
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.step_policies import StepPolicy
from workflows_app.rest.cloudflare.instance_bodies import ConfigBody

_NO_TIMEOUT = "none"


def config_of(run: Run, config: str | None) -> ConfigBody:
    """That of the step itself, or the run's where it has none."""
    if config is None:
        return policy(run.retries, run.retry_delay, run.timeout)
    return cast(ConfigBody, {"timeout": _NO_TIMEOUT, **decode_json(config)})


def policy(retries: int, retry_delay: str, timeout: timedelta | None) -> ConfigBody:
    """A delay that was written as an expression is shown as what is computed."""
    said = StepPolicy.of(retries, retry_delay, timeout).as_json()
    return cast(ConfigBody, {"timeout": _NO_TIMEOUT, **said})
