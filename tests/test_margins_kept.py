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
from way_of_a_certificate import way

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


STRUCTURE = {"DegreeOps": 1, "CurvatureOps": 1}
POINTS = {
    # Its own; every choice of slopes at its kinks is read off the same evaluation.
    "xor": {"JacobianOps": 1},
    # Its own and the two sides of a difference beside it, which the Hessian is compared with; and
    # the ball in which the Hessian is enclosed.
    "diagonal-2": {"JacobianOps": 3},
    "saddle-is-kkt": {"JacobianOps": 3},
    # A length that counts: the same in the coordinates of its cost.
    "depth-1-plus-2-scaled-10": {"JacobianOps": 3, "ArbOps": 1},
    "two-levels-l1": {"JacobianOps": 1},
}


@pytest.mark.parametrize("name", POINTS)
def test_a_certificate_evaluates_its_network_where_nothing_is_known(name: str) -> None:
    found = way(name)
    assert found.arithmetics == STRUCTURE | POINTS[name]
    assert set(found.points.values()) == {1}


@pytest.mark.parametrize(
    "name",
    ["dead-neuron", "xor-leaky-0-5", "depth-1-plus-2-w-set", "depth-1-plus-2-path-half",
     "convolution-3", "diagonal-pairs-exponential-2"],
)  # fmt: skip
def test_no_certificate_evaluates_a_point_twice(name: str) -> None:
    points = way(name).points
    assert points and set(points.values()) == {1}


def test_of_more_points_than_are_kept_the_one_asked_for_stays() -> None:
    functions = MarginFunctions(lm.DiagonalNetwork(2), DATA)
    points = np.random.default_rng(0).standard_normal((6, functions.size))
    first = functions.record(points[0])
    for theta in points[1:]:
        functions.record(theta)
        assert functions.record(points[0]) is first
    second = functions.record(points[1])
    assert functions.record(points[1]) is second
    for theta in points[2:]:
        functions.record(theta)
    assert functions.record(points[1]) is not second
