"""The problem of a receipt in JSON: its predictor, its parameters, and what they state."""

from __future__ import annotations

from typing import Any, Final

from lexmargin.data.dataset import Dataset
from lexmargin.errors import LexmarginError, ReceiptError
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.codec import Table, Where, fields_written, read_as, schema, written
from lexmargin.predictors import Predictor

__all__ = ["predictor_from_json", "problem_from_json", "problem_to_json"]

_ELSEWHERE: Final = ("predictor", "data", "norm")
"""Fields of a formulation that have places of their own in a receipt."""


def problem_to_json(problem: Formulation) -> dict[str, Any]:
    """Return what states a problem, beside its norm and its data.

    Raises:
        ReceiptError: a class without a word of its own, or a field that no text holds.
    """
    try:
        return {
            "formulation": Formulation.family.word(type(problem)),
            "parameters": fields_written(problem, exact=True, skipped=_ELSEWHERE),
            "predictor": written(problem.predictor, exact=True),
        }
    except LexmarginError as error:
        raise ReceiptError(error.problem, error.advice) from error


def predictor_from_json(value: object) -> Predictor:
    """Return the predictor of a receipt.

    Raises:
        ReceiptError: anything else.
    """
    try:
        return read_as(Predictor, value, Where("", "predictor", exact=True))  # type: ignore[type-abstract]
    except LexmarginError as error:
        raise ReceiptError(error.problem, "Write the receipt again.") from error


def problem_from_json(
    name: str, norm: float, given: object, predictor: Predictor, data: Dataset
) -> Formulation:
    """Return the formulation that a receipt speaks of.

    Raises:
        ReceiptError: an unknown name, or parameters that are not its own.
    """
    formulation = Formulation.family.classes.get(name)
    if formulation is None:
        raise ReceiptError(
            f"There are no receipts for {name[:40]!r}.",
            "Import the module that defines it, where there is one.",
        )
    left_out = [one.name for one in schema(formulation) if not one.states]
    skipped = (*_ELSEWHERE, *left_out)
    try:
        table = Table(given, Where("", "parameters", exact=True))
        table.claim_class(formulation, skipped)
        table.check()
        values = table.values(formulation, skipped)
        if any(one.name == "norm" for one in schema(formulation)):
            values["norm"] = norm
        problem: Formulation = formulation(predictor, data, **values)
    except LexmarginError as error:
        raise ReceiptError(f"parameters: {error.problem}", "Write the receipt again.") from error
    if problem.norm_p != norm:
        raise ReceiptError(f"norm is {norm:g}; {name} is stated for {problem.norm_p:g} only.")
    return problem
