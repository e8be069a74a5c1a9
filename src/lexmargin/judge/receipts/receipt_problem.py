"""The formulation of a receipt: its parameters in JSON, and the problem they state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from lexmargin.data.dataset import Dataset
from lexmargin.errors import LexmarginError, ReceiptError
from lexmargin.formulations.base import Formulation, FormulationName
from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet
from lexmargin.judge.receipts.receipt_format import Fields
from lexmargin.losses import Loss
from lexmargin.predictors import Predictor

__all__ = ["parameters_to_json", "problem_from_json"]

_PARAMETERS: Final[Mapping[FormulationName, tuple[str, ...]]] = {
    FormulationName.HARD_MARGIN: (),
    FormulationName.MARGIN_PATH: ("rho", "gamma"),
    FormulationName.CONSTRAINED_PATH: ("rho", "loss"),
    FormulationName.REGULARIZATION_PATH: ("strength", "power", "loss"),
    FormulationName.SCALED_MARGIN: ("gamma",),
    FormulationName.W_SET: ("levels",),
    FormulationName.LEXICOGRAPHIC: ("levels",),
}


def parameters_to_json(problem: Formulation) -> dict[str, Any]:
    """Return the parameters that state the problem, beside predictor, data and norm."""
    found = {name: getattr(problem, name) for name in _PARAMETERS[FormulationName(problem.name)]}
    return {
        name: value.value
        if isinstance(value, Loss)
        else value
        if value is None or name == "levels"
        else float(value)
        for name, value in found.items()
    }


def problem_from_json(
    name: str, norm: float, parameters: object, predictor: Predictor, data: Dataset
) -> Formulation:
    """Return the formulation that a receipt speaks of.

    Raises:
        ReceiptError: an unknown name, or parameters that are not its own.
    """
    try:
        word = FormulationName(name)
    except ValueError:
        raise ReceiptError(f"There are no receipts for {name[:40]!r}.") from None
    read = Fields(parameters, "parameters", _PARAMETERS[word])
    try:
        problem = _stated(word, norm, read, predictor, data)
    except LexmarginError as error:
        if isinstance(error, ReceiptError):
            raise
        raise ReceiptError(f"parameters: {error}", "Write the receipt again.") from error
    if problem.norm_p != norm:
        raise ReceiptError(f"norm is {norm:g}; {name} is stated for {problem.norm_p:g} only.")
    return problem


def _stated(
    word: FormulationName, norm: float, read: Fields, predictor: Predictor, data: Dataset
) -> Formulation:
    match word:
        case FormulationName.HARD_MARGIN:
            return HardMargin(predictor, data, norm)
        case FormulationName.MARGIN_PATH:
            gamma = None if read.raw("gamma") is None else _number(read, "gamma")
            return MarginPath(predictor, data, _number(read, "rho"), norm, gamma)
        case FormulationName.CONSTRAINED_PATH:
            return ConstrainedPath(predictor, data, _number(read, "rho"), norm, _loss(read))
        case FormulationName.REGULARIZATION_PATH:
            strength, power = _number(read, "strength"), _number(read, "power")
            return RegularizationPath(predictor, data, strength, norm, power, _loss(read))
        case FormulationName.SCALED_MARGIN:
            return ScaledMargin(predictor, data, _number(read, "gamma"))
        case FormulationName.W_SET:
            return WSet(predictor, data, read.whole("levels", 1))
        case _:
            levels = None if read.raw("levels") is None else read.whole("levels", 1)
            return Lexicographic(predictor, data, norm, levels)


def _number(read: Fields, name: str) -> float:
    value = read.number(name)
    if not math.isfinite(value):
        raise ReceiptError(f"parameters.{name} is not finite.", "Write the receipt again.")
    return value


def _loss(read: Fields) -> Loss:
    text = read.text("loss")
    try:
        return Loss(text)
    except ValueError:
        raise ReceiptError(f"parameters.loss is {text[:40]!r}.", "Write it again.") from None
