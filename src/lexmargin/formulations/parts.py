"""Parts and their scales: ``f_n(w) = Σ_k f_n^{(k)}(w_k)`` (eq. 10), or blocks that share terms.

What is asked of parts is ``f_n(w_k t^{1/α_k} …) = t f_n(w)`` alone: parts of eq. 10 of degree α_k
have it, and blocks of exponent ``λ_k = 1/α_k`` of a quasi-homogeneous predictor.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.errors import DegreeError
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.degree import Homogeneity, HomogeneityKind, Part, parts_of
from lexmargin.program import Margins

__all__ = ["Parts"]

_SMALLEST_SHARE = 1e-3
"""Part near 0 is scaled by this share of what its cost permits: 0 would scale it away."""


@final
@dataclass(frozen=True)
class Parts:
    """The parts of margin functions, in order of degree.

    Programs are written in ``v`` with ``w_k = s_k v_k``, the scales s_k chosen so that v is O(1).

    Args:
        functions: the f_n.
        needed_by: what needs them, in messages.
        exponents: λ > 0, one per block, where they are given; those of the predictor otherwise.

    Raises:
        DegreeError: the predictor has no such parts, or the exponents are none of its.
    """

    functions: MarginFunctions
    needed_by: str = "eq. 14"
    exponents: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        found = self.functions.homogeneity
        if self.exponents:
            self._check_given(found)
        elif found.kind is HomogeneityKind.NEITHER:
            still = found.exponents.still if found.exponents is not None else ()
            why = found.reason
            if still:
                listed = ", ".join(f"w{block + 1}" for block in still)
                why = f"{why}, and the exponent of {listed} would have to be 0"
            raise DegreeError(
                f"{self.needed_by} needs homogeneous parts (eq. 10), or exponents of the blocks; "
                f"this predictor has neither: {why}.",
                "Use margin-path or constrained-path.",
            )

    def _check_given(self, found: Homogeneity) -> None:
        count, polytope = len(self.functions.shapes), found.exponents
        stated = ", ".join(f"{one:.6g}" for one in self.exponents)
        if len(self.exponents) != count or not min(self.exponents) > 0.0:
            raise DegreeError(
                f"The exponents are ({stated}); the predictor has {count} blocks.",
                "Give one positive number per block.",
            )
        if polytope is None or not polytope.fit(self.exponents):
            best = None if polytope is None else polytope.least
            advice = "none are" if best is None else ", ".join(map(str, best)) + " are"
            raise DegreeError(
                f"f(e^(aΛ)θ) is not e^a f(θ) with the exponents ({stated}).",
                f"Leave them out, or give others: {advice}.",
            )

    @functools.cached_property
    def items(self) -> tuple[Part, ...]:
        """The parts, shallowest first."""
        return parts_of(self.exponents) if self.exponents else self.functions.homogeneity.parts

    @property
    def block_exponents(self) -> tuple[float, ...]:
        """λ of every block, 1/α of its part."""
        return tuple(1.0 / float(self.degrees[k]) for k in self.owner)

    @property
    def shared(self) -> bool:
        """Whether parts share terms: none of them has margins of its own."""
        quasi = self.functions.homogeneity.kind is HomogeneityKind.QUASI
        return quasi or bool(self.exponents)

    @functools.cached_property
    def degrees(self) -> FloatArray:
        """α_1 < … < α_K (K,)."""
        return np.array([part.degree for part in self.items])

    @functools.cached_property
    def owner(self) -> tuple[int, ...]:
        """The part of every parameter block."""
        blocks = {block: k for k, part in enumerate(self.items) for block in part.blocks}
        return tuple(blocks[b] for b in range(len(self.functions.shapes)))

    @functools.cached_property
    def _owner_of_entries(self) -> FloatArray:
        sizes = [int(np.prod(shape, dtype=int)) for shape in self.functions.shapes]
        return np.repeat(np.array(self.owner), sizes)

    def names(self, k: int) -> tuple[str, ...]:
        """Return the variables ``w1, w2, …`` of part k."""
        return tuple(f"w{block + 1}" for block in self.items[k].blocks)

    def entries(self, k: int) -> FloatArray:
        """Return a mask (d,) of the entries of part k."""
        return np.asarray(self._owner_of_entries == k)

    @property
    def groups(self) -> list[tuple[NDArray[np.bool_], float]]:
        """The masks (d,) of what has one scale, each with its degree.

        Parts of eq. 10; single blocks where they share terms, as they may trade any factor.
        """
        sizes = [int(np.prod(shape, dtype=int)) for shape in self.functions.shapes]
        owner = list(self.owner) if self.shared else list(range(len(self.items)))
        each = np.repeat(np.arange(len(sizes)) if self.shared else np.array(self.owner), sizes)
        return [(each == i, float(self.degrees[k])) for i, k in enumerate(owner)]

    def spread(self, per_part: FloatArray) -> FloatArray:
        """Return one number per part as one number per entry of θ (d,)."""
        return np.asarray(per_part[self._owner_of_entries.astype(int)], dtype=float)

    def sizes(self, w: FloatArray) -> FloatArray:
        """Return ``‖w_k‖²`` of every part (K,)."""
        return np.array([float(np.sum(w[self.entries(k)] ** 2)) for k in range(len(self.items))])

    def log_weights(self, gamma: float) -> FloatArray:
        """Return ``log γ^{2/α_k}`` of every part (K,): the weights of eq. 14."""
        return np.asarray(2.0 / self.degrees * math.log(gamma))

    def log_cost(self, log_weights: FloatArray, w: FloatArray) -> float:
        """Return ``log Σ_k e^{l_k} ‖w_k‖²``."""
        with np.errstate(divide="ignore"):
            return float(np.logaddexp.reduce(log_weights + np.log(self.sizes(w))))

    @functools.cached_property
    def natural_scales(self) -> FloatArray:
        """``s_k``: the size of w_k at which part k alone reaches margins of size 1 (K,).

        Measured at a few fixed directions; 1 where it is within a factor 32 of 1.
        """
        rng = np.random.default_rng(0)
        found = np.ones(len(self.items))
        for k, degree in enumerate(self.degrees):
            mask, largest = self.entries(k), 0.0
            for _ in range(3):
                w = np.where(mask, rng.standard_normal(self.functions.size), 0.0)
                values = np.abs(self.functions.values(w / np.linalg.norm(w)))
                largest = max(largest, float(np.max(values[np.isfinite(values)], initial=0.0)))
            scale = largest ** (-1.0 / degree) if largest > 0 else 1.0
            found[k] = 1.0 if 1 / 32 <= scale <= 32 else scale
        return _powers_of_two(found)

    def scales(self, log_weights: FloatArray, w: FloatArray) -> FloatArray:
        """Return ``s_k`` about ``‖w_k‖``, for parts near 0 a fraction of what the cost permits."""
        largest = np.exp(0.5 * (self.log_cost(log_weights, w) - log_weights))
        return _powers_of_two(np.maximum(np.sqrt(self.sizes(w)), _SMALLEST_SHARE * largest))

    def margins(self, scales: FloatArray, unit: float) -> Margins:
        """Return ``f_n(w)`` in v: evaluated as ``f_n(unit^{1/α} w)/unit`` to stay in range."""
        functions = MarginFunctions(self.functions.predictor, self.functions.data, unit)
        factors = scales * unit ** (1.0 / self.degrees)
        names = tuple(f"w{block + 1}" for block in range(len(self.owner)))
        return Margins(functions, names, "w", tuple(float(factors[k]) for k in self.owner))

    def read(self, values: Mapping[str, FloatArray], scales: FloatArray) -> FloatArray:
        """Return w, flat, from the values of v."""
        arrays = [np.asarray(values[f"w{b + 1}"], float) for b in range(len(self.owner))]
        return self.functions.flatten(arrays) * self.spread(scales)

    def write(self, w: FloatArray, scales: FloatArray) -> dict[str, FloatArray]:
        """Return the values of v at w."""
        blocks = self.functions.blocks(w / self.spread(scales))
        return {f"w{b + 1}": block for b, block in enumerate(blocks)}

    def feasible(self, w: FloatArray) -> FloatArray | None:
        """Return w stretched to ``min_n f_n = 1`` by ``w_k t^{1/α_k}``, None if it cannot be.

        Every f_n gains the factor t.
        """
        values = self.functions.values(w)
        margin = float(values.min())
        if not margin > 1e-9 * max(1.0, float(np.abs(values).max())):
            return None
        return w * self.spread((1.0 / margin) ** (1.0 / self.degrees))


def _powers_of_two(values: FloatArray) -> FloatArray:
    return np.asarray(2.0 ** np.round(np.log2(np.maximum(values, 1e-150))), dtype=float)
