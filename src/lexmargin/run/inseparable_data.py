"""What is raised where nothing separates the data: a proof, never a solver's word."""

from __future__ import annotations

import numpy as np

from lexmargin.backends.linear.inseparable_rows import suspects
from lexmargin.data.dataset import Dataset
from lexmargin.errors import NotSeparableError, SolverFailedError
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import FloatArray
from lexmargin.predictors.linear import Log
from lexmargin.separation.gordan import (
    Separability,
    contradiction_proof,
    separability_of_rows,
    zero_sample_proof,
)
from lexmargin.separation.rows import margin_rows
from lexmargin.solution import Solution

__all__ = [
    "refuse_claim",
    "refuse_hopeless",
    "refuse_inseparable",
    "unseparated",
]

_WITHOUT_A_SEPARATOR = (
    "The constrained and the regularization path need no separator, and separability(data) says "
    "which samples can be separated."
)


def refuse_claim(problem: Formulation, name: str, error: Exception | None = None) -> None:
    """Raise where linear data are called inseparable: with the proof, or because they are not."""
    if refuse_inseparable(problem):
        raise SolverFailedError(
            f"The solver {name!r} found no separator, but these data have one.",
            "Its margin may be below the rounding of doubles: choose another solver.",
        ) from error


def refuse_hopeless(problem: Formulation) -> None:
    """Raise where some samples show at once that no parameters separate them.

    Two equal rows with different labels, whatever the predictor; or a row of zeros where
    ``F(0; θ) = 0`` for every θ.
    """
    proof = contradiction_proof(problem.data)
    if proof is not None:
        m, n = problem.data.contradiction or (0, 0)
        raise NotSeparableError(
            f"Rows {m} and {n} (counted from 0) are equal and have different labels: no predictor "
            "separates them, and λ = 1/2 on both is a Gordan vector.",
            _WITHOUT_A_SEPARATOR,
            proof=proof,
        )
    data = problem.data
    if data.is_sparse or not problem.predictor.vanishes_at_zero:
        return
    zero = np.flatnonzero(~np.any(data.X, axis=1))
    if zero.size:
        n = int(zero[0])
        raise NotSeparableError(
            f"Row {n} (counted from 0) is 0, and so is its margin whatever the parameters: λ = 1 "
            "on it is a Gordan vector.",
            f"Add a bias, or leave the row out. {_WITHOUT_A_SEPARATOR}",
            proof=zero_sample_proof(data, n),
        )


def refuse_inseparable(problem: Formulation) -> bool:
    """Raise with a proof when linear data have no separator; a solver's word is not enough.

    Return whether they are known to have one.
    """
    some = suspects(problem) if problem.data.is_sparse else None
    found = _linear_rows(problem) if some is None else (some.rows, False)
    if found is None:
        return False
    rows, every = found
    proof = separability_of_rows(rows, None if some is None else some.weights)
    if proof.separable:
        return every
    raise NotSeparableError(
        "No linear predictor separates these data: a Gordan vector λ ≥ 0 with Zᵀλ = 0, "
        f"verified in exact arithmetic, has {_count(proof)} positive entries.",
        f"Use a richer predictor. {_WITHOUT_A_SEPARATOR}",
        proof=proof if some is None else some.of_all(proof),
    )


def _linear_rows(problem: Formulation) -> tuple[FloatArray, bool] | None:
    """Return rows that every separator makes positive, and whether what does so is a separator.

    None where scores are not linear in features, whatever the parameters are.
    """
    functions, data = problem.functions, problem.data
    if data.is_sparse:
        return None
    if functions.linear:
        return functions.jacobian(np.zeros(functions.size)), True
    if isinstance(problem.predictor, Log):
        # Where some score is not positive the logarithm is not defined.
        return functions.features, True
    scores = problem.predictor.linear_scores(data.X)
    if scores is None:
        return None
    return margin_rows(Dataset(scores.features, data.y, one_class=True)), scores.every


def unseparated(problem: Formulation, first: Solution) -> bool:
    """Say whether the first start may have failed because nothing separates: then all others will.

    The paths of a loss have an answer for all data.
    """
    if not (problem.is_judged and problem.traits.needs_separator):
        return False
    return first.judgement is None or not first.margin > 0


def _count(proof: Separability) -> int:
    return 0 if proof.gordan is None else sum(1 for value in proof.gordan if value > 0)
