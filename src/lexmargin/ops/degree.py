"""Degrees by abstract interpretation: an array means the set of its terms' degrees in θ.

A term is a pair (blocks it depends on, degree): ``Definition 1`` asks for one degree,
eq. 10 for one degree per group of blocks that no term shares with another group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import final

import numpy as np

from lexmargin.inputs.limits import DEGREE_TERMS
from lexmargin.ops.base import FloatArray, IntArray, Ops

__all__ = ["DegreeOps", "Homogeneity", "HomogeneityKind", "Part", "Terms", "classify"]

Term = tuple[frozenset[int], Fraction]


@final
@dataclass(frozen=True)
class Terms:
    """The degrees of an array: its terms, or the reason why it has none."""

    terms: frozenset[Term] = frozenset()
    reason: str = ""

    def joined(self) -> Term | None:
        """Return (all blocks, the one degree), or None if the degrees differ."""
        degrees = {degree for _, degree in self.terms}
        if len(degrees) != 1:
            return None
        blocks: frozenset[int] = frozenset().union(*(b for b, _ in self.terms))
        return blocks, degrees.pop()


class HomogeneityKind(StrEnum):
    """What the degrees of a predictor amount to."""

    HOMOGENEOUS = "homogeneous"
    SUM = "sum of homogeneous parts"
    NEITHER = "neither"


@final
@dataclass(frozen=True)
class Part:
    """One homogeneous part of eq. 10: its degree α_k and the blocks of θ it owns."""

    degree: float
    blocks: tuple[int, ...]


@final
@dataclass(frozen=True)
class Homogeneity:
    """The computed kind of a predictor, its parts in order of degree, and why it is neither."""

    kind: HomogeneityKind
    parts: tuple[Part, ...] = ()
    reason: str = ""

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
        return Terms(frozenset({(frozenset({index}), Fraction(1))}))

    def constant(self, values: FloatArray) -> Terms:
        if not np.any(values):
            return Terms()
        return Terms(frozenset({(frozenset(), Fraction(0))}))

    def linear(self, inputs: Terms, weights: Terms) -> Terms:
        return self.multiply(inputs, weights)

    def add(self, a: Terms, b: Terms) -> Terms:
        return Terms(a.terms | b.terms, a.reason or b.reason)

    def multiply(self, a: Terms, b: Terms) -> Terms:
        if len(a.terms) * len(b.terms) > DEGREE_TERMS:
            return Terms(frozenset(), "too many terms to follow")
        products = frozenset((m | n, s + t) for m, s in a.terms for n, t in b.terms)
        return Terms(products, a.reason or b.reason)

    def scale(self, a: Terms, factor: float) -> Terms:
        return a if factor else Terms()

    def total(self, a: Terms) -> Terms:
        return a

    def relu(self, a: Terms, power: float = 1.0) -> Terms:
        if a.reason or not a.terms:
            return a
        joined = a.joined()
        if joined is None:
            found = sorted({degree for _, degree in a.terms})
            listed = ", ".join(str(degree) for degree in found)
            return Terms(frozenset(), f"relu of a sum of different degrees ({listed})")
        blocks, degree = joined
        return Terms(frozenset({(blocks, degree * Fraction(power).limit_denominator(10**6))}))

    def power(self, a: Terms, exponent: int) -> Terms:
        result = a
        for _ in range(exponent - 1 if len(a.terms) > 1 else 0):
            result = self.multiply(result, a)
        if len(a.terms) == 1:
            ((blocks, degree),) = a.terms
            result = Terms(frozenset({(blocks, degree * exponent)}), a.reason)
        return result

    def log(self, a: Terms) -> Terms:
        return Terms(frozenset(), a.reason or "a logarithm has no degree")

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


def classify(terms: Terms, n_blocks: int) -> Homogeneity:
    """Return what the terms of a predictor's output amount to (Definition 1, eq. 10).

    ``n_blocks`` is the number of parameter blocks; blocks that occur together in a term belong to
    one part. A part must have a single positive degree. A block that occurs in none (it has left
    the leading part) is 0 at every optimum, and the first part's.
    """
    if terms.reason:
        return Homogeneity(HomogeneityKind.NEITHER, reason=terms.reason)
    if any(degree <= 0 for _, degree in terms.terms) or not terms.terms:
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
    for blocks, degree in terms.terms:
        degrees.setdefault(root(min(blocks)), set()).add(degree)
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
