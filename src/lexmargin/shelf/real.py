"""Problems on scikit-learn's data sets whose exact optimum follows from the samples that hold it.

``problems/_real.toml`` names for each problem the support S. With rows ``z_n = y_n x_n`` on S

    Z_S Z_Sᵀ λ = 1,  w = Z_Sᵀ λ        and, with a free bias,  Z_S Z_Sᵀ λ + β y_S = 1,  y_S·λ = 0,

solved over the integers: every double is a fraction. That S is the right one is not believed but
certified, by whoever looks at w; see the tests.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Final, final

import numpy as np

from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.errors import LibraryError
from lexmargin.formulations import HardMargin, WSet
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.codec import Where, read_as
from lexmargin.inputs.toml import read_toml
from lexmargin.linalg.exact import solve_integer
from lexmargin.ops.base import FloatArray
from lexmargin.predictors.bias import Bias, BiasForm
from lexmargin.predictors.linear import Linear
from lexmargin.predictors.sums import Sum
from lexmargin.shelf.cases import Case

__all__ = ["REAL_FILE", "RealBias", "RealCase", "cases", "exact_answer"]

REAL_FILE: Final = "_real.toml"


class RealBias(StrEnum):
    """How a bias enters, if at all."""

    NONE = "none"
    PLAIN = "plain"
    """One more feature, regularised."""
    FREE = "free"
    """That of eq. 13."""


@final
@dataclass(frozen=True)
class RealCase:
    """One problem: samples, bias, and the samples that hold its answer.

    ``power`` multiplies the samples by 2^power; ``support`` is empty where nothing separates.
    """

    name: str = field(metadata={"internal": True})
    dataset: str
    positive: tuple[int, ...]
    support: tuple[int, ...]
    negative: tuple[int, ...] | None = None
    standardize: bool = False
    bias: RealBias = RealBias.NONE
    power: int = 0

    def stated(self) -> Formulation:
        """Return the problem itself."""
        found = load_dataset(self.dataset, self.positive, self.negative, self.standardize)
        data = Dataset(found.X * 2.0**self.power, found.y, self.name)
        if self.bias is RealBias.FREE:
            return WSet(Sum([Linear(), Bias()]), data)
        plain = Sum([Linear(), Bias(BiasForm.PLAIN)])
        return HardMargin(plain if self.bias is RealBias.PLAIN else Linear(), data)

    @property
    def title(self) -> str:
        """What it is."""
        parts = [self.dataset, "standardized" if self.standardize else "as it is"]
        parts += [f"times 2^{self.power}"] * bool(self.power)
        words = {RealBias.NONE: "no bias", RealBias.PLAIN: "bias", RealBias.FREE: "free bias"}
        against = "the rest" if self.negative is None else _listed(self.negative)
        return ", ".join([*parts, f"{_listed(self.positive)} against {against}", words[self.bias]])


def cases(folder: Path) -> Iterator[Case]:
    """Yield the problems of a folder's ``_real.toml``."""
    path = folder / REAL_FILE
    for name, raw in read_toml(path).items():
        one = read_as(RealCase, raw, Where(path, name), name=name)
        made = functools.partial(exact_answer, one)
        yield Case(name, one.title, functools.partial(RealCase.stated, one), made)


def exact_answer(one: RealCase) -> FloatArray | None:
    """Return θ (d,), each entry of the exact optimum to the nearest double; None without one.

    Raises:
        LibraryError: the rows of the support are dependent.
    """
    if not one.support:
        return None
    free = one.bias is RealBias.FREE
    data = one.stated().data
    signs = data.signed[list(one.support)]
    X = data.X[list(one.support)]
    if one.bias is RealBias.PLAIN:
        X = np.column_stack([X, np.ones(len(X))])
    rows, unit = _integers(X * signs[:, None])
    gram = [
        [sum(a * b for a, b in zip(left, right, strict=True)) for right in rows] for left in rows
    ]
    ends = [1] * len(rows)
    if free:
        gram = [[*line, int(y)] for line, y in zip(gram, signs, strict=True)]
        gram.append([*(int(y) for y in signs), 0])
        ends.append(0)
    found = solve_integer(gram, ends)
    if found is None:
        raise LibraryError(f"{one.name}: the rows of the support are dependent.")
    # w = Σ λ z with z = unit · rows, whose Gram matrix is that of the rows times unit².
    w = [_combined(found, column) / unit for column in zip(*rows, strict=True)]
    theta = [float(x) for x in w]
    if free:
        score = float(found[-1])
        theta.append(math.copysign(math.sqrt(abs(score)), score))
    return np.array(theta)


def _combined(weights: Sequence[Fraction], column: Sequence[int]) -> Fraction:
    pairs = zip(weights[: len(column)], column, strict=True)
    return sum((weight * entry for weight, entry in pairs), Fraction(0))


def _integers(Z: FloatArray) -> tuple[list[list[int]], Fraction]:
    """Return integer rows R and a power of two u with ``Z = u R``."""
    least = min((math.frexp(x)[1] for x in np.unique(np.abs(Z)).tolist() if x), default=0)
    unit = Fraction(2) ** (least - 53)
    return [[int(Fraction(x) / unit) for x in row] for row in Z.tolist()], unit


def _listed(classes: Sequence[int]) -> str:
    return " and ".join(map(str, classes))
