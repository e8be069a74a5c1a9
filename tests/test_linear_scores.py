"""Scores that stay linear in features whatever the parameters are, and what that refuses."""

from __future__ import annotations

import numpy as np
import pytest

import lexmargin as lm
from instances_problems import drawn, instance
from lexmargin.errors import NotSeparableError
from lexmargin.ops.numpy import NumpyOps
from lexmargin.predictors.activations import Identity
from lexmargin.predictors.base import Predictor
from lexmargin.run.inseparable_data import refuse_hopeless, refuse_inseparable
from lexmargin.separation.gordan import Separability

OF_ONE_SCORE: dict[str, Predictor] = {
    "linear": lm.Linear(),
    "diagonal": lm.DiagonalNetwork(3),
    "convolution": lm.ConvolutionalNetwork(2),
    "layers": lm.Network((2, 3), Identity()),
    "no hidden layer": lm.Network((), lm.ReLU()),
    "bias": lm.Sum([lm.DiagonalNetwork(2), lm.Bias("signed-square")]),
    "some columns": lm.Sum([lm.Linear(), lm.Member(lm.DiagonalNetwork(2), columns=(1, 2))]),
    "square": lm.Sum([lm.DiagonalNetwork(2), lm.Bias("square")]),
    "monomials": lm.Polynomial(((2, 0), (1, 1), (0, 2))),
}
OF_CLASSES: dict[str, Predictor] = {
    "classes": lm.Sum([lm.Linear(outputs=3), lm.Bias("plain", outputs=3)]),
    "narrow": lm.Network((2,), Identity(), outputs=3),
}
CURVED: dict[str, Predictor] = {
    "relu": lm.Network((3,), lm.ReLU()),
    "with a relu": lm.Sum([lm.Linear(), lm.Network((3,), lm.ReLU(power=2))]),
    "log": lm.Log(),
}


@pytest.mark.parametrize("name", [*OF_ONE_SCORE, *OF_CLASSES])
def test_scores_lie_in_the_span_of_the_features(name: str) -> None:
    predictor = (OF_ONE_SCORE | OF_CLASSES)[name]
    rng = np.random.default_rng(3)
    X = rng.standard_normal((9, 3))
    found = predictor.linear_scores(X)
    assert found is not None
    for _ in range(20):
        blocks = [rng.standard_normal(shape) for shape in predictor.shapes(3)]
        scores = np.asarray(predictor(NumpyOps(), blocks, X)).reshape(9, -1)
        v, *_ = np.linalg.lstsq(found.features, scores, rcond=None)
        np.testing.assert_allclose(found.features @ v, scores, atol=1e-9 * np.abs(scores).max())


@pytest.mark.parametrize("name", CURVED)
def test_other_scores_have_no_such_features(name: str) -> None:
    assert CURVED[name].linear_scores(np.eye(3)) is None


@pytest.mark.parametrize("name", OF_ONE_SCORE)
def test_overlapping_data_are_refused_with_a_proof(name: str) -> None:
    rng = np.random.default_rng(5)
    X = rng.standard_normal((6, 3))
    # Both samples of -1 lie among those of +1: no plane is between them, through 0 or not.
    X[4], X[5] = (X[0] + X[1]) / 2.0, (X[1] + X[2]) / 2.0
    problem = lm.MarginPath(OF_ONE_SCORE[name], lm.Dataset(X, [1, 1, 1, 1, -1, -1]), 1.0)
    with pytest.raises(NotSeparableError) as caught:
        refuse_inseparable(problem)
    proof = caught.value.proof
    assert isinstance(proof, Separability)
    assert proof.gordan is not None


def test_a_sample_at_the_origin_refuses_a_diagonal_network() -> None:
    data = lm.Dataset([[1.0], [0.0], [-2.0]], [1, 1, -1])
    with pytest.raises(NotSeparableError, match=r"Row 1 .* is 0"):
        lm.solve(lm.HardMargin(lm.DiagonalNetwork(2), data, norm=np.inf))


@pytest.mark.parametrize("name", [*OF_ONE_SCORE, *OF_CLASSES, *CURVED])
def test_a_sample_at_the_origin_is_refused_where_its_score_vanishes(name: str) -> None:
    predictor = (OF_ONE_SCORE | OF_CLASSES | CURVED)[name]
    X = np.array([[1.0, 2.0, 3.0], [-0.0, 0.0, 0.0], [-1.0, 1.0, 2.0]])
    y = [0, 1, 2] if predictor.outputs > 1 else [1, 1, -1]
    problem = lm.MarginPath(predictor, lm.Dataset(X, y), 1.0)
    rng = np.random.default_rng(1)
    blocks = [rng.standard_normal(shape) for shape in predictor.shapes(3)]
    with np.errstate(all="ignore"):
        vanishes = not np.any(np.asarray(predictor(NumpyOps(), blocks, X[1:2])))
    assert predictor.vanishes_at_zero == vanishes
    if vanishes:
        with pytest.raises(NotSeparableError, match="Row 1") as caught:
            refuse_hopeless(problem)
        proof = caught.value.proof
        assert isinstance(proof, Separability)
        assert proof.gordan is not None
        assert sum(proof.gordan) == 1
        assert len(proof.gordan) == problem.functions.count
    else:
        refuse_hopeless(problem)


@pytest.mark.parametrize("name", ["linear", "diagonal", "convolution", "layers", "bias", "square"])
def test_what_is_called_separable_is(name: str) -> None:
    predictor = OF_ONE_SCORE[name]
    data = lm.Dataset([[1.0, 0.5, 0.0], [-0.5, -1.0, 0.25]], [1, -1])
    problem = lm.HardMargin(predictor, data)
    # Of a bias that is never negative it is not known.
    assert refuse_inseparable(problem) == (name != "square")


def test_the_narrow_layer_of_several_classes_is_not_called_separable() -> None:
    data = lm.Dataset(np.eye(3), [0, 1, 2])
    assert not refuse_inseparable(lm.HardMargin(lm.Network((1,), Identity(), outputs=3), data))
    assert refuse_inseparable(lm.HardMargin(lm.Network((3,), Identity(), outputs=3), data))


def test_a_polish_beyond_what_doubles_hold_ends_without_a_word() -> None:
    # A constrained path in ℓ∞, 5 samples of 60 features: a multiplier of its face became 0.
    case = instance(np.random.default_rng([21, 15]), *drawn(15, 21))
    found = lm.solve(case.problem)
    assert found.certificate is not None
    assert found.certificate.certified
