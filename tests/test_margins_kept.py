"""What margin functions keep of their last point changes nothing but the number of evaluations."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.jacobian import JacobianOps
from lexmargin.ops.numpy import NumpyOps

DATA = lm.Dataset([[1.0, 2.0], [-1.0, 0.5], [0.3, -2.0]], [1, -1, 1])
PREDICTORS = (lm.Network((3,), lm.ReLU()), lm.DiagonalNetwork(3), lm.Linear())


@pytest.mark.parametrize("predictor", PREDICTORS, ids=str)
def test_points_in_any_order_give_what_they_give_alone(predictor: Any) -> None:
    functions = MarginFunctions(predictor, DATA)
    rng = np.random.default_rng(0)
    points = [rng.standard_normal(functions.size) for _ in range(3)]
    alone = [MarginFunctions(predictor, DATA).jacobian(theta) for theta in points]
    for place in (0, 0, 1, 0, 2, 2, 1):
        theta = points[place].copy()
        weights = rng.standard_normal(functions.count)
        values, pull = functions.value_and_vjp(theta)
        assert np.array_equal(functions.jacobian(theta), alone[place])
        assert np.allclose(pull(weights), weights @ alone[place])
        assert np.allclose(values, functions.values(theta))
        # Neither what was given nor what came back is what is kept.
        theta += 1.0
        values *= 2.0
        functions.jacobian(points[place])[:] = 0.0
        assert np.array_equal(functions.jacobian(points[place]), alone[place])


def test_one_point_is_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor, calls = lm.DiagonalNetwork(2), 0
    plain = lm.DiagonalNetwork.__call__

    def counted(self: Any, ops: Any, blocks: Sequence[Any], inputs: Any) -> Any:
        nonlocal calls
        calls += ops is JacobianOps or isinstance(ops, JacobianOps)
        return plain(self, ops, blocks, inputs)

    monkeypatch.setattr(lm.DiagonalNetwork, "__call__", counted)
    functions = MarginFunctions(predictor, DATA)
    theta: FloatArray = np.ones(functions.size)
    for _ in range(3):
        functions.jacobian(theta)
        functions.vjp(theta, np.ones(functions.count))
    assert calls == 1


def test_what_is_kept_travels_nowhere() -> None:
    functions = MarginFunctions(lm.DiagonalNetwork(2), DATA)
    theta = np.ones(functions.size)
    before = functions.jacobian(theta)
    again = pickle.loads(pickle.dumps(functions))
    assert again == functions and np.array_equal(again.jacobian(theta), before)


def test_a_certificate_on_kinks_evaluates_its_network_five_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At θ, at θ̂, and once for each choice of slopes."""
    signs, X = [1, 1, -1, -1], [[1, 1], [-1, -1], [1, -1], [-1, 1]]
    problem = lm.HardMargin(lm.Network((4,), lm.ReLU()), lm.Dataset(X, signs))
    theta = np.concatenate([np.array(X, float).ravel() / np.sqrt(2.0), np.array(signs, float)])
    plain, calls = lm.Network.__call__, 0

    def counted(self: Any, ops: Any, blocks: Sequence[Any], inputs: Any) -> Any:
        nonlocal calls
        calls += isinstance(ops, (JacobianOps, NumpyOps))
        return plain(self, ops, blocks, inputs)

    monkeypatch.setattr(lm.Network, "__call__", counted)
    found = lm.certify(problem, theta)
    assert found.verdict is lm.Verdict.GLOBAL and found.nearest_kink == 0.0
    assert calls == 5
