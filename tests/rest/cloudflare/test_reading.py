"""How queries and bodies are read, and pages cut."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.request import Request

from workflows_app.errors import InvalidInput, PayloadTooLarge
from workflows_app.models import Account
from workflows_app.rest.cloudflare.paging import numbered
from workflows_app.rest.cloudflare.reading import Fields, Query, read_fields
from workflows_app.rest.cloudflare.times import write_time


def query(text: str) -> Query:
    return Query(Request(RequestFactory().get(f"/?{text}")))


def body(content: bytes) -> Request:
    return Request(RequestFactory().post("/", content, content_type="application/json"))


# -- queries


@pytest.mark.parametrize(
    ("text", "number"),
    [("n=2", 2), ("n=2.0", 2), ("n=2.", 2), ("n=007", 7), ("n=1&n=3", 3), ("n=", None), ("", None)],
)
def test_whole_numbers_may_be_written_as_floats(text: str, number: int | None):
    assert query(text).number("n", most=100) == number


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "1.5", "101", "1e1", "nan", "inf", "x", "٣", "9" * 19, "9" * 5000, "1%00", "1_0"],
)
def test_what_is_no_number_in_range_is_refused_by_name(text: str):
    with pytest.raises(InvalidInput, match=r"^n "):
        query(f"n={text}").number("n", most=100)


def test_a_choice_names_what_can_be_chosen():
    assert query("order=asc").choice("order", ["asc", "desc"]) == "asc"
    with pytest.raises(InvalidInput, match="order is 'up' but must be one of asc, desc"):
        query("order=up").choice("order", ["asc", "desc"])


@pytest.mark.parametrize(
    "text",
    [
        "2030-01-02T12:00:00Z",
        "2030-01-02T12:00:00.000Z",
        "2030-01-02T12:00:00",
        "2030-01-02T12:00",
        "2030-01-02T14:00:00%2B02:00",
        "2030-01-02T12:00:00%2B00:00",
    ],
)
def test_times_are_read_as_clients_write_them(text: str):
    assert query(f"t={text}").moment("t") == datetime(2030, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "1893585600",
        "2030-13-01T00:00:00Z",
        "0001-01-01T00:00:00%2B14:00",
        "٢٠٣٠-01-01",
    ],
)
def test_what_is_no_time_is_refused_by_name(text: str):
    with pytest.raises(InvalidInput, match=r"^t is .* but must be a time such as"):
        query(f"t={text}").moment("t")


def test_times_are_written_in_utc_with_milliseconds():
    moment = datetime.fromisoformat("2030-01-02T14:00:00.009999+02:00")

    assert write_time(moment) == "2030-01-02T12:00:00.009Z"


# -- bodies


@pytest.mark.parametrize("content", [b"", b"  ", b"{}"])
def test_an_empty_body_has_no_fields(content: bytes):
    assert read_fields(body(content)) == Fields({})


@pytest.mark.parametrize(
    "content",
    [b"[]", b"3", b'"x"', b"null", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000, b'{"a":1}{}'],
    ids=lambda content: repr(content[:10]),
)
def test_what_is_no_json_object_is_refused(content: bytes):
    with pytest.raises(InvalidInput):
        read_fields(body(content))


def test_a_body_that_is_too_large_is_refused(settings: Any):
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 10}

    with pytest.raises(PayloadTooLarge):
        read_fields(body(b'{"a": "bcdefgh"}'))


def test_of_a_key_that_is_given_twice_the_last_value_counts():
    assert read_fields(body(b'{"a": "x", "a": "y"}')).text("a", most=9) == "y"


@pytest.mark.parametrize("value", ["", "x" * 10, 3, True, [], {}, "a\x00", "\ud800"])
def test_what_is_no_text_in_range_is_refused_by_its_place(value: Any):
    with pytest.raises(InvalidInput, match=r"^a\.b must"):
        Fields({"a": {"b": value}}).object("a").text("b", most=9)


@pytest.mark.parametrize("value", [0, -1, 11, 1.5, True, "3", [], {}, 1e308])
def test_what_is_no_number_in_range_is_refused_by_its_place(value: Any):
    fields = Fields({"a": {"b": value}}, "[2].").object("a")

    with pytest.raises(InvalidInput, match=r"^\[2\]\.a\.b is .* must be a whole number, 1 to 10"):
        fields.number("b", most=10)


@pytest.mark.parametrize("value", [3, 3.0])
def test_numbers_may_be_floats_in_bodies_too(value: float):
    assert Fields({"a": value}).number("a") == 3


def test_null_is_as_absent():
    fields = Fields({"a": None})

    assert fields.text("a", most=9) is None
    assert fields.number("a") is None
    assert fields.object("a") == Fields({}, "a.")
    assert fields.items("a", most=9) == []
    with pytest.raises(InvalidInput, match="a is missing"):
        fields.required_text("a", most=9)


@pytest.mark.parametrize("value", [3, "x", {}, [1, 2, 3]])
def test_what_is_no_list_or_too_long_is_refused(value: Any):
    with pytest.raises(InvalidInput, match="a must be a list of at most 2"):
        Fields({"a": value}).items("a", most=2)


# -- pages


@pytest.fixture
def five_more(db: None) -> None:
    for number in range(5):
        Account.objects.create(name=f"account {number}")


@pytest.mark.parametrize(
    ("text", "names", "info"),
    [
        ("", [0, 1, 2], {"count": 3, "per_page": 3, "page": 1, "total_pages": 2}),
        ("page=2.0", [3, 4], {"count": 2, "per_page": 3, "page": 2, "total_pages": 2}),
        ("page=3", [], {"count": 0, "per_page": 3, "page": 3, "total_pages": 2}),
        ("page=999999999", [], {"count": 0, "per_page": 3, "page": 999999999, "total_pages": 2}),
        ("per_page=1&page=5", [4], {"count": 1, "per_page": 1, "page": 5, "total_pages": 5}),
    ],
)
@pytest.mark.usefixtures("five_more")
def test_behind_the_last_page_there_are_empty_ones(
    text: str, names: list[int], info: dict[str, int]
):
    rows = Account.objects.filter(name__startswith="account").order_by("pk")

    page = numbered(rows, query(text), default=3)

    assert [row.name for row in page.rows] == [f"account {number}" for number in names]
    assert page.info == {"total_count": 5, **info}
