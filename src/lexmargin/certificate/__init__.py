"""Certificates: judge any direction from its margins and gradients; knows no solver."""

from __future__ import annotations

from lexmargin.certificate.certificate import Certificate
from lexmargin.certificate.certify import certify
from lexmargin.certificate.judge import certify_arrays
from lexmargin.certificate.tolerances import DEFAULT, Tolerances
from lexmargin.certificate.verdict import Verdict

__all__ = ["DEFAULT", "Certificate", "Tolerances", "Verdict", "certify", "certify_arrays"]
