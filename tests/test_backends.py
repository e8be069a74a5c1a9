"""Every route to every solver: values, signs, statuses, silence, against closed forms."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

import cvxpy
import numpy as np
import pytest

import lexmargin.predictors as predictors
from lexmargin.backends import Backend, BackendName, Compiled, backend
from lexmargin.backends.models.nlp import Evaluator
from lexmargin.data.dataset import Dataset
from lexmargin.errors import ParameterError, ShapeError, UnknownNameError, UnsupportedError
from lexmargin.formulations.base import MARGIN, Formulation
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.program import (
    Combination,
    Constant,
    Constraint,
    LogLoss,
    Margins,
    Norm,
    Program,
    SquaredNorm,
    Variable,
)
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

TWO_POINTS = Dataset([[1, 0], [0, 2]], [1, 1], one_class=True)
IDENTITY = Dataset([[1, 0], [0, 1]], [1, 1], one_class=True)
OPPOSED = Dataset([[1, 0], [-1, 0]], [1, 1], one_class=True)

CONVEX = [
    pytest.param(name, id=name, marks=pytest.mark.backend("cvxpy"))
    for name in ("CLARABEL", "HIGHS", "OSQP", "SCS")
]
TIGHT: Mapping[str, Mapping[str, float | int]] = {
    "CLARABEL": {},
    "HIGHS": {},
    "OSQP": {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iter": 50_000},
    "SCS": {"eps_abs": 1e-9, "eps_rel": 1e-9},
}
IPOPT: Mapping[str, float | str] = {
    "tol": 1e-10,
    "dual_inf_tol": 1e-9,
    "compl_inf_tol": 1e-9,
    "constr_viol_tol": 1e-9,
    "bound_relax_factor": 0.0,
    "honor_original_bounds": "yes",
}
NONLINEAR = [
    pytest.param(b, s, id=f"{b.value}-{s}", marks=pytest.mark.backend(*modules))
    for b, s, modules in (
        (BackendName.PYOMO, "cyipopt", ("pyomo", "casadi", "cyipopt")),
        (BackendName.CASADI, "cyipopt", ("casadi", "cyipopt")),
        (BackendName.CASADI, "ipopt", ("casadi",)),
        (BackendName.PYOMO, "ipopt", ("pyomo", "casadi")),
    )
]
CALLBACKS = NONLINEAR[:2]

# norm, w of the hard margin, its λ; γ and dual of the margin path at ρ = 1, by minimax over the
# simplex of the dual norm.
NORMS = [
    pytest.param(1.0, [1.0, 0.5], [1.5, 0.75], 2 / 3, [2 / 3, 1 / 3], id="l1"),
    pytest.param(2.0, [1.0, 0.5], [1.0, 0.25], 2 / 5**0.5, [4 / 5, 1 / 5], id="l2"),
    pytest.param(np.inf, [1.0, None], [1.0, 0.0], 1.0, [1.0, 0.0], id="linf"),
]


def settings(name: BackendName, solver: str, **changes: Any) -> SolverSettings:
    options = TIGHT.get(solver, {}) if name is BackendName.CVXPY else IPOPT
    return SolverSettings(solver, {**options, **changes})


def close(found: FloatArray, expected: list[float | None], tolerance: float) -> bool:
    pairs = zip(np.ravel(found), expected, strict=True)
    return all(b is None or abs(a - b) <= tolerance for a, b in pairs)


def two_starts(problem: Formulation) -> dict[str, FloatArray]:
    theta = np.linspace(1.0, 1.3, problem.functions.size)
    return problem.initial_values(theta, 1.0)


def solve(problem: Formulation, name: BackendName, solver: str, **options: Any) -> RawAnswer:
    start = None if name is BackendName.CVXPY else two_starts(problem)
    compiled = backend(name).compile(problem.program())
    return compiled.solve(settings(name, solver, **options), start)


ALL = [pytest.param(BackendName.CVXPY, *p.values, id=p.id, marks=p.marks) for p in CONVEX]


@pytest.mark.parametrize(("name", "solver"), [*ALL, *NONLINEAR])
@pytest.mark.parametrize(("norm", "w", "weights", "margin", "dual"), NORMS)
def test_two_points_in_three_norms(
    name: BackendName,
    solver: str,
    norm: float,
    w: list[float | None],
    weights: list[float],
    margin: float,
    dual: list[float],
) -> None:
    tolerance = 1e-5
    claim = Claim.OPTIMAL if name is BackendName.CVXPY else Claim.LOCALLY_OPTIMAL
    hard = solve(HardMargin(predictors.Linear(), TWO_POINTS, norm=norm), name, solver)
    assert (hard.ran, hard.claim) == (Ran.FINISHED, claim)
    assert close(hard.values["w1"], w, tolerance)
    assert close(hard.multipliers[MARGIN], [*weights], tolerance)
    if norm == 2.0:
        gradient = TWO_POINTS.X.T @ hard.multipliers[MARGIN]
        assert np.allclose(gradient, hard.values["w1"], atol=tolerance)

    path = MarginPath(predictors.Linear(), TWO_POINTS, norm=norm, rho=2.0)
    if norm == 2.0 and solver in ("HIGHS", "OSQP"):
        with pytest.raises(UnsupportedError):
            solve(path, name, solver)
        return
    answer = solve(path, name, solver)
    assert (answer.ran, answer.claim) == (Ran.FINISHED, claim)
    assert abs(float(answer.values["t"]) - 2.0 * margin) <= tolerance
    # A maximisation: the multipliers belong to the minimisation of -t, so that they are >= 0.
    assert close(answer.multipliers[MARGIN], [*dual], tolerance)
    assert np.all(answer.multipliers["ball"] >= 0)


@pytest.mark.parametrize(("name", "solver"), [*ALL, *NONLINEAR])
def test_an_equality_has_the_sign_of_at_least(name: BackendName, solver: str) -> None:
    # min ½u² s.t. u = 3: the gradient 3 of the objective is λ times the gradient 1 of the left.
    unknown = Variable("u", (1,))
    program = Program(
        name="equality",
        equation="none",
        sense=Sense.MINIMIZE,
        objective=Combination(((0.5, SquaredNorm(("u",))),)),
        variables=(unknown,),
        constraints=(Constraint("fixed", unknown, Relation.EQUAL, Constant(3.0)),),
    )
    answer = backend(name).compile(program).solve(settings(name, solver))
    assert np.allclose(answer.values["u"], [3.0], atol=1e-6)
    assert np.allclose(answer.multipliers["fixed"], [3.0], atol=1e-5)


@pytest.mark.parametrize(("name", "solver"), [*ALL, *NONLINEAR])
def test_infeasible_data_are_said_to_be_infeasible(name: BackendName, solver: str) -> None:
    answer = solve(HardMargin(predictors.Linear(), OPPOSED), name, solver)
    expected = Claim.INFEASIBLE if name is BackendName.CVXPY else Claim.LOCALLY_INFEASIBLE
    assert (answer.ran, answer.claim) == (Ran.FINISHED, expected)


@pytest.mark.parametrize(
    ("name", "solver"), [p for p in [*ALL, *NONLINEAR] if p.id not in ("HIGHS", "SCS")]
)
def test_a_margin_without_a_ball_is_unbounded(name: BackendName, solver: str) -> None:
    path = MarginPath(predictors.Linear(), TWO_POINTS).program()
    program = dataclasses.replace(path, constraints=path.constraints[:1], parameters=())
    answer = backend(name).compile(program).solve(settings(name, solver))
    assert (answer.ran, answer.claim) == (Ran.FINISHED, Claim.UNBOUNDED)


@pytest.mark.parametrize(("name", "solver"), [*ALL[::3], *NONLINEAR])
@pytest.mark.parametrize(
    "problem",
    [
        MarginPath(predictors.Linear(), TWO_POINTS, rho=1.0),
        MarginPath(predictors.Linear(), TWO_POINTS, gamma=1.0),
        MarginPath(predictors.Linear(), TWO_POINTS, norm=1, rho=1.0),
    ],
    ids=["max", "min-norm", "max-l1"],
)
def test_parameters_change_without_compiling(
    name: BackendName, solver: str, problem: MarginPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    chains: list[object] = []
    construct = cvxpy.Problem._construct_chain
    monkeypatch.setattr(
        cvxpy.Problem,
        "_construct_chain",
        lambda *args, **named: chains.append(0) or construct(*args, **named),
    )
    compiled = backend(name).compile(problem.program())
    (parameter,) = problem.program().parameters
    asked = settings(name, solver)
    start = two_starts(problem)
    once = compiled.solve(asked, start)
    scale = 4.0 if parameter.name == "ρ²" else 2.0
    twice = compiled.solve(asked, start, {parameter.name: scale})
    again = compiled.solve(asked, start)
    assert np.allclose(twice.values["w1"], 2.0 * once.values["w1"], atol=1e-5)
    assert np.allclose(again.values["w1"], once.values["w1"], atol=1e-6)
    # A program that CVXPY compiles anew has a new chain of reductions.
    assert len(chains) == (name is BackendName.CVXPY)
    with pytest.raises(UnknownNameError):
        compiled.solve(asked, start, {"rho": 1.0})
    with pytest.raises(ParameterError):
        compiled.solve(asked, start, {parameter.name: float("nan")})


DIAGONAL = Dataset([[1, 0.6], [0.6, 1]], [1, 1], one_class=True)

# predictor, data, ½‖w‖² at the symmetric stationary point of balanced layers: (L/2)‖β‖^{2/L},
# fully connected, and (L/2)Σ|β_i|^{2/L}, diagonal, with β the ℓ2 maximum-margin vector.
NETWORKS = [
    pytest.param(predictors.Network((2,)), IDENTITY, 2**0.5, id="fully-connected-2"),
    pytest.param(predictors.Network((2, 2)), IDENTITY, 1.5 * 2 ** (1 / 3), id="fully-connected-3"),
    pytest.param(predictors.DiagonalNetwork(2), DIAGONAL, 1.25, id="diagonal-2"),
    pytest.param(predictors.DiagonalNetwork(3), DIAGONAL, 3 * 0.625 ** (2 / 3), id="diagonal-3"),
]


@pytest.mark.parametrize(("name", "solver"), NONLINEAR)
@pytest.mark.parametrize(("predictor", "data", "value"), NETWORKS)
def test_linear_networks_reach_their_closed_form(
    name: BackendName,
    solver: str,
    predictor: predictors.Predictor,
    data: Dataset,
    value: float,
) -> None:
    problem = HardMargin(predictor, data)
    answer = solve(problem, name, solver)
    assert (answer.ran, answer.claim) == (Ran.FINISHED, Claim.LOCALLY_OPTIMAL)
    w = problem.functions.flatten([answer.values[v.name] for v in problem.block_variables()])
    assert abs(problem.objective(w) - value) <= 1e-6
    weights = answer.multipliers[MARGIN]
    assert np.all(weights >= 0)
    assert np.allclose(problem.functions.vjp(w, weights), w, atol=1e-6)
    # Euler: Σ λ_n = ‖w‖²/α when every margin that carries weight is 1.
    assert abs(weights.sum() - 2 * value / problem.degree) <= 1e-6


@pytest.mark.backend("pyomo", "casadi", "cyipopt")
def test_routes_to_ipopt_agree() -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((12, 3))
    data = Dataset(X, np.where(X[:, 0] + 0.3 * X[:, 1] > 0, 1, -1))
    problem = HardMargin(predictors.Network((6,), predictors.ReLU(2)), data)
    theta, separates = separating_theta(problem.functions, random_theta(problem.functions, rng))
    assert separates
    start = problem.initial_values(theta, 1.0)
    asked = settings(BackendName.CASADI, "x", hessian_approximation="limited-memory")
    found = []
    for name, solver in (
        (BackendName.PYOMO, "cyipopt"),
        (BackendName.CASADI, "cyipopt"),
        (BackendName.CASADI, "ipopt"),
    ):
        answer = (
            backend(name)
            .compile(problem.program())
            .solve(dataclasses.replace(asked, solver=solver), start)
        )
        assert answer.claim is Claim.LOCALLY_OPTIMAL, (name, solver, answer.raw_status)
        w = problem.functions.flatten([answer.values["w1"], answer.values["w2"]])
        found.append((problem.objective(w), answer.multipliers[MARGIN]))
    for objective, weights in found[1:]:
        assert abs(objective - found[0][0]) <= 1e-6
        assert np.allclose(weights, found[0][1], atol=1e-6)


@pytest.mark.parametrize(("name", "solver"), NONLINEAR)
def test_ipopt_calls_a_saddle_optimal(name: BackendName, solver: str) -> None:
    problem = HardMargin(predictors.DiagonalNetwork(2), Dataset([[1, 2]], [1], one_class=True))
    start = {"w1": np.array([1.0, 0.0]), "w2": np.array([1.0, 0.0])}
    answer = backend(name).compile(problem.program()).solve(settings(name, solver), start)
    assert answer.claim is Claim.LOCALLY_OPTIMAL
    assert np.allclose([answer.values["w1"], answer.values["w2"]], [[1, 0], [1, 0]], atol=1e-8)
    assert np.allclose(answer.multipliers[MARGIN], [1.0], atol=1e-8)


@pytest.mark.parametrize(("name", "solver"), NONLINEAR)
def test_a_warm_start_ends_at_once(name: BackendName, solver: str) -> None:
    problem = HardMargin(predictors.DiagonalNetwork(3), DIAGONAL)
    compiled = backend(name).compile(problem.program())
    asked = settings(name, solver)
    cold = compiled.solve(asked, two_starts(problem))
    warm = compiled.solve(asked, cold.values, multipliers=cold.multipliers)
    assert cold.iterations is not None and warm.iterations is not None
    assert warm.iterations < cold.iterations
    assert np.allclose(warm.values["w1"], cold.values["w1"], atol=1e-7)
    with pytest.raises(UnknownNameError):
        compiled.solve(asked, cold.values, multipliers={"margins": np.ones(2)})
    with pytest.raises(ShapeError):
        compiled.solve(asked, cold.values, multipliers={MARGIN: np.ones(3)})
    with pytest.raises(ShapeError):
        compiled.solve(asked, {"w1": np.ones(3)})
    with pytest.raises(UnknownNameError):
        compiled.solve(asked, {"w9": np.ones(2)})


@pytest.mark.parametrize(("name", "solver"), NONLINEAR)
def test_a_start_outside_the_domain_is_named(name: BackendName, solver: str) -> None:
    problem = MarginPath(predictors.Log(), Dataset([[1, 0], [0, 0.125]], [1, 1], one_class=True))
    compiled = backend(name).compile(problem.program())
    outside = compiled.solve(settings(name, solver), {"w1": np.array([-1.0, -1.0])})
    assert (outside.ran, outside.claim) == (Ran.NUMERICAL, Claim.NOTHING)
    assert outside.raw_status == "Invalid_Number_Detected"
    # Inside, steps that leave the domain are shortened: θ ∝ (1, 8).
    inside = compiled.solve(settings(name, solver), {"w1": np.array([0.5, 0.5])})
    assert inside.claim is Claim.LOCALLY_OPTIMAL
    assert np.allclose(inside.values["w1"], np.array([1.0, 8.0]) / 65**0.5, atol=1e-6)


@pytest.mark.parametrize(("name", "solver"), NONLINEAR)
def test_limits_and_refused_options(name: BackendName, solver: str) -> None:
    problem = HardMargin(predictors.DiagonalNetwork(3), DIAGONAL)
    compiled = backend(name).compile(problem.program())
    start = two_starts(problem)
    short = compiled.solve(settings(name, solver, max_iter=1), start)
    assert (short.ran, short.claim) == (Ran.ITERATION_LIMIT, Claim.NOTHING)
    with pytest.raises(ParameterError):
        compiled.solve(settings(name, solver, max_iterations=1), start)
    limited = dataclasses.replace(settings(name, solver), time_limit=1e-9)
    assert compiled.solve(limited, start).ran is Ran.TIME_LIMIT


def with_callback(compiled: Compiled, part: str, failure: BaseException | int) -> None:
    """Replace one compiled function by one that raises, or that sends a signal, when called."""

    class Failing:
        def __init__(self, real: Evaluator) -> None:
            self.structure = real.structure
            self.real = real

        def __call__(self, *arguments: Any) -> FloatArray:
            if isinstance(failure, BaseException):
                raise failure
            signal.raise_signal(failure)
            return self.real(*arguments)

    nlp = compiled.nlp  # type: ignore[attr-defined]
    nlp.__dict__[part] = Failing(getattr(nlp, part))


@pytest.mark.parametrize(("name", "solver"), CALLBACKS)
@pytest.mark.parametrize("part", ["objective", "gradient", "constraints", "jacobian", "hessian"])
def test_a_callback_that_raises_is_a_crash(name: BackendName, solver: str, part: str) -> None:
    problem = HardMargin(predictors.DiagonalNetwork(2), DIAGONAL)
    compiled = backend(name).compile(problem.program())
    with_callback(compiled, part, ZeroDivisionError("broken"))
    answer = compiled.solve(settings(name, solver), two_starts(problem))
    assert (answer.ran, answer.claim) == (Ran.CRASHED, Claim.NOTHING)
    assert answer.raw_status == "ZeroDivisionError: broken"
    assert not answer.has_values


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize(("name", "solver"), CALLBACKS)
@pytest.mark.parametrize("failure", [KeyboardInterrupt(), signal.SIGINT], ids=["raised", "signal"])
def test_an_interrupt_gets_through(
    name: BackendName, solver: str, failure: BaseException | int
) -> None:
    problem = HardMargin(predictors.DiagonalNetwork(2), DIAGONAL)
    compiled = backend(name).compile(problem.program())
    with_callback(compiled, "jacobian", failure)
    with pytest.raises(KeyboardInterrupt):
        compiled.solve(settings(name, solver), two_starts(problem))


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize(("name", "solver"), CALLBACKS)
@pytest.mark.parametrize("part", ["objective", "constraints", "jacobian", "hessian"])
def test_an_interrupt_between_two_evaluations_gets_through(
    name: BackendName, solver: str, part: str
) -> None:
    """The signal comes as the callback is entered, where nothing guards it."""
    problem = HardMargin(predictors.DiagonalNetwork(2), DIAGONAL)
    compiled = backend(name).compile(problem.program())
    sent = []

    def trace(frame: FrameType, event: str, argument: Any) -> None:
        if frame.f_code.co_name == part and "_Callbacks" in frame.f_code.co_qualname and not sent:
            sent.append(part)
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        sys.settrace(trace)
        try:
            compiled.solve(settings(name, solver), two_starts(problem))
        finally:
            sys.settrace(None)
    assert sent and signal.getsignal(signal.SIGINT) is before


COMPILED = [
    pytest.param(BackendName.PYOMO, id="pyomo", marks=pytest.mark.backend("pyomo", "casadi")),
    pytest.param(BackendName.CASADI, id="casadi", marks=pytest.mark.backend("casadi")),
]


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize(
    "predictor",
    [
        predictors.Linear(),
        predictors.Network((3, 2), predictors.ReLU(2)),
        predictors.Network((4,), predictors.LeakyReLU(0.1)),
        predictors.DiagonalNetwork(3),
        predictors.ConvolutionalNetwork(2),
    ],
    ids=lambda predictor: type(predictor).__name__,
)
def test_compiled_margins_are_the_margin_functions(
    name: BackendName, predictor: predictors.Predictor
) -> None:
    """Values and derivatives survive the file and the writer's reordering, matched by name."""
    rng = np.random.default_rng(5)
    data = Dataset(rng.standard_normal((7, 3)), [1, 1, 1, -1, -1, -1, 1])
    problem = MarginPath(predictor, data, rho=2.0)
    compiled = backend(name).compile(problem.program())
    nlp = compiled.nlp  # type: ignore[attr-defined]
    theta = rng.standard_normal(problem.functions.size)
    blocks = problem.functions.blocks(theta)
    values = {v.name: b for v, b in zip(problem.block_variables(), blocks, strict=True)}
    x = nlp.vector({**values, "t": np.array(0.25)})
    p = np.array([4.0])
    rows = nlp.rows[MARGIN].indices
    margins = nlp.constraints(x, p)[rows]
    assert np.allclose(margins, problem.functions.values(theta) - 0.25, atol=1e-12)
    jacobian = np.zeros((nlp.lower.size, x.size))
    jacobian[nlp.jacobian.structure] = nlp.jacobian(x, p)
    order = np.concatenate([nlp.variables[v.name].indices for v in problem.block_variables()])
    expected = problem.functions.jacobian(theta)
    assert np.allclose(jacobian[rows][:, order], expected, atol=1e-12)
    weights = np.zeros(nlp.lower.size)
    weights[rows] = rng.standard_normal(rows.size)
    hessian = np.zeros((x.size, x.size))
    hessian[nlp.hessian.structure] = nlp.hessian(x, p, 1.0, weights)
    hessian = hessian + np.tril(hessian, -1).T
    direction = rng.standard_normal(theta.size)
    step = 1e-6
    slope = [
        problem.functions.vjp(theta + side * step * direction, weights[rows]) for side in (1, -1)
    ]
    assert np.allclose(
        hessian[np.ix_(order, order)] @ direction, (slope[0] - slope[1]) / (2 * step), atol=1e-6
    )


@pytest.mark.parametrize(("name", "solver"), [*ALL[:1], *NONLINEAR])
def test_a_sample_that_no_parameter_moves(name: BackendName, solver: str) -> None:
    data = Dataset([[1, 0], [0, 0]], [1, 1], one_class=True)
    answer = solve(HardMargin(predictors.Linear(), data), name, solver)
    assert answer.ran is Ran.FINISHED
    assert answer.claim in (Claim.INFEASIBLE, Claim.LOCALLY_INFEASIBLE)


# l1-constrained-closed-form: θ_2(ρ) = (1 + ln(a)/ρ)/(1 + a), a = 1/2.
@pytest.mark.parametrize(("name", "solver"), [*ALL[:1], *NONLINEAR])
@pytest.mark.parametrize("rho", [10.0, 1000.0])
def test_the_log_loss_from_far_away(name: BackendName, solver: str, rho: float) -> None:
    data = Dataset([[1, 0], [0, 0.5]], [1, 1], one_class=True)
    margins = Margins(MarginFunctions(predictors.Linear(), data), ("w1",))
    program = Program(
        name="constrained path",
        equation="eq. 5",
        sense=Sense.MINIMIZE,
        objective=LogLoss(margins),
        variables=(Variable("w1", (2,)),),
        constraints=(Constraint("ball", Norm(("w1",), 1.0), Relation.AT_MOST, Constant(rho)),),
    )
    # At this start the loss is e^{ρ/2}, beyond double precision for the larger ρ.
    start = {"w1": np.full(2, -rho / 2)}
    answer = backend(name).compile(program).solve(settings(name, solver), start)
    assert answer.has_values and answer.ran is Ran.FINISHED
    second = (1.0 + np.log(0.5) / rho) / 1.5
    assert abs(answer.values["w1"][1] / rho - second) <= 1e-5
    assert np.all(answer.multipliers["ball"] > 0)


@pytest.mark.backend("cvxpy")
def test_programs_that_are_not_convex_are_refused_by_name() -> None:
    program = HardMargin(predictors.Network((2,)), IDENTITY).program()
    with pytest.raises(UnsupportedError, match="margin"):
        backend(BackendName.CVXPY).compile(program)


@pytest.mark.backend("cvxpy")
def test_a_short_run_claims_nothing() -> None:
    problem = HardMargin(predictors.Linear(), TWO_POINTS)
    for solver, option in (("OSQP", "max_iter"), ("CLARABEL", "max_iter"), ("SCS", "max_iters")):
        answer = solve(problem, BackendName.CVXPY, solver, **{option: 1})
        assert answer.ran in (Ran.ITERATION_LIMIT, Ran.NUMERICAL), solver
        assert answer.claim is Claim.NOTHING, solver


@pytest.mark.backend("cvxpy", "casadi")
def test_missing_solvers_and_broken_options() -> None:
    problem = HardMargin(predictors.Linear(), TWO_POINTS)
    for name in (BackendName.CVXPY, BackendName.CASADI):
        engine: Backend = backend(name)
        assert "no_such" in engine.available("no_such")
        missing = engine.compile(problem.program()).solve(SolverSettings("no_such"))
        assert (missing.ran, missing.claim) == (Ran.MISSING, Claim.NOTHING)
        assert not missing.has_values
    assert backend(BackendName.CVXPY).available("CLARABEL") == ""
    assert backend(BackendName.CASADI).available("ipopt") == ""
    crashed = solve(problem, BackendName.CVXPY, "CLARABEL", no_such_option=1)
    assert (crashed.ran, crashed.claim) == (Ran.CRASHED, Claim.NOTHING)


SILENT = """
import sys
import lexmargin.predictors as predictors
from lexmargin.backends import BackendName, backend
from lexmargin.data.dataset import Dataset
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.solution import SolverSettings
import numpy as np
name, solver, verbose = sys.argv[1:]
data = Dataset([[1, 0], [0, 2]], [1, 1], one_class=True)
program = HardMargin(predictors.Linear(), data).program()
settings = SolverSettings(solver, {}, verbose=verbose == "1")
answer = backend(BackendName(name)).compile(program).solve(settings)
assert answer.has_values
"""


@pytest.mark.parametrize("verbose", [False, True], ids=["silent", "verbose"])
@pytest.mark.parametrize(("name", "solver"), [ALL[0], ALL[3], *NONLINEAR[:3]])
def test_nothing_prints_unless_asked(name: BackendName, solver: str, verbose: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SILENT, name.value, solver, str(int(verbose))],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert bool(done.stdout) is verbose
    assert verbose or done.stderr == ""
