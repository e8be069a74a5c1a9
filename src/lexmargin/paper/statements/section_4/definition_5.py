"""Definition 5: the min over subsets of their max is the k-th smallest margin (eq. 23)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import Lexicographic
from lexmargin.formulations.lexicographic import LexicographicMethod
from lexmargin.paper.evidence import EXACT, Backing
from lexmargin.paper.instances import Instance, rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant
from lexmargin.predictors import Linear
from lexmargin.solve import solve

__all__ = ["STATEMENT", "DefinitionFive"]

_LEVEL: Final = 1e-6
"""Of certified levels, in units of the first."""


@final
@dataclass(frozen=True)
class DefinitionFive(PlainStatement):
    """`min_{|S|=k} max_{n∈S} f_n = f_{n_k*}`, so that two algorithms answer one problem.

    Attributes:
        exchanged: take `max_{|S|=k} min_{n∈S} f_n`, the k-th largest margin.
    """

    id: ClassVar[str] = "definition-5"
    title: ClassVar[str] = "Two forms of the lexicographic set"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.DEFINITION_5,)
    equation: ClassVar[str] = (
        r"\min_{\{n_\ell\}_{\ell=1}^k}\max_{\ell\in[k]}f_{n_\ell}(\theta)=f_{n_k^*}(\theta)"
    )
    says: ClassVar[str] = (
        "Definition 5 (subset by subset) and eq. 23 (sorted margins) are one: exactly, on "
        "rational margins with ties; and the two algorithms, saturation and ordered sums, give "
        "the same levels. (The sentence after it means Θ_{m,2}* where it writes Θ_{m,1}* again.)"
    )
    problems: ClassVar[tuple[str, ...]] = (
        "lexicographic/precision-trap",
        "lexicographic/three-levels-l1",
        "lexicographic/two-levels-linf",
    )

    exchanged: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Enumerate subsets in rationals; solve three problems with both algorithms."""
        count = 20 if effort is Effort.QUICK else 200
        worst = Fraction(0)
        for seed in range(count):
            rng = np.random.default_rng(seed)
            size = int(rng.integers(2, 8))
            margins = [Fraction(int(a), int(b)) for a, b in rng.integers(1, 7, size=(size, 2))]
            for k in range(1, size + 1):
                ordered = sorted(margins)[k - 1]
                worst = max(worst, abs(self._by_subsets(margins, k) - ordered))
        checks: list[Check] = [
            EXACT.small(f"rational margins, seeds 0-{count - 1}, every k",
                        "largest |min over k-subsets of their max - k-th smallest|",
                        float(worst), 0.0)
        ]  # fmt: skip
        problems = (
            Instance("precision-trap, ℓ1", Linear(), rows(((1, 1), (3, 1), (1, 2))), 1.0),
            Instance("three-levels, ℓ1", Linear(), rows(((1, 1, 1), (2, 3, 3), (4, 5, 6))), 1.0),
            Instance("two-levels, ℓ∞", Linear(), rows(((1, 0), (3, 1))), float("inf")),
        )
        for instance in problems:
            answers = [
                solve(Lexicographic(Linear(), instance.data, norm=instance.norm, method=method))
                for method in (LexicographicMethod.SATURATION, LexicographicMethod.ORDERED_SUMS)
            ]
            Z = np.asarray(instance.data.X)
            one, two = (np.sort(Z @ answer.direction) for answer in answers)
            checks.append(
                Backing.of(a.certificate for a in answers).small(
                    instance.name, "largest difference of a sorted margin, saturation against "
                    "ordered sums, in units of the first", float(np.abs(one - two).max() / one[0]),
                    _LEVEL,
                )
            )  # fmt: skip
        return Measurement(tuple(checks))

    def _by_subsets(self, margins: list[Fraction], k: int) -> Fraction:
        subsets = list(combinations(margins, k))
        if self.exchanged:
            return max(min(subset) for subset in subsets)
        return min(max(subset) for subset in subsets)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("max over subsets of their min", DefinitionFive(exchanged=True)),)


STATEMENT = DefinitionFive()
