"""What `certify` and `curves` are given by mistake: a named error each, never a traceback."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import (
    DataError,
    DegreeError,
    LexmarginError,
    ParameterError,
    ShapeError,
    UnsupportedError,
)
from lexmargin.judge import curves

GOOD: dict[str, Any] = {"f": [1.0, 1.0], "jacobian": np.eye(2), "theta": np.ones(2), "degree": 1}
PROBLEM = lm.HardMargin(lm.Linear(), lm.Dataset(np.eye(2), [1, 1], one_class=True))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"jacobian": np.eye(3)}, ShapeError, r"shape \(3, 3\)"),
        ({"f": [[1.0, 1.0]]}, ShapeError, "has 2 dimensions"),
        ({"f": [1.0]}, ShapeError, "f has 1 entries"),
        ({"theta": np.zeros(2)}, DataError, "direction is zero"),
        ({"theta": [[1.0], [1.0, 2.0]]}, DataError, "cannot be read as an array"),
        ({"jacobian": np.eye(2) * math.nan}, DataError, "jacobian contains NaN"),
        ({"jacobian": np.full((2, 2), math.inf)}, DataError, "jacobian contains NaN or infinite"),
        ({"jacobian": np.eye(2) * 1j}, DataError, "complex numbers and not real"),
        ({"jacobian": "eye"}, DataError, "text and not real"),
        ({"f": [math.nan, 1.0]}, DataError, "margins f contains NaN"),
        ({"f": [], "jacobian": np.zeros((0, 2))}, DataError, "no margins"),
        ({"jacobian": np.zeros((2, 2))}, DegreeError, "no single degree fits"),
        ({"degree": 2}, DegreeError, "degree 1 would fit"),
        ({"degree": 0}, DegreeError, "degree is 0"),
        ({"degree": "two"}, ParameterError, "degree must be a number"),
        ({"norm": 0.5}, ParameterError, "norm exponent is 0.5"),
        ({"degree": None}, ParameterError, "needs f, jacobian and degree"),
        ({"theta": None}, ParameterError, "nothing to certify"),
    ],
)
def test_arrays_that_are_wrong_are_named(
    change: dict[str, Any], error: type[LexmarginError], message: str
) -> None:
    assert lm.certify(**GOOD).certified
    with pytest.raises(error, match=message):
        lm.certify(**{**GOOD, **change})


@pytest.mark.parametrize("what", ["xor", 3, [1.0, 1.0], lambda p, X: X @ p])
def test_what_is_no_problem_is_named(what: Any) -> None:
    with pytest.raises(ParameterError, match="cannot be certified"):
        lm.certify(what, np.ones(2))
    with pytest.raises(ParameterError, match="has no curves"):
        curves(what, np.ones(2))


@pytest.mark.parametrize("taus", [(), (0.0,), (-1e-3, 1e-2), (math.nan,), (math.inf,)])
def test_support_tolerances_are_positive(taus: tuple[float, ...]) -> None:
    with pytest.raises(ParameterError, match="taus"):
        curves(PROBLEM, np.ones(2), taus)


def test_a_direction_that_does_not_separate_has_no_curves() -> None:
    with pytest.raises(UnsupportedError, match="does not separate"):
        curves(PROBLEM, -np.ones(2))
