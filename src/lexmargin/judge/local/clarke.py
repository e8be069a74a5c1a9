"""Stationarity at a kink: one element of the generalised gradient per support sample (math §3)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import CLARKE_ENTRIES, CLARKE_KINKS
from lexmargin.judge.functions.kinks import Kink
from lexmargin.judge.functions.slopes import rows, sensitivities
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers, normalised_rows
from lexmargin.linalg.nonnegative import nonnegative
from lexmargin.linalg.rounding import EPS, FURTHER, ROUNDED
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.jacobian import Recording

__all__ = [
    "Clarke",
    "GradientSets",
    "assembled_sets",
    "balanced_stationarity",
    "clarke_stationarity",
    "gradient_sets",
    "least_misfit",
    "single_gradients",
]

_GAIN_BY_SETS: Final = 1e-12
"""The same where NumPy alone solves: its residual has a thousand times that rounding."""
_GAIN: Final = 1e-15
"""Of an element: a gain as small is rounding, and the element one that is known."""
_GENERATIONS = 200
"""Elements generated at most; fewer leave a larger ε, never a smaller one."""
_INDEPENDENT = 1e-6
"""Smallest singular value of unit rows that no rounding can make dependent; smaller is not
trusted."""


@final
@dataclass(frozen=True, eq=False)
class GradientSets:
    """For each support function a set of gradients that contains its generalised gradient.

    base
        the element with slope 0 at every kink (S, d).
    parts
        independent slopes: the set is `{base + Σ_j s_j part_j : 0 ≤ s_j ≤ 1}` (k, d) per function.
    signs
        the sign of f_n in the output of each part's unit (k,): the unit is on where
        `sign · part·d > 0`. For class differences the sign is 0, not known.
    vertices
        dependent slopes (kinks in several layers): the set is the convex hull of these (m, d).
    exact
        whether the set is the generalised gradient itself, not just a set that contains it.
    """

    base: FloatArray
    parts: tuple[FloatArray, ...]
    signs: tuple[FloatArray, ...]
    vertices: tuple[FloatArray, ...]
    exact: bool

    @property
    def is_single(self) -> bool:
        """Whether every set holds one gradient."""
        return not any(part.size for part in (*self.parts, *self.vertices))

    def lifted(self, column: FloatArray) -> GradientSets:
        """Return the sets with one more entry, ``column`` (S,) by function, in every element."""
        return GradientSets(
            np.column_stack([self.base, column]),
            tuple(np.pad(part, ((0, 0), (0, 1))) for part in self.parts),
            self.signs,
            tuple(
                np.column_stack([part, np.full(len(part), share)])
                for part, share in zip(self.vertices, column, strict=True)
            ),
            self.exact,
        )

    def scaled(self, rows: FloatArray, columns: FloatArray) -> GradientSets:
        """Return the sets of ``rows_n g_n`` (S,) with entries times ``columns`` (d,)."""
        return GradientSets(
            self.base * rows[:, None] * columns,
            tuple(part * row * columns for part, row in zip(self.parts, rows, strict=True)),
            self.signs,
            tuple(extra * row * columns for extra, row in zip(self.vertices, rows, strict=True)),
            self.exact,
        )

    def of(self, indices: NDArray[np.intp]) -> GradientSets:
        """Return the sets of some of the functions."""
        rows = [int(i) for i in indices]
        return GradientSets(
            self.base[rows],
            tuple(self.parts[i] for i in rows),
            tuple(self.signs[i] for i in rows),
            tuple(self.vertices[i] for i in rows),
            self.exact,
        )

    def lengths(self) -> FloatArray:
        """Return an upper bound on the length of every element (S,)."""
        found: FloatArray = np.linalg.norm(self.base, axis=1)
        for n, (part, extra) in enumerate(zip(self.parts, self.vertices, strict=True)):
            found[n] += float(np.sum(np.linalg.norm(part, axis=1)))
            found[n] = max(found[n], float(np.max(np.linalg.norm(extra, axis=1), initial=0.0)))
        return found

    def away(self, rows: FloatArray) -> FloatArray:
        """Return an upper bound (S,) on the distance of every element from rows (S, d) of the sets.

        It holds from other elements too, should rounding have put the rows on another side.
        """
        found: FloatArray = np.linalg.norm(rows - self.base, axis=1)
        for n, (part, extra) in enumerate(zip(self.parts, self.vertices, strict=True)):
            found[n] += float(np.sum(np.linalg.norm(part, axis=1)))
            apart = 2.0 * np.linalg.norm(extra - rows[n], axis=1)
            found[n] = max(found[n], float(np.max(apart, initial=0.0)))
        return found

    def steepest(self, direction: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return `max g·direction` over each set (S,), and the elements that attain it (S, d)."""
        elements = self.base.copy()
        for n, (part, extra) in enumerate(zip(self.parts, self.vertices, strict=True)):
            if part.shape[0]:
                elements[n] += part[part @ direction > 0.0].sum(axis=0)
            if extra.shape[0]:
                best = extra[int(np.argmax(extra @ direction))]
                if best @ direction > elements[n] @ direction:
                    elements[n] = best
        return elements @ direction, elements


@final
@dataclass(frozen=True, eq=False)
class Clarke:
    """The smallest `‖θ̂ - Σ λ_n g_n‖` over λ ≥ 0 and g_n in the n-th gradient set.

    residual, lower, floor
        that distance, a proven lower bound on it, and the rounding error it may carry.
    multipliers
        λ of the support functions (S,).
    elements
        the g_n (S, d); the slope-0 element where λ_n = 0.
    """

    residual: float
    lower: float
    floor: float
    multipliers: FloatArray
    elements: FloatArray
    exact: bool


def single_gradients(gradients: FloatArray) -> GradientSets:
    """Return the sets of gradients (S, d) that exist, of one element each."""
    count, none = len(gradients), np.zeros((0, gradients.shape[1]))
    return GradientSets(gradients, (none,) * count, (np.zeros(0),) * count, (none,) * count, True)


def gradient_sets(
    functions: MarginFunctions,
    theta: FloatArray,
    support: NDArray[np.intp],
    kinks: Sequence[Kink],
) -> GradientSets | None:
    """Return the gradient sets of the support at θ, every listed kink with a slope in [0, 1].

    Exact where every kinked unit reads an input that is not 0. A unit that reads 0 from kinked
    units follows them, and not every pattern need be a limit of gradients: the set is then an outer
    approximation. None where there are too many patterns to list.
    """
    per_sample = functions.count // functions.data.n_samples
    own: dict[int, list[Kink]] = {}
    for kink in kinks:
        own.setdefault(kink.sample, []).append(kink)
    found = [own.get(int(n) // per_sample, []) for n in support]
    recording = functions.record(theta)
    zero = dict.fromkeys((kink.place for kink in kinks), 0.0)

    def at(on: Sequence[Sequence[int]]) -> FloatArray:
        ones = {
            own_kinks[i].place: 1.0
            for own_kinks, chosen in zip(found, on, strict=True)
            for i in chosen
        }
        return rows(functions, recording, support.tolist(), zero | ones)

    felt = _signs(functions, recording)
    reached = all(_reached(recording, kink) for kink in kinks)
    return assembled_sets(
        [[kink.layer for kink in own_kinks] for own_kinks in found],
        at,
        [[float(felt[k.layer][k.sample, k.unit]) for k in own_kinks] for own_kinks in found],
        functions.size,
        reached,
    )


def _reached(recording: Recording, kink: Kink) -> bool:
    """Tell whether the unit can be put on either side of its kink by its own weights alone.

    `z = w·h` moves with w unless h = 0. Layer by layer, each by far more than what the layers
    before it move, every pattern of signs of one sample's kinks then occurs near θ. A unit that
    reads h = 0 from other units follows them instead; one that reads x = 0 makes no kink at all.
    """
    one = recording.kinked[kink.layer]
    if one.reach is None:
        return False
    own = one.reach.reshape(one.reach.shape[0], -1)[kink.sample, 0]
    return not one.deep or bool(own > 0.0)


def assembled_sets(
    layers: Sequence[Sequence[int]],
    at: Callable[[Sequence[Sequence[int]]], FloatArray],
    signs: Sequence[Sequence[float]],
    dimension: int,
    exact: bool,
) -> GradientSets | None:
    """Return the gradient sets of margins whose gradients are known for every choice of slopes.

    Parameters
    ----------
    layers : for each margin the layer of each of its kinks.
    at : gradients (S, d) with slope 1 at the kinks listed for each margin, slope 0 at its others.
    signs : for each margin the sign of f_n in the output of each kinked unit, 0 where unknown.
    dimension : d.
    exact : whether every choice of slopes is known to be a limit of gradients. Otherwise that is
        found out: where all kinks of a margin are in one layer and the gradients of their
        pre-activations are linearly independent, every pattern of signs occurs near θ.
    """
    layered = [len(set(own)) > 1 for own in layers]
    most = max((len(own) for own, deep in zip(layers, layered, strict=True) if deep), default=0)
    longest = max((len(own) for own in layers), default=0)
    evaluations = 1 + longest + (2**most if most else 0)
    if most > CLARKE_KINKS or evaluations * len(layers) * dimension > CLARKE_ENTRIES:
        return None
    base = at([()] * len(layers))
    singles = [at([(i,) if i < len(own) else () for own in layers]) for i in range(longest)]
    subsets = list(itertools.product((False, True), repeat=most)) if most else []
    patterned = [
        at([[i for i, _ in enumerate(own) if bits[i : i + 1] == (True,)] for own in layers])
        for bits in subsets
    ]
    parts, felt, vertices = [], [], []
    empty = np.zeros((0, dimension))
    for row, own in enumerate(layers):
        if layered[row]:
            parts.append(empty)
            felt.append(np.zeros(0))
            vertices.append(np.array([found[row] for found in patterned]))
            continue
        found = np.array([one[row] - base[row] for one in singles[: len(own)]])
        found = found.reshape(-1, dimension)
        # A unit whose output is ignored has the same gradient at every slope.
        live = np.any(found != 0.0, axis=1)
        parts.append(found[live])
        felt.append(np.array(signs[row], dtype=np.float64)[live])
        vertices.append(empty)
    free = not any(layered) and all(_spread_out(part) for part in parts)
    return GradientSets(base, tuple(parts), tuple(felt), tuple(vertices), exact or free)


def _spread_out(part: FloatArray) -> bool:
    """Tell whether the rows are linearly independent beyond any doubt of rounding."""
    if part.shape[0] > part.shape[1]:
        return False
    if not part.shape[0]:
        return True
    return bool(np.linalg.svd(normalised_rows(part)[0], compute_uv=False)[-1] > _INDEPENDENT)


def _signs(functions: MarginFunctions, recording: Recording) -> list[FloatArray]:
    """Return the sign of ∂f_n by every power-1 unit's output, (N, width) per layer."""
    everything = sensitivities(functions, recording, np.ones(functions.count))
    known = 0.0 if functions.multi_class else 1.0
    return [
        known * np.sign(slope).reshape(functions.data.n_samples, -1)
        for one, slope in zip(recording.rectified, everything, strict=True)
        if one.power == 1.0
    ]


def clarke_stationarity(sets: GradientSets, theta: FloatArray) -> Clarke:
    """Minimise `‖θ̂ - Σ_n λ_n g_n‖₂` over λ ≥ 0 and one g_n in each gradient set.

    With `μ_nj = λ_n s_nj` this is convex: the distance to the cone of all elements. Elements are
    generated where the residual is positive on them; none left is a proof of optimality.

    Parameters
    ----------
    sets : the gradient sets of the support, at the unit direction.
    theta : (d,) θ̂, of ℓ2 norm 1.

    Returns
    -------
    Clarke
        with ``lower`` proven by a vector that is not positive on any element of any set.
    """
    scale = 2.0 ** np.frexp(float(np.max(np.abs(sets.base), initial=0.0)) or 1.0)[1]
    count = sets.base.shape[0]
    scaled = GradientSets(
        sets.base / scale,
        tuple(part / scale for part in sets.parts),
        sets.signs,
        tuple(part / scale for part in sets.vertices),
        sets.exact,
    )
    generators = scaled.base
    owners = np.arange(count)
    for _ in range(_GENERATIONS):
        found = nonnegative_multipliers(generators, theta, theta)
        residual = theta - found.multipliers @ generators
        gains, elements = scaled.steepest(residual)
        current = np.full(count, -np.inf)
        np.maximum.at(current, owners, generators @ residual)
        size = np.linalg.norm(elements, axis=1)
        new = np.flatnonzero(gains > np.maximum(current, 0.0) + _GAIN * size)
        if not new.size or found.residual <= 4.0 * found.floor:
            break
        generators = np.vstack([generators, elements[new]])
        owners = np.append(owners, new)
    multipliers = np.zeros(count)
    np.add.at(multipliers, owners, found.multipliers)
    combined = np.zeros_like(scaled.base)
    np.add.at(combined, owners, found.multipliers[:, None] * generators)
    used = multipliers > 0.0
    elements = scaled.base.copy()
    elements[used] = combined[used] / multipliers[used, None]
    remaining = theta - multipliers @ elements
    return Clarke(
        residual=float(np.linalg.norm(remaining)),
        lower=_lower(scaled, theta, residual),
        floor=max(found.floor, _floor(multipliers, elements)),
        multipliers=multipliers / scale,
        elements=elements * scale,
        exact=sets.exact,
    )


def least_misfit(sets: GradientSets, target: FloatArray) -> float:
    """Return ``min ‖target - Σ λ_n g_n‖`` over λ ≥ 0 and elements g_n, in NumPy alone.

    As :func:`clarke_stationarity`, of any target, and for the verifier of receipts.
    """
    generators, left = sets.base, target
    for _ in range(_GENERATIONS):
        unit, _ = normalised_rows(generators)
        left = target - nonnegative(unit.T, target) @ unit
        gains, elements = sets.steepest(left)
        rounding = _GAIN_BY_SETS * np.linalg.norm(elements, axis=1) * np.linalg.norm(left)
        if sets.is_single or not np.any(gains > rounding):
            break
        generators = np.vstack([generators, elements[gains > rounding]])
    return float(np.linalg.norm(left))


def balanced_stationarity(sets: GradientSets, theta: FloatArray, price: FloatArray) -> Clarke:
    """Minimise `‖θ̂ - Σ_n λ_n g_n‖² + (Σ_n λ_n p_n)²` over λ ≥ 0 and one g_n in each gradient set.

    Parameters
    ----------
    sets : the gradient sets, at the unit direction.
    theta : (d,) θ̂, of ℓ2 norm 1.
    price : (S,) p ≥ 0.

    Returns
    -------
    Clarke
        ``residual`` and ``floor`` are those of the first term alone; ``lower`` bounds the root of
        the sum.
    """
    found = clarke_stationarity(sets.lifted(price), np.append(theta, 0.0))
    multipliers, elements = found.multipliers, found.elements[:, :-1]
    return replace(
        found,
        residual=float(np.linalg.norm(theta - multipliers @ elements)),
        floor=_floor(multipliers, elements),
        elements=elements,
    )


def _floor(multipliers: FloatArray, elements: FloatArray) -> float:
    """Return what rounding may change in `‖θ̂ - Σ_n λ_n g_n‖`, formed in doubles."""
    spent = float(1.0 + multipliers @ np.abs(elements).max(axis=1))
    return EPS * (multipliers.size + 2) * spent


def _lower(sets: GradientSets, theta: FloatArray, residual: FloatArray) -> float:
    """Return `θ̂·r/‖r‖` for r repaired along θ̂ until no element has `g·r > 0`, or 0."""
    repaired = residual
    for _ in range(4):
        gains, elements = sets.steepest(repaired)
        rounding = ROUNDED * elements.shape[1] * np.linalg.norm(elements, axis=1)
        slopes = elements @ theta - rounding
        if np.any(slopes <= 0.0):
            return 0.0
        noise = rounding * np.linalg.norm(repaired)
        if np.all(gains + noise <= 0.0):
            length = float(np.linalg.norm(repaired))
            return max(0.0, float(theta @ repaired)) / length if length > 0.0 else 0.0
        # Further than is asked for: what is left must be clear of the rounding of the products.
        repaired = repaired - FURTHER * float(np.max((gains + 2.0 * noise) / slopes)) * theta
    return 0.0
