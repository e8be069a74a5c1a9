"""A trained network's weights for the limit problem of their exponents (`networks.md` §2).

With `f(e^{aΛ}θ) = e^a f(θ)` and `w_i = θ_i γ^{-λ_i}`, γ the smallest margin, w has the smallest
margin 1, whatever multiple of Λ θ has run along. Stationary for `min ½ Σ_{λ_i = λ_max} w_i²` s.t.
`f_n(w) >= 1` is `P w = Σ ν_n ∇f_n(w)`, ν ≥ 0 where f_n(w) = 1: eq. 13 where nothing is shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.errors import DegreeError, ParameterError, UnsupportedError
from lexmargin.inputs.limits import JACOBIAN_ENTRIES
from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.certificate import Certificate, Check
from lexmargin.judge.first_order import Measured, certificate_of
from lexmargin.judge.judge import with_multiplier_set
from lexmargin.judge.local.beyond_first_order import at_kinks
from lexmargin.judge.multipliers.later import Later
from lexmargin.judge.multipliers.qualification import compact, licq, mfcq
from lexmargin.judge.multipliers.supports import Rows, climb
from lexmargin.judge.point import UnitPoint, euler_error, is_noise
from lexmargin.judge.programs.exponents import with_exponents
from lexmargin.judge.programs.program_point import costed_unit, part_metric
from lexmargin.judge.reasons import DISCARDED, filled
from lexmargin.judge.tolerances import IDENTITY, Tolerances
from lexmargin.judge.trained.trained_exponents import measure_exponents, spread
from lexmargin.judge.trained.trained_margins import TrainedMargins
from lexmargin.judge.trained.trained_point import TrainedKinks
from lexmargin.linalg.norms import Array
from lexmargin.ops.exponents import Exponents

__all__ = ["ScaledWord", "certify_scaled"]


@final
@dataclass(frozen=True, eq=False)
class ScaledWord:
    """What is said of θ by its exponents.

    Attributes:
        certificate: of w.
        exponents: λ of every block that was not discarded, by its name.
        dimension: of the polytope of admissible exponents.
        costs: the shares of ‖P w‖² of the blocks of the largest exponent.
        discarded: the blocks without which every margin stays positive: they leave the problem.
        gap: by how much of the smallest margin the discarded blocks move any.
        euler_gap: largest error of `Σ_B λ_B θ_B·∇_B f_n = f_n`, by the smallest margin.
    """

    certificate: Certificate
    exponents: tuple[tuple[str, float], ...]
    dimension: int
    costs: tuple[tuple[str, float], ...]
    discarded: tuple[str, ...]
    gap: float
    euler_gap: float


def certify_scaled(
    margins: TrainedMargins, given: Mapping[str, float] | None, limits: Tolerances
) -> ScaledWord | str:
    """Judge θ by exponents that are given or found; or say why there are none.

    Where every margin stays positive without the blocks of the largest exponent, their cost can be
    0: they are discarded, and the next level is judged, the network without them.

    Args:
        margins: of the network, its own smallest margin positive.
        given: exponents by name, all or some; the others are found.
        limits: what counts as equal.

    Raises:
        ParameterError: a name that is none, or an exponent below 0.
        DegreeError: exponents that do not fit.
        UnsupportedError: too many gradients to keep.
    """
    if margins.count * margins.theta.size > JACOBIAN_ENTRIES:
        raise UnsupportedError(
            "The network is too large to keep all gradients, and is judged by its exponents.",
            "Certify fewer samples.",
        )
    slices, names = margins.scores.slices, margins.scores.names
    without, dropped = np.zeros(margins.theta.size, dtype=np.bool_), list[int]()
    bare = margins
    while True:
        polytope, why = measure_exponents(bare, without, limits.euler)
        if polytope is None:
            return why
        chosen = _chosen(polytope, names, given, dropped)
        kept = [block for block in range(len(names)) if block not in dropped]
        top = max(chosen[block] for block in kept)
        first = [block for block in kept if chosen[block] == top]
        less = without.copy()
        for block in first:
            less[slices[block]] = True
        barer = _at(margins, np.where(less, 0.0, margins.theta))
        if len(first) == len(kept) or not float(np.min(barer.values(barer.theta))) > 0.0:
            break
        without, bare, dropped = less, barer, [*dropped, *first]
    found, change = _judged(bare, without, chosen, polytope, first, kept, limits)
    if dropped:
        listed = ", ".join(names[block] for block in dropped)
        found = replace(found, reasons=(*found.reasons, filled(DISCARDED, listed)))
    values, own = bare.values(bare.theta), margins.values(margins.theta)
    w = bare.theta * float(np.min(values)) ** -spread(bare, chosen)
    sizes = {names[b]: float(w[slices[b]] @ w[slices[b]]) for b in first}
    return ScaledWord(
        found,
        tuple((names[block], chosen[block]) for block in kept),
        polytope.dimension,
        tuple((name, size / sum(sizes.values())) for name, size in sizes.items()),
        tuple(names[block] for block in dropped),
        float(np.max(np.abs(own - values))) / float(np.min(values)),
        change,
    )


def _at(margins: TrainedMargins, theta: Array) -> TrainedMargins:
    return TrainedMargins(margins.scores.moved(theta), margins.samples, margins.seeds)


def _chosen(
    polytope: Exponents,
    names: tuple[str, ...],
    given: Mapping[str, float] | None,
    dropped: list[int],
) -> list[float]:
    """Return λ of every block: those given, and the least of the others."""
    stated = dict(given or {})
    unknown = [name for name in stated if name not in names]
    if unknown or any(not value >= 0.0 for value in stated.values()):
        raise ParameterError(
            f"Exponents are numbers ≥ 0 by the name of a parameter, not {stated!r}.",
            f"The parameters are {', '.join(names)}.",
        )
    places = {names.index(name): float(value) for name, value in stated.items()}
    least = polytope.given({b: x for b, x in places.items() if b not in dropped}).least
    if least is None:
        best = ", ".join(f"{n} {x}" for n, x in zip(names, polytope.least or (), strict=False))
        raise DegreeError(
            f"f(e^(aΛ)θ) is not e^a f(θ) with the exponents {stated!r}.",
            f"Leave them out, or give others: {best}.",
        )
    return [float(one) for one in least]


def _judged(
    margins: TrainedMargins,
    without: NDArray[np.bool_],
    chosen: list[float],
    polytope: Exponents,
    first: list[int],
    kept: list[int],
    limits: Tolerances,
) -> tuple[Certificate, float]:
    """Return the certificate of w, and the error of the exponents' identity."""
    theta, slices, names = margins.theta, margins.scores.slices, margins.scores.names
    own, exponents = margins.values(theta), spread(margins, chosen)
    gamma = float(np.min(own))
    # The smallest margin is 1 exactly.
    values, w = own / gamma, theta * gamma**-exponents
    shrunk = np.where(without, 0.0, gamma ** (exponents - 1.0))
    rows = margins.jacobian(theta) * shrunk
    target = np.zeros(w.size)
    for block in first:
        target[slices[block]] = w[slices[block]]
    # Every block on its own scale: those outside P may trade any factor.
    owners = []
    for block in kept:
        mine = np.zeros(w.size, dtype=np.bool_)
        mine[slices[block]] = True
        owners.append((mine, 1.0 / chosen[block] if chosen[block] > 0.0 else np.inf))
    metric = part_metric(w, target, values, rows, owners, limits)
    unit = costed_unit(w, target, values, rows, exponents * w, metric)
    if not unit.is_finite:
        raise FloatingPointError("a margin or a gradient is not finite")
    rung = climb(Rows(unit), limits)
    measured = rung.measured
    place = _ScaledPoint(margins, unit, shrunk / metric, limits)
    known = Measured.of(measured, *place.doubts(measured.support, limits))
    found = certificate_of(rung, known, 1.0, 2.0, limits)
    found = with_multiplier_set(found, unit, unit.jacobian[measured.support])
    active, inside = rows[measured.support], exponents * w
    found = replace(
        found,
        independence=Later(lambda: licq(compact(active), limits.rank)),
        interior=Later(lambda: mfcq(active, 0.0, inside)),
    )
    found = at_kinks(place, found)[0]
    size, described = unit.size, found.multiplier_set
    if described is not None:
        described = described.then(lambda found: found.scaled(lambda values: values * size))
    found = replace(found, multipliers=found.multipliers * size, multiplier_set=described)
    turned = np.stack([rows[:, slices[b]] @ w[slices[b]] for b in range(len(names))], axis=1)
    found = replace(found, checks=_identities(found, turned, values, target, chosen, first, names))
    cost = {block: float(w[slices[block]] @ w[slices[block]]) for block in first}
    found = with_exponents(found, polytope, dict(zip(names, chosen, strict=True)), cost)
    return found, float(np.max(np.abs(turned @ np.array(chosen) - values)))


def _identities(
    found: Certificate,
    turned: Array,
    values: Array,
    target: Array,
    chosen: list[float],
    first: list[int],
    names: tuple[str, ...],
) -> tuple[Check, ...]:
    """Return the errors of `λ_max ‖P w‖² = Σ ν f`, and of `Σ ν w_B·∇_B f = 0` outside P."""
    limit, nu = IDENTITY * found.tolerances.stationarity, found.multipliers
    whole = max(chosen[block] for block in first) * float(target @ target)
    error = abs(float(nu @ values) - whole) / whole
    checks = [Check("λ_max ‖P w‖² = Σ λ f", error, limit)]
    for block, name in enumerate(names):
        if block not in first and np.any(turned[:, block]):
            error = abs(float(nu @ turned[:, block])) / whole
            checks.append(Check(f"Σ λ w·∇f = 0 in {name}", error, limit))
    return tuple(checks)


@final
class _ScaledPoint(TrainedKinks):
    """The point w, its target of length 1 and its gradients in the metric of the parts."""

    def __init__(
        self, margins: TrainedMargins, unit: UnitPoint, shrunk: Array, limits: Tolerances
    ) -> None:
        self.margins, self._unit, self.shrunk, self.limit = margins, unit, shrunk, limits.kink
        self.theta, self.degree = unit.wanted, unit.degree

    @property
    def values(self) -> Array:
        return self._unit.margins

    @property
    def ascent(self) -> Array | None:
        return self._unit.ascent

    def rows(self, indices: Indices) -> Array:
        return np.asarray(self._unit.jacobian[indices])

    def doubts(self, support: Indices, limits: Tolerances) -> tuple[bool, float]:
        unit = self._unit
        smallest = np.flatnonzero(unit.margins <= unit.margin)
        noisy = is_noise(unit.jacobian[smallest], unit.ascent, unit.margin)
        return noisy, euler_error(unit.jacobian @ unit.ascent, unit.margins)
