"""Answers in every norm come with all their digits: Newton steps in θ or in its dual."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq

import lexmargin as lm
from lexmargin.errors import ParameterError, UnsupportedError
from lexmargin.formulations import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.judge import Verdict
from lexmargin.polish.margins import Held, MarginProgram
from lexmargin.polish.polish import polish_kkt, polish_problem

Z = np.array([3.0, -1.0, 0.5])
ONE = lm.Dataset([Z], [1], one_class=True)
NORMS = (1.0, 1.2, 1.5, 3.0, 7.0, math.inf)
CURVED = (1.2, 1.5, 3.0, 7.0)


def samples(count: int, size: int, classes: int = 2) -> lm.Dataset:
    rng = np.random.default_rng(3)
    planes = rng.standard_normal((classes, size))
    X = rng.standard_normal((20 * count, size))
    scores = np.sort(X @ planes.T, axis=1)
    kept = X[scores[:, -1] - scores[:, -2] > 0.3][:count]
    labels = (kept @ planes.T).argmax(axis=1)
    return lm.Dataset(kept, 2 * labels - 1 if classes == 2 else labels)


MANY, THREE = samples(30, 4), samples(20, 3, 3)

STATED: dict[str, Callable[[lm.Linear, lm.Dataset, float], Formulation]] = {
    "hard-margin": lambda f, data, p: lm.HardMargin(f, data, norm=p),
    "margin-path": lambda f, data, p: lm.MarginPath(f, data, rho=3.0, norm=p),
    "min-norm": lambda f, data, p: lm.MarginPath(f, data, rho=3.0, gamma=2.0, norm=p),
    "lexicographic": lambda f, data, p: lm.Lexicographic(f, data, norm=p),
    "exponential": lambda f, data, p: lm.ConstrainedPath(f, data, rho=3.0, norm=p),
    "logistic": lambda f, data, p: lm.ConstrainedPath(f, data, 3.0, p, "logistic"),
    "cross-entropy": lambda f, data, p: lm.ConstrainedPath(f, data, 3.0, p, "cross-entropy"),
    "penalty": lambda f, data, p: lm.RegularizationPath(f, data, 0.1, p),
    "penalty-1.5": lambda f, data, p: lm.RegularizationPath(f, data, 0.1, p, 1.5, "logistic"),
    "penalty-3": lambda f, data, p: lm.RegularizationPath(f, data, 0.1, p, 3.0, "cross-entropy"),
}


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("name", STATED)
def test_every_linear_problem_is_certified_in_every_norm(name: str, p: float) -> None:
    solution = lm.solve(STATED[name](lm.Linear(), MANY, p))
    assert solution.certificate is not None
    assert solution.certificate.verdict is Verdict.GLOBAL, solution.report()
    assert solution.certificate.stationarity <= 1e-10


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("name", STATED)
def test_three_classes_in_other_norms(name: str, p: float) -> None:
    solution = lm.solve(STATED[name](lm.Linear(3), THREE, p))
    assert solution.certificate is not None
    assert solution.certificate.verdict is Verdict.GLOBAL, solution.report()
    if not solution.margin > 0.0:
        # On the ℓ1 ball the minimiser of a loss need not separate at this ρ.
        assert p == 1.0 and solution.certificate.separates is False
        assert solution.polished is None or solution.polished.residual <= 1e-12


@pytest.mark.parametrize("p", CURVED)
@pytest.mark.parametrize("name", ["hard-margin", "margin-path", "lexicographic", "exponential"])
def test_one_sample_is_the_equality_case_of_hoelder(name: str, p: float) -> None:
    """``max θ·z, ‖θ‖_p <= 1`` is ``‖z‖_q`` at ``θ ∝ sign z |z|^{q-1}``."""
    q = p / (p - 1.0)
    direction = np.sign(Z) * np.abs(Z) ** (q - 1.0)
    direction /= np.sum(np.abs(direction) ** p) ** (1.0 / p)
    solution = lm.solve(STATED[name](lm.Linear(), ONE, p))
    assert solution.direction == pytest.approx(direction, abs=1e-12)
    assert solution.margin == pytest.approx(np.sum(np.abs(Z) ** q) ** (1.0 / q), rel=1e-12)


@pytest.mark.parametrize("power", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("p", CURVED)
def test_one_sample_with_a_penalty(p: float, power: float) -> None:
    """``min e^{-s g} + μ s^q`` with ``g = ‖z‖_*``: ``g e^{-s g} = μ q s^{q-1}``."""
    q = p / (p - 1.0)
    g = float(np.sum(np.abs(Z) ** q) ** (1.0 / q))
    length = brentq(
        lambda s: g * math.exp(-s * g) - 0.01 * power * s ** (power - 1.0), 1e-9, 50.0, xtol=1e-15
    )
    theta = lm.solve(lm.RegularizationPath(lm.Linear(), ONE, 0.01, p, power)).theta[0]
    assert np.sum(np.abs(theta) ** p) ** (1.0 / p) == pytest.approx(length, rel=1e-11)
    assert theta @ Z == pytest.approx(length * g, rel=1e-11)


@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_a_penalty_with_corners_ends_on_its_face(norm: float) -> None:
    """ℓ1: ``θ = s e_1``, exactly; ℓ∞: ``θ = s (1, -1, 1)``, exactly."""
    theta = lm.solve(lm.RegularizationPath(lm.Linear(), ONE, 0.01, norm)).theta[0]
    if norm == 1.0:
        assert theta[1] == theta[2] == 0.0 < theta[0]
    else:
        assert theta[0] == -theta[1] == theta[2] > 0.0


@pytest.mark.parametrize("loss", ["logistic", "cross-entropy"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_networks_under_other_losses(loss: str, outputs: int) -> None:
    """Margins below 3 nats: the logistic loss itself is handed to the nonconvex solver."""
    network = lm.Network((2,), lm.ReLU(2.0), outputs=outputs)
    data = samples(12, 3, max(2, outputs))
    problem = lm.ConstrainedPath(network, data, rho=3.0, loss=loss)
    solution = lm.solve(problem, starts=1)
    assert solution.polished is not None and solution.polished.residual <= 1e-12, solution.report()
    if outputs == 1:
        path = lm.trace(problem, [3.0, 6.0], margins=False)
        assert not path.missing and path.certified


@pytest.mark.parametrize("p", [1.5, 3.0])
def test_networks_are_polished_in_other_norms(p: float) -> None:
    problem = lm.HardMargin(lm.Network((3,), lm.ReLU(2.0)), MANY, norm=p)
    rough = lm.solve(problem, starts=1, polish=False)
    solution = lm.solve(problem, starts=1)
    assert solution.polished is not None and solution.certificate is not None
    assert solution.certificate.stationarity <= 1e-12
    assert solution.objective == pytest.approx(rough.objective, rel=1e-6)


def test_a_traced_path_is_certified_in_other_norms() -> None:
    for loss in ("exponential", "logistic"):
        path = lm.trace(
            lm.ConstrainedPath(lm.Linear(), MANY, norm=1.5, loss=loss), [0.5, 2.0, 8.0, 32.0]
        )
        assert path.certified, [point.certificate.report() for point in path.points]


def test_what_has_no_smooth_system_is_left_alone() -> None:
    linear = lm.Linear()
    for problem in (lm.HardMargin(linear, MANY, norm=1.0), lm.MarginPath(lm.Log(), MANY, norm=1.5)):
        with pytest.raises(UnsupportedError):
            polish_kkt(problem.kkt(np.ones(4))[0])
        assert polish_problem(problem, np.ones(4)) is None
    smooth = lm.HardMargin(linear, MANY, norm=1.5)
    for point in (-lm.solve(smooth).direction, np.zeros(4)):
        with pytest.raises(ParameterError, match="does not separate"):
            polish_kkt(smooth.kkt(point)[0])
    for problem in (
        smooth,
        lm.RegularizationPath(linear, MANY, 0.1, 1.5),
        lm.RegularizationPath(linear, MANY, 0.1, 1.0),
        lm.ConstrainedPath(linear, MANY, norm=math.inf),
    ):
        assert polish_problem(problem, np.zeros(4)) is None


def test_equal_samples_do_not_leave_a_polish_together() -> None:
    """f = uv twice, at (3, 1/3): with λ < 0 both multipliers are proposed equally negative."""
    twice = lm.Dataset([[1.0], [1.0]], [1, 1], one_class=True)
    theta = np.array([3.0, 1.0 / 3.0])
    kkt = lm.HardMargin(lm.DiagonalNetwork(2), twice).kkt(theta)[0]
    program = MarginProgram(kkt, theta)
    state = Held(theta / program.length, np.array([-0.5, -0.5]), np.array([0, 1]), 1.0)
    found, _ = program.run(state, 1)
    point, multipliers, _ = program.answer(found)
    assert found.active.size and np.all(np.isfinite(point)) and np.all(multipliers >= 0.0)


COSTS = np.array([1.0, 4.0, 0.25, 2.0])


@pytest.mark.parametrize("p", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("level", [1.0, 2.5])
def test_a_program_that_no_formulation_states_is_polished(p: float, level: float) -> None:
    """``min h(w), w·z >= level r`` for one sample: stationarity is the equality case of Hölder."""
    one = lm.Dataset([[3.0, -1.0, 0.5, 2.0]], [1], one_class=True)
    functions = lm.HardMargin(lm.Linear(), one).functions
    costs = COSTS if p == 2.0 else None
    z, required = one.X[0], np.array([1.7])
    q = p / (p - 1.0)
    exact = z / COSTS if p == 2.0 else np.sign(z) * np.abs(z) ** (q - 1.0)
    exact *= level * 1.7 / (exact @ z)
    rough = exact * (1.0 + 1e-3 * np.array([1.0, -1.0, 0.5, 2.0]))
    found = polish_kkt(
        Kkt(functions=functions, point=rough, norm=p, costs=costs, required=required, level=level)
    )
    assert found.converged and found.theta == pytest.approx(exact, rel=1e-12)
    size = exact @ (COSTS * exact) if p == 2.0 else float(np.sum(np.abs(exact) ** p) ** (2.0 / p))
    # w·∇h(w) = λ w·z/(level r) = λ.
    assert found.multipliers == pytest.approx([size], rel=1e-12)
