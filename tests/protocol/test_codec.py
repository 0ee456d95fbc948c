from __future__ import annotations

import enum
import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.errors import InvalidInput, NotSerializable
from workflows_app.protocol.codec import (
    bytes_in,
    decode_json,
    decode_value,
    encode_json,
    encode_value,
    round_trip,
)


class Colour(enum.StrEnum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Order:
    number: int


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def a_list_of_itself() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (1.5, "1.5"),
        ("héllo ✓", '"héllo ✓"'),
        ('"\\\n\x01', '"\\"\\\\\\n\\u0001"'),
        ("\ud83d", '"\\ud83d"'),
        ("é\udc00", '"é\\udc00"'),
        ({"a": [1, {"b": None}]}, '{"a":[1,{"b":null}]}'),
        ((1, 2), "[1,2]"),
        (Point(1, 2), "[1,2]"),
        (Colour.RED, '"red"'),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        ({2: "a", None: "b", True: "c", 1.5: "d"}, '{"2":"a","null":"b","true":"c","1.5":"d"}'),
        ({}, "{}"),
    ],
    ids=repr,
)
def test_json_is_written_compactly_as_stringify_would(value: object, text: str) -> None:
    assert encode_json(value) == text
    assert encode_json(value).encode()


CONVERT = "which JSON cannot hold; convert it first"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (Decimal(1), f"the value is a Decimal, {CONVERT}"),
        ({"items": [1, 2, {"price": Decimal(1)}]}, f"items[2].price is a Decimal, {CONVERT}"),
        ([{"a b": {1}}], f"the value[0]['a b'] is a set, {CONVERT}"),
        ({"when": datetime(2030, 1, 1, tzinfo=UTC)}, f"when is a datetime, {CONVERT}"),
        ({"order": Order(1)}, f"order is an Order, {CONVERT}"),
        ({"name": "x", "note": None, "tags": {1}}, f"tags is a set, {CONVERT}"),
        ({"raw": b"x"}, f"raw is a bytes, {CONVERT}"),
        (({"x": object()},), f"the value[0].x is an object, {CONVERT}"),
        ({"a": {(1, 2): 3}}, "a key of a is a tuple; JSON has only texts as keys"),
        ({b"x": 3}, "a key of the value is a bytes; JSON has only texts as keys"),
        ({"n": [float("nan")]}, "n[0] is nan, which JSON cannot hold; use None instead"),
        (float("-inf"), "the value is -inf, which JSON cannot hold; use None instead"),
        (
            {float("inf"): 1},
            "a key of the value is inf, which JSON cannot hold; use None instead",
        ),
        (
            {"n": 10**5000},
            "n is an integer with more digits than Python writes; use a text instead",
        ),
        ([10**400, Decimal(1)], f"the value[1] is a Decimal, {CONVERT}"),
        (a_list_of_itself(), "the value[1] contains itself, which JSON cannot hold"),
        (nested(100_000), "the value is nested too deeply for JSON; flatten it first"),
    ],
    ids=range(17),
)
def test_what_json_cannot_hold_is_refused_with_place_and_type(value: object, sentence: str) -> None:
    with pytest.raises(NotSerializable) as refusal:
        encode_json(value)
    assert refusal.value.message == sentence


def test_a_fault_that_cannot_be_found_again_is_refused_all_the_same() -> None:
    class OnlyOnce(list[object]):
        contents = iter([Decimal(1)])

        def __iter__(self) -> Iterator[object]:
            return self.contents

    with pytest.raises(NotSerializable) as refusal:
        encode_json(OnlyOnce())
    assert refusal.value.message.startswith("the value cannot be written as JSON: ")


def test_the_same_object_may_appear_twice_side_by_side() -> None:
    shared = [1]
    assert encode_json({"a": shared, "b": shared}) == '{"a":[1],"b":[1]}'
    with pytest.raises(NotSerializable, match=r"c is a set"):
        encode_json({"a": shared, "b": shared, "c": {1}})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        ('"héllo"'.encode(), "héllo"),
        (b" 7 ", 7),
    ],
    ids=repr,
)
def test_json_is_read_from_texts_and_utf8_bytes(text: str | bytes, value: object) -> None:
    assert decode_json(text) == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "This is not JSON: Expecting value: line 1 column 1 (char 0)."),
        (b"{'a': 1}", "This is not JSON: Expecting property name enclosed in double quotes"),
        ("1 2", "This is not JSON: Extra data: line 1 column 3 (char 2)."),
        ("[NaN]", "This is not JSON: NaN is not a JSON number."),
        ("-Infinity", "This is not JSON: -Infinity is not a JSON number."),
        (b'"\xff"', "The JSON is not UTF-8: invalid start byte at byte 2."),
        ("1" * 5000, "This is not JSON: Exceeds the limit"),
        ("[" * 100_000, "The JSON is nested too deeply."),
    ],
    ids=range(8),
)
def test_what_is_not_json_is_refused(text: str | bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decode_json(text)
    assert refusal.value.message.startswith(sentence)


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (None, None),
        (True, True),
        ("a", "a"),
        (1.5, 1.5),
        ((1, (2,)), [1, [2]]),
        ({1: 2}, {"1": 2}),
        (Colour.RED, "red"),
        ("\ud83d\ude00", "😀"),
        ("\x01", "\x01"),
    ],
    ids=repr,
)
def test_a_replay_sees_what_json_made_of_the_value(value: object, seen: object) -> None:
    text, replayed = round_trip(value)
    assert (text, replayed, type(replayed)) == (encode_json(value), seen, type(seen))


def test_a_replay_shares_nothing_with_the_value_that_was_stored() -> None:
    value = {"a": [1]}
    _, replayed = round_trip(value)
    value["a"].append(2)
    assert replayed == {"a": [1]}


def test_a_value_that_json_cannot_hold_makes_no_round_trip() -> None:
    with pytest.raises(NotSerializable, match="the value is nan"):
        round_trip(float("nan"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", '{"$bytes":""}'),
        ([b"\xff\x00"], '[{"$bytes":"/wA="}]'),
        ({"$bytes": b"a", "of": "a"}, '{"$bytes":{"$bytes":"YQ=="},"of":"a"}'),
        ('{"$bytes":"YQ=="}', '"{\\"$bytes\\":\\"YQ==\\"}"'),
    ],
    ids=repr,
)
def test_bytes_are_an_object_of_one_key(value: object, text: str) -> None:
    assert encode_value(value) == text
    assert decode_value(text) == decode_value(text.encode()) == value


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"$bytes": "YQ=="}, "the value"),
        ({"$bytes": None}, "the value"),
        ([{"at": ({"$bytes": b"a"},)}, b"b"], "the value[0].at[0]"),
    ],
    ids=repr,
)
def test_a_dict_that_would_be_read_as_bytes_is_refused_with_its_place(
    value: object, place: str
) -> None:
    with pytest.raises(NotSerializable) as refusal:
        encode_value(value)
    assert refusal.value.message.startswith(f'{place} is a dict whose only key is "$bytes"')


def test_what_is_wrong_beside_bytes_is_what_is_told() -> None:
    with pytest.raises(NotSerializable, match=f"b is a Decimal, {CONVERT}"):
        encode_value({"a": b"x", "b": Decimal(1)})


@pytest.mark.parametrize("text", ['{"$bytes":5}', '{"$bytes":"YQ"}', '{"$bytes":"é"}'])
def test_what_has_the_key_and_no_base64_is_a_dict_of_someone_else_s(text: str) -> None:
    assert decode_value(text) == decode_json(text)
    assert bytes_in(text) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON.filter(lambda value: "inf" not in json.dumps(value, default=repr).lower()))
def test_json_values_come_back_equal(value: object) -> None:
    text, replayed = round_trip(value)
    assert replayed == value == decode_value(text.encode())


@given(st.text(alphabet=st.characters()))
def test_any_text_can_be_stored_as_utf8(text: str) -> None:
    assert encode_json(text).encode()
