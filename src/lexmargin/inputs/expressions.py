"""Exact numbers from text: the small arithmetic that a TOML file may write in a string.

Grammar (white space is free, names are lower case)::

    sum     = product (("+" | "-") product)*
    product = signed (("*" | "/") signed)*
    signed  = ("+" | "-") signed | power
    power   = atom ["^" signed]
    atom    = (number | "pi" | function "(" sum ")" | "(" sum ")") ["deg"]

with the functions sqrt, cbrt, ln, exp, sin and cos. Nothing is ever handed to ``eval``. Python's
own parser is not used either: it rounds decimals, knows no ``deg``, and reads 1_000, 0x10 and 1j.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, final

from lexmargin.errors import ExpressionError, nearest
from lexmargin.inputs.limits import DECIMAL_EXPONENT, NUMBER_BITS, NUMBER_CHARACTERS, NUMBER_DEPTH

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Number", "number", "numbers", "parse"]

_PRECISIONS: Final = (128, 512, 4096)
"""Bits tried in turn until both ends of the ball round alike; then the text is refused."""


@final
@dataclass(frozen=True)
class Number:
    """A real number: ``value`` is the nearest double, ``exact`` the fraction where it is one."""

    value: float
    exact: Fraction | None = None

    def __float__(self) -> float:
        return self.value


class _Operation(StrEnum):
    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    POWER = "^"


class _Function(StrEnum):
    SQRT = "sqrt"
    CBRT = "cbrt"
    LN = "ln"
    EXP = "exp"
    SIN = "sin"
    COS = "cos"
    DEGREES = "deg"


@final
@dataclass(frozen=True)
class _Literal:
    value: Fraction


@final
@dataclass(frozen=True)
class _Pi:
    pass


@final
@dataclass(frozen=True)
class _Call:
    function: _Function
    argument: _Node
    position: int


@final
@dataclass(frozen=True)
class _Binary:
    operation: _Operation
    left: _Node
    right: _Node
    position: int


_Node = _Literal | _Pi | _Call | _Binary


@final
@dataclass(frozen=True)
class _Token:
    text: str
    position: int


_TOKEN: Final = re.compile(
    r"(?P<space>[ \t]+)|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[a-z]+)|(?P<symbol>[-+*/^()])"
)


def _error(text: str, position: int, what: str) -> ExpressionError:
    shown = text if len(text) <= NUMBER_CHARACTERS else f"{text[:40]}…"
    return ExpressionError(
        f"{shown!r} is not a number: {what} at position {position + 1}.",
        "Write numbers, fractions, + - * / ^, parentheses, sqrt, cbrt, ln, exp, sin, cos, pi, deg.",
    )


def _tokens(text: str) -> tuple[_Token, ...]:
    found: list[_Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _error(text, position, f"unexpected {text[position]!r}")
        if match.lastgroup != "space":
            found.append(_Token(match.group(), position))
        position = match.end()
    return tuple(found)


@final
class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: Sequence[_Token] = _tokens(text)
        self.index = 0
        self.depth = 0

    def peek(self) -> str:
        return self.tokens[self.index].text if self.index < len(self.tokens) else ""

    def position(self) -> int:
        if self.index < len(self.tokens):
            return self.tokens[self.index].position
        return len(self.text)

    def advance(self) -> None:
        self.index += 1

    def fail(self, wanted: str) -> ExpressionError:
        found = self.peek()
        return _error(
            self.text, self.position(), f"{wanted} wanted, {repr(found) if found else 'the end'}"
        )

    def whole(self) -> _Node:
        node = self.sum()
        if self.peek():
            raise self.fail("an operator or the end")
        return node

    def sum(self) -> _Node:
        node = self.product()
        while (sign := self.peek()) in ("+", "-"):
            position = self.position()
            self.advance()
            node = _Binary(_Operation(sign), node, self.product(), position)
        return node

    def product(self) -> _Node:
        node = self.signed()
        while (sign := self.peek()) in ("*", "/"):
            position = self.position()
            self.advance()
            node = _Binary(_Operation(sign), node, self.signed(), position)
        return node

    def signed(self) -> _Node:
        self.depth += 1
        if self.depth > NUMBER_DEPTH:
            raise _error(self.text, self.position(), f"nesting deeper than {NUMBER_DEPTH}")
        position = self.position()
        if self.peek() == "-":
            self.advance()
            node: _Node = _Binary(
                _Operation.SUBTRACT, _Literal(Fraction(0)), self.signed(), position
            )
        elif self.peek() == "+":
            self.advance()
            node = self.signed()
        else:
            node = self.power()
        self.depth -= 1
        return node

    def power(self) -> _Node:
        node = self.atom()
        if self.peek() == "^":
            position = self.position()
            self.advance()
            node = _Binary(_Operation.POWER, node, self.signed(), position)
        return node

    def atom(self) -> _Node:
        word, position = self.peek(), self.position()
        if not word:
            raise self.fail("a number")
        if word[0].isdigit() or word[0] == ".":
            self.advance()
            node: _Node = _Literal(self.literal(word, position))
        elif word == "pi":
            self.advance()
            node = _Pi()
        elif word == "(":
            node = self.parenthesis()
        elif word[0].isalpha():
            names = [str(f) for f in _Function if f is not _Function.DEGREES]
            if word not in names:
                raise _error(self.text, position, f"unknown name {word!r}. {nearest(word, names)}")
            self.advance()
            if self.peek() != "(":
                raise self.fail("'('")
            node = _Call(_Function(word), self.parenthesis(), position)
        else:
            raise self.fail("a number")
        if self.peek() == "deg":
            node = _Call(_Function.DEGREES, node, self.position())
            self.advance()
        return node

    def parenthesis(self) -> _Node:
        self.advance()
        node = self.sum()
        if self.peek() != ")":
            raise self.fail("')'")
        self.advance()
        return node

    def literal(self, word: str, position: int) -> Fraction:
        _, _, exponent = word.lower().partition("e")
        if exponent and (len(exponent) > 5 or abs(int(exponent)) > DECIMAL_EXPONENT):
            raise _error(self.text, position, "an exponent out of range")
        return Fraction(word)


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _root(value: int, order: int) -> int | None:
    """Return the integer whose ``order``-th power is ``value`` ≥ 0, if there is one."""
    low, high = 0, 1 << (value.bit_length() // order + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**order <= value else (low, middle - 1)
    return low if low**order == value else None


def _exact_power(text: str, base: Fraction, exponent: Fraction, position: int) -> Fraction | None:
    if base == 0 and exponent <= 0:
        raise _error(text, position, "zero to a power that is not positive")
    if base < 0 and exponent.denominator != 1:
        raise _error(text, position, "a fractional power of a negative number")
    if abs(base) != 1 and _bits(base) * abs(exponent.numerator) > NUMBER_BITS:
        raise _error(text, position, "a power out of range")
    whole: Fraction = base ** (exponent.numerator if abs(base) != 1 else exponent.numerator % 2)
    order = exponent.denominator
    if order == 1:
        return whole
    if order > NUMBER_BITS:
        return None if whole not in (0, 1) else whole
    top, bottom = _root(whole.numerator, order), _root(whole.denominator, order)
    return None if top is None or bottom is None else Fraction(top, bottom)


def _exact(text: str, node: _Node) -> Fraction | None:
    """Evaluate in the rationals; None where a part of it leaves them."""
    if isinstance(node, _Literal):
        return node.value
    if isinstance(node, _Pi):
        return None
    if isinstance(node, _Call):
        inner = _exact(text, node.argument)
        if inner is None:
            return None
        if node.function is _Function.SQRT:
            if inner < 0:
                raise _error(text, node.position, "the square root of a negative number")
            return inner if inner == 0 else _exact_power(text, inner, Fraction(1, 2), node.position)
        if node.function is _Function.CBRT:
            root = _exact_power(text, abs(inner), Fraction(1, 3), node.position) if inner else inner
            return root if root is None or inner >= 0 else -root
        if node.function is _Function.LN and inner <= 0:
            raise _error(text, node.position, "the logarithm of a number that is not positive")
        at_zero = {_Function.EXP: 1, _Function.COS: 1, _Function.SIN: 0, _Function.DEGREES: 0}
        if inner == 0 and node.function in at_zero:
            return Fraction(at_zero[node.function])
        return Fraction(0) if inner == 1 and node.function is _Function.LN else None
    left, right = _exact(text, node.left), _exact(text, node.right)
    if right == 0 and node.operation is _Operation.DIVIDE:
        raise _error(text, node.position, "division by zero")
    if left is None or right is None:
        return None
    if node.operation is _Operation.POWER:
        return _exact_power(text, left, right, node.position)
    if node.operation is _Operation.DIVIDE:
        return left / right
    if node.operation is _Operation.MULTIPLY:
        return left * right
    return left + right if node.operation is _Operation.ADD else left - right


def _ball(node: _Node) -> Any:
    """Evaluate in ball arithmetic at the precision in force; python-flint carries no types."""
    import flint

    if isinstance(node, _Literal):
        return flint.arb(flint.fmpq(node.value.numerator, node.value.denominator))
    if isinstance(node, _Pi):
        return flint.arb.pi()
    if isinstance(node, _Call):
        inner = _ball(node.argument)
        if node.function is _Function.CBRT and inner < 0:
            return -((-inner).root(3))
        calls: dict[_Function, Callable[[], Any]] = {
            _Function.SQRT: lambda: inner.sqrt(),
            _Function.CBRT: lambda: inner.root(3),
            _Function.LN: lambda: inner.log(),
            _Function.EXP: lambda: inner.exp(),
            _Function.SIN: lambda: inner.sin(),
            _Function.COS: lambda: inner.cos(),
            _Function.DEGREES: lambda: inner * flint.arb.pi() / 180,
        }
        return calls[node.function]()
    left, right = _ball(node.left), _ball(node.right)
    if node.operation is _Operation.POWER:
        return left**right
    if node.operation is _Operation.DIVIDE:
        return left / right
    if node.operation is _Operation.MULTIPLY:
        return left * right
    return left + right if node.operation is _Operation.ADD else left - right


def _rounded(text: str, node: _Node) -> float:
    """Return the double nearest to the value: both ends of the ball must round to it."""
    import flint

    low = high = math.nan
    for bits in _PRECISIONS:
        with flint.ctx.workprec(bits):
            ball = _ball(node)
            if not ball.is_finite():
                continue
            low, high = (_double(text, _dyadic(text, end)) for end in (ball.lower(), ball.upper()))
        if low == high:
            return low
    if math.isnan(low):
        raise _error(text, 0, "an operation outside its domain (a zero divisor, a negative root)")
    return low / 2 + high / 2


def _dyadic(text: str, end: Any) -> Fraction:
    mantissa, exponent = (int(part) for part in end.mid().man_exp())
    if abs(exponent) > 64 * NUMBER_BITS:
        raise _error(text, 0, "a value beyond double precision")
    return Fraction(mantissa) * Fraction(2) ** exponent


def _double(text: str, value: Fraction) -> float:
    try:
        return float(value) + 0.0
    except OverflowError:
        raise _error(text, 0, "a value beyond double precision") from None


def parse(text: str) -> Number:
    """Return the number that ``text`` writes, exactly where it is rational.

    The double is the one nearest to the exact value: rationals are rounded once, other values
    are enclosed in ball arithmetic until both ends round to the same double.

    Args:
        text: at most ``NUMBER_CHARACTERS`` characters, nested at most ``NUMBER_DEPTH`` deep.

    Returns:
        The value, with its fraction where every step stayed rational.

    Raises:
        ExpressionError: naming the position of what cannot be read.
    """
    if len(text) > NUMBER_CHARACTERS:
        raise _error(text, NUMBER_CHARACTERS, f"text longer than {NUMBER_CHARACTERS} characters")
    node = _Parser(text).whole()
    exact = _exact(text, node)
    if exact is not None:
        return Number(_double(text, exact), exact)
    return Number(_rounded(text, node))


def number(raw: int | float | Decimal | str) -> Number:
    """Return a TOML value (integer, decimal or exact string) as a number.

    Raises:
        ExpressionError: for a truth value, nan, an infinity, or text that is no number.
    """
    if isinstance(raw, str):
        return parse(raw)
    if isinstance(raw, bool):
        raise ExpressionError(f"{raw!r} is not a number.", "Write 0 or 1.")
    decimal = Decimal(repr(raw)) if isinstance(raw, float) else Decimal(raw)
    if not decimal.is_finite() or abs(decimal.adjusted()) > DECIMAL_EXPONENT:
        raise ExpressionError(f"{raw!r} is not a finite double.", "Write a finite number.")
    exact = Fraction(decimal)
    return Number(_double(str(raw), exact), exact)


def numbers(raw: Iterable[int | float | Decimal | str]) -> tuple[Number, ...]:
    """Return many, as :func:`number` does; raises for the first that is none."""
    return tuple(number(entry) for entry in raw)
