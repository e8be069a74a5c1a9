"""Every stored answer passes our certificate without any solver, and a wrong one does not."""

from __future__ import annotations

import numpy as np
import pytest

from lexmargin.formulations import Formulation, HardMargin
from lexmargin.judge import Certificate, Verdict, certify
from lexmargin.ops.degree import HomogeneityKind
from lexmargin.shelf.build import build, stored_theta
from lexmargin.shelf.library import Library
from lexmargin.shelf.problems import AnswerSpec, ProblemFile

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


DIRECTIONS = ("hard-margin", "margin-path", "lexicographic")


def _is_direction(name: str) -> bool:
    found = LIBRARY.problem(name)
    kind = build(found).functions.homogeneity.kind
    return found.formulation.name in DIRECTIONS and kind is HomogeneityKind.HOMOGENEOUS


STORED = _stored()
HOMOGENEOUS = [name for name in STORED if _is_direction(name)]


def _certificate(name: str) -> tuple[Certificate, AnswerSpec, Formulation]:
    found, problem, answer = _loaded(name)
    return certify(problem, stored_theta(found, problem)), answer, problem


def _points(name: str) -> list[np.ndarray]:
    """Every stored solution of a problem, as points of its program."""
    answer = _loaded(name)[2]
    stored = [answer.theta, *(answer.thetas or ())]
    if not any(stored):
        stored = [answer.direction, *(answer.directions or ())]
    return [np.array([number.value for number in point]) for point in stored if point]


@pytest.mark.parametrize("name", STORED)
def test_stored_answers_are_certified(name: str) -> None:
    _, problem, answer = _loaded(name)
    for theta in _points(name):
        certificate = certify(problem, theta)
        if answer.verdict is not None and not answer.verdict.certified:
            assert certificate.verdict is answer.verdict
            continue
        assert certificate.certified, certificate.report()
        if answer.verdict is not None:
            assert certificate.verdict.at_least(answer.verdict), certificate.report()
        assert all(check.holds for check in certificate.checks), certificate.report()


@pytest.mark.parametrize(
    "name", [n for n in STORED if (a := LIBRARY.problem(n).answer) is not None and a.points]
)
def test_other_known_points_are_what_they_are_said_to_be(name: str) -> None:
    _, problem, answer = _loaded(name)
    for point in answer.points:
        verdict = certify(problem, np.array([number.value for number in point.theta])).verdict
        if point.verdict in (Verdict.KKT, Verdict.STRICT_LOCAL):
            # Second order is not asked where the scale matters: KKT is as far as it goes.
            assert verdict.stationary and verdict is not Verdict.GLOBAL
            if name in HOMOGENEOUS:
                assert verdict.at_least(point.verdict) or verdict is Verdict.SADDLE
        else:
            assert verdict is point.verdict


@pytest.mark.parametrize("name", STORED)
def test_stored_numbers_are_those_of_the_stored_point(name: str) -> None:
    """Objective, margins and levels, recomputed at every stored solution."""
    found, problem, answer = _loaded(name)
    tolerance = answer.tolerance or 1e-11
    stretched = problem.functions.homogeneity.degree
    for theta in _points(name):
        if answer.objective is not None and answer.theta:
            assert problem.objective(theta) == pytest.approx(answer.objective.value, rel=tolerance)
        scale = problem.rho_value
        if stretched is not None and found.formulation.name != "regularization-path":
            scale = 1.0 / np.linalg.norm(theta, problem.norm_p)
        elif stretched is not None:
            scale = 1.0 / max(np.linalg.norm(theta), 1e-300)
        margins = problem.functions.values(scale * theta)
        if answer.margin is not None:
            assert margins.min() == pytest.approx(answer.margin.value, rel=tolerance)
        if answer.margins is not None:
            wanted = [number.value for number in answer.margins]
            assert sorted(margins) == pytest.approx(sorted(wanted), rel=tolerance)
        if answer.levels is not None:
            levels = certify(problem, theta).levels
            wanted = [number.value for number in answer.levels]
            assert levels == pytest.approx(wanted, rel=tolerance, abs=1e-15)


@pytest.mark.parametrize("name", [n for n in HOMOGENEOUS if n.startswith("linear/")])
def test_linear_answers_are_global_with_their_margin(name: str) -> None:
    certificate, answer, _ = _certificate(name)
    assert certificate.verdict is Verdict.GLOBAL, certificate.report()
    assert certificate.gap is not None and certificate.gap <= 1e-9
    if answer.margin is not None:
        assert certificate.margin == pytest.approx(answer.margin.value, rel=1e-12)
    if answer.licq is not None and certificate.licq is not None:
        assert certificate.licq.holds is answer.licq
    if answer.multiplier_dimension is not None:
        assert certificate.multiplier_dimension == answer.multiplier_dimension


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_stored_multipliers_reproduce_theta(name: str) -> None:
    """``Σ λ_n ∇f_n(θ)`` supports the ball at θ (in ℓ2: ∝ θ), checked in plain NumPy."""
    found, problem, answer = _loaded(name)
    if answer.multipliers is None:
        pytest.skip("no multipliers stored")
    theta = stored_theta(found, problem)
    combined = problem.functions.vjp(theta, np.array([m.value for m in answer.multipliers]))
    p = problem.norm_p
    dual = {1.0: np.inf, np.inf: 1.0}.get(p) or p / (p - 1.0)
    cosine = combined @ theta / (np.linalg.norm(combined, dual) * np.linalg.norm(theta, p))
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
