"""The middlewares that the settings name."""

from __future__ import annotations

from functools import cache

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from workflows_app.sdk.middlewares import Middleware


@cache
def import_middlewares(names: tuple[str, ...]) -> tuple[Middleware, ...]:
    """Raises ImproperlyConfigured."""
    return tuple(map(_import, names))


def _import(name: str) -> Middleware:
    try:
        found = import_string(name)
    except ImportError as error:
        raise ImproperlyConfigured(
            f'WORKFLOWS["MIDDLEWARES"] names {name!r}, which cannot be imported: {error}.'
        ) from error
    if not isinstance(found, Middleware):
        raise ImproperlyConfigured(
            f'WORKFLOWS["MIDDLEWARES"] names {name!r}, which is no Middleware but {found!r:.80}.'
        )
    return found
