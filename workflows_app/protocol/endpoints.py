"""Runs of other services' workflows that this server starts in their SDK's place (Upstash
reference 3.6).
"""

from __future__ import annotations

from dataclasses import replace

from workflows_app.protocol.runs import RunRequest

UNKNOWN_SDK = "Upstash-Workflow-Unknown-Sdk"
_LABEL = "Upstash-Label"


def started_for_sdk(asked: RunRequest) -> RunRequest:
    """Unless another failure URL is given, the workflow is told of its failure at its own URL, with
    the headers that its deliveries have.
    """
    headers = dict(asked.headers)
    if asked.labels:
        headers.setdefault(_LABEL, ",".join(asked.labels))
    failure, failure_url = asked.failure_options, asked.failure_url or asked.url
    # The run's headers may hold credentials for its own endpoint.
    own = _without_unknown_sdk(headers) if failure_url == asked.url else {}
    return replace(
        asked,
        headers=headers,
        endpoint_check="api",
        failure_url=failure_url,
        failure_options=replace(
            failure,
            headers={**own, **failure.headers},
            retries=asked.retries if failure.retries is None else failure.retries,
        ),
    )


def _without_unknown_sdk(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != UNKNOWN_SDK}
