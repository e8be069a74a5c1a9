"""The collection: problems that tell solvers apart, each with an answer that needs no solver.

Planted ones come from seeds (:mod:`~lexmargin.shelf.planted`), real ones from scikit-learn's data
sets (:mod:`~lexmargin.shelf.real`). Their names begin with ``collection/``; the word
``collection`` alone, where problems are named, is all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import numpy as np

from lexmargin.formulations.base import Formulation
from lexmargin.losses import Loss
from lexmargin.predictors.bias import BiasForm
from lexmargin.shelf.build import build
from lexmargin.shelf.cases import Case
from lexmargin.shelf.library import Library, shipped_shelf
from lexmargin.shelf.planted import Plan, Stated, biased, hard, overlapping, penalised
from lexmargin.shelf.real import cases as real_cases

__all__ = ["PREFIX", "collection", "described"]

PREFIX: Final = "collection"

_TANGENTS: Final = {"1e0": 1, "1e3": 10**3, "1e6": 10**6, "1e9": 10**9}
"""By the size that the margin has beside the samples, inverted."""

_RADII: Final = (0.01, 0.1, 10.0, 1000.0)
"""ρ of eq. 5: the least loss of these samples lies on the sphere of the first two at most."""
_EACH: Final = {"l2": 2.0, "l1": 1.0, "linf": np.inf}
"""The norms whose margins are exact."""


@functools.cache
def collection() -> dict[str, Case]:
    """Return every problem of the collection by its name."""
    found = [*_planted(), *real_cases(shipped_shelf() / "problems")]
    return {f"{PREFIX}/{case.name}": case for case in found}


def described(name: str, library: Library) -> tuple[str, str, Formulation]:
    """Return title, source and problem of a name of the collection or of the shelves.

    Raises:
        LexmarginError: as :meth:`~lexmargin.shelf.library.Library.problem`.
    """
    case = collection().get(name)
    if case is not None:
        return case.title, "exact by construction, or by the samples that hold it", case.problem
    stated = library.problem(name)
    return stated.title, stated.source, build(stated)


def _planted() -> Iterator[Case]:
    for seed in (1, 2):
        for word, tangent in _TANGENTS.items():
            for norm, p in _EACH.items():
                plan = Plan(tangent=tangent, norm=p, seed=seed)
                yield _case(f"margin-{norm}-{word}-{seed}", plan, hard)
        for spread in (5, 10, 15, 20):
            yield _case(f"spread-2^{2 * spread}-{seed}", Plan(spread=spread, seed=seed), hard)
        for power in (-40, -20, 20, 40):
            plan = Plan(tangent=10, power=power, seed=seed)
            yield _case(f"scale-2^{power}-{seed}", plan, hard)
        for bits in (10, 20, 30):
            plan = Plan(nearly=1 << bits, tangent=100, seed=seed)
            yield _case(f"nearly-2^-{bits}-{seed}", plan, hard)
        for supports in (2, 12, 40):
            plan = Plan(supports=supports, seed=seed)
            yield _case(f"supports-{supports}-{seed}", plan, hard)
    for score in (-1, 3, 10**3, -(10**6)):
        for tangent in (1, 10**3):
            made = partial(biased, score=score)
            yield _case(f"bias-{score}-{tangent}", Plan(tangent=tangent, seed=3), made)
    two = partial(biased, score=-7, form=BiasForm.TWO_SQUARES)
    yield _case("bias-two-squares", Plan(tangent=10, seed=4), two)
    for loss in (Loss.EXPONENTIAL, Loss.LOGISTIC):
        for rho in _RADII:
            lossy = partial(overlapping, rho=rho, loss=loss, ratio=3)
            plan = Plan(samples=80, tangent=10, seed=5)
            yield _case(f"overlap-{loss.value}-{rho:g}", plan, lossy)
    for power in (-20, 0, 10):
        for tangent in (1, 100):
            plan = Plan(samples=60, tangent=tangent, power=power, seed=6)
            yield _case(f"penalty-2^{power}-{tangent}", plan, partial(penalised, ratio=5, odds=3))
    yield _case("long", Plan(samples=5000, features=20, supports=12, tangent=10, seed=7), hard)
    yield _case("wide", Plan(samples=200, features=400, supports=100, tangent=10, seed=7), hard)
    yield _case("large", Plan(samples=1000, features=200, supports=100, tangent=100, seed=7), hard)


def _case(name: str, plan: Plan, made: Callable[[Plan, str], Stated]) -> Case:
    stated = functools.cache(partial(made, plan, name))
    title = f"{name.partition('-')[0]}: {plan}"
    return Case(name, title, lambda: stated()[0], lambda: stated()[1])
