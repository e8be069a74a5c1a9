"""Answers of problem files that say that nothing separates: reproduced only where it is proved."""

from __future__ import annotations

from typing import Any

from lexmargin.errors import LexmarginError, NotSeparableError
from lexmargin.formulations.base import Formulation
from lexmargin.judge.bounds.inseparable import prove_inseparable
from lexmargin.judge.verdict import Verdict
from lexmargin.separation.gordan import Separability
from lexmargin.shelf.problems import ProblemFile
from lexmargin.solution import Solution

__all__ = ["gordan_report", "reproduced_error", "reproduced_negative"]

_PROVED = "reproduced: no predictor of the family separates, proved"


def reproduced_error(found: ProblemFile, error: NotSeparableError) -> str | None:
    """Return a sentence where the file states what the error proves by a Gordan vector, or None."""
    proof = error.proof
    stated = found.answer is not None and found.answer.feasible is False
    proved = isinstance(proof, Separability) and not proof.separable and proof.gordan is not None
    return f"{_PROVED} by a Gordan vector" if stated and proved else None


def reproduced_negative(found: ProblemFile, problem: Formulation, solution: Solution) -> str | None:
    """Return a sentence where the file states that nothing separates and it is proved, else None.

    The proof covers all parameters.
    """
    answer, certificate = found.answer, solution.judgement
    if answer is None or answer.feasible is not False:
        return None
    if certificate is not None and certificate.verdict is not Verdict.NOT_SEPARATING:
        return None
    proof = prove_inseparable(problem)
    return None if proof is None else f"{_PROVED}: {proof}"


def gordan_report(error: LexmarginError, said: str | None = None) -> tuple[dict[str, Any], str]:
    """Return the Gordan vector of inseparable data as a JSON object and as lines of text."""
    proof = getattr(error, "proof", None)
    gordan = proof.gordan if isinstance(proof, Separability) else None
    entries = {str(n): str(value) for n, value in enumerate(gordan or ()) if value > 0}
    known = {"error": error.code} if said is None else {"reproduced": said}
    lines = [] if said is None else [said]
    lines.append("Gordan vector (sample: λ), Σ λ_n z_n = 0 exactly:")
    lines.extend(f"  {n}: {value}" for n, value in entries.items())
    return {"verdict": Verdict.NOT_SEPARATING.value, **known, "gordan": entries}, "\n".join(lines)
