"""Exchanges of neurons of a two-layer ReLU network: births, deaths, kicks, at a width that is kept.

The multipliers of a local optimum say which neurons would lower the norm; those join, the network
settles, and small ones leave.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import numpy as np

from lexmargin.backends.kinked.relu_birth import Newborn, newborns
from lexmargin.backends.kinked.relu_descent import Budget, Descent, local_descent
from lexmargin.backends.kinked.relu_subproblem import TwoLayer
from lexmargin.ops.base import FloatArray

__all__ = ["Exchange", "merged"]

_GAIN = 1e-6
"""Relative decrease that counts as better: less is the accuracy of the descents themselves."""
_BORN = 1e-6
"""Excess over 1 of the birth test from which a newborn can lower the norm: below is rounding."""
_PRUNED = 2
"""Units tried for removal beside each other: more cost a descent each and seldom win."""
_SMALL = 0.1
"""Size of a newborn by the mean unit: small enough to keep the pattern, large enough to be felt."""
_TOGETHER = 3
"""Newborns put in at once: kicks of more than three undo the network they improve."""
_NEWBORNS = 12
"""Best newborns tried one by one: later ones have the smaller slopes."""
_SETTLE = 3
"""Rounds of descent that judge a newborn; the winner descends on, so this only ranks."""
_GENERATIONS = 10
"""Births in a row of the first, wide network; it ends earlier where none is left."""
_WIDE = 1e-4
"""Distance to the floor, and birth excess, at which a wide network is good enough to be pruned."""
_ON_KINK = 1e-9
"""Relative pre-activation taken as 0 where units are merged: a false merge costs norm, no word."""
_ROUGH = 1e-4
"""Relative decrease that ends the descent of a try; the kept point is descended to the end."""


@final
class Exchange:
    """Neurons born and given up, down to about the norm that a wider network needs.

    That norm is an estimate, for births are found by local ascent; it only says when to stop.
    """

    def __init__(self, data: TwoLayer, width: int, programs: Budget, seed: int) -> None:
        self._data, self._width, self._programs = data, width, programs
        self._rng = np.random.default_rng(seed)
        self._floor, self._grown = 0.0, False

    def improved(self, found: Descent, exchanges: int) -> Descent:
        """Exchange until none can lower the norm; then leave the best by a kick, and again."""
        best = self._exchanged(found, exchanges)
        kicks = exchanges
        while kicks > 0 and not self._done(best):
            kicks -= 1
            v, signs = merged(self._data, best.v, best.signs)
            born = self._born(best.multipliers, 0.0, self._width + _NEWBORNS)
            if not born:
                break
            some = self._rng.permutation(len(born))[:_TOGETHER]
            kicked = self._replaced(v, signs, [born[k] for k in some], 1, np.inf)
            if kicked is None:
                continue
            found = self._exchanged(kicked, exchanges)
            if found.objective < best.objective * (1.0 - _GAIN):
                best, kicks = found, exchanges
        return best

    def _exchanged(self, found: Descent, exchanges: int) -> Descent:
        """Exchange until that many tries in a row failed, or none can lower the norm."""
        quiet = 0
        while quiet < exchanges and not self._done(found):
            v, signs = merged(self._data, found.v, found.signs)
            room = self._width - signs.size
            born = self._born(found.multipliers, _BORN, self._width + max(_NEWBORNS, room))
            if not born:
                break
            for chosen, generations in self._tries(born, room):
                better = self._replaced(v, signs, chosen, generations, found.objective)
                if better is not None:
                    found, quiet = better, 0
                    break
                quiet += 1
                if quiet >= exchanges or self._done(found):
                    break
        return found

    def _done(self, found: Descent) -> bool:
        return self._programs.over or found.objective <= self._floor * (1.0 + _WIDE)

    def _born(self, multipliers: FloatArray, above: float, count: int) -> list[Newborn]:
        """Return those that lower the norm; the network's own units, at 1, are among the found."""
        seed = int(self._rng.integers(2**31))
        newest = newborns(self._data, multipliers, count, seed)
        largest = max([1.0, *(one.value for one in newest)])
        # Weak duality: λ over the largest value of the birth test is dual feasible.
        self._floor = max(self._floor, float(multipliers.sum()) / largest)
        return [one for one in newest if one.value > 1.0 + above]

    def _tries(self, born: list[Newborn], room: int) -> Iterator[tuple[list[Newborn], int]]:
        """Yield what to add, and for how many generations."""
        if room > 0:
            yield born[:room], 1
        if not self._grown:
            self._grown = True
            yield born[: max(room + self._width // 2, 1)], _GENERATIONS
        born = born[:_NEWBORNS]
        for one in born:
            yield [one], 1
        while True:
            some = self._rng.permutation(len(born))[: self._rng.integers(1, _TOGETHER + 1)]
            yield [born[k] for k in some], 1

    def _replaced(
        self,
        v: FloatArray,
        signs: FloatArray,
        chosen: list[Newborn],
        generations: int,
        objective: float,
    ) -> Descent | None:
        """Return a better point of the width with newborn neurons in the place of small ones.

        With no objective to undercut they take the places of any.
        """
        goal = objective * (1.0 - _GAIN)
        while True:
            if chosen:
                size = _SMALL * float(np.linalg.norm(v, axis=1).sum()) / signs.size
                v = np.vstack([v, *(size * one.u for one in chosen)])
                signs = np.append(signs, [one.sign for one in chosen])
            settled = (1e-5, 3 * _SETTLE) if generations > 1 else (1e-3, _SETTLE)
            wide = self._descent(v, signs, accuracy=settled[0], most=settled[1])
            if wide is None:
                return None
            v, signs = merged(self._data, wide.v, wide.signs)
            smallest = np.argsort(np.linalg.norm(v, axis=1), kind="stable")
            if not np.isfinite(objective):
                smallest = self._rng.permutation(signs.size)
            generations -= 1
            chosen = []
            if generations > 0:
                chosen = self._born(wide.multipliers, _WIDE, signs.size + _NEWBORNS)
                room = self._width + self._width // 2 - signs.size
                chosen = chosen[: max(room, 0)]
            if chosen:
                continue
            generations = 0
            if signs.size <= self._width + 1:
                break
            v, signs = v[smallest[1:]], signs[smallest[1:]]
        every = np.arange(signs.size)
        for unit in smallest[:_PRUNED] if signs.size > self._width else [-1]:
            kept = every != unit
            again = self._descent(v[kept], signs[kept], accuracy=_ROUGH, most=20, bound=goal)
            if again is not None and again.objective < goal:
                return again
        return None

    def _descent(
        self, v: FloatArray, signs: FloatArray, *, accuracy: float, most: int, bound: float = np.inf
    ) -> Descent | None:
        return local_descent(
            self._data, v, signs, self._programs, accuracy=accuracy, most=most, bound=bound
        )


def merged(data: TwoLayer, v: FloatArray, signs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Add units of one sign together where no sample lies between their kinks.

    There ``σ(a) + σ(b) = σ(a + b)`` at every sample, and ``‖v + w‖ <= ‖v‖ + ‖w‖``.
    """
    z = data.pre_activations(v)
    sizes = np.linalg.norm(v, axis=1)
    above = (z > _ON_KINK * sizes).astype(float)
    below = (z < -_ON_KINK * sizes).astype(float)
    between = above.T @ below
    apart = (between + between.T > 0.0) | (signs[:, None] != signs[None, :])
    if np.count_nonzero(apart) == signs.size * (signs.size - 1):
        return v, signs
    groups: list[list[int]] = []
    for unit in np.argsort(-sizes, kind="stable"):
        for group in groups:
            if not np.any(apart[unit, group]):
                group.append(int(unit))
                break
        else:
            groups.append([int(unit)])
    return np.array([v[g].sum(axis=0) for g in groups]), signs[[g[0] for g in groups]]
