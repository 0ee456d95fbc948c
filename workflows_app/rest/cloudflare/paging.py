"""Pages by number and by cursor. Clients go on until a page is empty, so there is one behind the
last (Cloudflare reference 1.3 and 6, 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

from workflows_app.rest.cloudflare.envelope import PageBody
from workflows_app.rest.cloudflare.reading import Query
from workflows_app.rest.pagination import PageRequest, is_oldest_first, paginate

Row = TypeVar("Row", bound=Model)

MOST_PER_PAGE = 100
MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    rows: list[Row]
    info: PageBody


def numbered(rows: QuerySet[Row], query: Query, *, default: int) -> Page[Row]:
    """The page that the query names, of rows in an order of their own; `default` is its size."""
    per_page = query.number("per_page", most=MOST_PER_PAGE) or default
    page = query.number("page") or 1
    total = rows.count()
    first = (page - 1) * per_page
    found = list(rows[first : first + per_page]) if first < total else []
    info: PageBody = {
        "count": len(found),
        "per_page": per_page,
        "total_count": total,
        "page": page,
        "total_pages": -(-total // per_page),
    }
    return Page(rows=found, info=info)


def by_cursor(rows: QuerySet[Row], query: Query, *, default: int) -> Page[Row]:
    """The page that the query names, newest first or, where it says so, oldest first.

    A `page` is counted from the `cursor`, if there is one: clients that go from page to page send
    both. The total goes no further than `MOST_COUNTED`, so that a page costs the same whatever is
    stored. Raises InvalidInput for a cursor that is none of ours, or of another direction.
    """
    per_page = query.number("per_page", most=MOST_PER_PAGE) or default
    page = query.number("page") or 1
    wanted = PageRequest(
        count=per_page,
        cursor=query.text("cursor"),
        oldest_first=_is_oldest_first(query),
        skip=(page - 1) * per_page,
    )
    found = paginate(rows, wanted)
    info: PageBody = {
        "count": len(found.rows),
        "per_page": per_page,
        "total_count": rows.order_by()[:MOST_COUNTED].count(),
        "page": page,
    }
    if found.cursor is not None:
        info["cursor"] = found.cursor
    return Page(rows=found.rows, info=info)


def _is_oldest_first(query: Query) -> bool:
    """A cursor goes on as the page did that it came with."""
    direction, cursor = query.choice("direction", ("asc", "desc")), query.text("cursor")
    if direction is None and cursor is not None:
        return is_oldest_first(cursor)
    return direction == "asc"
