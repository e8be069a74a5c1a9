"""The table of predictors that every target and every certificate is tested on."""

from __future__ import annotations

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.margins import MarginFunctions
from lexmargin.ops.degree import HomogeneityKind
from lexmargin.predictors import (
    Bias,
    BiasForm,
    ConvolutionalNetwork,
    DiagonalNetwork,
    Identity,
    Leading,
    LeakyReLU,
    Linear,
    Log,
    Member,
    Network,
    Polynomial,
    Predictor,
    ReLU,
    Residual,
    Square,
    Sum,
)

N, P = 6, 4
SUM, ONE, NEITHER = HomogeneityKind.SUM, HomogeneityKind.HOMOGENEOUS, HomogeneityKind.NEITHER
QUASI = HomogeneityKind.QUASI

# predictor, kind, degrees of its parts (by hand: a product adds degrees, a power multiplies them)
PREDICTORS: dict[str, tuple[Predictor, HomogeneityKind, tuple[float, ...]]] = {
    "linear": (Linear(), ONE, (1,)),
    "linear-3": (Linear(outputs=3), ONE, (1,)),
    "identity-2": (Network((3,), Identity()), ONE, (2,)),
    "relu-2": (Network((3,), ReLU()), ONE, (2,)),
    "relu-3": (Network((3, 2), ReLU()), ONE, (3,)),
    "relu2-2": (Network((3,), ReLU(2)), ONE, (3,)),
    "relu2-3": (Network((3, 2), ReLU(2)), ONE, (7,)),
    "relu3-2": (Network((2,), ReLU(3)), ONE, (4,)),
    "leaky": (Network((3,), LeakyReLU(0.1)), ONE, (2,)),
    "square": (Network((3,), Square()), ONE, (3,)),
    "relu-3-classes": (Network((4,), ReLU(), outputs=3), ONE, (2,)),
    "diagonal-1": (DiagonalNetwork(1), ONE, (1,)),
    "diagonal-3": (DiagonalNetwork(3), ONE, (3,)),
    "convolution-1": (ConvolutionalNetwork(1), ONE, (1,)),
    "convolution-3": (ConvolutionalNetwork(3), ONE, (3,)),
    "polynomial": (Polynomial(((4, 0), (3, 1), (0, 4), (2, 2))), ONE, (4,)),
    "polynomial-mixed": (Polynomial(((4, 0), (3, 1), (0, 4), (1, 1))), NEITHER, ()),
    "bias-signed-square": (Bias(BiasForm.SIGNED_SQUARE), ONE, (2,)),
    "bias-two-squares": (Bias(BiasForm.TWO_SQUARES), ONE, (2,)),
    "bias-square": (Bias(BiasForm.SQUARE), ONE, (2,)),
    "bias-plain": (Bias(BiasForm.PLAIN), ONE, (1,)),
    "log": (Log(), NEITHER, ()),
    "log-2": (Log(2.0), NEITHER, ()),
    "log-shift": (Log(1.5, shift=3.0), NEITHER, ()),
    "biased-first": (Network((3, 2), ReLU(), bias="first"), ONE, (3,)),
    "biased-2": (Network((3,), ReLU(2), bias="all"), SUM, (1, 3)),
    # Exponents: c 1; W_3 and b_2 1/2, as λ_{b_2} + λ_{W_3} = 1; W_1, b_1 and W_2 half of that.
    "biased-3": (Network((3, 2), ReLU(), bias="all"), QUASI, (1, 2, 4)),
    "biased-3-classes": (Network((3, 2), LeakyReLU(0.1), 3, "all"), QUASI, (1, 2, 4)),
    "biased-linear": (Network((), bias="all"), ONE, (1,)),
    "residual": (Residual(2, 2, ReLU()), NEITHER, ()),
    # W_1 b_1 b_2 W_3: 3 of the layers' weights and b_1; the highest path takes every weight.
    "leading-biased-3": (Leading(Network((3, 2), ReLU(), bias="all")), ONE, (3,)),
    "leading-classes": (Leading(Network((3, 2), ReLU(2), 3, "all")), ONE, (7,)),
    "leading-residual": (Leading(Residual(2, 2, ReLU())), ONE, (6,)),
    "leading-mixed": (Leading(Polynomial(((4, 0), (3, 1), (0, 4), (1, 1)))), ONE, (4,)),
    "leading-sum": (Leading(Sum([Linear(), Bias(BiasForm.TWO_SQUARES)])), ONE, (2,)),
    "linear+bias": (Sum([Linear(), Bias(BiasForm.TWO_SQUARES)]), SUM, (1, 2)),
    "linear+plain": (Sum([Linear(), Bias(BiasForm.PLAIN)]), ONE, (1,)),
    "columns": (
        Sum(
            [
                Member(Linear(), (0, 2)),
                Member(DiagonalNetwork(2), (1,)),
                Member(Network((2,), ReLU(2)), (0, 1, 3)),
            ]
        ),
        SUM,
        (1, 2, 3),
    ),
}


def dataset_for(predictor: Predictor, seed: int = 0) -> Dataset:
    """Return random data with as many classes as the predictor has outputs."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, P))
    if predictor.outputs > 1:
        return Dataset(X, np.arange(N) % predictor.outputs)
    labels = np.where(np.arange(N) % 2 == 0, 1, -1)
    if isinstance(predictor, Log):
        # Scores of the signed rows must be positive at some θ: put them in the positive orthant.
        return Dataset(np.abs(X) * labels[:, None], labels)
    return Dataset(X, labels)


def point_for(functions: MarginFunctions, seed: int = 1) -> np.ndarray:
    """Return a generic parameter vector inside the predictor's domain."""
    rng = np.random.default_rng(seed)
    if isinstance(functions.predictor, Log):
        return rng.uniform(20.0, 40.0, functions.size)
    return rng.standard_normal(functions.size)
