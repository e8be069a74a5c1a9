"""Certificates: judge any direction from its margins and gradients; knows no solver."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lexmargin.judge.certificate import Certificate, Check
from lexmargin.judge.certify import certify
from lexmargin.judge.judge import certify_arrays
from lexmargin.judge.programs.linear_margins import certify_linear
from lexmargin.judge.programs.linear_problems import certify_linear_problem, require_linear
from lexmargin.judge.tolerances import DEFAULT, Tolerances
from lexmargin.judge.verdict import Verdict

if TYPE_CHECKING:
    from lexmargin.judge.autodiff.torch_state import load_state
    from lexmargin.judge.multipliers.descent_multipliers import (
        CarriedMultipliers,
        carried_multipliers,
    )
    from lexmargin.judge.receipts.trained_receipt import module_receipt
    from lexmargin.judge.support_curves import curves
    from lexmargin.judge.trained.limit import LimitCertificate, certify_limit
    from lexmargin.judge.trained.trained import (
        certify_function,
        certify_module,
        trained_margins,
    )
    from lexmargin.judge.trained.trained_margins import TrainedMargins

__all__ = [
    "DEFAULT",
    "CarriedMultipliers",
    "Certificate",
    "Check",
    "LimitCertificate",
    "Tolerances",
    "TrainedMargins",
    "Verdict",
    "carried_multipliers",
    "certify",
    "certify_arrays",
    "certify_function",
    "certify_limit",
    "certify_linear",
    "certify_linear_problem",
    "certify_module",
    "curves",
    "load_state",
    "module_receipt",
    "require_linear",
    "trained_margins",
]

# Trained modules need a dozen modules that no other problem does, curves those and others.
_LATER = {
    "CarriedMultipliers": "multipliers.descent_multipliers",
    "TrainedMargins": "trained.trained_margins",
    "carried_multipliers": "multipliers.descent_multipliers",
    "LimitCertificate": "trained.limit",
    "certify_function": "trained.trained",
    "certify_limit": "trained.limit",
    "certify_module": "trained.trained",
    "curves": "support_curves",
    "load_state": "autodiff.torch_state",
    "module_receipt": "receipts.trained_receipt",
    "trained_margins": "trained.trained",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
