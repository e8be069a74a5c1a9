"""Kinds of separation: which samples separate strictly, which coefficients run to infinity.

For linear margins ``f_n(w) = z_n·w`` let ``C = {w : Z w ≥ 0}``. A w of C with as many positive
margins as any other splits the samples: S are those it separates strictly, R the rest, which every
w of C maps to 0. It is the decomposition of Ji and Telgarsky (2018), *Risk and parameter
convergence of logistic regression*, into a separable part S and a part R where the loss is strongly
convex on the span of its rows; a λ > 0 on R with ``Z_Rᵀ λ = 0`` proves it (Gordan, Stiemke).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, final

import numpy as np
import numpy.typing as npt

from lexmargin.data.dataset import Dataset
from lexmargin.inputs.kinds import checked
from lexmargin.linalg.exact import combination, matvec
from lexmargin.separation.decomposition import Decomposition, decompose
from lexmargin.separation.gordan import SeparabilityVerdict
from lexmargin.separation.rows import margin_rows

__all__ = [
    "Coefficient",
    "CoefficientProof",
    "Separation",
    "SeparationKind",
    "separability",
    "verify_coefficients",
    "verify_separability",
]

FloatArray = npt.NDArray[np.float64]
Vector = tuple[Fraction, ...]


@final
class SeparationKind(StrEnum):
    """What the cone ``C = {w : Z w ≥ 0}`` holds."""

    COMPLETE = "complete"
    """Some w has Z w > 0: the maximum-likelihood estimate does not exist."""
    QUASI_COMPLETE = "quasi-complete"
    """No w has, but some has Z w ≥ 0 and Z w ≠ 0: it does not exist either."""
    OVERLAP = "overlap"
    """Z w = 0 for all w of C: it exists."""


@final
class Coefficient(StrEnum):
    """Where the maximum-likelihood estimate of one coefficient lies: the range of w_j over C."""

    FINITE = "0"
    """w_j = 0 for all w of C: the estimate is finite."""
    PLUS = "+inf"
    """w_j ≥ 0 on C, and > 0 somewhere."""
    MINUS = "-inf"
    """w_j ≤ 0 on C, and < 0 somewhere."""
    EITHER = "either"
    """w_j takes both signs on C."""


@final
@dataclass(frozen=True)
class CoefficientProof:
    """One coefficient's range over C, with its proof in rationals.

    Args:
        value: the word.
        above, below: w of C with w_j > 0 and with w_j < 0, where there are any.
        bound: y with ``Zᵀ y = e_j`` where one of them is missing: then ``w_j = Σ y_n z_n·w``. On S
            its entries are ≥ 0 for PLUS, ≤ 0 for MINUS and 0 for FINITE; on R they are free.
    """

    value: Coefficient
    above: Vector | None = None
    below: Vector | None = None
    bound: Vector | None = None


@final
@dataclass(frozen=True)
class Separation:
    """The decomposition of data, exact; :func:`verify_separability` and
    :func:`verify_coefficients` check it again.

    Args:
        kind: complete, quasi-complete or overlap.
        bias: whether a column of ones was appended to X.
        weights: w of C with the largest set of positive margins; 0 where the data overlap. One
            entry per column of :func:`~lexmargin.separation.rows.margin_rows`.
        strict: the margins S with z_n·w > 0; the samples themselves for two classes.
        gordan: λ, one entry per margin, summing to 1: positive on R, 0 on S, with Zᵀλ = 0; None
            where S is everything.
        per_sample: margins per sample, C - 1 for C classes.
    """

    kind: SeparationKind
    bias: bool
    weights: Vector
    strict: tuple[int, ...]
    gordan: Vector | None
    per_sample: int
    decomposition: Decomposition = field(repr=False, compare=False)

    @property
    def exact(self) -> bool:
        """True: nothing is said that rational arithmetic has not confirmed."""
        return True

    @property
    def separable(self) -> bool:
        """Whether some w separates all samples strictly."""
        return self.kind is SeparationKind.COMPLETE

    @property
    def verdict(self) -> SeparabilityVerdict:
        """Which side of Gordan's alternative holds."""
        verdicts = SeparabilityVerdict
        return verdicts.SEPARABLE if self.separable else verdicts.NOT_SEPARABLE

    @property
    def witness(self) -> FloatArray:
        """The w as float64; it may separate fewer samples than the exact one."""
        return _as_floats(self.weights)

    @property
    def gordan_float(self) -> FloatArray | None:
        """The λ as float64, or None."""
        return None if self.gordan is None else _as_floats(self.gordan)

    @property
    def rest(self) -> tuple[int, ...]:
        """The margins R that no w of C makes positive."""
        return tuple(n for n, value in enumerate(self.gordan or ()) if value > 0)

    @property
    def samples(self) -> tuple[int, ...]:
        """The samples that w separates strictly from every other class."""
        if self.per_sample == 1:
            return self.strict
        owners = [n // self.per_sample for n in self.strict]
        return tuple(n for n in dict.fromkeys(owners) if owners.count(n) == self.per_sample)

    @functools.cached_property
    def coefficient_proofs(self) -> tuple[CoefficientProof, ...]:
        """The range of every coefficient with its proof; decided when first asked for.

        Raises:
            SolverFailedError: no decision within the pivots allowed.
        """
        return tuple(_proof(*found) for found in self.decomposition.ranges())

    @property
    def coefficients(self) -> tuple[Coefficient, ...]:
        """Per coefficient 0, +inf, -inf or either: its maximum-likelihood estimate.

        In the order of ``weights``: the features and then the bias, class after class.
        """
        return tuple(proof.value for proof in self.coefficient_proofs)

    @functools.cached_property
    def undetermined(self) -> tuple[int, ...]:
        """Coefficients that some v with Z v = 0 moves: linearly dependent columns.

        The data say nothing about such a coefficient alone, and its range over C has both signs.
        """
        return self.decomposition.undetermined()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; rationals as text."""
        return {
            "kind": self.kind.value,
            "verdict": self.verdict.value,
            "bias": self.bias,
            "weights": self.witness.tolist(),
            "weights_exact": [str(value) for value in self.weights],
            "strict": list(self.strict),
            "rest": list(self.rest),
            "coefficients": [c.value for c in self.coefficients],
            "undetermined": list(self.undetermined),
            "gordan": {str(n): str(v) for n, v in enumerate(self.gordan or ()) if v > 0},
        }

    def report(self) -> str:
        """Return a short text."""
        total = len(self.strict) + len(self.rest)
        lines = [
            ("separation", self.kind.value),
            ("strict", f"{len(self.strict)} of {total} margins can be made positive together"),
        ]
        for word in Coefficient:
            chosen = [j for j, c in enumerate(self.coefficients) if c is word]
            if chosen:
                lines.append((f"w_j {word.value}", ", ".join(map(str, chosen))))
        if self.undetermined:
            lines.append(("undetermined", ", ".join(map(str, self.undetermined))))
        lines.append(("proof", "w and λ, checked in rational arithmetic"))
        return "\n".join(f"{name:<16}{text}" for name, text in lines)


@checked
def separability(dataset: Dataset, bias: bool = False) -> Separation:
    """Decide exactly what linear scores can separate, and which coefficients run to infinity.

    ``C = {w : Z w ≥ 0}``; complete separation: some w has Z w > 0; quasi-complete: Z w ≠ 0 at
    best; overlap: Z w = 0 on C. It is the decomposition of Ji and Telgarsky (2018) of the samples
    into a separable part S and a strongly convex part R: on the orthogonal complement of span(Z_R)
    the direction of the constrained path (eq. 5) tends to the max margin of S, on span(Z_R) the
    path stays finite. Albert and Anderson (1984) name the three kinds.

    Args:
        dataset: two classes, or C classes (margins are score differences); dense or sparse.
        bias: append a column of ones, regularised or not: separability is the same.

    Raises:
        SolverFailedError: no decision within the pivots allowed; not seen on real data.
        UnsupportedError: sparse samples that are too large to be looked at exactly.
    """
    Z = margin_rows(dataset, bias)
    found = decompose(Z)
    strict = found.strict
    count = Z.shape[0]
    if len(strict) == count:
        kind = SeparationKind.COMPLETE
    else:
        kind = SeparationKind.QUASI_COMPLETE if strict else SeparationKind.OVERLAP
    per_sample = 1 if dataset.is_binary else dataset.n_classes - 1
    return Separation(kind, bias, found.weights(), strict, found.gordan(), per_sample, found)


@checked
def verify_separability(dataset: Dataset, result: Separation) -> bool:
    """Check kind, w and λ exactly, knowing nothing of how they were found.

    ``Z w ≥ 0`` with zeros where ``λ > 0``, ``Zᵀ λ = 0``: then no w of C has more positive margins,
    because ``Σ λ_n z_n·w = 0``.
    """
    Z = margin_rows(dataset, result.bias)
    count, size = Z.shape
    if len(result.weights) != size:
        return False
    margins = _products(Z, result.weights)
    strict = tuple(n for n, margin in enumerate(margins) if margin > 0)
    if any(margin < 0 for margin in margins) or strict != result.strict:
        return False
    kinds = {count: SeparationKind.COMPLETE, 0: SeparationKind.OVERLAP}
    if result.kind is not kinds.get(len(strict), SeparationKind.QUASI_COMPLETE):
        return False
    if result.gordan is None:
        if len(strict) != count:
            return False
    else:
        weights = result.gordan
        if len(weights) != count or any(value < 0 for value in weights):
            return False
        positive = {n for n, value in enumerate(weights) if value > 0}
        if positive != set(range(count)) - set(strict) or any(_combined(Z, weights)):
            return False
    return True


def verify_coefficients(dataset: Dataset, result: Separation) -> bool:
    """Check the range of every coefficient exactly, and the decomposition that it rests on."""
    if not verify_separability(dataset, result):
        return False
    Z, strict, proofs = (
        margin_rows(dataset, result.bias),
        set(result.strict),
        (result.coefficient_proofs),
    )
    return len(proofs) == Z.shape[1] and all(
        _proved(Z, strict, j, proof) for j, proof in enumerate(proofs)
    )


def _proved(Z: Any, strict: set[int], j: int, proof: CoefficientProof) -> bool:
    for w, sign in ((proof.above, 1), (proof.below, -1)):
        if w is not None and (
            len(w) != Z.shape[1] or not w[j] * sign > 0 or any(m < 0 for m in _products(Z, w))
        ):
            return False
    sides = proof.above is not None, proof.below is not None
    words = {
        (False, False): Coefficient.FINITE,
        (True, False): Coefficient.PLUS,
        (False, True): Coefficient.MINUS,
        (True, True): Coefficient.EITHER,
    }
    if proof.value is not words[sides]:
        return False
    if all(sides):
        return True
    y = proof.bound
    if y is None or len(y) != Z.shape[0]:
        return False
    unit = [Fraction(int(i == j)) for i in range(Z.shape[1])]
    if list(_combined(Z, y)) != unit:
        return False
    on_strict = [y[n] for n in strict]
    if proof.value is Coefficient.FINITE:
        return not any(on_strict)
    sign = 1 if proof.value is Coefficient.PLUS else -1
    return all(value * sign >= 0 for value in on_strict)


def _products(Z: Any, w: Sequence[Fraction]) -> Sequence[Fraction]:
    if isinstance(Z, np.ndarray):
        return matvec(Z, w)
    return [sum((Fraction(v) * w[c] for c, v in row), Fraction(0)) for row in _entries(Z)]


def _combined(Z: Any, weights: Sequence[Fraction]) -> Sequence[Fraction]:
    if isinstance(Z, np.ndarray):
        return combination(weights, Z)
    total = [Fraction(0)] * Z.shape[1]
    for row, weight in zip(_entries(Z), weights, strict=True):
        if weight:
            for column, value in row:
                total[column] += weight * Fraction(value)
    return total


def _entries(Z: Any) -> Iterator[list[tuple[int, float]]]:
    for n in range(Z.shape[0]):
        part = slice(Z.indptr[n], Z.indptr[n + 1])
        yield list(zip(Z.indices[part].tolist(), Z.data[part].tolist(), strict=True))


def _proof(above: Vector | None, below: Vector | None, bound: Vector | None) -> CoefficientProof:
    if above is not None and below is not None:
        return CoefficientProof(Coefficient.EITHER, above, below)
    if above is None and below is None:
        return CoefficientProof(Coefficient.FINITE, bound=bound)
    value = Coefficient.PLUS if above is not None else Coefficient.MINUS
    return CoefficientProof(value, above, below, bound)


def _as_floats(values: Vector) -> FloatArray:
    array = np.array([float(value) for value in values])
    array.setflags(write=False)
    return array
