from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.errors import InvalidExpression
from workflows_app.protocol.expressions import parse_expression

A_DAY = 86_400_000


@pytest.mark.parametrize(
    ("text", "retried", "expected"),
    [
        ("1000", 0, 1000),
        ("1000", 7, 1000),
        (" 1000 ", 0, 1000),
        ("1.5", 0, 1.5),
        (".5", 0, 0.5),
        ("5.", 0, 5),
        ("1e3", 0, 1000),
        ("1.5E+3", 0, 1500),
        ("retried", 3, 3),
        ("retries", 3, 3),
        ("1 + 2 * 3", 0, 7),
        ("(1 + 2) * 3", 0, 9),
        ("10 - 2 - 3", 0, 5),
        ("100 / 10 / 5", 0, 2),
        ("7 / 2", 0, 3.5),
        ("10 - -2", 0, 12),
        ("--2", 0, 2),
        ("+2", 0, 2),
        ("-retried * -1000", 2, 2000),
        ("-(retried - 10)", 2, 8),
        ("pow(2, retried) * 1000", 0, 1000),
        ("pow(2, retried) * 1000", 5, 32_000),
        ("sqrt(retried)", 9, 3),
        ("abs(retried - 10)", 4, 6),
        ("exp(0)", 0, 1),
        ("floor(2.9)", 0, 2),
        ("ceil(2.1)", 0, 3),
        ("round(2.5)", 0, 3),
        ("round(2.4)", 0, 2),
        ("0 - round(0 - 2.5)", 0, 3),
        ("min(3, 1, 2)", 0, 1),
        ("max(3, 1, 2)", 0, 3),
        ("max(3)", 0, 3),
        ("min(60000, pow(2, retried) * 1000)", 10, 60_000),
        ("1000 * (1 + retried)", 4, 5000),
        ("max(1000,pow(2,retried)*floor(sqrt(4)))", 3, 1000),
    ],
)
def test_expressions_calculate_milliseconds(text: str, retried: int, expected: float) -> None:
    assert parse_expression(text).milliseconds(retried) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-5", 0),
        ("86400001", A_DAY),
        ("1e999", A_DAY),
        ("1 / 0", A_DAY),
        ("-1 / 0", 0),
        ("0 / 0", 0),
        ("exp(1000)", A_DAY),
        ("pow(10, 1000)", A_DAY),
        ("1e308 * 10", A_DAY),
        ("floor(1e308 * 10)", A_DAY),
        ("ceil(exp(1000))", A_DAY),
        ("round(1 / 0)", A_DAY),
        ("sqrt(-1)", 0),
        ("pow(-8, 0.5)", 0),
        ("floor(sqrt(-1))", 0),
        ("1 / 0 - 1 / 0", 0),
        ("min(60000, exp(1000))", 60_000),
    ],
)
def test_no_expression_leaves_the_range_of_nothing_to_a_day(text: str, expected: float) -> None:
    assert parse_expression(text).milliseconds(0) == expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "ends too early at character 1."),
        ("   ", "ends too early at character 4."),
        ("1 +", "ends too early at character 4."),
        ("(1", "ends too early at character 3."),
        ("pow(2", "ends too early at character 6."),
        ("10s", 'has an unexpected "s" at character 3.'),
        ("1 2", 'has an unexpected "2" at character 3.'),
        ("1)", 'has an unexpected ")" at character 2.'),
        ("* 2", 'has an unexpected "*" at character 1.'),
        ("1,2", 'has an unexpected "," at character 2.'),
        ("2 ** 3", 'has an unexpected "*" at character 4.'),
        ("2 ^ 3", 'has an unexpected "^" at character 3.'),
        ("5 % 2", 'has an unexpected "%" at character 3.'),
        ("min()", 'has an unexpected ")" at character 5.'),
        ("pow 2", 'has an unexpected "2" at character 5.'),
        ("pow(2, )", 'has an unexpected ")" at character 8.'),
        ("'a'", 'has an unexpected "\'" at character 1.'),
        ("1\x00", 'has an unexpected "\x00" at character 2.'),
        ("attempt", 'has an unknown name "attempt" at character 1.'),
        ("1 + __import__('os')", 'has an unknown name "__import__" at character 5.'),
        ("Retried", 'has an unknown name "Retried" at character 1.'),
        ("٣", 'has an unknown name "٣" at character 1.'),
        ("pow(2)", "gives pow 1 argument instead of 2 at character 1."),
        ("1 + sqrt(1, 2)", "gives sqrt 2 arguments instead of 1 at character 5."),
        ("(" * 31 + "1" + ")" * 31, "is nested too deeply at character 31."),
        ("-" * 31 + "1", "is nested too deeply at character 31."),
    ],
)
def test_a_faulty_expression_is_refused_with_position_and_vocabulary(text: str, fault: str) -> None:
    with pytest.raises(InvalidExpression) as refusal:
        parse_expression(text)
    assert refusal.value.message == (
        f"The retry delay expression {text!r} {fault} Allowed are numbers, + - * / ( ), the "
        "variable retried (0 for the first retry) and the functions pow(a, b), sqrt, abs, exp, "
        "floor, ceil, round, min and max; the result counts milliseconds."
    )


def test_a_long_chain_is_not_deep() -> None:
    assert parse_expression("+".join("1" * 250)).milliseconds(0) == 250


def test_an_overlong_expression_is_refused_without_being_read() -> None:
    with pytest.raises(InvalidExpression, match="at most 500 characters"):
        parse_expression("1" * 501)


_PIECES = ["retried", "pow", "min", "exp", "sqrt", "(", ")", ",", "+", "-", "*", "/", "1", "2.5"]


@given(st.lists(st.sampled_from([*_PIECES, "1e300", "%", " ", "x"]), max_size=25).map("".join))
def test_any_text_is_calculated_or_refused(text: str) -> None:
    try:
        expression = parse_expression(text)
    except InvalidExpression:
        return
    assert all(0 <= expression.milliseconds(retried) <= A_DAY for retried in (0, 1, 1000))
