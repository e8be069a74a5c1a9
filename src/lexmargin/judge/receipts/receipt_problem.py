"""The formulation of a receipt: its parameters in JSON, and the problem they state."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

from lexmargin.data.dataset import Dataset
from lexmargin.errors import LexmarginError, ReceiptError
from lexmargin.formulations.base import Formulation, formulations
from lexmargin.formulations.fields import Parameter, has_norm, parameters
from lexmargin.judge.receipts.receipt_format import Fields
from lexmargin.predictors import Predictor

__all__ = ["parameters_to_json", "problem_from_json"]


def parameters_to_json(problem: Formulation) -> dict[str, Any]:
    """Return the parameters that state the problem, beside predictor, data and norm."""
    return {
        one.name: _written(one.kind, getattr(problem, one.name))
        for one in parameters(type(problem))
        if one.states
    }


def _written(kind: type, value: Any) -> Any:
    if value is None or kind is int:
        return value
    if issubclass(kind, Enum):
        return value.value
    return [float(number) for number in value] if kind is tuple else float(value)


def problem_from_json(
    name: str, norm: float, given: object, predictor: Predictor, data: Dataset
) -> Formulation:
    """Return the formulation that a receipt speaks of.

    Raises:
        ReceiptError: an unknown name, or parameters that are not its own.
    """
    formulation = formulations().get(name)
    if formulation is None:
        raise ReceiptError(f"There are no receipts for {name[:40]!r}.")
    stated = [one for one in parameters(formulation) if one.states]
    read = Fields(given, "parameters", tuple(one.name for one in stated))
    try:
        values: dict[str, Any] = {one.name: _read(read, one) for one in stated}
        if has_norm(formulation):
            values["norm"] = norm
        problem: Formulation = formulation(predictor, data, **values)  # type: ignore[call-arg]
    except LexmarginError as error:
        if isinstance(error, ReceiptError):
            raise
        raise ReceiptError(f"parameters: {error}", "Write the receipt again.") from error
    if problem.norm_p != norm:
        raise ReceiptError(f"norm is {norm:g}; {name} is stated for {problem.norm_p:g} only.")
    return problem


def _read(read: Fields, one: Parameter) -> Any:
    if one.optional and read.raw(one.name) is None:
        return None
    if one.kind is int:
        return read.whole(one.name, 1)
    if one.kind is tuple:
        return tuple(read.numbers(one.name))
    if issubclass(one.kind, Enum):
        text = read.text(one.name)
        try:
            return one.kind(text)
        except ValueError:
            raise ReceiptError(f"parameters.{one.name} is {text[:40]!r}.", "Write it again.") from (
                None
            )
    value = read.number(one.name)
    if not math.isfinite(value):
        raise ReceiptError(f"parameters.{one.name} is not finite.", "Write the receipt again.")
    return value
