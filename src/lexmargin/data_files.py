"""NPZ files read as plain arrays, without believing what a file says of its own size."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from lexmargin.errors import DataError, MissingBackendError

__all__ = ["read_blocks", "read_npz", "read_state", "regular_file", "unreadable"]

_HEADER_CAP = 10_000
_UNPACKED_CAP = 256 * 2**20
_RATIO_CAP = 100
_PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")


def read_npz(path: str | Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the arrays X and y of an NPZ archive, never unpickling.

    Declared sizes are held against the file before anything is read, so that an archive cannot
    make the program allocate what it does not contain.

    Raises:
        DataError: whatever is wrong with the file.
    """
    file = regular_file(path)
    X, y = _members(file, ("X", "y"), "numpy.savez(path, X=X, y=y)")
    return X, y


def read_blocks(path: str | Path) -> list[npt.NDArray[np.float64]]:
    """Return the parameter blocks θ_1 … θ_K of an NPZ archive: block_0, block_1, … in order.

    Raises:
        DataError: as :func:`read_npz`, or blocks that are missing, not numbered from 0, or not
            finite.
    """
    file = regular_file(path)
    blocks = [
        np.array(block, dtype=np.float64)
        for block in _members(file, None, "numpy.savez(path, block_0=…, block_1=…)")
    ]
    for k, block in enumerate(blocks):
        if not np.all(np.isfinite(block)):
            raise DataError(
                f"{file.name}: block_{k} holds NaN or an infinity.", "Give finite parameters."
            )
    return blocks


def read_state(path: str | Path) -> dict[str, npt.NDArray[np.float64]]:
    """Return the tensors of a state dict by name, from a ``.safetensors`` or an NPZ file.

    Pickled files are refused unread: loading one runs its code.

    Raises:
        DataError: whatever is wrong with the file, or entries that are not finite real numbers.
        MissingBackendError: safetensors is not installed.
    """
    file = regular_file(path)
    if file.suffix.lower() in _PICKLED or _is_pickled(file):
        raise DataError(
            f"{file.name} is a pickle: reading it would run whatever code it holds.",
            "Save the state dict with safetensors.torch.save_file, or its arrays with numpy.savez.",
        )
    safe = file.suffix.lower() == ".safetensors"
    state = _safetensors(file) if safe else dict(_named_members(file))
    found = {}
    for name, tensor in state.items():
        if tensor.dtype.kind not in "fiub":
            raise DataError(
                f"{file.name}: {name!r} has entries of type {tensor.dtype}.", "Save real numbers."
            )
        found[name] = np.array(tensor, dtype=np.float64)
        if not np.all(np.isfinite(found[name])):
            raise DataError(
                f"{file.name}: {name!r} holds NaN or an infinity.",
                "Certify finite weights: the training has diverged.",
            )
    return found


def _is_pickled(file: Path) -> bool:
    """Tell a pickle, or the archive that torch.save writes around one, by its content."""
    try:
        with file.open("rb") as stream:
            if stream.read(1) == b"\x80" and file.suffix.lower() != ".safetensors":
                return True
        if not zipfile.is_zipfile(file):
            return False
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _safetensors(file: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        from safetensors.numpy import load_file
    except ModuleNotFoundError as error:
        raise MissingBackendError(
            "safetensors is not installed.",
            "Install it: pip install safetensors; or save the arrays with numpy.savez.",
        ) from error
    try:
        return dict(load_file(file))
    except Exception as error:  # safetensors has no common error for what a file may hold
        raise DataError(
            f"{file.name} is not a safetensors file of plain numbers ({error}).",
            "Save the state dict with safetensors.torch.save_file, in single or double precision.",
        ) from error


def _named_members(file: Path) -> list[tuple[str, npt.NDArray[Any]]]:
    """Read every array of an NPZ archive under its own name."""
    recipe = "numpy.savez(path, **{name: array, …})"
    try:
        if not zipfile.is_zipfile(file):
            raise DataError(f"{file.name} is not an NPZ archive.", f"Write it with {recipe}.")
        with zipfile.ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{file.name} is a damaged archive: {error}.", "Write it again.") from error
    if not names:
        raise DataError(f"{file.name} holds no arrays.", f"Write it with {recipe}.")
    return list(zip(names, _members(file, tuple(names), recipe), strict=True))


def _members(file: Path, names: tuple[str, ...] | None, recipe: str) -> list[npt.NDArray[Any]]:
    """Read the named arrays, or the blocks numbered from 0."""
    try:
        if not zipfile.is_zipfile(file):
            raise DataError(f"{file.name} is not an NPZ archive.", f"Write it with {recipe}.")
        with zipfile.ZipFile(file) as archive:
            inside = archive.namelist()
            if names is None:
                count = sum(name.startswith("block_") for name in inside)
                names = tuple(f"block_{k}" for k in range(max(count, 1)))
            for name in names:
                if f"{name}.npy" not in inside:
                    raise DataError(
                        f"{file.name} has no array {name!r}.", f"Write it with {recipe}."
                    )
            return [_member(archive, name, file) for name in names]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{file.name} is a damaged archive: {error}.", "Write it again.") from error
    except OSError as error:
        raise unreadable(file, error) from error


def regular_file(path: str | Path) -> Path:
    """Return the path of a file that is one and not empty; raise :class:`DataError` otherwise."""
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
        raise unreadable(file, error) from error
    return file


def unreadable(file: Path, error: Exception) -> DataError:
    """Return the error that says why the system does not let a file be read."""
    return DataError(f"{file} cannot be read: {error}.", "Check the path and the permissions.")


def _member(archive: zipfile.ZipFile, name: str, file: Path) -> npt.NDArray[Any]:
    info = archive.getinfo(f"{name}.npy")
    declared, packed = info.file_size, info.compress_size
    if packed > file.stat().st_size or declared > max(_UNPACKED_CAP, _RATIO_CAP * packed):
        raise DataError(
            f"{file.name}: array {name!r} claims {declared} bytes in a file of "
            f"{file.stat().st_size}.",
            "The archive is damaged or hostile; write it again.",
        )
    with archive.open(info) as stream:
        shape, fortran, dtype, start = _npy_header(stream, name, file)
        size = math.prod(shape) * dtype.itemsize
        if any(extent < 0 for extent in shape) or size != declared - start:
            raise DataError(
                f"{file.name}: array {name!r} claims shape {shape} of {dtype}, and the archive "
                f"holds {declared - start} bytes for it.",
                "The archive is damaged or hostile; write it again.",
            )
        content = stream.read(size)
        # Reading to the end makes zipfile compare the checksum.
        if len(content) != size or stream.read(1):
            raise DataError(f"{file.name}: array {name!r} is cut short.", "Write it again.")
    return np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _npy_header(
    stream: IO[bytes], name: str, file: Path
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Read the header of the NPY format, its length capped before it is read."""
    prefix = stream.read(8)
    width = {1: 2, 2: 4}.get(prefix[6] if len(prefix) == 8 else 0)
    if width is None or prefix[:6] != b"\x93NUMPY":
        raise DataError(
            f"{file.name}: array {name!r} is not in NPY format 1 or 2.",
            "Write it with numpy.savez.",
        )
    length_bytes = stream.read(width)
    length = int.from_bytes(length_bytes, "little")
    if length > _HEADER_CAP:
        raise DataError(
            f"{file.name}: the header of array {name!r} claims {length} bytes.",
            "The archive is damaged or hostile; write it again.",
        )
    text = io.BytesIO(length_bytes + stream.read(length))
    read = (
        np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    )
    try:
        shape, fortran, dtype = read(text)
    except Exception as error:  # numpy's parser has no common error for hostile text
        raise DataError(
            f"{file.name}: the header of array {name!r} cannot be read.",
            "The archive is damaged or hostile; write it again.",
        ) from error
    if dtype.hasobject or dtype.kind not in "biuf":
        raise DataError(
            f"{file.name}: array {name!r} has entries of type {dtype}, not real numbers.",
            "Save plain numbers; pickled objects are never loaded.",
        )
    return shape, fortran, dtype, 8 + width + length
