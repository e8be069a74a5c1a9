"""Predictors: computed degrees, Euler's identity, shapes, curvature, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples_of_predictors import PREDICTORS, P, dataset_for
from lexmargin.data.dataset import Dataset
from lexmargin.errors import ParameterError, ShapeError
from lexmargin.margins import MarginFunctions
from lexmargin.ops.curvature import Curvature
from lexmargin.ops.degree import HomogeneityKind
from lexmargin.predictors import (
    Bias,
    DiagonalNetwork,
    Identity,
    LeakyReLU,
    Linear,
    Log,
    Member,
    Network,
    Polynomial,
    Predictor,
    ReLU,
    Square,
    Sum,
)
from lexmargin.predictors.activations import Activation


@pytest.mark.parametrize("name", list(PREDICTORS))
def test_degrees_are_computed(name: str) -> None:
    predictor, kind, degrees = PREDICTORS[name]
    found = predictor.homogeneity(P)
    assert found.kind is kind
    assert tuple(part.degree for part in found.parts) == degrees
    if kind is HomogeneityKind.NEITHER:
        assert found.reason
    else:
        owned = sorted(block for part in found.parts for block in part.blocks)
        assert owned == list(range(predictor.block_count)) == list(range(len(predictor.shapes(P))))


@pytest.mark.parametrize("name", [n for n, row in PREDICTORS.items() if row[2]])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(scale=st.floats(0.1, 10.0), seed=st.integers(0, 10_000))
def test_euler_and_scaling(name: str, scale: float, seed: int) -> None:
    """Each part obeys ``f(cθ_k) = c^{α_k} f(θ_k)`` and ``θ_k·∇_k f = α_k f^{(k)}``."""
    predictor, _, _ = PREDICTORS[name]
    functions = MarginFunctions(predictor, dataset_for(predictor))
    theta = np.random.default_rng(seed).standard_normal(functions.size)
    blocks = functions.blocks(theta)
    parts = predictor.homogeneity(P).parts
    stretched = list(blocks)
    weighted = list(blocks)
    for part in parts:
        for k in part.blocks:
            stretched[k] = blocks[k] * scale ** (1.0 / part.degree)
            weighted[k] = blocks[k] / part.degree
    values = functions.values(theta)
    size = float(np.abs(values).max()) + 1e-300
    # With every part stretched by c^{1/α_k} the whole sum is stretched by c.
    np.testing.assert_allclose(
        functions.values(functions.flatten(stretched)),
        scale * values,
        rtol=1e-9,
        atol=1e-9 * size * scale,
    )
    euler = functions.jacobian(theta) @ functions.flatten(weighted)
    np.testing.assert_allclose(euler, values, rtol=1e-9, atol=1e-9 * size)


def test_mixed_degrees_inside_a_relu_have_exponents() -> None:
    class Mixed(Predictor):
        outputs = 1

        @property
        def block_count(self) -> int:
            return 2

        def shapes(self, n_features: int) -> tuple[tuple[int, ...], ...]:
            return ((n_features,), (n_features,))

        def __call__(self, ops, theta, X):  # type: ignore[no-untyped-def]
            squared = ops.power(theta[1], 2)
            return ops.relu(ops.add(ops.linear(X, theta[0]), ops.linear(X, squared)))

    found = Mixed().homogeneity(3)
    assert found.kind is HomogeneityKind.QUASI and found.degree is None
    # λ = 1 of the first block and, squared, 1/2 of the second.
    assert [(part.degree, part.blocks) for part in found.parts] == [(1.0, (0,)), (2.0, (1,))]
    assert "1, 2" in found.reason


@pytest.mark.parametrize(
    ("predictor", "curvature"),
    [
        (Linear(), Curvature.AFFINE),
        (Linear(outputs=3), Curvature.AFFINE),
        (Network(()), Curvature.AFFINE),
        (DiagonalNetwork(1), Curvature.AFFINE),
        (Sum([Linear(), Bias("plain")]), Curvature.AFFINE),
        (Log(), Curvature.CONCAVE),
        (Log(2.0), Curvature.UNKNOWN),
        (Network((2,), ReLU()), Curvature.UNKNOWN),
        (DiagonalNetwork(2), Curvature.UNKNOWN),
        (Bias("square"), Curvature.UNKNOWN),
    ],
)
def test_curvature_decides_the_route(predictor: Predictor, curvature: Curvature) -> None:
    assert MarginFunctions(predictor, dataset_for(predictor)).curvature is curvature


def test_multi_class_margins_are_differences_of_scores() -> None:
    predictor = Linear(outputs=3)
    data = Dataset([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]], [0, 1, 2])
    functions = MarginFunctions(predictor, data)
    weights = np.array([[1.0, 2.0], [-1.0, 0.0], [3.0, 1.0]])
    scores = data.X @ weights.T
    expected = [
        scores[n, data.y[n]] - scores[n, c] for n in range(3) for c in range(3) if c != data.y[n]
    ]
    np.testing.assert_allclose(functions.values(weights.reshape(-1)), expected, rtol=1e-15)


def test_two_scores_serve_labels_plus_minus_one() -> None:
    data = Dataset([[1.0, 2.0], [3.0, -1.0]], [-1, 1])
    functions = MarginFunctions(Linear(outputs=2), data)
    weights = np.array([[1.0, 2.0], [-1.0, 0.0]])
    scores = data.X @ weights.T
    expected = [scores[0, 0] - scores[0, 1], scores[1, 1] - scores[1, 0]]
    np.testing.assert_allclose(functions.values(weights.reshape(-1)), expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Network((0,)), ParameterError),
        (lambda: Network((2.5,)), ParameterError),
        (lambda: Network((2,), "relu"), ParameterError),
        (lambda: DiagonalNetwork(0), ParameterError),
        (lambda: ReLU(0.5), ParameterError),
        (lambda: LeakyReLU(1.0), ParameterError),
        (lambda: Polynomial(()), ParameterError),
        (lambda: Polynomial(((1, -1),)), ParameterError),
        (lambda: Polynomial(((0, 0),)), ParameterError),
        (lambda: Bias("cubic"), ParameterError),
        (lambda: Log(0.5), ParameterError),
        (lambda: Sum([]), ParameterError),
        (lambda: Sum([Linear(), Linear(outputs=3)]), ParameterError),
        (lambda: Sum([Log(), Linear()]), ParameterError),
        (lambda: Polynomial(((1,),)).shapes(2), ShapeError),
        (lambda: Sum([Member(Linear(), (0, 9))]).shapes(2), ShapeError),
    ],
)
def test_bad_parameters_are_named(make, error) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error):
        make()


def test_outputs_must_fit_the_classes() -> None:
    three = Dataset([[1.0], [2.0], [3.0]], [0, 1, 2])
    with pytest.raises(ParameterError, match="outputs=3"):
        MarginFunctions(Linear(), three)
    with pytest.raises(ParameterError, match="4 outputs"):
        MarginFunctions(Linear(outputs=4), three)


def test_wrong_parameter_shapes_are_named() -> None:
    functions = MarginFunctions(Network((3,)), dataset_for(Linear()))
    with pytest.raises(ShapeError):
        functions.values(np.zeros(5))
    with pytest.raises(ShapeError):
        functions.flatten([np.zeros(3), np.zeros((3, P))])


def test_a_shift_is_the_scale_whose_logarithm_it_is() -> None:
    data = dataset_for(Log(2.0))
    theta = np.random.default_rng(3).uniform(20.0, 40.0, P)
    shifted = MarginFunctions(Log(2.0, shift=np.log(7.0)), data).values(theta)
    np.testing.assert_allclose(shifted, MarginFunctions(Log(2.0), data).values(7.0 * theta))
    with pytest.raises(ParameterError, match="shift"):
        Log(2.0, shift=float("inf"))


ACTIVATIONS: list[tuple[Activation, float | None]] = [
    (Identity(), 1.0),
    (ReLU(), 0.0),
    (ReLU(2.0), None),
    (LeakyReLU(0.25), 0.25),
    (LeakyReLU(0.0), 0.0),
    (Square(), None),
]


@pytest.mark.parametrize(("activation", "slope"), ACTIVATIONS, ids=str)
def test_slopes_left_of_zero_are_those_of_the_function(
    activation: Activation, slope: float | None
) -> None:
    """One unit of one input: ``F(x; 1, 1) = σ(x)``, measured at ±2."""
    unit = Network((1,), activation)
    data = Dataset([[2.0], [-2.0]], [1, 1], one_class=True)
    right, left = MarginFunctions(unit, data).values(np.ones(2))
    assert activation.left_slope == slope
    assert (slope is not None) is bool(right == 2.0 and left == -2.0 * (slope or 0.0))
    # The identity has no kink, and without hidden units there is nothing to have one.
    kinked = None if slope == 1.0 else slope
    assert unit.kink_slope == Network((3, 2), activation, 3).kink_slope == kinked
    assert Network((), activation).kink_slope is None
