"""Numbers as users give them: taken where they mean one thing, else refused by name."""

from __future__ import annotations

import functools
import math
import operator
import types
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Final, Union, final, get_args, get_origin

from lexmargin.errors import ParameterError, shown

__all__ = [
    "LARGEST_SCALE", "AtLeastOne", "Count", "Domain", "Moderate", "Positive", "WholeNumber",
    "at_least_one", "domain_of", "exponent", "moderate", "positive", "whole",
]  # fmt: skip

LARGEST_SCALE: Final = 1e100
"""The square of a scale, and its products with margins, stay within the range of doubles."""


def whole(value: object, name: str, least: int = 1) -> int:
    """Return ``value`` as an integer >= ``least``; NumPy integers are integers, True is not.

    Raises:
        ParameterError: anything else.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or number < least:
        raise ParameterError(f"{name} must be a whole number >= {least}, not {shown(value)}.")
    return number


def positive(value: object, name: str, *, infinite: bool = False) -> float:
    """Return ``value`` as a number > 0, finite unless ``infinite`` is allowed.

    Raises:
        ParameterError: anything else; also True, and text that spells a number.
    """
    try:
        # Text would compare and format like a number for a while, and fail far from here.
        text = isinstance(value, (bool, str, bytes))
        number = math.nan if text else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (number > 0 and (infinite or math.isfinite(number))):
        kind = "a number" if infinite else "a finite number"
        raise ParameterError(f"{name} must be {kind} > 0, not {shown(value)}.")
    return number


def moderate(value: object, name: str, least: float = 1.0 / LARGEST_SCALE) -> float:
    """Return ``value`` as a number from ``least`` to 1e100: a scale others are multiplied by.

    Raises:
        ParameterError: anything else, as :func:`positive`.
    """
    number = positive(value, name)
    if not least <= number <= LARGEST_SCALE:
        raise ParameterError(
            f"{name} must be a number from {least:g} to {LARGEST_SCALE:g}, not {number:g}.",
            "Change the unit of the data: its products leave the range of doubles.",
        )
    return number


def at_least_one(value: object, name: str) -> float:
    """Return ``value`` as a finite number >= 1: below it a power is not differentiable at 0.

    Raises:
        ParameterError: anything else, as :func:`positive`.
    """
    number = positive(value, name)
    if not number >= 1.0:
        raise ParameterError(f"{name} must be a number >= 1, not {number:g}.")
    return number


def exponent(value: object, name: str) -> float:
    """Return p of a norm given as a number >= 1 or "inf".

    Raises:
        ParameterError: anything else.
    """
    try:
        p = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        p = math.nan
    if not p >= 1.0:
        raise ParameterError(f"{name} must be a number >= 1 or 'inf', not {shown(value)}.")
    return p


# -- domains in annotations ----------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Domain:
    """The values that an argument may have: ``read(value, name)`` returns it, or refuses it.

    The constructors of ``checked_class`` read by it, and files do before there is an object.
    """

    read: Callable[[Any, str], Any]


AtLeastOne = Annotated[float, Domain(at_least_one)]
"""A finite number >= 1 that something is raised to."""
Moderate = Annotated[float, Domain(moderate)]
"""A positive number whose square and products are doubles."""
Positive = Annotated[float, Domain(positive)]
"""A finite number > 0."""
Count = Annotated[int, Domain(whole)]
"""A whole number >= 1."""
WholeNumber = Annotated[int, Domain(functools.partial(whole, least=0))]
"""A whole number >= 0."""


def domain_of(hint: Any) -> Domain | None:
    """Return what an annotation says of values, also inside of lists; None where it says nothing.

    Words become members of the enumeration that they stand for.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return next((extra for extra in inner[1:] if isinstance(extra, Domain)), None)
    if origin in (Union, types.UnionType):
        found = [domain_of(member) for member in inner if member is not type(None)]
        domain = found[0] if len(found) == 1 else None
        if domain is None or len(found) == len(inner):
            return domain
        return Domain(lambda value, name: None if value is None else domain.read(value, name))
    if origin is tuple and len(inner) == 2 and inner[1] is ...:
        item = domain_of(inner[0])
        if item is None:
            return None
        return Domain(
            lambda values, name: tuple(
                item.read(value, f"{name}[{i}]") for i, value in enumerate(values)
            )
        )
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Domain(lambda value, name: hint(value))
    return None
