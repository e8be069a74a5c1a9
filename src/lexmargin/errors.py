"""One tree of named errors: every failure says what is wrong and what to do about it.

The command line turns a class into an exit code (design: 0 certified, 1 negative verdict,
2 bad input or usage, 3 solver missing, failed or out of time); library users catch
:class:`LexmarginError`.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar, Final

__all__ = [
    "BadInputError",
    "DataError",
    "DegreeError",
    "ExitCode",
    "ExpressionError",
    "InvisibleLevelWarning",
    "LexmarginError",
    "LibraryError",
    "MissingBackendError",
    "NotSeparableError",
    "ParameterError",
    "ReceiptError",
    "RejectedReceiptError",
    "ShapeError",
    "SolverFailedError",
    "TimeLimitError",
    "UnjudgedError",
    "UnknownNameError",
    "UnsupportedError",
    "nearest",
    "shown",
]


class ExitCode(IntEnum):
    """What the command line returns."""

    CERTIFIED = 0
    NEGATIVE = 1
    BAD_INPUT = 2
    SOLVER = 3


class LexmarginError(Exception):
    """Base of all named errors; ``code`` is stable, ``exit_code`` is for the command line."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.BAD_INPUT

    def __init__(self, problem: str, advice: str = "") -> None:
        self.problem = clipped(problem)
        self.advice = clipped(advice)
        super().__init__(f"{self.problem} {self.advice}".strip())


class BadInputError(LexmarginError, ValueError):
    """Something the user gave cannot be used as it is; a ``ValueError`` as well."""

    code = "bad-input"


class DataError(BadInputError):
    """Samples or labels are unusable: NaN, infinities, ragged rows, one class."""

    code = "data"


class ShapeError(BadInputError):
    """Arrays whose shapes do not fit together."""

    code = "shape"


class ParameterError(BadInputError):
    """A parameter outside its domain (negative radius, norm below 1, no starts, …)."""

    code = "parameter"


class DegreeError(BadInputError):
    """Homogeneity is needed, and the predictor does not have it (Definition 1, eq. 10)."""

    code = "degree"


class ExpressionError(BadInputError):
    """A number in a file that is not a number, a fraction or a square root."""

    code = "expression"


class LibraryError(BadInputError):
    """A file of problems, profiles, grades or results that cannot be read as one."""

    code = "library"


class UnknownNameError(BadInputError):
    """A name that is not on the shelf; carries the nearest known ones."""

    code = "unknown-name"


class ReceiptError(BadInputError):
    """A receipt that is not one, or that does not belong to these data."""

    code = "receipt"


class RejectedReceiptError(ReceiptError):
    """A well-formed receipt whose contents contradict a recomputation; ``field`` says where."""

    code = "receipt-rejected"
    exit_code = ExitCode.NEGATIVE

    def __init__(self, problem: str, advice: str = "", field: str = "") -> None:
        super().__init__(problem, advice)
        self.field = field


class UnsupportedError(BadInputError):
    """A combination that no route of the toolkit handles."""

    code = "unsupported"


class NotSeparableError(LexmarginError, ValueError):
    """No predictor of the family separates the data: the program has no feasible point.

    A ``ValueError`` as well, as estimators raise for data they cannot be fitted to.
    """

    code = "not-separable"
    exit_code = ExitCode.NEGATIVE

    def __init__(self, problem: str, advice: str = "", proof: object = None) -> None:
        super().__init__(problem, advice)
        self.proof = proof


class MissingBackendError(LexmarginError):
    """A solver that is not installed, or does not work here."""

    code = "missing-backend"
    exit_code = ExitCode.SOLVER


class SolverFailedError(LexmarginError):
    """A solver that ran and gave nothing to judge."""

    code = "solver-failed"
    exit_code = ExitCode.SOLVER


class UnjudgedError(LexmarginError):
    """An answer without a certificate: its problem is none that is judged, or time was up."""

    code = "unjudged"
    exit_code = ExitCode.SOLVER


class TimeLimitError(LexmarginError):
    """A run that was ended by its time limit before it had anything to judge."""

    code = "time-limit"
    exit_code = ExitCode.SOLVER


class InvisibleLevelWarning(UserWarning):
    """A weight more than 36 nats below the largest: float64 cannot see what it decides."""


_MOST_CHARACTERS: Final = 500
"""A sentence that says what is wrong; a file's own text may be a million characters long."""

_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_LONGEST_NAME: Final = 100
"""Characters of a name that is compared; the search for close names takes their product."""
_MOST_NAMES: Final = 2000
"""Known names that are compared, so that an error about a huge file comes at once."""


def clipped(text: str, most: int = _MOST_CHARACTERS) -> str:
    """Return a text without its middle where it is longer than ``most`` characters."""
    text = str(text)
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} … {text[len(text) - most // 2 :]}"


def shown(value: object) -> str:
    """Return a short ``repr`` of whatever was given; one that fails is replaced by the type."""
    try:
        return clipped(_SHORT.repr(value), 2 * _LONGEST_NAME)
    except Exception:  # a repr of foreign code, or an integer of more digits than Python prints
        return f"<{type(value).__name__}>"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence naming the known names closest to ``name`` (or all of a short list)."""
    names = sorted(known)
    # The search takes the product of the lengths, for every name.
    searched = [n for n in names if len(n) <= _LONGEST_NAME][:_MOST_NAMES]
    close = difflib.get_close_matches(str(name)[:_LONGEST_NAME], searched, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    if len(names) <= 12:
        return f"Known: {', '.join(names)}."
    return f"Known: {', '.join(names[:12])}, …"
