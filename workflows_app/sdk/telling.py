"""Calling the callbacks of middlewares. What they raise is logged, and disturbs nobody."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import AsyncToSync, sync_to_async

from workflows_app.sdk.base_context import current_step
from workflows_app.sdk.interrupts import ordinary_errors
from workflows_app.sdk.middlewares import Middleware
from workflows_app.sdk.observers import Told

logger = logging.getLogger("workflows_app.middleware")

Callback = Callable[[Any], Any]


def tell(told: Told | None) -> None:
    """In the order in which the middlewares stand; one after the other."""
    if told is None:
        return
    for middleware in told.middlewares:
        with _undisturbed(middleware, told):
            callback: Callback | None = getattr(_callbacks(middleware), told.callback)
            returned = None if callback is None else callback(told.moment)
            if inspect.isawaitable(returned):
                AsyncToSync(_wait_for, force_new_loop=True)(returned)


async def tell_async(told: Told) -> None:
    """As `tell`; plain callbacks are called in the run's own thread, where they may use Django."""
    for middleware in told.middlewares:
        with _undisturbed(middleware, told):
            ready = middleware.ready or await sync_to_async(_plainly)(middleware.prepare)
            callback: Callback | None = getattr(ready, told.callback)
            if callback is not None:
                await _call(callback, told.moment)


def _callbacks(middleware: Middleware) -> object:
    return middleware.ready or middleware.prepare()


async def _call(callback: Callback, moment: object) -> None:
    if inspect.iscoroutinefunction(callback):
        await callback(moment)
        return
    returned = await sync_to_async(_plainly)(callback, moment)
    if inspect.isawaitable(returned):
        await returned


def _plainly(function: Callable[..., Any], *args: object) -> Any:
    """In another thread, where nothing must be raised that a future cannot hold."""
    with ordinary_errors:
        return function(*args)


async def _wait_for(awaitable: Any) -> None:
    await awaitable


@contextmanager
def _undisturbed(middleware: Middleware, told: Told) -> Iterator[None]:
    """As if inside the step: so it is no place for another, and what a task does is no branch."""
    token = current_step.set(told.step)
    try:
        with ordinary_errors:
            yield
    except Exception:
        logger.exception(
            'middleware "%s" failed in %s of run %s',
            middleware.name,
            told.callback,
            told.moment.workflow_run_id,
        )
    finally:
        current_step.reset(token)
