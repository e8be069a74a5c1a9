"""Exponents of blocks that share terms: ``f(e^{aΛ}θ) = e^a f(θ)``, Λ ≥ 0 one number per block.

They are a polytope ``{λ >= 0 : A λ = b}``: one equation for every way through the predictor, or
one for every margin that was measured, ``Σ_B λ_B θ_B·∇_B f_n = f_n``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, final

import numpy as np

from lexmargin.linalg.guarded.programs import linear_program
from lexmargin.ops.base import FloatArray

__all__ = ["Exponents"]

_RANK: Final = 1e-9
"""Singular value, relative to the largest, from which equations are one of the others: those of
predictors are whole numbers, and measured ones carry rounding of 1e-13 or so."""
_ZERO: Final = 1e-7
"""Largest exponent that HiGHS may give for 0, and smallest multiplier of a bound that holds."""
_PARTS: Final = 1000
"""Largest denominator of an exponent; those of networks are powers of two and small numbers."""


@final
@dataclass(frozen=True, eq=False)
class Exponents:
    """``{λ >= 0 : A λ = b}``.

    Attributes:
        rows: A (R, B), scaled so that a wrong λ is seen in b.
        ends: b (R,).
        tolerance: largest ``|A λ - b|`` of a λ that fits.
    """

    rows: FloatArray
    ends: FloatArray
    tolerance: float = 1e-12

    @functools.cached_property
    def used(self) -> tuple[int, ...]:
        """The blocks that some equation names; the others scale nothing."""
        return tuple(int(block) for block in np.flatnonzero(np.any(self.rows != 0.0, axis=0)))

    @functools.cached_property
    def still(self) -> tuple[int, ...]:
        """The used blocks whose exponent is 0 wherever it is: they do not grow with the margins."""
        if self.least is None:
            return ()
        found = []
        for block in self.used:
            if self.least[block] == 0:
                cost = np.zeros(self.rows.shape[1])
                cost[block] = -1.0
                answer = self._program(cost)
                if answer.x is not None and -float(answer.fun) <= _ZERO:
                    found.append(block)
        return tuple(found)

    @functools.cached_property
    def changes(self) -> FloatArray:
        """A basis μ (K, B) of the changes that keep ``A λ = b``: ``e^{aμ}θ`` has the margins of θ.

        None of them moves a block that is not used.
        """
        used = list(self.used)
        if not used:
            return np.zeros((0, self.rows.shape[1]))
        scale = np.max(np.abs(self.rows[:, used]), axis=0)
        _, sizes, turned = np.linalg.svd(self.rows[:, used] / scale)
        rank = int(np.count_nonzero(sizes > _RANK * float(np.max(sizes, initial=0.0))))
        found = np.zeros((len(used) - rank, self.rows.shape[1]))
        found[:, used] = turned[rank:] / scale
        return found

    @property
    def dimension(self) -> int:
        """That of the polytope: 0 where the exponents are the only ones."""
        moved = self.changes
        if self.still and moved.size:
            held = moved[:, list(self.still)]
            return len(moved) - int(np.linalg.matrix_rank(held, tol=_RANK))
        return len(moved)

    @functools.cached_property
    def least(self) -> tuple[Fraction, ...] | None:
        """The λ whose largest exponents are least, in lexicographic order; None where none fits.

        A block that is not used gets the largest exponent: it costs, and vanishes.
        """
        count = self.rows.shape[1]
        left, known = list(self.used), dict[int, float]()
        while left:
            # min t  s.t.  λ_i <= t for those left: what holds t in an optimum is t in all of them.
            upper = np.zeros((len(left), count + 1))
            upper[np.arange(len(left)), left] = 1.0
            upper[:, count] = -1.0
            answer = self._program(np.append(np.zeros(count), 1.0), upper, known)
            if answer.x is None:
                return None
            highest = _snapped(float(answer.x[count]))
            holding = -np.asarray(answer.ineqlin.marginals)
            tight = [i for i, price in zip(left, holding, strict=True) if price > _ZERO]
            tight = tight or [left[int(np.argmax(holding))]] if highest > 0 else left
            known |= dict.fromkeys(tight, float(highest))
            left = [i for i in left if i not in known]
        if not known:
            return None
        top = max(known.values())
        found = tuple(_snapped(known.get(block, top)) for block in range(count))
        return found if self.fit(found) else None

    def fit(self, chosen: Sequence[Fraction | float]) -> bool:
        """Tell whether λ is one of the polytope."""
        values = np.array([float(one) for one in chosen])
        wrong = np.abs(self.rows @ values - self.ends)
        return bool(np.all(values >= 0.0) and np.max(wrong, initial=0.0) <= self.tolerance)

    def given(self, chosen: Mapping[int, float]) -> Exponents:
        """Return the part of the polytope where some exponents are given."""
        rows = np.zeros((len(chosen), self.rows.shape[1]))
        rows[np.arange(len(chosen)), list(chosen)] = 1.0
        ends = np.concatenate([self.ends, np.array(list(chosen.values()), dtype=np.float64)])
        return Exponents(np.vstack([self.rows, rows]), ends, self.tolerance)

    def shrinking(self, blocks: Sequence[int]) -> tuple[int, ...]:
        """Return which of some blocks can shrink, and none of them grow, while all margins stay.

        Where the cost is the size of these blocks, no point at which such a block is not 0 is
        stationary: for every admissible λ', ``Σ_B λ'_B ‖w_B‖² = Σ ν_n`` (`networks.md` §2).
        """
        moved = self.changes[:, list(blocks)]
        if not moved.size:
            return ()
        # max Σ μ_B over the changes with 0 <= μ_B <= 1 on these blocks.
        answer = linear_program(
            -np.sum(moved, axis=1),
            A_ub=np.vstack([-moved.T, moved.T]),
            b_ub=np.concatenate([np.zeros(len(blocks)), np.ones(len(blocks))]),
            bounds=(None, None),
        )
        if answer.x is None:
            return ()
        sizes = answer.x @ moved
        return tuple(b for b, size in zip(blocks, sizes, strict=True) if size > _ZERO)

    def _program(
        self,
        cost: FloatArray,
        upper: FloatArray | None = None,
        known: Mapping[int, float] | None = None,
    ) -> Any:
        """Return the answer of a linear program over the polytope, further unknowns last."""
        extra = np.zeros((len(self.rows), cost.size - self.rows.shape[1]))
        size = np.max(np.abs(self.rows), axis=1, initial=0.0)
        kept = size > 0.0
        bounds: list[tuple[float, float | None]] = [(0.0, None)] * cost.size
        for block, value in (known or {}).items():
            bounds[block] = (value, value)
        parts = {} if upper is None else {"A_ub": upper, "b_ub": np.zeros(len(upper))}
        return linear_program(
            cost,
            A_eq=np.hstack([self.rows, extra])[kept],
            b_eq=self.ends[kept],
            bounds=bounds,
            **parts,
        )


def _snapped(value: float) -> Fraction:
    """Return the small fraction that a number is, up to rounding; or the number itself."""
    found = Fraction(value).limit_denominator(_PARTS)
    return found if abs(float(found) - value) <= _ZERO else Fraction(value)
