"""What somebody asks for in the address of a run's page: which steps, which part of its time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

MOST_OPENED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    steps: str = ""
    """The number of a page, "all", or nothing."""
    zoom: str = ""
    opened: Sequence[int] = ()
    """Groups of the timeline that are shown step by step."""

    def to(self, **changes: Any) -> str:
        """The address that asks for something else, and for the rest as this does."""
        asked = {"steps": self.steps, "zoom": self.zoom, "open": self.opened, **changes}
        return "?" + urlencode({name: value for name, value in asked.items() if value}, doseq=True)


def read_asked(query: QueryDict) -> Asked:
    groups = [text for text in query.getlist("open") if re.fullmatch("[0-9]{1,18}", text)]
    return Asked(
        steps=query.get("steps", "")[:20],
        zoom=query.get("zoom", "")[:50],
        opened=tuple(int(text) for text in groups[:MOST_OPENED]),
    )
