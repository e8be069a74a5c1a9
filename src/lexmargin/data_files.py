"""CSV and NPZ files read as plain arrays, without believing what a file says of its own size."""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lexmargin.arrays import finite_array
from lexmargin.errors import DataError, nearest
from lexmargin.npz_archive import damage_named, read_arrays, samples_file
from lexmargin.safe_tensors import read_tensors

__all__ = ["read_blocks", "read_csv", "read_npz", "read_state"]

_PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")


def read_csv(path: str | Path, label: str | None = None) -> tuple[list[list[float]], list[int]]:
    """Return the feature rows and the labels of a CSV file with a header line.

    The label column is the named one, or the last.

    Raises:
        DataError: naming the line and the column.
    """
    file = _regular_file(path)
    X: list[list[float]] = []
    y: list[int] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            column = _label_column(file, header, label)
            for row in reader:
                if not row:
                    continue
                place = f"{file.name}, line {reader.line_num}"
                if len(row) != len(header):
                    raise DataError(
                        f"{place}: {len(row)} cells under a header of {len(header)}.",
                        "Give every line one cell per column.",
                    )
                numbers = [
                    _cell(text, f"{place}, column {title!r}")
                    for text, title in zip(row, header, strict=True)
                ]
                value = numbers.pop(column)
                if not value.is_integer() or abs(value) > 2**53:
                    raise DataError(
                        f"{place}, column {header[column]!r}: the label {row[column]!r} is not an "
                        "integer.",
                        "Use labels -1/+1 or 0..C-1.",
                    )
                X.append(numbers)
                y.append(int(value))
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name} is not UTF-8 text.", "Save it as UTF-8 CSV.") from error
    except csv.Error as error:
        raise DataError(
            f"{file.name}, line {reader.line_num}: {error}.", "Save it as plain CSV."
        ) from error
    except OSError as error:
        raise _unreadable(file, error) from error
    if not X:
        raise DataError(f"{file.name} has a header and no samples.", "Add one line per sample.")
    return X, y


def read_npz(path: str | Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the arrays X and y of an NPZ archive, never unpickling.

    Declared sizes are held against the file before anything is read, so that an archive cannot
    make the program allocate what it does not contain.

    Raises:
        DataError: whatever is wrong with the file.
    """
    found = read_arrays(path, lambda names: ("X", "y"), "numpy.savez(path, X=X, y=y)")
    return found["X"], found["y"]


def read_blocks(path: str | Path) -> list[npt.NDArray[np.float64]]:
    """Return the parameter blocks θ_1 … θ_K of an NPZ archive: block_0, block_1, … in order.

    Raises:
        DataError: as :func:`read_npz`, or blocks that are missing, not numbered from 0, or not
            finite.
    """
    found = read_arrays(path, _numbered, "numpy.savez(path, block_0=…, block_1=…)")
    return [finite_array(block, f"{Path(path).name}: {name}") for name, block in found.items()]


def _numbered(names: Sequence[str]) -> tuple[str, ...]:
    count = sum(name.startswith("block_") for name in names)
    return tuple(f"block_{k}" for k in range(max(count, 1)))


def read_state(path: str | Path) -> dict[str, npt.NDArray[np.float64]]:
    """Return the tensors of a state dict by name, from a ``.safetensors`` or an NPZ file.

    Pickled files are refused unread: loading one runs its code.

    Raises:
        DataError: whatever is wrong with the file, or entries that are not finite real numbers.
    """
    file = Path(path)
    if file.suffix.lower() in _PICKLED or _is_pickled(file):
        raise DataError(
            f"{file.name} is a pickle: reading it would run whatever code it holds.",
            "Save the state dict with safetensors.torch.save_file, or its arrays with numpy.savez.",
        )
    if file.suffix.lower() == ".safetensors":
        state = read_tensors(file)
    else:
        state = read_arrays(file, lambda names: names, "numpy.savez(path, **{name: array, …})")
    return {name: finite_array(tensor, f"{file.name}: {name!r}") for name, tensor in state.items()}


def _is_pickled(file: Path) -> bool:
    """Tell a pickle, or the archive that torch.save writes around one, by its content."""
    if file.suffix.lower() == ".safetensors":
        return False
    with samples_file(file) as (stream, _, name), damage_named(name):
        if stream.read(1) == b"\x80":
            return True
        if not zipfile.is_zipfile(stream):
            return False
        with zipfile.ZipFile(stream) as archive:
            return any(entry.endswith(".pkl") for entry in archive.namelist())


def _regular_file(path: str | Path) -> Path:
    file = Path(path)
    try:
        if file.is_dir():
            raise DataError(f"{file} is a folder.", "Give the path of a file.")
        if not file.exists():
            raise DataError(f"There is no file {file}.", "Check the path.")
        if not file.is_file():
            raise DataError(f"{file} is not a regular file.", "Give the path of a file.")
        if file.stat().st_size == 0:
            raise DataError(f"{file} is empty.", "Write the samples into it.")
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error
    return file


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(f"{file} cannot be read: {error}.", "Check the path and the permissions.")


def _label_column(file: Path, header: list[str], label: str | None) -> int:
    if len(header) < 2:
        raise DataError(
            f"{file.name}, line 1: the header has {len(header)} column(s).",
            "Give a header line, comma-separated, with at least one feature and the label.",
        )
    for position, title in enumerate(header):
        if not title:
            raise DataError(
                f"{file.name}, line 1, column {position + 1}: the column has no name.",
                "Name every column in the header.",
            )
        if title in header[:position]:
            raise DataError(
                f"{file.name}, line 1: two columns are named {title!r}.", "Rename one of them."
            )
    if all(_is_number(title) for title in header):
        raise DataError(
            f"{file.name}, line 1 holds numbers instead of column names.", "Add a header line."
        )
    if label is None:
        return len(header) - 1
    if label not in header:
        raise DataError(f"{file.name} has no label column {label!r}.", nearest(label, header))
    return header.index(label)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cell(text: str, place: str) -> float:
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        shown = text if len(text) <= 40 else text[:40] + "…"
        raise DataError(f"{place}: {shown!r} is not a finite number.", "Write it as a decimal.")
    return value
