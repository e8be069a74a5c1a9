"""Numbers in arrays as users give them: float64 where they are real numbers, else refused by name.

Whatever NumPy would turn into numbers by dropping something (an imaginary part, a mask, a unit of
time) or by guessing (text, truth values) is refused.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lexmargin.errors import DataError, LexmarginError, LibraryError, shown
from lexmargin.inputs.limits import ARRAY_DIMENSIONS

__all__ = [
    "array_of",
    "finite",
    "finite_array",
    "in_record",
    "out_of_record",
    "real_array",
    "unlisted",
]

FloatArray = npt.NDArray[np.float64]

_KINDS: Final = {
    "b": "truth values",
    "c": "complex numbers",
    "m": "spans of time",
    "M": "dates",
    "S": "bytes",
    "T": "text",
    "U": "text",
    "V": "records",
}
_NOT_REAL: Final = (
    bool, str, bytes, complex, np.bool_, np.complexfloating, np.datetime64, np.timedelta64,
    np.ndarray,
)  # fmt: skip


def array_of(
    values: object, what: str, error: type[LexmarginError] = DataError
) -> npt.NDArray[Any]:
    """Return values as NumPy reads them, of whatever type.

    Args:
        values: lists, arrays, data frames, tensors, ….
        what: names them in messages.
        error: what is raised.

    Raises:
        LexmarginError: of the kind ``error``: masked entries, sparse matrices, ragged rows.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise error(f"{what} has masked entries.", "Fill or drop them first.")
    if hasattr(values, "toarray"):
        raise error(f"{what} is a sparse matrix.", "Give its toarray().")
    try:
        return np.asarray(values)
    except Exception as failure:  # __array__ is foreign code, and raises what it likes
        raise error(
            f"{what} cannot be read as an array ({failure}): its rows are ragged or not numbers.",
            "Give every row the same number of plain numbers.",
        ) from failure


def real_array(
    values: object,
    what: str,
    error: type[LexmarginError] = DataError,
    *,
    own: bool = True,
) -> FloatArray:
    """Return values as float64 of their own, C-contiguous, without negative zeros.

    Args:
        values, what, error: as for :func:`array_of`.
        own: False leaves what already is float64 as it is, without a copy.

    Raises:
        LexmarginError: of the kind ``error``: entries that are no real numbers.
    """
    array = array_of(values, what, error)
    if not own and array.dtype == np.float64:
        return array
    kind = array.dtype.kind
    if kind == "O":
        _check_entries(array, what, error)
    elif kind not in "iuf":
        raise error(
            f"{what} has entries of type {array.dtype}, {_KINDS.get(kind, 'which are')} and not "
            "real numbers.",
            "Convert it to numbers first (exact strings such as '1/3' belong in a problem file).",
        )
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            copied = np.array(array, dtype=np.float64, order="C")
            copied += 0.0
            return copied
    except Exception as failure:  # __float__ is foreign code too
        raise error(
            f"{what} holds an entry that is no float64 number ({failure}).",
            "Give real numbers within ±1.7e308.",
        ) from failure


def finite_array(values: object, what: str, error: type[LexmarginError] = DataError) -> FloatArray:
    """Return values as :func:`real_array` does, NaN and infinities refused too."""
    found = real_array(values, what, error)
    if not np.all(np.isfinite(found)):
        raise error(f"{what} holds NaN or an infinity.", "Give finite numbers.")
    return found


def _check_entries(array: npt.NDArray[Any], what: str, error: type[LexmarginError]) -> None:
    for index, entry in np.ndenumerate(array):
        if isinstance(entry, _NOT_REAL) or not hasattr(entry, "__float__"):
            raise error(
                f"{what} holds {shown(entry)} at {list(index)}, which is not a real number.",
                "Give real numbers only.",
            )


_INFINITE: Final = {"inf": math.inf, "-inf": -math.inf}


def finite(value: Any) -> Any:
    """Return numbers and arrays as JSON values, with None for every non-finite number."""
    return _in_json(value, {})


def in_record(value: Any) -> Any:
    """Return numbers and arrays as JSON values, with None for NaN, and "inf" and "-inf"."""
    return _in_json(value, {number: word for word, number in _INFINITE.items()})


def _in_json(value: Any, words: dict[float, str]) -> Any:
    if isinstance(value, np.ndarray):
        listed = value.tolist()
        return listed if np.all(np.isfinite(value)) else _in_json(listed, words)
    if isinstance(value, (list, tuple)):
        return [_in_json(item, words) for item in value]
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else words.get(number)
    return value


def out_of_record(raw: object, what: str) -> float:
    """Return the number that :func:`in_record` has written.

    Raises:
        LibraryError: anything else.
    """
    if not _is_numbers(raw, 0):
        raise LibraryError(f"{what} is no number.", "Write a finite number there.")
    return _number(raw)


def unlisted(raw: object, what: str) -> FloatArray:
    """Return the array that :func:`in_record` has written as lists.

    Raises:
        LibraryError: no lists of numbers, or ragged ones.
    """
    if not _is_numbers(raw, ARRAY_DIMENSIONS):
        raise LibraryError(f"{what} holds what is no number.", "Write lists of numbers.")
    try:
        return np.array(_read(raw), dtype=np.float64)
    except (ValueError, OverflowError):
        raise LibraryError(f"{what} is ragged.", "Write rows of one length there.") from None


def _read(raw: Any) -> Any:
    return [_read(entry) for entry in raw] if isinstance(raw, list) else _number(raw)


def _number(raw: Any) -> float:
    return math.nan if raw is None else _INFINITE.get(raw) or float(raw)


def _is_numbers(raw: object, depth: int) -> bool:
    if isinstance(raw, list):
        return depth > 0 and all(_is_numbers(entry, depth - 1) for entry in raw)
    if isinstance(raw, str):
        return raw in _INFINITE
    return raw is None or (type(raw) in (int, float) and math.isfinite(raw))  # type: ignore[arg-type]
