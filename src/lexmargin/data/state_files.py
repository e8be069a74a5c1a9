"""NPZ and state files read as plain arrays, without believing what a file says of its own size."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lexmargin.data.npz_archive import damage_named, read_arrays, samples_file
from lexmargin.data.safe_tensors import read_tensors
from lexmargin.errors import DataError
from lexmargin.inputs.arrays import finite_array

__all__ = ["read_blocks", "read_npz", "read_state"]

_PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")


def read_npz(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays X, y and, where it is there, weights of an NPZ archive, never unpickling.

    Declared sizes are held against the file before anything is read, so that an archive cannot
    make the program allocate what it does not contain.

    Raises:
        DataError: whatever is wrong with the file.
    """

    def wanted(names: Sequence[str]) -> tuple[str, ...]:
        return ("X", "y", "weights") if "weights" in names else ("X", "y")

    return read_arrays(path, wanted, "numpy.savez(path, X=X, y=y)")


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
