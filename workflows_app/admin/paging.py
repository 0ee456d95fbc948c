"""Pages over large tables."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.utils.functional import cached_property

MOST = 10_000
"""How many rows are counted and can be paged through; filters reach the others."""


class CappedPaginator(Paginator):
    """Stops counting at `MOST`: an exact count would read the whole table for every page."""

    object_list: Any

    @cached_property
    def count(self) -> int:
        counted: int = self.object_list.order_by()[:MOST].count()
        return counted

    @property
    def is_capped(self) -> bool:
        return self.count == MOST
