"""Certificates: judge any direction from its margins and gradients; knows no solver."""

from __future__ import annotations

from lexmargin.certificate.carried import CarriedMultipliers, carried_multipliers
from lexmargin.certificate.certificate import Certificate, Check
from lexmargin.certificate.certify import certify
from lexmargin.certificate.curves import curves
from lexmargin.certificate.judge import certify_arrays
from lexmargin.certificate.tolerances import DEFAULT, Tolerances
from lexmargin.certificate.verdict import Verdict

__all__ = [
    "DEFAULT",
    "CarriedMultipliers",
    "Certificate",
    "Check",
    "Tolerances",
    "Verdict",
    "carried_multipliers",
    "certify",
    "certify_arrays",
    "curves",
]
