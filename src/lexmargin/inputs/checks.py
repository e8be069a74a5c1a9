"""Numbers as users give them: taken where they mean one thing, else refused by name."""

from __future__ import annotations

import math
import operator
from typing import Final

from lexmargin.errors import ParameterError, shown

__all__ = ["at_least_one", "exponent", "moderate", "positive", "whole"]

_LARGEST: Final = 1e100
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


def moderate(value: object, name: str, least: float = 1.0 / _LARGEST) -> float:
    """Return ``value`` as a number from ``least`` to 1e100: a scale others are multiplied by.

    Raises:
        ParameterError: anything else, as :func:`positive`.
    """
    number = positive(value, name)
    if not least <= number <= _LARGEST:
        raise ParameterError(
            f"{name} must be a number from {least:g} to {_LARGEST:g}, not {number:g}.",
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
