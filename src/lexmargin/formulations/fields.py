"""The parameters of a formulation: its dataclass fields beside predictor, data and norm.

Files, receipts and classifiers read them here, so that no list of them is kept anywhere else.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, Final, final, get_args, get_type_hints

from lexmargin.errors import ParameterError
from lexmargin.formulations.base import Formulation

__all__ = ["HOW", "Parameter", "has_norm", "parameters"]

_OTHERS: Final = ("predictor", "data", "norm")
HOW: Final = {"states": False}
"""Metadata of a field that says how a problem is solved, and not which one it is."""


@final
@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, its type without None, and what may be left out.

    Attributes:
        kind: ``float``, ``int``, an enumeration, or ``tuple`` for a tuple of numbers.
        optional: None is one of its values.
        needed: it has no default.
        states: it says which problem this is, and not how it is solved.
    """

    name: str
    kind: type
    optional: bool
    needed: bool
    states: bool


@functools.cache
def parameters(formulation: type[Formulation]) -> tuple[Parameter, ...]:
    """Return the parameters of a class, in the order of its fields."""
    hints = get_type_hints(formulation)
    found = []
    for field in dataclasses.fields(_dataclass(formulation)):
        if field.name in _OTHERS or not field.init:
            continue
        kinds = [kind for kind in get_args(hints[field.name]) if kind is not type(None)]
        optional = type(None) in get_args(hints[field.name])
        kind = kinds[0] if optional else hints[field.name]
        kind = kind if isinstance(kind, type) else tuple
        needed = field.default is dataclasses.MISSING
        states = bool(field.metadata.get("states", True))
        found.append(Parameter(field.name, kind, optional, needed, states))
    return tuple(found)


def has_norm(formulation: type[Formulation]) -> bool:
    """Return whether the problem is stated for any norm, and not for the Euclidean one alone."""
    return any(field.name == "norm" for field in dataclasses.fields(_dataclass(formulation)))


def _dataclass(formulation: type[Formulation]) -> Any:
    if not dataclasses.is_dataclass(formulation):
        raise ParameterError(
            f"{formulation.__name__} is no dataclass, and so nobody knows its parameters.",
            "Put @dataclass(frozen=True) above it.",
        )
    return formulation
