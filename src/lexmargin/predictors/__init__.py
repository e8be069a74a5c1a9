"""Floor 2: predictors F(x; θ), frozen dataclasses written once against the operations."""

from lexmargin.predictors.activations import Activation, Identity, LeakyReLU, ReLU, Square
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.bias import Bias, BiasForm
from lexmargin.predictors.leading import Leading
from lexmargin.predictors.linear import Linear, Log
from lexmargin.predictors.networks import (
    Biases,
    ConvolutionalNetwork,
    DiagonalNetwork,
    Network,
    Residual,
)
from lexmargin.predictors.polynomial import Polynomial
from lexmargin.predictors.sums import Member, Sum

__all__ = [
    "Activation",
    "Bias",
    "BiasForm",
    "Biases",
    "ConvolutionalNetwork",
    "DiagonalNetwork",
    "Identity",
    "Leading",
    "LeakyReLU",
    "Linear",
    "Log",
    "Member",
    "Network",
    "Polynomial",
    "Predictor",
    "ReLU",
    "Residual",
    "Square",
    "Sum",
]
