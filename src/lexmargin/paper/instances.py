"""Instances that several statements share: a name to be shown, a predictor and data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.predictors import Bias, DiagonalNetwork, Linear, Network, ReLU, Sum
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.bias import BiasForm

__all__ = [
    "Instance",
    "breast_cancer_linear",
    "diagonal_pair",
    "digits_pair",
    "rows",
    "two_axes",
    "wine_network",
]


@final
@dataclass(frozen=True)
class Instance:
    """A predictor on data.

    Attributes:
        name: shown beside every figure.
        predictor, data: define f_n.
        norm: exponent of the ball.
    """

    name: str
    predictor: Predictor
    data: Dataset
    norm: float = 2.0


def rows(Z: tuple[tuple[float, ...], ...]) -> Dataset:
    """Return the samples z_n = y_n x_n, all with the label +1."""
    return Dataset(Z, [1] * len(Z), one_class=True)


def two_axes(a: float = 0.5, copies: int = 1) -> Instance:
    """Two samples (1, 0) and (0, a), the second ``copies`` times, linear, ℓ1 ball."""
    data = rows(((1.0, 0.0), *(((0.0, a),) * copies)))
    times = "" if copies == 1 else f", the second {copies} times"
    return Instance(f"Z = (1,0), (0,{a:g}){times}, linear, ℓ1", Linear(), data, 1.0)


def diagonal_pair() -> Instance:
    """The two samples of the problem files ``diagonal-L``, depth 2."""
    data = rows(((1.0, 0.6), (0.6, 1.0)))
    return Instance("Z = (1,0.6), (0.6,1), diagonal network of depth 2", DiagonalNetwork(2), data)


def breast_cancer_linear() -> Instance:
    """Breast cancer, standardised, linear with a regularised bias."""
    predictor = Sum((Linear(), Bias(BiasForm.PLAIN)))
    data = load_dataset("breast_cancer", positive=[0], standardize=True)
    return Instance("breast_cancer, linear with a bias, ℓ2", predictor, data)


def digits_pair(norm: float = 2.0) -> Instance:
    """Digits 3 against 8, standardised, linear without a bias."""
    data = load_dataset("digits", positive=[3], negative=[8], standardize=True)
    return Instance(f"digits 3 against 8, linear, ℓ{norm:g}", Linear(), data, norm)


def wine_network(units: int = 3) -> Instance:
    """Wine, class 0 against the rest, standardised, two-layer relu² network."""
    data = load_dataset("wine", positive=[0], standardize=True)
    return Instance(f"wine, {units} relu² units, ℓ2", Network((units,), ReLU(2)), data)
