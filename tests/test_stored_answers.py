"""Every stored answer passes our certificate without any solver, and a wrong one does not."""

from __future__ import annotations

import numpy as np
import pytest

from lexmargin.certificate import Certificate, Verdict, certify
from lexmargin.formulations import Formulation, HardMargin
from lexmargin.library import Library
from lexmargin.library_build import build, stored_theta
from lexmargin.library_problems import AnswerSpec, ProblemFile
from lexmargin.ops.degree import HomogeneityKind

LIBRARY = Library()


def _stored() -> list[str]:
    names = []
    for name, path in LIBRARY.problem_paths().items():
        answer = LIBRARY.problem(path).answer
        if answer is not None and any(
            (answer.theta, answer.thetas, answer.direction, answer.directions)
        ):
            names.append(name)
    return names


def _loaded(name: str) -> tuple[ProblemFile, Formulation, AnswerSpec]:
    found = LIBRARY.problem(name)
    assert found.answer is not None
    return found, build(found), found.answer


HOMOGENEOUS = [
    name
    for name in _stored()
    if LIBRARY.problem(name).formulation.value in ("hard-margin", "margin-path")
    and build(LIBRARY.problem(name)).functions.homogeneity.kind is HomogeneityKind.HOMOGENEOUS
]


def _certificate(name: str) -> tuple[Certificate, AnswerSpec, Formulation]:
    found, problem, answer = _loaded(name)
    return certify(problem, stored_theta(found, problem)), answer, problem


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_stored_answers_are_certified(name: str) -> None:
    certificate, answer, _ = _certificate(name)
    if answer.verdict is not None and not answer.verdict.certified:
        assert certificate.verdict is answer.verdict
        return
    assert certificate.verdict.stationary, certificate.report()


@pytest.mark.parametrize("name", [n for n in HOMOGENEOUS if n.startswith("linear/")])
def test_linear_answers_are_global_with_their_margin(name: str) -> None:
    certificate, answer, problem = _certificate(name)
    assert certificate.verdict is Verdict.GLOBAL, certificate.report()
    assert certificate.gap is not None and certificate.gap <= 1e-9
    if answer.margin is not None:
        assert certificate.margin == pytest.approx(answer.margin.value, rel=1e-12)
    if answer.licq is not None and certificate.licq is not None:
        assert certificate.licq.holds is answer.licq
    if answer.multiplier_dimension is not None and problem.norm_p == 2.0:
        assert certificate.multiplier_dimension == answer.multiplier_dimension


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_stored_multipliers_reproduce_theta(name: str) -> None:
    """``θ ∝ Σ λ_n ∇f_n(θ)`` in ℓ2, checked in plain NumPy."""
    found, problem, answer = _loaded(name)
    if answer.multipliers is None or problem.norm_p != 2.0:
        pytest.skip("no multipliers stored, or not the Euclidean norm")
    theta = stored_theta(found, problem)
    combined = problem.functions.combined_gradient(
        theta, np.array([m.value for m in answer.multipliers])
    )
    cosine = combined @ theta / (np.linalg.norm(combined) * np.linalg.norm(theta))
    assert cosine == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", [n for n in HOMOGENEOUS if n.startswith("linear/")])
def test_a_turned_answer_is_not_certified(name: str) -> None:
    found, problem, answer = _loaded(name)
    if answer.unique is False:
        pytest.skip("the answer is not unique: a turned one may be another answer")
    theta = stored_theta(found, problem)
    rng = np.random.default_rng(0)
    for _ in range(5):
        across = rng.standard_normal(theta.size)
        across -= theta * (across @ theta) / (theta @ theta)
        size = np.linalg.norm(across)
        if size < 1e-9:
            continue
        turned = theta + 1e-6 * np.linalg.norm(theta) * across / size
        assert not certify(problem, turned).certified


def test_the_shelf_covers_the_formulations_of_this_version() -> None:
    assert HOMOGENEOUS, "no stored answer was found: the shelf is empty"
    assert any(isinstance(build(LIBRARY.problem(name)), HardMargin) for name in HOMOGENEOUS)
