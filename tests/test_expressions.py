"""The exact parser: a table of values, what it refuses, and agreement with rational arithmetic."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.errors import ExpressionError
from lexmargin.inputs.expressions import Number, number, parse
from lexmargin.inputs.limits import NUMBER_CHARACTERS, NUMBER_DEPTH

EXACT = [
    ("0", Fraction(0)),
    ("-7", Fraction(-7)),
    ("1/3", Fraction(1, 3)),
    ("0.1", Fraction(1, 10)),
    (".5", Fraction(1, 2)),
    ("1e-3", Fraction(1, 1000)),
    ("2.5E2", Fraction(250)),
    ("-2^2", Fraction(-4)),
    ("(-2)^2", Fraction(4)),
    ("2^-1", Fraction(1, 2)),
    ("2^3^2", Fraction(512)),
    ("8/4/2", Fraction(1)),
    ("1 - 2 - 3", Fraction(-4)),
    ("2*-3", Fraction(-6)),
    ("sqrt(4)", Fraction(2)),
    ("sqrt(4/9)", Fraction(2, 3)),
    ("cbrt(-8)", Fraction(-2)),
    ("(8/27)^(2/3)", Fraction(4, 9)),
    ("ln(1)", Fraction(0)),
    ("exp(0)", Fraction(1)),
    ("(-1)^1000000", Fraction(1)),
]


@pytest.mark.parametrize(("text", "value"), EXACT)
def test_rational_values_are_exact(text: str, value: Fraction) -> None:
    assert parse(text) == Number(float(value), value)


# Second entries: published digits of the constant, or the correctly rounded math function.
REAL = [
    ("2/sqrt(5)", 0.89442719099991587856),
    ("2^(1/3)+2^(-2/3)", 1.88988157484230974715),
    ("1/cos(75 deg)", 3.86370330515627314699),
    ("cos(60 deg)", 0.5),
    ("pi", math.pi),
    ("ln(2)", 0.69314718055994530942),
    ("exp(1)", math.e),
    ("sqrt(2)*sqrt(2)", 2.0),
    ("sqrt(2)*sqrt(2)-2", 0.0),
    ("cbrt(-2)", -1.25992104989487316477),
    ("sin(pi/6)", 0.5),
]


@pytest.mark.parametrize(("text", "value"), REAL)
def test_other_values_are_the_nearest_double(text: str, value: float) -> None:
    assert parse(text) == Number(value, None)


REFUSED = [
    ("", 1),
    ("   ", 4),
    ("1/0", 2),
    ("1 2", 3),
    ("(1", 3),
    ("1)", 2),
    ("2e", 2),
    ("sqrt 2", 6),
    ("1/(1-1)", 2),
    ("0^0", 2),
    ("9^9^9", 2),
    ("foo(2)", 1),
    ("import os", 1),
    ("__import__('os').system('x')", 1),
    ("1; 2", 2),
    ("2**3", 3),
    ("٣", 1),
    ("1e999", 1),
    ("nan", 1),
    ("inf", 1),
    ("sqrt(-1)", 1),
    ("(-8)^(1/3)", 5),
    ("ln(0)", 1),
    ("1/sin(0)", 2),
    ("pi deg deg", 8),
    ("1\n", 2),
]


@pytest.mark.parametrize(("text", "position"), REFUSED)
def test_bad_text_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(ExpressionError, match=rf"at position {position}\."):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "10^500",
        "exp(exp(100))",
        "exp(1e300)",
        "sqrt(-pi)",
        "1/(sqrt(2)*sqrt(2)-2)",
        "1" + "+1" * NUMBER_CHARACTERS,
        "(" * (NUMBER_DEPTH + 1) + "1" + ")" * (NUMBER_DEPTH + 1),
        "-" * (NUMBER_DEPTH + 1) + "1",
        "2^" * (NUMBER_DEPTH + 1) + "1",
    ],
)
def test_values_and_texts_beyond_the_limits_are_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text)


def test_nesting_up_to_the_limit_is_read() -> None:
    nested = NUMBER_DEPTH - 1
    assert parse("(" * nested + "1" + ")" * nested).exact == 1


@pytest.mark.parametrize(
    ("raw", "exact"),
    [
        (3, Fraction(3)),
        (0.1, Fraction(1, 10)),
        (Decimal("0.1"), Fraction(1, 10)),
        ("1/3", Fraction(1, 3)),
    ],
)
def test_numbers_of_a_file(raw: int | float | Decimal | str, exact: Fraction) -> None:
    assert number(raw) == Number(float(exact), exact)
    assert float(number(raw)) == float(exact)


@pytest.mark.parametrize(
    "raw", [True, math.nan, math.inf, Decimal("NaN"), Decimal("1e999999999"), 10**400]
)
def test_what_is_no_finite_double_is_refused(raw: int | float | Decimal) -> None:
    with pytest.raises(ExpressionError):
        number(raw)


Pair = tuple[str, Fraction | None]


def _combine(pairs: tuple[Pair, Pair], sign: str) -> Pair:
    (left, a), (right, b) = pairs
    text = f"({left}{sign}{right})"
    if a is None or b is None or (sign == "/" and b == 0):
        return text, None
    values = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else None}
    return text, values[sign]


_LEAVES: st.SearchStrategy[Pair] = st.one_of(
    st.integers(0, 999).map(lambda n: (str(n), Fraction(n))),
    st.decimals(0, 99, places=2).map(lambda d: (str(d), Fraction(d))),
)


def _extend(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    return st.one_of(
        st.tuples(st.tuples(inner, inner), st.sampled_from("+-*/")).map(lambda t: _combine(*t)),
        inner.map(lambda p: (f"-{p[0]}", None if p[1] is None else -p[1])),
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.recursive(_LEAVES, _extend, max_leaves=12))
def test_rational_expressions_agree_with_fractions(pair: Pair) -> None:
    text, value = pair
    if len(text) > NUMBER_CHARACTERS or value is None:
        with pytest.raises(ExpressionError):
            parse(text)
    else:
        assert parse(text) == Number(float(value), value)


_ALPHABET = st.sampled_from(
    ["1", "2", "0", ".", "e", "+", "-", "*", "/", "^", "(", ")", "sqrt", "ln", "pi", "deg", " "]
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.one_of(st.text(max_size=40), st.lists(_ALPHABET, max_size=20).map("".join)))
def test_random_text_is_a_number_or_a_named_error(text: str) -> None:
    try:
        assert math.isfinite(parse(text).value)
    except ExpressionError as error:
        assert error.advice
