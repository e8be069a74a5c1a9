"""Floor 3: one file per problem of the paper; data + predictor + parameters -> Programs."""

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.formulations.kkt import Kkt, LossTerm, Powers
from lexmargin.formulations.levels import (
    Level,
    Proof,
    lexicographic_best,
    lexicographic_compare,
)
from lexmargin.formulations.lexicographic import Lexicographic, LexicographicMethod
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.regularization_path import Jump, RegularizationPath, bisect_jump, jumps
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet, WSetEvidence

__all__ = [
    "ConstrainedPath",
    "Formulation",
    "HardMargin",
    "Jump",
    "Kkt",
    "Level",
    "Lexicographic",
    "LexicographicMethod",
    "LossTerm",
    "MarginPath",
    "Powers",
    "Proof",
    "RegularizationPath",
    "ScaledMargin",
    "WSet",
    "WSetEvidence",
    "bisect_jump",
    "jumps",
    "lexicographic_best",
    "lexicographic_compare",
]
