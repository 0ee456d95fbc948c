"""The arithmetic of retry delays, such as "min(60000, pow(2, retried) * 1000)" (Upstash reference
5.2).

    sum     = product { ("+" | "-") product }
    product = factor { ("*" | "/") factor }
    factor  = ("+" | "-") factor | number | variable | function "(" sum { "," sum } ")" | "(" sum
    ")"

A text is translated into a short program for a stack of numbers: nothing a stranger sends is ever
run as Python.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from workflows_app.errors import InvalidExpression

LONGEST_DELAY = 86_400_000.0
"""A day in milliseconds: no expression asks for more."""

_LONGEST_TEXT = 500
_DEEPEST_NESTING = 30
_ALLOWED = (
    "Allowed are numbers, + - * / ( ), the variable retried (0 for the first retry) and the "
    "functions pow(a, b), sqrt, abs, exp, floor, ceil, round, min and max; the result counts "
    "milliseconds."
)


@dataclass(frozen=True, slots=True)
class _Operation:
    function: Callable[..., float]
    takes: int

    def apply(self, *numbers: float) -> float:
        """Calculate as floating point does: too large is infinite, undefined is not-a-number."""
        try:
            return float(self.function(*numbers))
        except OverflowError:
            return math.inf
        except ValueError:
            return math.nan


_Instruction = float | Literal["retried"] | _Operation


@dataclass(frozen=True, slots=True)
class Expression:
    """A delay in milliseconds as a function of the retries made so far; see `parse_expression`."""

    text: str
    program: tuple[_Instruction, ...]

    def milliseconds(self, retried: int) -> float:
        """The delay before the next retry: never below 0, never above a day, and never an error.

        Division by zero and overflow give the longest delay (or 0, if negative); what is undefined,
        such as the root of a negative number, gives 0.
        """
        stack: list[float] = []
        for instruction in self.program:
            if isinstance(instruction, _Operation):
                arguments = stack[-instruction.takes :]
                stack[-instruction.takes :] = [instruction.apply(*arguments)]
            else:
                stack.append(float(retried) if instruction == "retried" else instruction)
        (result,) = stack
        return 0.0 if math.isnan(result) else min(max(result, 0.0), LONGEST_DELAY)


def parse_expression(text: str) -> Expression:
    """Check and translate an expression. Raises InvalidExpression, naming the faulty position."""
    if len(text) > _LONGEST_TEXT:
        raise InvalidExpression(f"A retry delay expression has at most {_LONGEST_TEXT} characters.")
    return Expression(text, _Parser(text).parse())


def _divide(a: float, b: float) -> float:
    if b:
        return a / b
    return math.copysign(math.inf, a) if a else math.nan


def _floor(a: float) -> float:
    return math.floor(a) if math.isfinite(a) else a


def _ceil(a: float) -> float:
    return math.ceil(a) if math.isfinite(a) else a


def _round(a: float) -> float:
    """Halves go away from zero, as Go and (for positive numbers) JavaScript round."""
    return math.copysign(_floor(abs(a) + 0.5), a)


_SIGNS: dict[str, Callable[..., float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
}
_FUNCTIONS: dict[str, tuple[Callable[..., float], int]] = {
    "pow": (math.pow, 2),
    "sqrt": (math.sqrt, 1),
    "abs": (abs, 1),
    "exp": (math.exp, 1),
    "floor": (_floor, 1),
    "ceil": (_ceil, 1),
    "round": (_round, 1),
}
_FUNCTIONS_OF_MANY: dict[str, Callable[..., float]] = {
    "min": lambda *numbers: min(numbers),
    "max": lambda *numbers: max(numbers),
}
_VARIABLES = ("retried", "retries")


class _Token(NamedTuple):
    kind: Literal["number", "name", "sign", "end"]
    text: str
    position: int


_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>\w+)|(?P<sign>\S)|\s+"
)
_KINDS: tuple[Literal["number", "name", "sign"], ...] = ("number", "name", "sign")


def _tokens(text: str) -> list[_Token]:
    tokens = [
        _Token(kind, match[kind], match.start() + 1)
        for match in _TOKEN.finditer(text)
        for kind in _KINDS
        if match[kind]
    ]
    return [*tokens, _Token("end", "", len(text) + 1)]


class _Parser:
    """Recursive descent over the grammar above; each method emits what it read in postfix order."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        self._program: list[_Instruction] = []

    def parse(self) -> tuple[_Instruction, ...]:
        self._sum()
        if self._peek().kind != "end":
            raise self._unexpected(self._peek())
        return tuple(self._program)

    def _sum(self) -> None:
        self._chain(self._product, "+-")

    def _product(self) -> None:
        self._chain(self._factor, "*/")

    def _chain(self, operand: Callable[[], None], signs: str) -> None:
        operand()
        while self._peek().kind == "sign" and self._peek().text in signs:
            sign = self._take().text
            operand()
            self._program.append(_Operation(_SIGNS[sign], 2))

    def _factor(self) -> None:
        token = self._take()
        self._depth += 1
        if self._depth > _DEEPEST_NESTING:
            raise self._fault(token, "is nested too deeply")
        match token.kind, token.text:
            case "sign", "-":
                self._factor()
                self._program.append(_Operation(operator.neg, 1))
            case "sign", "+":
                self._factor()
            case "sign", "(":
                self._sum()
                self._expect(")")
            case "number", number:
                self._program.append(float(number))
            case "name", name if name in _VARIABLES:
                self._program.append("retried")
            case "name", name:
                self._call(token, name)
            case _:
                raise self._unexpected(token)
        self._depth -= 1

    def _call(self, token: _Token, name: str) -> None:
        if name not in _FUNCTIONS and name not in _FUNCTIONS_OF_MANY:
            raise self._fault(token, f'has an unknown name "{name}"')
        given = self._arguments()
        if name in _FUNCTIONS_OF_MANY:
            self._program.append(_Operation(_FUNCTIONS_OF_MANY[name], given))
            return
        function, takes = _FUNCTIONS[name]
        if given != takes:
            raise self._fault(
                token, f"gives {name} {given} argument{'s'[: given != 1]} instead of {takes}"
            )
        self._program.append(_Operation(function, takes))

    def _arguments(self) -> int:
        self._expect("(")
        self._sum()
        count = 1
        while self._peek().text == ",":
            self._take()
            self._sum()
            count += 1
        self._expect(")")
        return count

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        self._next += token.kind != "end"
        return token

    def _expect(self, sign: str) -> None:
        token = self._take()
        if token.text != sign:
            raise self._unexpected(token)

    def _unexpected(self, token: _Token) -> InvalidExpression:
        if token.kind == "end":
            return self._fault(token, "ends too early")
        return self._fault(token, f'has an unexpected "{token.text}"')

    def _fault(self, token: _Token, what: str) -> InvalidExpression:
        return InvalidExpression(
            f"The retry delay expression {self._text!r} {what} "
            f"at character {token.position}. {_ALLOWED}"
        )
