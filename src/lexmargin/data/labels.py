"""Labels of any kind read as codes: -1/+1 for two classes, 0..C-1 for more, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lexmargin.errors import DataError

__all__ = ["Label", "coded_labels"]

Label = bool | int | str
"""A class as the user names it."""

IntArray = npt.NDArray[np.int64]


def coded_labels(
    labels: npt.NDArray[Any], given: object = None, *, one_class: bool = False
) -> tuple[IntArray, tuple[Label, ...]]:
    """Return the codes (N,) of labels and the classes that the codes stand for, ascending.

    Two classes become -1 and +1, the second one in ascending order being +1; C >= 3 classes become
    0..C-1 in ascending order.

    Args:
        labels: (N,) integers, whole floats, truth values or words.
        given: what the array was made of: a list of words and numbers is told from words by it.
        one_class: accept -1, 0 or 1 (or a truth value) alone.

    Returns:
        The codes and (negative, positive), or the C classes.

    Raises:
        DataError: no labels, labels that are missing, fractional, of mixed kinds, or one class.
    """
    values = _values(labels, given)
    if values.dtype.kind == "O":
        # Integers beyond 64 bits: sorted as Python sorts them.
        found = sorted(set(values.tolist()))
        place = {value: code for code, value in enumerate(found)}
        codes = np.array([place[value] for value in values.tolist()], dtype=np.int64)
        present: Sequence[Any] = found
    else:
        unique, inverse = np.unique(values, return_inverse=True)
        codes, present = inverse.astype(np.int64), unique.tolist()
    if len(present) == 1:
        return _one(codes, present[0], one_class)
    if len(present) == 2:
        return 2 * codes - 1, tuple(present)
    return codes, tuple(present)


def _one(codes: IntArray, label: Any, one_class: bool) -> tuple[IntArray, tuple[Label, ...]]:
    if not one_class:
        raise DataError(
            f"All {codes.size} labels are {label!r}: there is one class only.",
            "Give samples of two classes, or say one_class=True when the rows are y_n x_n.",
        )
    if isinstance(label, str) or label not in (-1, 0, 1):
        raise DataError(
            f"All {codes.size} labels are {label!r}, which is neither the negative nor the "
            "positive class.",
            "Use the label 1 where the rows are y_n x_n.",
        )
    classes = (False, True) if isinstance(label, bool) else (0, 1) if label == 0 else (-1, 1)
    return np.full(codes.size, 1 if label > 0 else -1, dtype=np.int64), classes


def _values(labels: npt.NDArray[Any], given: object) -> npt.NDArray[Any]:
    kind = labels.dtype.kind
    if kind in "biu":
        return labels
    if kind == "f":
        return _whole(labels)
    if kind in "US":
        if given is not None and not isinstance(given, np.ndarray):
            _refuse_mixed(list(given))  # type: ignore[call-overload]
        return labels if kind == "U" else _decoded(labels)
    if kind == "O":
        return _objects(labels)
    raise DataError(
        f"y has entries of type {labels.dtype}, which name no classes.",
        "Use integers, truth values or words.",
    )


def _whole(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    for bad, what in (
        (np.isnan(labels), "is missing"),
        (~np.isfinite(labels) | (labels != np.rint(labels)), "is not an integer"),
    ):
        rows = np.flatnonzero(bad)
        if rows.size:
            raise DataError(
                f"The label {labels[rows[0]]} of row {int(rows[0])} {what} "
                f"({rows.size} such labels in all).",
                "Name classes by integers, truth values or words; drop samples without a label.",
            )
    if np.all(np.abs(labels) < 2.0**63):
        return labels.astype(np.int64)
    return np.array([int(value) for value in labels.tolist()], dtype=object)


def _decoded(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    try:
        return np.char.decode(labels, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError("A label is no UTF-8 text.", "Decode the labels first.") from error


def _objects(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    entries = labels.tolist()
    for row, entry in enumerate(entries):
        if entry is None or type(entry).__name__ in ("NAType", "NaTType") or entry != entry:
            raise DataError(
                f"The label {entry} of row {row} is missing.", "Drop samples without a label."
            )
    _refuse_mixed(entries)
    if all(isinstance(entry, str) for entry in entries):
        return np.array(entries, dtype=str)
    if all(isinstance(entry, (bool, np.bool_)) for entry in entries):
        return np.array(entries, dtype=bool)
    whole = []
    for row, entry in enumerate(entries):
        try:
            whole.append(int(entry))
            integral = whole[-1] == entry
        except (TypeError, ValueError, OverflowError):
            integral = False
        if not integral:
            raise DataError(
                f"The label {entry!r} of row {row} is not an integer.",
                "Name classes by integers, truth values or words.",
            )
    if all(-(2**63) <= value < 2**63 for value in whole):
        return np.array(whole, dtype=np.int64)
    return np.array(whole, dtype=object)


def _refuse_mixed(entries: list[Any]) -> None:
    words = [isinstance(entry, (str, bytes)) for entry in entries]
    if any(words) and not all(words):
        row = words.index(not words[0])
        raise DataError(
            f"The label {entries[row]!r} of row {row} and {entries[0]!r} of row 0 are of different "
            "kinds.",
            "Name all classes by words, or all by integers.",
        )
