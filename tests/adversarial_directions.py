"""Adversarial directions for the judge: KKT points by construction, and what is nearly one.

Every case carries a witness λ (a KKT point must not be refused) and is measured by an oracle that
shares no code with the judge (no direction beyond the tolerance may be certified).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from adversarial_common import Family, Trial
from lexmargin.errors import DegreeError
from lexmargin.judge import Tolerances, Verdict, certify_arrays

Array = NDArray[np.float64]
TOLERANCE: Final = 1e-7
LIMITS: Final = Tolerances.at(TOLERANCE)
WITNESS_SHARE: Final = 0.3
"""A witness within this part of the tolerances must be accepted; up to 1 either is right."""


@dataclass(frozen=True)
class Case:
    """One direction: f (N,), J (N, d), θ (d,), α, and λ (N,) at the unit direction if it is KKT."""

    f: Array
    jacobian: Array
    theta: Array
    degree: float
    witness: Array | None = None


def kkt_point(rng: np.random.Generator, count: int = 0) -> Case:
    """Return a KKT direction: `J_n = α f_n θ̂ + t_n`, t_n ⊥ θ̂, Σ λ_n t_n = 0, α γ Σ λ_n = 1."""
    support = count or int(rng.integers(2, 7))
    others = int(rng.integers(0, 6))
    dimension = support + int(rng.integers(0, 6))
    degree = float(rng.choice([1.0, 2.0, 3.0, 2.5]))
    margin = 10.0 ** rng.uniform(-3, 1)
    theta = rng.standard_normal(dimension)
    theta /= np.linalg.norm(theta)
    shares = rng.dirichlet(np.full(support, rng.choice([0.3, 3.0])))
    shares = np.maximum(shares, 1e-4) / np.maximum(shares, 1e-4).sum()
    across = rng.standard_normal((support, dimension)) * margin * 10.0 ** rng.uniform(-0.5, 1.5)
    across -= np.outer(across @ theta, theta)
    heavy = int(np.argmax(shares))
    rest = np.arange(support) != heavy
    across[heavy] = -(shares[rest] @ across[rest]) / shares[heavy]
    f = np.full(support, margin)
    jacobian = degree * f[:, None] * theta + across
    far = margin * (1.0 + rng.uniform(0.05, 5.0, others))
    side = rng.standard_normal((others, dimension)) * margin
    side -= np.outer(side @ theta, theta)
    f = np.append(f, far)
    jacobian = np.vstack([jacobian, degree * far[:, None] * theta + side])
    witness = np.append(shares / (degree * margin), np.zeros(others))
    return Case(f, jacobian, theta, degree, witness)


def exact(rng: np.random.Generator) -> Case:
    """The point itself."""
    return kkt_point(rng)


def negative_multiplier(rng: np.random.Generator) -> Case:
    """One multiplier is pushed to -1e-12 … -1e-2 of the others' sum."""
    base = kkt_point(rng)
    assert base.witness is not None
    n = int(np.argmin(np.where(base.witness > 0, base.witness, np.inf)))
    amount = 10.0 ** rng.uniform(-12, -2)
    weights = base.witness.copy()
    weights[n] = -amount * weights.sum()
    weights *= 1.0 / (base.degree * base.f.min() * weights.sum())
    # θ stays; the gradients are turned so that θ̂ = Jᵀλ with this λ.
    jacobian = base.jacobian.copy()
    heavy = int(np.argmax(weights))
    missing = base.theta - weights @ jacobian
    jacobian[heavy] += missing / weights[heavy]
    return Case(base.f, jacobian, base.theta, base.degree, np.maximum(weights, 0.0))


def dropped(rng: np.random.Generator) -> Case:
    """A support vector is missing from the data."""
    base = kkt_point(rng)
    assert base.witness is not None
    support = np.flatnonzero(base.witness > 0)
    keep = np.arange(base.f.size) != rng.choice(support)
    return Case(base.f[keep], base.jacobian[keep], base.theta, base.degree, base.witness[keep])


def margin_gap(rng: np.random.Generator) -> Case:
    """A support margin lies 1e-14 … 1e-2 above the others, and its gradient with it."""
    base = kkt_point(rng)
    assert base.witness is not None
    support = np.flatnonzero(base.witness > 0)
    n = int(rng.choice(support))
    gap = 10.0 ** rng.uniform(-14, -2)
    f, jacobian = base.f.copy(), base.jacobian.copy()
    jacobian[n] += base.degree * f[n] * gap * base.theta
    f[n] *= 1.0 + gap
    # Jᵀλ is a little longer than θ̂ now, in its own direction.
    witness = base.witness / float((base.witness @ jacobian) @ base.theta)
    return Case(f, jacobian, base.theta, base.degree, witness)


def near_dependent(rng: np.random.Generator) -> Case:
    """Two support gradients differ by 1e-14 … 1e-2."""
    base = kkt_point(rng, 4)
    assert base.witness is not None
    jacobian = base.jacobian.copy()
    heavy = int(np.argmax(base.witness))
    first, second = [n for n in range(4) if n != heavy][:2]
    step = rng.standard_normal(base.theta.size)
    step -= base.theta * (step @ base.theta)
    size = 10.0 ** rng.uniform(-14, -2) * np.linalg.norm(jacobian[first])
    jacobian[second] = jacobian[first] + size * step / np.linalg.norm(step)
    jacobian[heavy] += (base.theta - base.witness @ jacobian) / base.witness[heavy]
    return Case(base.f, jacobian, base.theta, base.degree, base.witness)


def rounded(rng: np.random.Generator) -> Case:
    """θ is stored in single precision; f and the gradients are those of the rounded point."""
    base = kkt_point(rng)
    theta = base.theta.astype(np.float32).astype(np.float64)
    # The linear problem with these gradients.
    return Case(base.jacobian @ theta, base.jacobian, theta, 1.0, None)


def wrong_degree(rng: np.random.Generator) -> Case:
    """The degree is stated wrong by 1e-3 … 1."""
    base = kkt_point(rng)
    factor = 1.0 + rng.choice([-1, 1]) * 10.0 ** rng.uniform(-3, -0.01)
    return Case(base.f, base.jacobian, base.theta, base.degree * factor, None)


def flipped_label(rng: np.random.Generator) -> Case:
    """One label is flipped: its margin and its gradient change sign."""
    base = kkt_point(rng)
    sign = np.ones(base.f.size)
    sign[int(rng.integers(base.f.size))] = -1.0
    return Case(base.f * sign, base.jacobian * sign[:, None], base.theta, base.degree, None)


def rescaled(rng: np.random.Generator) -> Case:
    """The same direction at another scale of θ."""
    base = kkt_point(rng)
    c = 10.0 ** rng.uniform(-20, 20)
    power = base.degree
    return Case(
        base.f * c**power,
        base.jacobian * c ** (power - 1.0),
        base.theta * c,
        power,
        base.witness,
    )


def turned(rng: np.random.Generator) -> Case:
    """θ is turned by 1e-12 … 1e-2, f and the gradients are those of the linear problem there."""
    base = kkt_point(rng)
    step = rng.standard_normal(base.theta.size)
    step -= base.theta * (step @ base.theta)
    length = np.linalg.norm(step)
    turn = 10.0 ** rng.uniform(-12, -2)
    theta = base.theta + turn * step / max(length, 1e-300)
    return Case(base.jacobian @ theta, base.jacobian, theta, 1.0, None)


CASES: Final[dict[str, Callable[[np.random.Generator], Case]]] = {
    "exact KKT point": exact,
    "negative multiplier": negative_multiplier,
    "support vector dropped": dropped,
    "margin gap": margin_gap,
    "near-dependent gradients": near_dependent,
    "single-precision weights": rounded,
    "turned direction": turned,
    "wrong degree": wrong_degree,
    "flipped label": flipped_label,
    "rescaled weights": rescaled,
}
NEVER: Final = frozenset({"wrong degree", "flipped label"})
"""Families in which nothing may be certified."""


def at_unit_length(case: Case) -> Case:
    """Return the case at θ/‖θ‖: f falls by ‖θ‖^α, its gradients by ‖θ‖^{α-1}."""
    size = float(np.linalg.norm(case.theta))
    return Case(
        case.f / size**case.degree,
        case.jacobian / size ** (case.degree - 1.0),
        case.theta / size,
        case.degree,
    )


def measures(case: Case, weights: Array) -> tuple[float, float]:
    """Return (ε, δ) of λ at the unit direction, in extended precision."""
    unit, wide = at_unit_length(case), np.longdouble
    theta, gradients = unit.theta.astype(wide), unit.jacobian.astype(wide)
    values, mine = unit.f.astype(wide), weights.astype(wide)
    epsilon = np.sqrt(np.sum((theta - mine @ gradients) ** 2))
    return float(epsilon), float(case.degree * np.sum(mine * (values - values.min())))


def oracle(case: Case) -> float:
    """Return the least `sqrt(ε² + δ²)` over all λ ≥ 0, by bounded-variable least squares."""
    unit = at_unit_length(case)
    excess = case.degree * (unit.f - unit.f.min())
    matrix = np.vstack([unit.jacobian.T, excess])
    lengths = np.linalg.norm(matrix, axis=0)
    target = np.append(unit.theta, 0.0)
    found = lsq_linear(matrix / lengths, target, (0.0, np.inf), method="bvls", tol=1e-15)
    return float(np.hypot(*measures(case, np.maximum(found.x, 0.0) / lengths)))


def judged(case: Case, name: str) -> Trial:
    """Certify one case and say what is wrong with the verdict."""
    try:
        found = certify_arrays(case.f, case.jacobian, case.theta, case.degree, tolerances=LIMITS)
    except DegreeError:
        return Trial(None, refused="" if name in NEVER else "refused with an error")
    verdict = found.verdict
    if name in NEVER:
        return Trial(verdict, wrong="certified" if found.certified else "")
    if found.certified:
        shown = measures(case, found.multipliers)
        # Measured at length, λ ≥ 0 of small ε and δ is the proof, whatever least squares find.
        if max(shown) > TOLERANCE * (1 + 1e-6):
            return Trial(verdict, f"certified although (ε, δ) = {shown}")
        return Trial(verdict)
    if case.witness is not None and max(measures(case, case.witness)) <= WITNESS_SHARE * TOLERANCE:
        why = f"(ε, δ) = {measures(case, case.witness)}: {found.reasons}"
        return Trial(verdict, refused=why)
    if verdict is Verdict.NOT_STATIONARY and oracle(case) <= TOLERANCE * (1 - 1e-6):
        return Trial(verdict, f"refuted although ε and δ are within {oracle(case)}")
    return Trial(verdict)


def _family(name: str) -> Family:
    def trial(rng: np.random.Generator) -> Trial:
        return judged(CASES[name](rng), name)

    return trial


FAMILIES: Final[dict[str, Family]] = {name: _family(name) for name in CASES}
