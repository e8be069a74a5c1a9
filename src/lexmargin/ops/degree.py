"""Degrees by abstract interpretation: an array means the set of its terms' degrees in θ.

A term is a pair (blocks it depends on, its degree in each): ``Definition 1`` asks for one degree in
all, eq. 10 for one degree per group of blocks that no term shares with another group, and exponents
of blocks (`networks.md` §2) for ``Σ_B λ_B (degree in B) = 1`` of every term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import final

import numpy as np

from lexmargin.inputs.limits import DEGREE_TERMS
from lexmargin.ops.base import FloatArray, IntArray, Ops
from lexmargin.ops.exponents import Exponents

__all__ = ["DegreeOps", "Homogeneity", "HomogeneityKind", "Part", "Terms", "classify", "parts_of"]

Weights = frozenset[tuple[int, Fraction]]
"""A degree in each block, 0 where a block is missing."""
Term = tuple[frozenset[int], Weights]


@final
@dataclass(frozen=True)
class Terms:
    """The degrees of an array: its terms, and the reason why it has no degree.

    Attributes:
        alike: weights that must come out alike for exponents, as a rectified sum's terms; None
            where there are no exponents at all.
    """

    terms: frozenset[Term] = frozenset()
    reason: str = ""
    alike: frozenset[tuple[Weights, Weights]] | None = frozenset()

    @property
    def degree(self) -> Fraction | None:
        """The one degree of all terms; None where they differ."""
        found = {_degree(weights) for _, weights in self.terms}
        return found.pop() if len(found) == 1 and not self.reason else None

    def beside(self, other: Terms) -> frozenset[tuple[Weights, Weights]] | None:
        """Return what must come out alike in either."""
        return None if self.alike is None or other.alike is None else self.alike | other.alike


class HomogeneityKind(StrEnum):
    """What the degrees of a predictor amount to."""

    HOMOGENEOUS = "homogeneous"
    SUM = "sum of homogeneous parts"
    QUASI = "quasi-homogeneous"
    """Terms of different degrees share blocks, and ``f(e^{aΛ}θ) = e^a f(θ)`` for some Λ > 0."""
    NEITHER = "neither"


@final
@dataclass(frozen=True)
class Part:
    """One homogeneous part of eq. 10: its degree α_k and the blocks of θ it owns.

    Of a quasi-homogeneous predictor: the blocks of exponent 1/α_k.
    """

    degree: float
    blocks: tuple[int, ...]


@final
@dataclass(frozen=True)
class Homogeneity:
    """The computed kind of a predictor, its parts in order of degree, and why it has no degree.

    ``exponents``: the polytope of all Λ; None where there is none.
    """

    kind: HomogeneityKind
    parts: tuple[Part, ...] = ()
    reason: str = ""
    exponents: Exponents | None = None

    @property
    def degree(self) -> float | None:
        """α of Definition 1 when the predictor is homogeneous, else None."""
        return self.parts[0].degree if self.kind is HomogeneityKind.HOMOGENEOUS else None


@final
class DegreeOps(Ops[Terms]):
    """The degree target."""

    @staticmethod
    def block(index: int) -> Terms:
        """Return the degrees of parameter block ``index`` itself: one term of degree 1."""
        return Terms(frozenset({(frozenset({index}), frozenset({(index, Fraction(1))}))}))

    def constant(self, values: FloatArray) -> Terms:
        if not np.any(values):
            return Terms()
        return Terms(frozenset({(frozenset(), frozenset())}))

    def linear(self, inputs: Terms, weights: Terms) -> Terms:
        return self.multiply(inputs, weights)

    def add(self, a: Terms, b: Terms) -> Terms:
        return Terms(a.terms | b.terms, a.reason or b.reason, a.beside(b))

    def multiply(self, a: Terms, b: Terms) -> Terms:
        if len(a.terms) * len(b.terms) > DEGREE_TERMS:
            return Terms(frozenset(), "too many terms to follow", None)
        products = frozenset((m | n, _sum(s, t)) for m, s in a.terms for n, t in b.terms)
        return Terms(products, a.reason or b.reason, a.beside(b))

    def scale(self, a: Terms, factor: float) -> Terms:
        return a if factor else Terms()

    def total(self, a: Terms) -> Terms:
        return a

    def relu(self, a: Terms, power: float = 1.0) -> Terms:
        if not a.terms:
            return a
        found = sorted({_degree(weights) for _, weights in a.terms})
        reason = a.reason
        if len(found) > 1 and not reason:
            listed = ", ".join(str(degree) for degree in found)
            reason = f"relu of a sum of different degrees ({listed})"
        blocks: frozenset[int] = frozenset().union(*(b for b, _ in a.terms))
        # One of its terms stands for all: exponents make them alike.
        first, *others = sorted((weights for _, weights in a.terms), key=sorted)
        alike = a.alike
        if alike is not None:
            alike = alike | {(first, other) for other in others if other != first}
        exponent = Fraction(power).limit_denominator(10**6)
        return Terms(frozenset({(blocks, _times(first, exponent))}), reason, alike)

    def power(self, a: Terms, exponent: int) -> Terms:
        result = a
        for _ in range(exponent - 1 if len(a.terms) > 1 else 0):
            result = self.multiply(result, a)
        if len(a.terms) == 1:
            ((blocks, weights),) = a.terms
            powered = frozenset({(blocks, _times(weights, Fraction(exponent)))})
            result = Terms(powered, a.reason, a.alike)
        return result

    def log(self, a: Terms) -> Terms:
        return Terms(frozenset(), a.reason or "a logarithm has no degree", None)

    def entry(self, a: Terms, index: int) -> Terms:
        return a

    def circulant(self, a: Terms) -> Terms:
        return a

    def columns(self, a: Terms, indices: tuple[int, ...]) -> Terms:
        return a

    def repeat_row(self, a: Terms, row: FloatArray) -> Terms:
        return self.constant(row)

    def stack(self, scalars: Sequence[Terms]) -> Terms:
        result = Terms()
        for scalar in scalars:
            result = self.add(result, scalar)
        return result

    def gather(self, a: Terms, rows: IntArray, columns: IntArray) -> Terms:
        return a


def _degree(weights: Weights) -> Fraction:
    return sum((degree for _, degree in weights), Fraction(0))


def _sum(a: Weights, b: Weights) -> Weights:
    found = dict(a)
    for block, degree in b:
        found[block] = found.get(block, Fraction(0)) + degree
    return frozenset(found.items())


def _times(weights: Weights, factor: Fraction) -> Weights:
    return frozenset((block, factor * degree) for block, degree in weights)


def _exponents(terms: Terms, n_blocks: int) -> Exponents | None:
    """Return the polytope ``Σ_B λ_B (degree in B) = 1`` of every term, rectified terms alike."""
    if terms.alike is None or not terms.terms:
        return None

    def row(weights: Weights) -> FloatArray:
        found = np.zeros(n_blocks)
        for block, degree in weights:
            found[block] = float(degree)
        return found

    ways = sorted({weights for _, weights in terms.terms}, key=sorted)
    rows = [row(weights) for weights in ways]
    rows += [row(a) - row(b) for a, b in sorted(terms.alike, key=lambda ab: [*map(sorted, ab)])]
    ends = np.zeros(len(rows))
    ends[: len(ways)] = 1.0
    return Exponents(np.array(rows), ends)


def classify(terms: Terms, n_blocks: int) -> Homogeneity:
    """Return what the terms of a predictor's output amount to (Definition 1, eq. 10).

    ``n_blocks`` is the number of parameter blocks; blocks that occur together in a term belong to
    one part. A part must have a single positive degree. A block that occurs in none (it has left
    the leading part) is 0 at every optimum, and the first part's. Where terms of different degrees
    share blocks, those of one exponent are a part, the exponents that of :class:`Exponents.least`.
    """
    exponents = _exponents(terms, n_blocks)
    found = _classified(terms, n_blocks)
    if found.kind is HomogeneityKind.NEITHER and exponents is not None:
        try:
            least = exponents.least
        except ImportError:
            # A reader of receipts needs no solver: without one such problems stay of no kind.
            least = None
        if least is not None and all(least[block] > 0 for block in exponents.used):
            parts = parts_of(least)
            return Homogeneity(HomogeneityKind.QUASI, parts, found.reason, exponents)
    return replace(found, exponents=exponents)


def parts_of(exponents: Sequence[Fraction | float]) -> tuple[Part, ...]:
    """Return the blocks of each exponent λ > 0 as a part of degree 1/λ, shallowest first."""
    by_degree: dict[float, list[int]] = {}
    for block, one in enumerate(exponents):
        by_degree.setdefault(float(1 / one), []).append(block)
    return tuple(Part(degree, tuple(blocks)) for degree, blocks in sorted(by_degree.items()))


def _classified(terms: Terms, n_blocks: int) -> Homogeneity:
    if terms.reason:
        return Homogeneity(HomogeneityKind.NEITHER, reason=terms.reason)
    if any(_degree(weights) <= 0 for _, weights in terms.terms) or not terms.terms:
        return Homogeneity(HomogeneityKind.NEITHER, reason="a term does not depend on θ")
    owner = list(range(n_blocks))

    def root(block: int) -> int:
        while owner[block] != block:
            block = owner[block]
        return block

    for blocks, _ in terms.terms:
        first, *rest = sorted(blocks)
        for block in rest:
            owner[root(block)] = root(first)
    degrees: dict[int, set[Fraction]] = {}
    for blocks, weights in terms.terms:
        degrees.setdefault(root(min(blocks)), set()).add(_degree(weights))
    by_degree: dict[Fraction, list[int]] = {}
    for group, found in degrees.items():
        members = [block for block in range(n_blocks) if root(block) == group]
        if len(found) != 1:
            listed = ", ".join(str(degree) for degree in sorted(found))
            reason = f"blocks {members} share terms of different degrees ({listed})"
            return Homogeneity(HomogeneityKind.NEITHER, reason=reason)
        by_degree.setdefault(found.pop(), []).extend(members)
    loose = [block for block in range(n_blocks) if root(block) not in degrees]
    by_degree[min(by_degree)].extend(loose)
    parts = tuple(Part(float(d), tuple(sorted(b))) for d, b in sorted(by_degree.items()))
    kind = HomogeneityKind.HOMOGENEOUS if len(parts) == 1 else HomogeneityKind.SUM
    return Homogeneity(kind, parts)
