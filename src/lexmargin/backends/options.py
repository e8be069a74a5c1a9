"""Options of the toolkit's own methods: the fields of a frozen record are the schema."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, Self

from lexmargin.errors import ParameterError, nearest
from lexmargin.inputs.checks import positive, whole
from lexmargin.solution import SolverSettings

__all__ = ["Options", "number", "whole_number"]

_CHECK: Final = "check"


def whole_number(default: int, least: int = 0) -> Any:
    """Return a field for an integer >= ``least``."""
    return field(default=default, metadata={_CHECK: lambda value, name: whole(value, name, least)})


def number(default: float) -> Any:
    """Return a field for a finite number > 0."""
    return field(default=default, metadata={_CHECK: positive})


@dataclass(frozen=True, kw_only=True)
class Options(ABC):
    """What a method can be told; every method takes a limit of time.

    Attributes:
        method: its name at the head of a sentence.
        time_limit: seconds; profiles write it here as well as in the settings.
    """

    method: ClassVar[str]

    time_limit: float | None = field(default=None, metadata={_CHECK: positive})

    @classmethod
    def read(cls, settings: SolverSettings) -> Self:
        """Return the options of a solve.

        Raises:
            ParameterError: a name that is not a field, or a value outside its domain.
        """
        checks = {item.name: item.metadata[_CHECK] for item in fields(cls)}
        for name in settings.options:
            if name not in checks:
                raise ParameterError(f"{cls.method} has no option {name!r}.", nearest(name, checks))
        return cls(**{name: checks[name](v, name) for name, v in settings.options.items()})
