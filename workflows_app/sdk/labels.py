"""Labels by convention."""

from __future__ import annotations

from typing import Any

from workflows_app.errors import InvalidInput


def label_of(row: Any) -> str:
    """The label that ties a run to a row of a model, as "shop.order/17": the admin then leads from
    each to the other. Raises InvalidInput for a row that has not been saved.
    """
    if row.pk is None:
        raise InvalidInput(f"{row._meta.label_lower} has no primary key yet: save it first")
    return f"{row._meta.label_lower}/{row.pk}"
