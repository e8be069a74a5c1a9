"""Certificates: judge any direction from its margins and gradients; knows no solver."""

from __future__ import annotations

from lexmargin.certificate.carried import CarriedMultipliers, carried_multipliers
from lexmargin.certificate.certificate import Certificate, Check
from lexmargin.certificate.certify import certify
from lexmargin.certificate.curves import curves
from lexmargin.certificate.judge import certify_arrays
from lexmargin.certificate.tolerances import DEFAULT, Tolerances
from lexmargin.certificate.torch_state import load_state
from lexmargin.certificate.trained import (
    TrainedMargins,
    certify_function,
    certify_module,
    trained_margins,
)
from lexmargin.certificate.verdict import Verdict

__all__ = [
    "DEFAULT",
    "CarriedMultipliers",
    "Certificate",
    "Check",
    "Tolerances",
    "TrainedMargins",
    "Verdict",
    "carried_multipliers",
    "certify",
    "certify_arrays",
    "certify_function",
    "certify_module",
    "curves",
    "load_state",
    "trained_margins",
]
