"""Under which URLs the workflows registered here are served."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from workflows_app.engine.addresses import serve_url, served_name

NAMES = ["orders", "größe 茶", "a?b#c", "100%", "dots.and-dashes_"]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.WORKFLOWS = {"BASE_URL": "https://app.example/flows/"}


def test_a_workflow_is_served_below_the_base_url() -> None:
    assert serve_url("orders") == "https://app.example/flows/serve/orders"


def test_what_a_url_cannot_hold_is_quoted() -> None:
    assert serve_url("a b?c/d") == "https://app.example/flows/serve/a%20b%3Fc%2Fd"


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_workflow_can_be_read_from_its_url(name: str) -> None:
    assert served_name(serve_url(name)) == name
    assert served_name(f"{serve_url(name)}?tenant=north#top") == name


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example/flows/orders",
        "https://app.example/serve/orders",
        "http://app.example/flows/serve/orders",
        "https://elsewhere.example/flows/serve/orders",
        "",
    ],
)
def test_any_other_url_serves_none_of_ours(url: str) -> None:
    assert served_name(url) is None


def test_whether_a_workflow_has_the_name_is_another_question() -> None:
    assert served_name("https://app.example/flows/serve/") == ""
