"""Failures: a step that says when to try again, one that says never to, and who is told in the end.

Shows `WorkflowRetryAfterError`, `WorkflowNonRetryableError`, retries of one step that grow, a step
whose failure is handled, and a failure function.

    manage.py workflows trigger nightly-import --body '{"feed": "busy"}'
"""

from __future__ import annotations

from typing import TypedDict

from examples.mail import send_mail
from workflows_app import (
    Context,
    Failure,
    StepError,
    WorkflowNonRetryableError,
    WorkflowRetryAfterError,
    workflow,
)

FEEDS = {"teapots": ["teapot;20", "sieve;4"], "damaged": ["teapot;20", "sieve"]}
BUSY = "busy"


class Imported(TypedDict):
    products: int
    searchable: bool


def tell_operators(failure: Failure) -> None:
    """Called once the run has failed; at least once, like a step."""
    feed = failure.request_payload["feed"]
    send_mail("operators@example.org", f"import of {feed} failed: {failure.error_message}")


@workflow("nightly-import", retries=2, failure_function=tell_operators)
def nightly_import(context: Context) -> Imported:
    lines = context.run("read-feed", read_feed, context.request_payload["feed"])
    products = context.run("parse", parse, lines)
    index = context.options(retries=5, retry_delay="1m", backoff="exponential")
    try:
        index.run("refresh-search-index", refresh_search_index, len(products))
    except StepError:  # the products are there all the same
        return {"products": len(products), "searchable": False}
    return {"products": len(products), "searchable": True}


def read_feed(feed: str) -> list[str]:
    if feed == BUSY:
        raise WorkflowRetryAfterError("the feed is being written", "5m")
    if feed not in FEEDS:
        raise WorkflowNonRetryableError(f"there is no feed {feed}")
    return FEEDS[feed]


def parse(lines: list[str]) -> dict[str, int]:
    """A price that is missing is a mistake that looks the same a minute later, yet is retried: what
    fails by an ordinary exception may have a reason that passes.
    """
    return {name: int(price) for name, price in (line.split(";") for line in lines)}


def refresh_search_index(products: int) -> int:
    return products
