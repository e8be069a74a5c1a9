"""Answers of problem files that say that nothing separates: reproduced only where it is proved."""

from __future__ import annotations

from typing import Any

from lexmargin.certificate.inseparable import prove_inseparable
from lexmargin.certificate.verdict import Verdict
from lexmargin.errors import LexmarginError, NotSeparableError
from lexmargin.formulations.base import Formulation
from lexmargin.gordan import Separability
from lexmargin.library_problems import ProblemFile
from lexmargin.solution import Solution

__all__ = ["gordan_report", "reproduced_error", "reproduced_negative"]

_PROVED = "reproduced: no predictor of the family separates, proved"
_TOLERANCE = 1e-6


def reproduced_error(found: ProblemFile, error: NotSeparableError) -> str | None:
    """Return a sentence where the file states what the error proves by a Gordan vector, or None."""
    proof = error.proof
    stated = found.answer is not None and found.answer.feasible is False
    proved = isinstance(proof, Separability) and not proof.separable and proof.gordan is not None
    return f"{_PROVED} by a Gordan vector" if stated and proved else None


def reproduced_negative(found: ProblemFile, problem: Formulation, solution: Solution) -> str | None:
    """Return a sentence where the file states a negative answer and it is proved, else None.

    A file that states ``feasible = false`` needs a proof that covers all parameters; one that
    states a point with the verdict NOT_SEPARATING needs that point, proved to be the global
    optimum (a regularization path before it leaves the origin).
    """
    answer, certificate = found.answer, solution.certificate
    if answer is None:
        return None
    if answer.feasible is False:
        if certificate is not None and certificate.verdict is not Verdict.NOT_SEPARATING:
            return None
        proof = prove_inseparable(problem)
        return None if proof is None else f"{_PROVED}: {proof}"
    if certificate is None:
        return None
    same = answer.verdict is Verdict.NOT_SEPARATING is certificate.verdict
    if not same or answer.theta is None or certificate.gap is None:
        return None
    point = [float(number.value) for number in answer.theta]
    flat = [float(x) for block in solution.theta for x in block.reshape(-1)]
    tolerance = max(_TOLERANCE, answer.tolerance or 0.0)
    near = len(point) == len(flat) and all(
        abs(a - b) <= tolerance * max(1.0, abs(b)) for a, b in zip(flat, point, strict=True)
    )
    if not near or certificate.gap > certificate.tolerances.gap:
        return None
    return "reproduced: the stored answer, which separates nothing, is the global optimum, proved"


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
