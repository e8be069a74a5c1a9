"""Every target of the operations agrees with NumPy on every predictor."""

from __future__ import annotations

import numpy as np
import pytest

from examples_of_predictors import PREDICTORS, dataset_for, point_for
from lexmargin.margins import MarginFunctions

NAMES = list(PREDICTORS)


def _functions(name: str) -> MarginFunctions:
    predictor = PREDICTORS[name][0]
    return MarginFunctions(predictor, dataset_for(predictor))


def _by_hand(name: str, blocks: tuple[np.ndarray, ...], X: np.ndarray) -> np.ndarray:
    """Return scores written directly in NumPy, without the operations."""
    if name == "linear":
        return X @ blocks[0]
    if name == "relu2-2":
        return np.maximum(X @ blocks[0].T, 0) ** 2 @ blocks[1]
    if name == "leaky":
        z = X @ blocks[0].T
        return np.where(z > 0, z, 0.1 * z) @ blocks[1]
    if name == "diagonal-3":
        return X @ (blocks[0] * blocks[1] * blocks[2])
    if name == "convolution-3":
        unitary = [np.fft.fft(b, norm="ortho") for b in blocks]
        return X @ np.fft.ifft(unitary[0] * unitary[1] * unitary[2], norm="ortho").real
    if name == "polynomial":
        a, b = blocks[0]
        return X @ np.array([a**4, a**3 * b, b**4, a**2 * b**2])
    if name == "bias-signed-square":
        return np.full(len(X), blocks[0][0] * abs(blocks[0][0]))
    if name == "linear+bias":
        return X @ blocks[0] + blocks[1][0] ** 2 - blocks[1][1] ** 2
    if name == "columns":
        hidden = np.maximum(X[:, [0, 1, 3]] @ blocks[3].T, 0) ** 2
        return X[:, [0, 2]] @ blocks[0] + X[:, 1] * blocks[1][0] * blocks[2][0] + hidden @ blocks[4]
    raise KeyError(name)


@pytest.mark.parametrize(
    "name",
    [
        "linear",
        "relu2-2",
        "leaky",
        "diagonal-3",
        "convolution-3",
        "polynomial",
        "bias-signed-square",
        "linear+bias",
        "columns",
    ],
)
def test_numpy_is_the_formula(name: str) -> None:
    functions = _functions(name)
    theta = point_for(functions)
    expected = functions.data.signed * _by_hand(name, functions.blocks(theta), functions.data.X)
    np.testing.assert_allclose(functions.values(theta), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_differences(name: str) -> None:
    functions = _functions(name)
    theta = point_for(functions)
    step = 1e-6
    columns = [
        (functions.values(theta + step * e) - functions.values(theta - step * e)) / (2 * step)
        for e in np.eye(functions.size)
    ]
    jacobian = functions.jacobian(theta)
    assert jacobian.shape == (functions.count, functions.size)
    scale = max(1.0, float(np.abs(jacobian).max()))
    np.testing.assert_allclose(jacobian, np.array(columns).T, atol=2e-8 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_combined_gradient_is_the_weighted_sum_of_rows(name: str) -> None:
    functions = _functions(name)
    theta = point_for(functions)
    weights = np.random.default_rng(2).standard_normal(functions.count)
    rows = functions.jacobian(theta)
    np.testing.assert_allclose(
        functions.vjp(theta, weights), rows.T @ weights, rtol=1e-12, atol=1e-12
    )


@pytest.mark.backend("casadi")
@pytest.mark.parametrize("scalar", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_casadi_agrees_in_value_and_gradient(name: str, scalar: bool) -> None:
    import casadi as ca

    from lexmargin.ops.casadi import CasadiOps

    functions = _functions(name)
    theta = point_for(functions)
    ops = CasadiOps(scalar=scalar)
    blocks = [ops.variable(f"w{k}", shape, None) for k, shape in enumerate(functions.shapes)]
    margins = functions.evaluate(ops, blocks).matrix
    symbols = ca.vertcat(*ops.variables.values())
    evaluate = ca.Function("f", [symbols], [margins, ca.jacobian(margins, symbols)])
    values, rows = evaluate(theta)
    np.testing.assert_allclose(
        np.array(values).ravel(), functions.values(theta), rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(np.array(rows), functions.jacobian(theta), rtol=1e-11, atol=1e-11)


@pytest.mark.backend("cvxpy")
@pytest.mark.parametrize("name", NAMES)
def test_cvxpy_agrees(name: str) -> None:
    from lexmargin.ops.cvxpy import CvxpyOps

    functions = _functions(name)
    theta = point_for(functions)
    ops = CvxpyOps()
    blocks = [ops.variable(f"w{k}", shape, None) for k, shape in enumerate(functions.shapes)]
    for block, value in zip(blocks, functions.blocks(theta), strict=True):
        block.value = value
    expression = functions.evaluate(ops, blocks)
    np.testing.assert_allclose(expression.value, functions.values(theta), rtol=1e-12, atol=1e-12)


@pytest.mark.backend("pyomo")
@pytest.mark.parametrize("name", NAMES)
def test_pyomo_agrees(name: str) -> None:
    import pyomo.environ as pyo

    from lexmargin.ops.pyomo import PyomoOps

    functions = _functions(name)
    theta = point_for(functions)
    ops = PyomoOps()
    blocks = [ops.variable(f"w{k}", shape, None) for k, shape in enumerate(functions.shapes)]
    for block, value in zip(blocks, functions.blocks(theta), strict=True):
        for entry, number in zip(block.reshape(-1), value.reshape(-1), strict=True):
            entry.set_value(number)
    found = [pyo.value(margin) for margin in functions.evaluate(ops, blocks)]
    np.testing.assert_allclose(found, functions.values(theta), rtol=1e-12, atol=1e-12)


@pytest.mark.backend("torch")
@pytest.mark.parametrize("name", NAMES)
def test_torch_agrees(name: str) -> None:
    import torch

    from lexmargin.ops.numpy import NumpyOps

    functions = _functions(name)
    theta = point_for(functions)
    ops = NumpyOps(torch)
    blocks = [torch.tensor(block) for block in functions.blocks(theta)]
    found = functions.evaluate(ops, blocks).numpy()
    np.testing.assert_allclose(found, functions.values(theta), rtol=1e-12, atol=1e-12)
