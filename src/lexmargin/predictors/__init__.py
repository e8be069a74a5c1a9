"""Floor 2: predictors F(x; θ), frozen dataclasses written once against the operations."""

from lexmargin.predictors.activations import Activation, Identity, LeakyReLU, ReLU, Square
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.bias import Bias, BiasForm
from lexmargin.predictors.linear import Linear, Log
from lexmargin.predictors.networks import ConvolutionalNetwork, DiagonalNetwork, Network
from lexmargin.predictors.polynomial import Polynomial
from lexmargin.predictors.sums import Member, Sum

__all__ = [
    "Activation",
    "Bias",
    "BiasForm",
    "ConvolutionalNetwork",
    "DiagonalNetwork",
    "Identity",
    "LeakyReLU",
    "Linear",
    "Log",
    "Member",
    "Network",
    "Polynomial",
    "Predictor",
    "ReLU",
    "Square",
    "Sum",
]
