"""Receipts of trained networks that can be checked again without the framework that trained them.

A receipt proves its verdict only as far as a verifier recomputes it, and the verifier has NumPy and
python-flint alone. So there are receipts for the modules that *are* a predictor of the toolkit
(:func:`~lexmargin.judge.autodiff.torch_network.plain_network`): the receipt holds the architecture,
θ as exact doubles, the samples and the evidence, and everything it claims is computed again from
them. For any other module a verifier could only repeat the arithmetic on gradients that the receipt
itself supplies, which proves nothing about the module: those are refused by name.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from lexmargin.errors import UnsupportedError
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.inputs.kinds import checked
from lexmargin.inputs.limits import JACOBIAN_ENTRIES
from lexmargin.judge.autodiff.torch_network import plain_margins
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.receipt_state import state_section
from lexmargin.judge.trained.trained import plain_samples, trained_margins

__all__ = ["module_receipt"]


@checked
def module_receipt(
    module: Any, X: Any, y: ArrayLike, certificate: Certificate, *, embed: bool | None = None
) -> Receipt:
    """Return the receipt of a certificate of a trained torch module.

    It is the receipt of the same direction of the same `Network`, with the name, the shape and the
    sha256 (of the float64 values) of every tensor of the state dict besides.

    Args:
        module, X, y: as given to ``certify``.
        certificate: what ``certify(module, X, y)`` returned.
        embed: put the samples into the receipt; by default unless they are many.

    Raises:
        UnsupportedError: a module that is no plain network, with the part that makes it so; or one
            too large to be checked again.
        DataError, ShapeError, DegreeError, MissingBackendError: as ``certify``.
    """
    margins = trained_margins(module, X, y)
    theta, values = margins.theta, margins.values(margins.theta)
    try:
        functions = plain_margins(module, plain_samples(X), plain_samples(y), theta, values)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"There is no receipt for this module, which cannot be checked without torch. "
            f"{error.problem}",
            error.advice,
        ) from error
    if functions.count * functions.size > JACOBIAN_ENTRIES:
        raise UnsupportedError(
            f"{functions.count} gradients of {functions.size} parameters are too many to be "
            "checked again.",
            "Keep the certificate itself; receipts are for at most 2e7 entries.",
        )
    import torch

    scores = margins.scores
    framework = f"torch {torch.__version__}"
    state = state_section(framework, scores.names, scores.shapes, margins.theta)
    problem = HardMargin(functions.predictor, functions.data, certificate.norm)
    return receipt(problem, margins.theta, certificate, embed=embed, state=state)
