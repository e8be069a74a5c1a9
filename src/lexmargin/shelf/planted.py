"""Problems whose answer is planted: samples built around it in integers, so that it is exact.

Let g support the ball of the norm at w (``g·w = ‖g‖_* ‖w‖``; for ℓ2, g = w), and let u_n be
integer vectors with ``u_n·w = 0``. The rows

    z_n = c_n g + t u_n,    c_n = 1 and Σ u_n = 0 on the supports, c_n > 1 elsewhere,

have ``z_n·w = c_n g·w``, and the supports sum to a multiple of g: ``w/(g·w)`` is the hard margin
(eq. 18) whatever t is, while t sets the size of the margin beside the samples. Everything is drawn
from a seed as integers and is exact in doubles, or refused.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeAlias, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.errors import ParameterError
from lexmargin.formulations import ConstrainedPath, HardMargin, RegularizationPath, WSet
from lexmargin.formulations.base import Formulation
from lexmargin.losses import Loss
from lexmargin.ops.base import FloatArray
from lexmargin.predictors.bias import Bias, BiasForm
from lexmargin.predictors.linear import Linear
from lexmargin.predictors.sums import Sum

__all__ = ["Plan", "Stated", "biased", "hard", "overlapping", "penalised"]

_LARGEST_DIGIT: Final = 9
"""Of the integers that are drawn: products with the largest tangents stay below 2^53."""
_NEVER_NEARER: Final = 1 << 40
"""Of rows that nearly support: one part in 2^40 is told from none by no double-precision solver."""

Vector = list[int]
Exact = int | Fraction


@final
@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is drawn.

    Attributes:
        samples, features: N and p, p even.
        supports: how many of the samples hold the answer, more than p for a degenerate one.
        tangent: t, about the size of the samples over that of the margin.
        spread: the columns of w run from 2^-spread to 2^spread.
        power: all samples are multiplied by 2^power.
        nearly: half of the other samples have ``c_n = 1 + 1/nearly``; none where it is 0.
        norm: 1, 2 or inf.
        seed: of every draw.
    """

    samples: int = 40
    features: int = 6
    supports: int = 4
    tangent: int = 1
    spread: int = 0
    power: int = 0
    nearly: int = 0
    norm: float = 2.0
    seed: int = 0

    def __str__(self) -> str:
        size = f"{self.samples} samples, {self.features} features, {self.supports} supports"
        parts = [size, f"t = {self.tangent:g}", f"norm {self.norm:g}"]
        parts += [f"columns of w over 2^{2 * self.spread}"] * bool(self.spread)
        parts += [f"samples times 2^{self.power}"] * bool(self.power)
        parts += [f"rows within 1/{self.nearly} of the margin"] * bool(self.nearly)
        return ", ".join([*parts, f"seed {self.seed}"])


Stated: TypeAlias = tuple[Formulation, FloatArray]
"""A problem and its answer."""


def hard(plan: Plan, name: str) -> Stated:
    """Return ``min ½‖w‖²  s.t.  z_n·w >= 1`` and its exact answer."""
    drawn = _Draw(plan)
    rows = [drawn.row(1, u) for u in drawn.balanced(plan.supports)]
    rows += [drawn.row(c, drawn.tangent()) for c in drawn.above(plan.samples - plan.supports)]
    Z = drawn.stored(rows)
    signs = drawn.signs(len(rows))
    data = Dataset(Z * signs[:, None], signs, name, one_class=True)
    level = sum(a * b for a, b in zip(drawn.g, drawn.w, strict=True))
    # A direction, at a length that keeps its integers exact.
    length = Fraction(2) ** -(plan.power + level.bit_length())
    theta = [x * length for x in drawn.w]
    return HardMargin(Linear(), data, plan.norm), _rounded(theta)


def biased(plan: Plan, name: str, score: int, form: BiasForm = BiasForm.SIGNED_SQUARE) -> Stated:
    """Return eq. 13 of a linear score and a free bias, whose score is β, and its exact answer.

    ``x_n = (y_n c_n - β) w + t u_n`` has ``y_n (w·x_n/‖w‖² + β) = c_n``.
    """
    drawn = _Draw(plan)
    half = plan.supports // 2
    ends = [(1, u) for u in drawn.balanced(half)] + [(-1, u) for u in drawn.balanced(half)]
    rows = [drawn.row(y - score, u) for y, u in ends]
    signs = [y for y, _ in ends]
    for c in drawn.above(plan.samples - len(rows)):
        y = drawn.sign()
        rows.append(drawn.row(y * c - score, drawn.tangent()))
        signs.append(y)
    data = Dataset(drawn.stored(rows), np.array(signs), name)
    squared = Fraction(2) ** plan.power * sum(x * x for x in drawn.w)
    root = math.sqrt(abs(score))
    block = [math.copysign(root, score)]
    if form is BiasForm.TWO_SQUARES:
        block = [root, 0.0] if score > 0 else [0.0, root]
    theta = [Fraction(x) / squared for x in drawn.w] + [Fraction(b) for b in block]
    return WSet(Sum([Linear(), Bias(form)]), data), _rounded(theta)


def overlapping(plan: Plan, name: str, rho: float, loss: Loss, ratio: int) -> Stated:
    """Return eq. 5 on samples that nothing separates: ``ratio`` rows with c = 1 for one with -1.

    The weights of a loss depend on c_n alone, so that its minimum in the ball is on the ray of w:
    at ``f = ± s`` with ``s = ln(ratio)/2`` (exponential) or ``ln(ratio)`` (logistic), or on the
    sphere before.
    """
    drawn, data = _signed(name, plan, ratio)
    length = math.sqrt(sum(x * x for x in drawn.w)) * 2.0**plan.power
    inside = math.log(ratio) * (0.5 if loss is Loss.EXPONENTIAL else 1.0)
    share = min(1.0, inside / (rho * length))
    theta = [Fraction(share * x * 2.0**plan.power / length) for x in drawn.w]
    return ConstrainedPath(Linear(), data, rho, loss=loss), _rounded(theta)


def penalised(plan: Plan, name: str, ratio: int, odds: int) -> Stated:
    """Return ``min Σ log(1 + e^{-f_n}) + μ‖w‖²`` of overlapping samples, minimal at f = ± ln odds.

    There the loss weighs a sample with c = 1 by ``1/(1 + odds)`` and one with -1 by
    ``odds/(1 + odds)``, which gives μ.
    """
    drawn, data = _signed(name, plan, ratio)
    squared = float(sum(x * x for x in drawn.w)) * 4.0**plan.power
    pairs = data.n_samples // (ratio + 1)
    slope = pairs * (ratio - odds) / (1.0 + odds)
    strength = slope * squared / (2.0 * math.log(odds))
    theta = [Fraction(math.log(odds) / squared * x * 2.0**plan.power) for x in drawn.w]
    return RegularizationPath(Linear(), data, strength, loss=Loss.LOGISTIC), _rounded(theta)


def _signed(name: str, plan: Plan, ratio: int) -> tuple[_Draw, Dataset]:
    """Return samples with c = ± 1, ``ratio`` to one, the tangents of each sign balanced."""
    drawn = _Draw(plan)
    pairs = plan.samples // (ratio + 1)
    rows = [drawn.row(1, u) for u in drawn.balanced(ratio * pairs)]
    rows += [drawn.row(-1, u) for u in drawn.balanced(pairs)]
    signs = drawn.signs(len(rows))
    return drawn, Dataset(drawn.stored(rows) * signs[:, None], signs, name, one_class=True)


def _rounded(theta: Sequence[Fraction]) -> FloatArray:
    return np.array([float(x) for x in theta])


@final
class _Draw:
    """Draws of one plan, in order; of integers alone, the same on every machine."""

    def __init__(self, plan: Plan) -> None:
        if plan.features % 2 or plan.features < 2 or plan.nearly > _NEVER_NEARER:
            raise ParameterError(
                f"A planted answer has {plan.features} features.", "Give an even number."
            )
        self.plan = plan
        self._random = random.Random(plan.seed)
        count, spread = plan.features, plan.spread
        digits = [self._digit() for _ in range(count)]
        exponents = [round(2 * spread * j / (count - 1)) for j in range(count)]
        self.w = [self.sign() * d << e for d, e in zip(digits, exponents, strict=True)]
        self.g: Vector = list(self.w)
        if plan.norm == 1.0:
            self.g = [1 if x > 0 else -1 for x in self.w]
        elif plan.norm != 2.0:
            self.w = [1 if x > 0 else -1 for x in self.w]

    def _digit(self) -> int:
        return 1 + self._random.getrandbits(16) % _LARGEST_DIGIT

    def sign(self) -> int:
        """Return ±1."""
        return 1 - 2 * self._random.getrandbits(1)

    def signs(self, count: int) -> Any:
        """Return labels (count,), both of them where there are two."""
        return np.array([1, -1] * (count // 2) + [1] * (count % 2))

    def tangent(self) -> Vector:
        """Return u with ``u·w = 0``: columns in pairs, each turned by a right angle."""
        order = list(range(self.plan.features))
        for j in range(len(order) - 1, 0, -1):
            k = self._random.getrandbits(32) % (j + 1)
            order[j], order[k] = order[k], order[j]
        u = [0] * len(order)
        for j, k in zip(order[::2], order[1::2], strict=True):
            c = self.sign() * self._digit()
            # In lowest terms, or columns of very different sizes would not fit a double.
            common = math.gcd(self.w[j], self.w[k])
            u[j], u[k] = c * (self.w[k] // common), -c * (self.w[j] // common)
        return u

    def balanced(self, count: int) -> list[Vector]:
        """Return so many u whose sum is 0."""
        found = [self.tangent() for _ in range(count - 1)]
        return [*found, [-sum(column) for column in zip(*found, strict=True)]]

    def above(self, count: int) -> list[Exact]:
        """Return so many c_n > 1."""
        near = Fraction(1, self.plan.nearly) if self.plan.nearly else None
        return [1 + near if near is not None and n % 2 else 1 + self._digit() for n in range(count)]

    def row(self, c: Exact, u: Vector) -> list[Exact]:
        """Return ``c g + t u``."""
        t = self.plan.tangent
        return [c * a + t * b for a, b in zip(self.g, u, strict=True)]

    def stored(self, rows: Sequence[Sequence[Exact]]) -> FloatArray:
        """Return the rows times 2^power as doubles, exactly.

        Raises:
            ParameterError: a number that no double holds.
        """
        power = self.plan.power
        found = [[math.ldexp(float(x), power) for x in row] for row in rows]
        exact = all(
            math.ldexp(y, -power) == x
            for row, stored in zip(rows, found, strict=True)
            for x, y in zip(row, stored, strict=True)
        )
        if not exact:
            raise ParameterError(
                f"A planted row is no double: {self.plan}.", "Take a smaller tangent or spread."
            )
        return np.array(found)
