"""Parallel steps: three stocks are looked at side by side before coffee is made.

Shows `parallel`, and the end of a run whose reason has gone: cancelled, which is no failure.

    manage.py workflows trigger brew-coffee --wait --body '{"cups": 2}'
"""

from __future__ import annotations

from collections.abc import Callable

from workflows_app import Context, workflow

STOCK = {"coffee-beans": 40, "cups": 12, "milk": 3}
USED_BY_ONE_CUP = {"coffee-beans": 2, "cups": 1, "milk": 1}


@workflow("brew-coffee", retries=3)
def brew_coffee(context: Context) -> str:
    cups: int = context.request_payload["cups"]

    def check(what: str) -> Callable[[], bool]:
        return lambda: context.run(f"check-{what}", check_stock, what, cups)

    if not all(context.parallel(*map(check, STOCK))):
        context.cancel()
    coffee = context.run("brew-coffee", brew, cups)
    return context.run("print-receipt", receipt, coffee)


def check_stock(what: str, cups: int) -> bool:
    return STOCK[what] >= USED_BY_ONE_CUP[what] * cups


def brew(cups: int) -> str:
    return f"{cups} cups of coffee"


def receipt(coffee: str) -> str:
    return f"{coffee}, with thanks"
