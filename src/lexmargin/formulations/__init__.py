"""Floor 3: one file per problem of the paper; data + predictor + parameters -> Programs."""

from lexmargin.formulations.base import Formulation, FormulationName
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.formulations.margin_path import MarginPath

__all__ = ["Formulation", "FormulationName", "HardMargin", "MarginPath"]
