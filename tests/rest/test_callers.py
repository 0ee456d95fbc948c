"""Whose address is kept as that of the caller."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from tests.rest.conftest import Api
from workflows_app.models import Publication

URL = "https://shop.example/mail"
PROXY = "127.0.0.1"


def seen(api: Api, forwarded: str) -> str:
    api.post(f"/v2/publish/{URL}", "x", x_forwarded_for=forwarded)
    return Publication.objects.latest("id").caller_ip


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.7", PROXY),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (2, "198.51.100.1, 203.0.113.7,10.0.0.1", "203.0.113.7"),
        (2, "203.0.113.7", "203.0.113.7"),
        (1, "2001:DB8::7", "2001:db8::7"),
        (1, "unknown", PROXY),
        (1, "", PROXY),
        (1, "9" * 5000, PROXY),
    ],
)
def test_the_caller_is_whom_the_outermost_trusted_proxy_sees(
    api: Api, settings: Settings, proxies: int, forwarded: str, address: str
) -> None:
    settings.WORKFLOWS = {"TRUSTED_PROXIES": proxies}

    assert seen(api, forwarded) == address
