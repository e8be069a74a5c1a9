"""Derivatives of one sample for all samples: those of the whole model, entry by entry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.backends.models.casadi import CasadiProgram
from lexmargin.backends.models.nlp import Evaluator, ModelNlp, Nlp
from lexmargin.backends.models.pyomo import PyomoProgram
from lexmargin.backends.models.sampled_nlp import SampledNlp
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import FloatArray
from lexmargin.program import Program
from lexmargin.solution import Claim, SolverSettings

pytestmark = pytest.mark.backend("pyomo", "casadi")

PREDICTORS = {
    "linear": lm.Linear(),
    "diagonal": lm.DiagonalNetwork(3),
    "convolutional": lm.ConvolutionalNetwork(2),
    "quadratic": lm.Network((3,), lm.Square()),
    "relu²": lm.Network((3,), lm.ReLU(power=2)),
    "two hidden layers": lm.Network((3, 2), lm.LeakyReLU(0.1)),
}


def data(samples: int) -> lm.Dataset:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((samples, 4))
    return lm.Dataset(X, np.where(rng.random(samples) < 0.5, 1, -1), one_class=True)


def stated(form: str, predictor: Any, samples: int) -> Formulation:
    given = data(samples)
    if form == "hard":
        return lm.HardMargin(predictor, given)
    if form == "hard, l1":
        return lm.HardMargin(predictor, given, norm=1)
    return lm.MarginPath(predictor, given, rho=2.0, gamma=0.7 if form == "min-norm" else None)


def matrix(evaluator: Evaluator, shape: tuple[int, int], *arguments: Any) -> FloatArray:
    rows, columns = evaluator.structure
    out = np.zeros(shape)
    np.add.at(out, (rows, columns), evaluator(*arguments))
    return out


def places(nlp: Nlp, program: Program) -> FloatArray:
    """Return where the program's own variables stand in x, in the program's order."""
    return np.concatenate([nlp.variables[v.name].indices for v in program.variables])


@pytest.mark.parametrize("samples", [1, 33])
@pytest.mark.parametrize("form", ["hard", "max", "min-norm"])
@pytest.mark.parametrize("name", PREDICTORS)
def test_values_and_derivatives_are_those_of_the_whole(name: str, form: str, samples: int) -> None:
    rng = np.random.default_rng(5)
    program = stated(form, PREDICTORS[name], samples).program(0.5)
    compare(program, {v.name: rng.standard_normal(v.shape) + 0.2 for v in program.variables})


def test_a_last_group_of_hessians_is_filled_with_samples() -> None:
    """33 samples are 32 and 1; at the score 0 of a zero the logarithm would have no value."""
    rng = np.random.default_rng(7)
    X = rng.uniform(1.0, 2.0, (33, 3))
    program = lm.MarginPath(lm.Log(), lm.Dataset(X, np.ones(33), one_class=True)).program()
    compare(program, {v.name: rng.uniform(1.0, 2.0, v.shape) for v in program.variables})


def compare(program: Program, values: dict[str, FloatArray]) -> None:
    """Compare f, g and their derivatives with those of the program in CasADi's matrices."""
    one, whole = PyomoProgram(program).nlp, CasadiProgram(program).nlp
    assert isinstance(one, SampledNlp)
    assert isinstance(whole, ModelNlp)
    rng = np.random.default_rng(6)
    size, count = one.x_lower.size, one.lower.size
    assert (size, count) == (whole.x_lower.size, whole.lower.size)
    x, y = one.vector(values), whole.vector(values)
    p = np.array([q.value for q in program.parameters])
    assert one.parameters == whole.parameters
    # Rows of both in the order of the constraints, columns in that of the variables.
    mine = np.concatenate([one.rows[c.name].indices for c in program.constraints])
    theirs = np.concatenate([whole.rows[c.name].indices for c in program.constraints])
    here, there = places(one, program), places(whole, program)
    assert one.objective(x, p)[0] == pytest.approx(whole.objective(y, p)[0], rel=1e-14)
    np.testing.assert_allclose(
        one.gradient(x, p)[here], whole.gradient(y, p)[there], rtol=1e-13, atol=1e-13
    )
    # A bound holds what the other model keeps inside g.
    other = whole.constraints(y, p)[theirs]
    low = np.where(np.isfinite(one.lower), one.lower, one.upper)[mine]
    np.testing.assert_allclose(one.constraints(x, p)[mine] - low, other, rtol=1e-12, atol=1e-12)
    shape = (count, size)
    np.testing.assert_allclose(
        matrix(one.jacobian, shape, x, p)[mine][:, here],
        matrix(whole.jacobian, shape, y, p)[theirs][:, there],
        rtol=1e-12, atol=1e-12,
    )  # fmt: skip
    mu = rng.standard_normal(count)
    at_one, at_whole = np.zeros(count), np.zeros(count)
    at_one[mine], at_whole[theirs] = mu, mu
    lower = matrix(one.hessian, (size, size), x, p, 0.7, at_one)
    assert not np.any(np.triu(lower, 1))
    full = lower + np.tril(lower, -1).T
    known = matrix(whole.hessian, (size, size), y, p, 0.7, at_whole)
    known = known + np.tril(known, -1).T
    assert np.all(np.isfinite(known))
    np.testing.assert_allclose(
        full[np.ix_(here, here)], known[np.ix_(there, there)], rtol=1e-11, atol=1e-11
    )


def test_auxiliary_rows_keep_their_names() -> None:
    """An ℓ1 norm has rows of its own; they stand behind those of the samples."""
    problem = stated("hard, l1", lm.DiagonalNetwork(2), 12)
    program = problem.program()
    nlp = PyomoProgram(program).nlp
    assert isinstance(nlp, SampledNlp)
    margins = program.constraints[0].name
    np.testing.assert_array_equal(nlp.rows[margins].indices, np.arange(12))
    others = np.concatenate([r.indices for name, r in nlp.rows.items() if name != margins])
    np.testing.assert_array_equal(np.sort(others), np.arange(12, nlp.lower.size))


def test_the_expressions_are_the_same_program() -> None:
    """A plug-in of CasADi gets f and g as expressions."""
    import casadi as ca

    program = stated("max", lm.Network((3,), lm.Square()), 9).program()
    nlp = PyomoProgram(program).nlp
    x, p, f, g = nlp.expressions
    function = ca.Function("both", [x, p], [f, g])
    rng = np.random.default_rng(0)
    at, numbers = rng.standard_normal(nlp.x_lower.size), np.array([2.0])[: len(nlp.parameters)]
    found, rows = function(at, numbers)
    assert float(found) == pytest.approx(nlp.objective(at, numbers)[0], rel=1e-14)
    np.testing.assert_allclose(
        np.array(rows).reshape(-1), nlp.constraints(at, numbers), rtol=1e-14, atol=1e-14
    )


def test_a_sample_at_the_origin_and_sums_stay_whole() -> None:
    """What has no constraint of every sample, or a constant one, is written sample by sample."""
    X, y = np.array([[0.0, 0.0], [1.0, 2.0]]), np.array([1, 1])
    hard = lm.HardMargin(lm.DiagonalNetwork(2), lm.Dataset(X, y, one_class=True))
    sums = lm.ConstrainedPath(lm.DiagonalNetwork(2), data(5), rho=1.0)
    answer = PyomoProgram(hard.program()).solve(SolverSettings("ipopt", {}))
    assert answer.claim is Claim.INFEASIBLE
    assert isinstance(PyomoProgram(sums.program()).nlp, ModelNlp)
