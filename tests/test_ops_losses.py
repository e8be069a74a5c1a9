"""The loss operations of the modelling targets against the log-domain functions."""

from __future__ import annotations

import casadi as ca
import numpy as np
import pyomo.environ as pyo
import pytest

from lexmargin.data.dataset import Dataset
from lexmargin.losses import Loss, SampleLoss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, Sense
from lexmargin.predictors import Linear
from lexmargin.program import (
    Combination,
    ExponentialLoss,
    Expression,
    LogisticLoss,
    LogLoss,
    Margins,
    Program,
    SquaredDistance,
)

DATA = Dataset(np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, -2.0]]), np.array([0, 1, 2]))
FUNCTIONS = MarginFunctions(Linear(outputs=3), DATA)
MARGINS = Margins(FUNCTIONS, ("w1",))
THETA = np.array([[1.0, 0.4], [-0.7, 0.2], [0.1, -1.3]])


def program(objective: Expression) -> Program:
    from lexmargin.program import Variable

    return Program("test", "none", Sense.MINIMIZE, objective, (Variable("w1", (3, 2)),), ())


def evaluated(objective: Expression, theta: FloatArray) -> list[float]:
    """Return the objective at theta by CVXPY, CasADi and Pyomo."""
    stated = program(objective)
    problem = stated.to_cvxpy()
    problem.variables()[0].value = theta
    convex = float(problem.objective.expr.value)
    model = stated.to_casadi()
    function = ca.Function("f", [model.variables["w1"]], [model.objective])
    matrix = float(function(theta.reshape(-1)))
    native = stated.to_pyomo()
    for i, value in enumerate(theta.reshape(-1)):
        native.w1[i].set_value(float(value))
    return [convex, matrix, float(pyo.value(native.objective.expr))]


@pytest.mark.parametrize("size", [0.01, 1.0, 3.0])
def test_cross_entropy_in_groups(size: float) -> None:
    theta = size * THETA
    expected = SampleLoss(Loss.CROSS_ENTROPY, 3).value(FUNCTIONS.values(theta.reshape(-1)))
    found = evaluated(LogisticLoss(MARGINS, 2), theta)
    np.testing.assert_allclose(np.log(found), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [-3.0, 0.01, 3.0, 20.0])
def test_logistic_keeps_its_digits_far_from_0(size: float) -> None:
    theta = size * THETA
    expected = SampleLoss(Loss.LOGISTIC).value(FUNCTIONS.values(theta.reshape(-1)))
    _, matrix, scalar = evaluated(LogisticLoss(MARGINS), theta)
    np.testing.assert_allclose(np.log([matrix, scalar]), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("loss", "group"), [(Loss.LOGISTIC, 1), (Loss.CROSS_ENTROPY, 2)])
def test_terms_have_factors(loss: Loss, group: int) -> None:
    logs = np.repeat(np.log([0.2, 3.0, 1e4]), 2)
    expected = SampleLoss(loss, 3, logs).value(FUNCTIONS.values(THETA.reshape(-1)))
    stated = LogisticLoss(MARGINS, group, tuple(logs))
    np.testing.assert_allclose(np.log(evaluated(stated, THETA)), expected, rtol=1e-12)
    assert str(stated).startswith("Σ_n c_n log(1 + ")
    plain = np.log(evaluated(LogisticLoss(MARGINS, group), THETA))
    assert np.min(np.abs(plain - expected)) > 1.0


def test_exponential_loss_with_shift_and_factors() -> None:
    f = FUNCTIONS.values(THETA.reshape(-1))
    offsets = np.linspace(-1, 0, f.size)
    expected = float(np.exp(5.0 + offsets - f).sum())
    found = evaluated(ExponentialLoss(MARGINS, 5.0, tuple(offsets)), THETA)
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    problem = program(LogLoss(MARGINS, tuple(offsets))).to_cvxpy()
    problem.variables()[0].value = THETA
    assert float(problem.objective.expr.value) == pytest.approx(float(np.log(expected)) - 5.0)


def test_margins_with_factors_and_distances() -> None:
    distance = SquaredDistance("w1", tuple(float(x) for x in THETA.reshape(-1)), (3, 2))
    objective = Combination(((2.0, distance),))
    np.testing.assert_allclose(evaluated(objective, THETA + 0.5), 2 * 6 * 0.25, rtol=1e-14)
    doubled = Margins(FUNCTIONS, ("w1",), "w", (2.0,))
    np.testing.assert_allclose(
        evaluated(ExponentialLoss(doubled), THETA),
        evaluated(ExponentialLoss(MARGINS), 2 * THETA),
        rtol=1e-13,
    )


def test_losses_print_as_mathematics() -> None:
    assert str(LogisticLoss(MARGINS)) == "Σ_n log(1 + exp(-f_n(w)))"
    assert str(LogisticLoss(MARGINS, 2)) == "Σ_n log(1 + Σ_c exp(-f_n(w)))"
    assert str(ExponentialLoss(MARGINS, 2.0)) == "Σ_n exp(2 - f_n(w))"
    assert str(LogLoss(MARGINS, (0.0,) * 6)) == "log Σ_n c_n exp(-f_n(w))"
