"""What a call of the function did, kept until it is published."""

from __future__ import annotations

from workflows_app.sdk.collecting import Collecting


class Collector(Collecting):
    """What it is given becomes messages."""

    NO_ATOMIC = (
        "context.atomic cannot be served: the step's result is stored by the workflow server, "
        "which cannot commit it together with your database. Use context.run with the "
        "idempotency key, or have a worker beside your database run this workflow"
    )
