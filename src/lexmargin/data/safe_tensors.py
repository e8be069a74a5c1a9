"""Safetensors files: a JSON header with the place of every tensor, then their bytes.

The package of that name gives NumPy no bfloat16, and the limits on sizes would stand here all the
same; so a network is certified from its file with no more than NumPy.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lexmargin.data.npz_archive import check_sizes, samples_file
from lexmargin.errors import DataError
from lexmargin.inputs.limits import ARRAY_DIMENSIONS, TENSORS_HEADER_BYTES

__all__ = ["read_tensors"]


_TYPES: Final = {
    "BOOL": "|b1",
    "U8": "|u1",
    "I8": "|i1",
    "I16": "<i2",
    "U16": "<u2",
    "F16": "<f2",
    "BF16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "F32": "<f4",
    "F64": "<f8",
    "I64": "<i8",
    "U64": "<u8",
}


def read_tensors(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a ``.safetensors`` file by name; bfloat16 ones as float32.

    Raises:
        DataError: whatever is wrong with the file.
    """
    with samples_file(path) as (stream, size, name):
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(TENSORS_HEADER_BYTES, size - 8):
            raise _broken(name, "its header has an impossible length")
        header = _header(stream.read(length), name)
        content = stream.read(size - 8 - length)
    wanted = 8 * sum(math.prod(shape) for _, shape, _ in header.values())
    check_sizes(wanted, size, name, "the sum of its tensors")
    return {
        tensor: _tensor(content, name, tensor, kind, shape, place)
        for tensor, (kind, shape, place) in header.items()
    }


_Entry = tuple[str, tuple[int, ...], tuple[int, int]]


def _header(text: bytes, name: str) -> dict[str, _Entry]:
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _broken(name, "its header is not JSON") from error
    if not isinstance(found, dict):
        raise _broken(name, "its header is no table")
    found.pop("__metadata__", None)
    return {tensor: _entry(value, name, tensor) for tensor, value in found.items()}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _entry(value: object, name: str, tensor: str) -> _Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _broken(name, f"{tensor!r} needs dtype, shape and data_offsets")
    kind, shape, place = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(kind, str) or kind not in _TYPES:
        raise _broken(name, f"{tensor!r} has entries of type {str(kind)[:20]!r}")
    if not _sizes(shape) or not _sizes(place) or len(place) != 2 or len(shape) > ARRAY_DIMENSIONS:
        raise _broken(name, f"{tensor!r} has an impossible shape or place")
    return kind, tuple(shape), (place[0], place[1])


def _sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**62 for n in value)


def _tensor(
    content: bytes,
    name: str,
    tensor: str,
    kind: str,
    shape: tuple[int, ...],
    place: tuple[int, int],
) -> npt.NDArray[Any]:
    begin, end = place
    dtype = np.dtype(_TYPES[kind])
    if end > len(content) or end - begin != math.prod(shape) * dtype.itemsize:
        raise _broken(name, f"{tensor!r} of shape {shape} does not fill its place")
    found = np.frombuffer(content[begin:end], dtype=dtype).reshape(shape)
    if kind == "BF16":
        # The upper half of a float32.
        return (found.astype(np.uint32) << 16).view(np.float32)
    return found


def _broken(name: str, why: str) -> DataError:
    return DataError(
        f"{name} is not a safetensors file of plain numbers: {why}.",
        "Save the state dict with safetensors.torch.save_file, in single or double precision.",
    )
