"""What the seeded runs do, and how they fail."""

from __future__ import annotations

from dataclasses import dataclass

from workflows_app.models import Step

Kind = Step.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    error_type: str
    message: str
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A workflow, how common it is, and what its runs are made of."""

    workflow: str
    weight: int
    steps: tuple[tuple[str, Kind], ...]
    troubles: tuple[Trouble, ...] = ()


LINES = (
    Line(
        workflow="order-fulfillment",
        weight=40,
        steps=(
            ("create-order", Kind.ATOMIC),
            ("check-stock", Kind.ATOMIC),
            ("take-payment", Kind.RUN),
            ("ship", Kind.RUN),
            ("mail-customer", Kind.RUN),
            ("mail-warehouse", Kind.RUN),
        ),
        troubles=(
            Trouble(
                error_type="ConnectionError",
                message="payments.example refused the connection",
                step="take-payment",
            ),
            Trouble(error_type="AddressError", message="no such postcode: 00000", step="ship"),
        ),
    ),
    Line(
        workflow="process-image",
        weight=30,
        steps=(("get-image", Kind.CALL), ("resize", Kind.RUN), ("store-image", Kind.RUN)),
        troubles=(
            Trouble(error_type="MemoryError", message="80000 x 80000 pixels", step="resize"),
        ),
    ),
    Line(
        workflow="customer-onboarding",
        weight=20,
        steps=(
            ("welcome", Kind.RUN),
            ("wait-a-day", Kind.SLEEP),
            ("check-activity", Kind.RUN),
            ("confirmed", Kind.WAIT),
        ),
        troubles=(
            Trouble(error_type="SMTPException", message="mailbox is full", step="welcome"),
            Trouble(error_type="KeyError", message="'email'", step=""),
        ),
    ),
    Line(
        workflow="nightly-import",
        weight=8,
        steps=(("fetch-page", Kind.CALL), ("store-page", Kind.ATOMIC)),
        troubles=(
            Trouble(error_type="TimeoutError", message="no answer for 30 s", step="fetch-page"),
        ),
    ),
    Line(workflow="payment-retries", weight=2, steps=(("charge", Kind.RUN),)),
)
SUBJECTS = ("shop.order", "shop.product")
"""Models to whose rows some of the labels lead."""
COMMON_LABELS = ("eu", "us", "priority")
CUSTOMERS = 300
