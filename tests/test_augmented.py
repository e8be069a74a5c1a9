"""The augmented Lagrangian and the polish: closed forms, working sets, derivatives, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.backends import BackendName, backend
from lexmargin.errors import ParameterError, UnsupportedError
from lexmargin.formulations.start import loss_descent, random_theta, separating_theta
from lexmargin.judge.verdict import Verdict
from lexmargin.polish import augmented
from lexmargin.polish.augmented import WorkingSet, augmented_lagrangian
from lexmargin.polish.polish import finished, polish, settled
from lexmargin.run.profile_choice import choose_profile
from lexmargin.solution import Claim, Ran, SolverSettings

# problem, closed form (cases.md); the least value over a few starts must be it
CLOSED = [
    ("fully-connected-2", 2**0.5),
    ("fully-connected-3", 1.5 * 2 ** (1 / 3)),
    ("diagonal-2", 1.25),
    ("convolution-2", 1.0),
    ("convolution-3", 1.5),
]


def teacher(kind: str, samples: int = 60, inputs: int = 4, units: int = 6) -> lm.HardMargin:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((samples, inputs))
    z = X @ rng.standard_normal((inputs, 2))
    features = z**2 if kind == "square" else np.maximum(z, 0.0) ** 2
    y = np.where(features @ np.array([1.0, -1.0]) > 0, 1, -1)
    activation = lm.Square() if kind == "square" else lm.ReLU(power=2)
    return lm.HardMargin(lm.Network((units,), activation), lm.Dataset(X, y))


@pytest.mark.parametrize(("name", "objective"), CLOSED)
def test_closed_forms_of_linear_networks(name: str, objective: float) -> None:
    solution = lm.solve(lm.load(name), solver="augmented-lagrangian", starts=4)
    assert (solution.ran, solution.claim) == (Ran.FINISHED, Claim.LOCALLY_OPTIMAL)
    assert solution.objective == pytest.approx(objective, rel=1e-9)
    assert solution.certificate is not None
    assert solution.certificate.stationarity <= 1e-9


@pytest.mark.parametrize("kind", ["square", "relu2"])
def test_teachers_are_learned_to_rounding_level(kind: str) -> None:
    problem = teacher(kind)
    solution = lm.solve(problem, solver="augmented-lagrangian", polish=False)
    assert solution.certificate is not None
    assert solution.certificate.verdict in (Verdict.STRICT_LOCAL, Verdict.KKT, Verdict.SADDLE)
    assert solution.certificate.stationarity <= 1e-11
    assert solution.margins.min() > 0
    w = problem.functions.flatten(list(solution.theta))
    pulled = problem.functions.vjp(w, solution.multipliers)
    assert np.linalg.norm(w - pulled) <= 1e-9 * np.linalg.norm(w)


@pytest.mark.parametrize("classes", [2, 3])
def test_large_problems_begin_with_rounds_of_short_steps(
    monkeypatch: pytest.MonkeyPatch, classes: int
) -> None:
    short = augmented.Inner.LBFGS, augmented.Inner.NEWTON
    for module in ("polish.augmented", "backends.smooth.augmented_lagrangian"):
        monkeypatch.setattr(f"lexmargin.{module}.in_order", lambda _: short)
    rounds = 0
    approached = augmented._approached

    def counted(*arguments: Any) -> Any:
        nonlocal rounds
        rounds += 1
        return approached(*arguments)

    monkeypatch.setattr("lexmargin.polish.augmented._approached", counted)
    problem = teacher("relu2")
    if classes == 3:
        labels = np.argmax(problem.data.X[:, :3], axis=1)
        network = lm.Network((6,), lm.ReLU(power=2), outputs=3)
        problem = lm.HardMargin(network, lm.Dataset(problem.data.X, labels))
    solution = lm.solve(problem, solver="augmented-lagrangian", polish=False)
    assert rounds > 1
    assert solution.claim is Claim.LOCALLY_OPTIMAL
    assert solution.certificate is not None and solution.certificate.verdict.stationary
    assert solution.certificate.stationarity <= 1e-11


def test_rounds_end_early_where_nothing_separates(monkeypatch: pytest.MonkeyPatch) -> None:
    short = augmented.Inner.LBFGS, augmented.Inner.NEWTON
    for module in ("polish.augmented", "backends.smooth.augmented_lagrangian"):
        monkeypatch.setattr(f"lexmargin.{module}.in_order", lambda _: short)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((21, 3))
    problem = lm.HardMargin(lm.Network((1,), lm.Square()), lm.Dataset(X, [1, -1] * 10 + [1]))
    functions = problem.functions
    w = random_theta(functions, rng)
    points = list(augmented_lagrangian(functions, w, np.zeros(functions.count), rounds=500))
    assert functions.values(points[-1][0]).min() < 0.1
    assert len(points) == (augmented._KICKS + 1) * augmented._CHANCE


def test_a_sample_that_no_unit_sees_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """All relu² units are off at a sample: its margin is 0 and has no gradient."""
    short = augmented.Inner.LBFGS, augmented.Inner.NEWTON
    for module in ("polish.augmented", "backends.smooth.augmented_lagrangian"):
        monkeypatch.setattr(f"lexmargin.{module}.in_order", lambda _: short)
    problem = teacher("relu2")
    functions = problem.functions
    X = problem.data.X
    rng = np.random.default_rng(2)
    W = rng.standard_normal(functions.shapes[0])
    W -= np.outer(np.maximum(W @ X[0] + 1.0, 0.0), X[0]) / (X[0] @ X[0])
    w = functions.flatten([W, rng.standard_normal(functions.shapes[1])])
    assert functions.values(w)[0] == 0.0
    assert not np.any(functions.jacobian(w)[0])
    found = settled(
        functions,
        augmented_lagrangian(functions, w, np.zeros(functions.count), penalty=float(w @ w)),
    )
    assert found.converged
    assert float(functions.values(found.theta).min()) >= 1.0 - 1e-9


@pytest.mark.parametrize(("share", "leaps"), [(10.0, True), (1.0, False)])
def test_a_penalty_that_is_too_small_doubles(
    monkeypatch: pytest.MonkeyPatch, share: float, leaps: bool
) -> None:
    """After a leap of the margins, and where rounds never bring them near 1."""
    short = augmented.Inner.LBFGS, augmented.Inner.NEWTON
    for module in ("polish.augmented", "backends.smooth.augmented_lagrangian"):
        monkeypatch.setattr(f"lexmargin.{module}.in_order", lambda _: short)
    penalties: list[float] = []
    approached = augmented._approached

    def recorded(part: Any, w: Any, lam: Any, penalty: float, steps: int) -> Any:
        penalties.append(penalty)
        found = approached(part, w, lam, penalty, steps)
        return -2.0 * found if leaps and len(penalties) == 3 else found

    monkeypatch.setattr("lexmargin.polish.augmented._approached", recorded)
    functions = teacher("relu2").functions
    theta, _ = separating_theta(functions, random_theta(functions, np.random.default_rng(0)))
    w = theta * float(np.abs(functions.values(theta)).max()) ** (-1.0 / 3.0)
    start = share * float(w @ w)
    w = list(augmented_lagrangian(functions, w, np.zeros(functions.count), 30, start))[-1][0]
    doubled = 3 if leaps else penalties.index(2.0 * start)
    assert penalties[doubled - 1 : doubled + 1] == [start, 2.0 * start]
    assert float(functions.values(w).min()) >= 1.0 - 1e-5


@pytest.mark.parametrize("form", ["max", "min-norm"])
def test_margin_paths(form: str) -> None:
    hard = teacher("square")
    gamma = None if form == "max" else 2.0
    path = lm.MarginPath(hard.predictor, hard.data, rho=1.5, gamma=gamma)
    solution = lm.solve(path, solver="augmented-lagrangian", polish=False)
    w = 1.5 * path.functions.flatten(list(solution.theta))
    values = path.functions.values(w)
    pulled = path.functions.vjp(w, solution.multipliers)
    if form == "max":
        assert np.linalg.norm(w) == pytest.approx(1.5)
        assert solution.multipliers.sum() == pytest.approx(1.0)
        assert pulled @ w == pytest.approx(np.linalg.norm(pulled) * np.linalg.norm(w))
    else:
        assert values.min() == pytest.approx(2.0)
        assert pulled == pytest.approx(2.0 * w, rel=1e-6, abs=1e-8)


def test_a_working_set_is_a_part_of_the_whole() -> None:
    functions = teacher("relu2").functions
    theta = random_theta(functions, np.random.default_rng(1))
    rows = np.array([3, 7, 20])
    part = WorkingSet(functions, rows)
    f, pull = part.value_and_vjp(theta)
    weights = np.array([0.3, -1.0, 2.0])
    assert f == pytest.approx(functions.values(theta)[rows])
    assert part.jacobian(theta) == pytest.approx(functions.jacobian(theta)[rows])
    assert pull(weights) == pytest.approx(weights @ functions.jacobian(theta)[rows])
    narrow = part.narrowed(np.array([2]))
    assert narrow.rows.tolist() == [20]
    assert narrow.value_and_vjp(theta)[0] == pytest.approx(f[2:])


def test_starts_that_steps_do_not_separate_are_separated_by_the_loss() -> None:
    functions = teacher("square").functions
    for seed in range(3):
        begin = random_theta(functions, np.random.default_rng(seed))
        theta, separates = separating_theta(functions, begin)
        assert separates
        assert float(functions.values(theta).min()) > 0.0


def test_several_classes_keep_every_row() -> None:
    rng = np.random.default_rng(0)
    data = lm.Dataset(rng.standard_normal((9, 3)), np.arange(9) % 3)
    problem = lm.HardMargin(lm.Network((5,), lm.Square(), outputs=3), data)
    part = WorkingSet(problem.functions, np.array([1]))
    assert part.whole
    assert part.rows.size == problem.functions.count
    solution = lm.solve(problem, solver="augmented-lagrangian")
    assert solution.certificate is not None
    assert solution.certificate.stationarity <= 1e-9


def test_rounds_lower_the_violation_and_the_descent_separates() -> None:
    functions = teacher("square").functions
    start = random_theta(functions, np.random.default_rng(0))
    w, weights = loss_descent(functions, start)
    assert functions.values(w).min() > 0
    assert weights.sum() == pytest.approx(1.0)
    w = w * functions.values(w).min() ** (-1 / 3)
    last = [
        1.0 - functions.values(x).min()
        for x, _ in augmented_lagrangian(
            functions, w, np.zeros(functions.count), 40, 5 * float(w @ w) / functions.count
        )
    ]
    assert last[-1] <= 1e-9
    assert abs(last[-1]) < abs(last[0])


def test_the_last_steps_do_not_bless_what_is_not_stationary() -> None:
    functions = teacher("square").functions
    w, _ = loss_descent(functions, random_theta(functions, np.random.default_rng(0)))
    found = finished(functions, w, np.ones(functions.count), iterations=0)
    assert not found.converged
    assert found.residual > 1e-3
    assert "residual" in found.reason


@pytest.mark.parametrize("units", [6, 40])
def test_a_polish_of_a_shaken_answer_returns_to_it(units: int) -> None:
    """Dense Newton steps below 150 parameters, projected ones above."""
    problem = teacher("relu2", samples=30, units=units)
    functions = problem.functions
    solution = lm.solve(problem, solver="augmented-lagrangian")
    w = functions.flatten(list(solution.theta))
    rng = np.random.default_rng(2)
    shaken = w * (1.0 + 1e-5 * rng.standard_normal(w.size))
    found = polish(functions, shaken)
    assert found.converged
    assert 0.5 * found.theta @ found.theta == pytest.approx(0.5 * w @ w, rel=1e-6)


def test_large_smooth_problems_come_here_by_default() -> None:
    library = lm.Library()
    assert choose_profile(teacher("square", 400, 9, 10), library).name == "augmented-lagrangian"
    assert choose_profile(teacher("square"), library).name.startswith("ipopt")


def test_data_that_cannot_be_separated_are_said_to_be_so() -> None:
    data = lm.Dataset([[1.0, 0.0], [-1.0, 0.0]], [1, -1])
    solution = lm.solve(
        lm.HardMargin(lm.Network((3,), lm.Square()), data), solver="augmented-lagrangian"
    )
    assert solution.claim is Claim.LOCALLY_INFEASIBLE
    assert solution.certificate is not None
    assert solution.certificate.verdict is Verdict.NOT_SEPARATING


def test_sums_and_other_norms_are_refused() -> None:
    problem = teacher("square")
    engine = backend(BackendName.AUGMENTED_LAGRANGIAN)
    with pytest.raises(UnsupportedError):
        engine.compile(lm.HardMargin(problem.predictor, problem.data, norm=1).program())
    with pytest.raises(UnsupportedError):
        engine.compile(lm.ConstrainedPath(problem.predictor, problem.data, rho=2.0).program())


@pytest.mark.parametrize(("option", "value"), [("round", 3), ("rounds", 0), ("rounds", "many")])
def test_bad_options_are_named(option: str, value: int | str) -> None:
    problem = teacher("square")
    compiled = backend(BackendName.AUGMENTED_LAGRANGIAN).compile(problem.program())
    start = problem.initial_values(np.ones(problem.functions.size), 1.0)
    with pytest.raises(ParameterError):
        compiled.solve(SolverSettings("newton", {option: value}), start)


def test_a_time_limit_ends_it() -> None:
    problem = teacher("square")
    compiled = backend(BackendName.AUGMENTED_LAGRANGIAN).compile(problem.program())
    theta = random_theta(problem.functions, np.random.default_rng(0))
    answer = compiled.solve(
        SolverSettings("newton", {}, time_limit=1e-9), problem.initial_values(theta, 1.0)
    )
    assert answer.ran is Ran.TIME_LIMIT
