"""Planted answers: exact by construction, so that the judge must certify them and no neighbour."""

from __future__ import annotations

import numpy as np

import lexmargin as lm
from adversarial_common import Family, Trial
from lexmargin.errors import ParameterError
from lexmargin.losses import Loss
from lexmargin.shelf.planted import Plan, Stated, biased, hard, overlapping, penalised

__all__ = ["FAMILIES"]


def _plan(rng: np.random.Generator) -> Plan:
    supports = 2 * int(rng.integers(1, 8))
    return Plan(
        samples=supports + int(rng.integers(0, 30)),
        features=2 * int(rng.integers(1, 6)),
        supports=supports,
        tangent=int(10 ** rng.integers(0, 8)),
        spread=int(rng.integers(0, 12)),
        power=int(rng.integers(-60, 60)),
        nearly=int(rng.integers(0, 2)) * (1 << int(rng.integers(1, 30))),
        norm=float(rng.choice([1.0, 2.0, np.inf])),
        seed=int(rng.integers(0, 1 << 30)),
    )


def _judged(made: Stated, rng: np.random.Generator) -> Trial:
    """Judge the answer, or a neighbour that is farther from it than any tolerance reaches."""
    problem, theta = made
    if rng.random() < 0.5:
        found = lm.certify(problem, theta)
        missed = "" if found.certified else f"the exact answer is {found.verdict}: {problem.data}"
        return Trial(found.verdict, refused=missed)
    other = theta * (1.0 + 0.1 * rng.choice([-1.0, 1.0], size=theta.size))
    same = np.abs(other / np.linalg.norm(other) - theta / np.linalg.norm(theta)).max() < 1e-3
    found = lm.certify(problem, other)
    values = problem.functions.values(other)
    # In one dimension, or by chance, every sign is the same: that is the answer again.
    level = same and (isinstance(problem, lm.HardMargin) or values.min() >= 1.0 - 1e-6)
    wrong = "" if level or not found.certified else f"{found.verdict} at a neighbour"
    return Trial(found.verdict, wrong=wrong)


def planted_margin(rng: np.random.Generator) -> Trial:
    """A hard margin in one of three norms."""
    try:
        return _judged(hard(_plan(rng), "planted"), rng)
    except ParameterError as error:
        return Trial(None, note=str(error))


def planted_bias(rng: np.random.Generator) -> Trial:
    """A hard margin with a free bias; both classes have supports that balance."""
    plan = _plan(rng)
    plan = Plan(samples=plan.samples + 4, features=plan.features, supports=4, seed=plan.seed)
    score = int(rng.choice([-1, 1])) * int(10 ** rng.integers(0, 6))
    return _judged(biased(plan, "planted", score), rng)


def planted_loss(rng: np.random.Generator) -> Trial:
    """A loss on samples that nothing separates, in a ball or with a penalty."""
    plan = Plan(
        samples=40, features=2 * int(rng.integers(1, 5)), seed=int(rng.integers(0, 1 << 30))
    )
    ratio = int(rng.integers(2, 8))
    if rng.random() < 0.3:
        return _judged(penalised(plan, "planted", ratio + 1, ratio), rng)
    loss = Loss.EXPONENTIAL if rng.random() < 0.5 else Loss.LOGISTIC
    rho = float(10.0 ** rng.uniform(-3.0, 2.0))
    return _judged(overlapping(plan, "planted", rho, loss, ratio), rng)


FAMILIES: dict[str, Family] = {
    "planted margin": planted_margin,
    "planted free bias": planted_bias,
    "planted loss": planted_loss,
}
