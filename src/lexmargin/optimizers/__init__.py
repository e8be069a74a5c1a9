"""Floor 7: who moves θ along an optimization path."""

from lexmargin.optimizers.adaptive import Adam, RMSProp
from lexmargin.optimizers.base import Optimizer
from lexmargin.optimizers.mirror import MirrorDescent
from lexmargin.optimizers.steepest import AdaBoost, GradientDescent, SteepestDescent
from lexmargin.optimizers.steps import (
    ConstantStep,
    LineSearch,
    LossNormalizedStep,
    NormalizedStep,
    PolyakStep,
    Step,
)

__all__ = [
    "AdaBoost",
    "Adam",
    "ConstantStep",
    "GradientDescent",
    "LineSearch",
    "LossNormalizedStep",
    "MirrorDescent",
    "NormalizedStep",
    "Optimizer",
    "PolyakStep",
    "RMSProp",
    "SteepestDescent",
    "Step",
]
