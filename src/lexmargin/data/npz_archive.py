"""NPZ archives read without believing what they say of themselves, and without running anything.

Every size that a file declares is added up and held against the file before anything of that size
is made, widened to float64 as it will be.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, final

import numpy as np
import numpy.typing as npt

from lexmargin.errors import DataError, LexmarginError
from lexmargin.inputs.files import opened
from lexmargin.inputs.limits import (
    ARCHIVE_ARRAYS,
    ARCHIVE_BYTES,
    ARCHIVE_RATIO,
    ARRAY_DIMENSIONS,
    NPY_HEADER_BYTES,
)

__all__ = ["check_archive", "check_sizes", "damage_named", "read_arrays", "samples_file"]


_HOSTILE: Final = "The archive is damaged or hostile; write it again."
# What numpy.save writes, and nothing that would need to be evaluated.
_HEADER: Final = re.compile(
    r"\{'descr': (?:'(?P<type>[^']{1,20})'|\[.*), 'fortran_order': (?P<order>True|False),"
    r" 'shape': \((?P<shape>[0-9, L]*)\), ?\}\s*"
)
_REAL: Final = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f(?:2|4|8|12|16))")


@contextmanager
def samples_file(path: str | Path) -> Iterator[tuple[BinaryIO, int, str]]:
    """Open a file that holds numbers; yields the stream, its size and its name.

    Raises:
        DataError: as :func:`~lexmargin.inputs.files.opened`, or an empty file.
    """
    with opened(path, DataError, "Give the path of a file.") as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        if not size:
            raise DataError(f"{path} is empty.", "Write the numbers into it.")
        yield stream, size, Path(path).name


def check_sizes(wanted: int, size: int, name: str, what: str) -> None:
    """Raise :class:`DataError` where a file of ``size`` bytes asks for too many."""
    if wanted > max(ARCHIVE_BYTES, ARCHIVE_RATIO * size):
        raise DataError(
            f"{name}: {what} in a file of {size} bytes claims {wanted} bytes as float64.", _HOSTILE
        )


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Name whatever a damaged archive makes a reader raise: readers have no common error."""
    try:
        yield
    except LexmarginError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:80] or type(error).__name__
        raise DataError(f"{name} is a damaged archive: {said}.", "Write it again.") from error


def check_archive(path: str | Path) -> None:
    """Raise :class:`DataError` for no regular file, or an archive that claims too many bytes."""
    with samples_file(path) as (stream, size, name), damage_named(name):
        if zipfile.is_zipfile(stream):
            with zipfile.ZipFile(stream) as archive:
                declared = sum(entry.file_size for entry in archive.infolist())
            check_sizes(declared, size, name, "the sum of its parts")


def read_arrays(
    path: str | Path, choose: Callable[[Sequence[str]], Sequence[str]], recipe: str
) -> dict[str, npt.NDArray[Any]]:
    """Return arrays of an NPZ archive by name, in the order chosen.

    Args:
        path: the file.
        choose: takes the names of all arrays, returns those wanted.
        recipe: how such a file is written, for error messages.

    Raises:
        DataError: whatever is wrong with the file.
    """
    with samples_file(path) as (stream, size, name):
        with damage_named(name):
            good = zipfile.is_zipfile(stream)
        if not good:
            raise DataError(f"{name} is not an NPZ archive.", f"Write it with {recipe}.")
        with damage_named(name), zipfile.ZipFile(stream) as archive:
            return _arrays(_Opened(archive, size, name), choose, recipe)


@final
@dataclass(frozen=True)
class _Opened:
    """An archive with the size and the name of its file."""

    archive: zipfile.ZipFile
    size: int
    name: str


@final
@dataclass(frozen=True)
class _Header:
    """What the head of an array says, and how many bytes it takes."""

    shape: tuple[int, ...]
    order: str
    dtype: np.dtype[Any]
    length: int


def _arrays(
    found: _Opened, choose: Callable[[Sequence[str]], Sequence[str]], recipe: str
) -> dict[str, npt.NDArray[Any]]:
    names = [entry.removesuffix(".npy") for entry in found.archive.namelist()]
    if not names:
        raise DataError(f"{found.name} holds no arrays.", f"Write it with {recipe}.")
    if len(names) > ARCHIVE_ARRAYS or len(set(names)) < len(names):
        raise DataError(
            f"{found.name} holds {len(names)} arrays, {len(set(names))} of different names.",
            f"Write it with {recipe}, at most {ARCHIVE_ARRAYS} of them.",
        )
    chosen = choose(names)
    for one in chosen:
        if one not in names or f"{one}.npy" not in found.archive.NameToInfo:
            raise DataError(f"{found.name} has no array {one!r}.", f"Write it with {recipe}.")
    entries = {one: found.archive.getinfo(f"{one}.npy") for one in chosen}
    for one, entry in entries.items():
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(
                f"{found.name}: array {one!r} is packed in a way that NumPy does not write.",
                f"Write it with {recipe}.",
            )
        check_sizes(entry.file_size, found.size, found.name, f"array {one!r}")
    check_sizes(
        sum(e.file_size for e in entries.values()), found.size, found.name, "the sum of its arrays"
    )
    headers = {one: _header_of(found, one, entry) for one, entry in entries.items()}
    widened = sum(8 * math.prod(header.shape) for header in headers.values())
    check_sizes(widened, found.size, found.name, "the sum of its arrays")
    return {one: _content(found, one, entries[one], headers[one]) for one in chosen}


def _header_of(found: _Opened, name: str, entry: zipfile.ZipInfo) -> _Header:
    with found.archive.open(entry) as stream:
        header = _header(stream, name, found.name)
    declared = entry.file_size - header.length
    if math.prod(header.shape) * header.dtype.itemsize != declared:
        raise DataError(
            f"{found.name}: array {name!r} claims shape {header.shape} of {header.dtype}, and the "
            f"archive holds {declared} bytes for it.",
            _HOSTILE,
        )
    return header


def _content(
    found: _Opened, name: str, entry: zipfile.ZipInfo, header: _Header
) -> npt.NDArray[Any]:
    with found.archive.open(entry) as stream:
        stream.read(header.length)
        size = entry.file_size - header.length
        content = stream.read(size)
        # Reading to the end makes zipfile compare the checksum.
        if len(content) != size or stream.read(1):
            raise DataError(f"{found.name}: array {name!r} is cut short.", "Write it again.")
    array = np.frombuffer(content, dtype=header.dtype)
    return array.reshape(header.shape, order="F" if header.order == "True" else "C")


def _header(stream: IO[bytes], name: str, file: str) -> _Header:
    """Read the header of the NPY format, its length capped before it is read."""
    prefix = stream.read(8)
    width = {1: 2, 2: 4}.get(prefix[6] if len(prefix) == 8 else 0)
    if width is None or prefix[:6] != b"\x93NUMPY":
        raise DataError(
            f"{file}: array {name!r} is not in NPY format 1 or 2.", "Write it with numpy.savez."
        )
    length = int.from_bytes(stream.read(width), "little")
    if length > NPY_HEADER_BYTES:
        raise DataError(f"{file}: the header of array {name!r} claims {length} bytes.", _HOSTILE)
    text = stream.read(length).decode("latin-1")
    read = _HEADER.fullmatch(text) if len(text) == length else None
    extents = [] if read is None else [n.rstrip("L") for n in re.split(", ?", read["shape"]) if n]
    # Nineteen digits are more than any size, and int() of a long text is slow.
    good = all(n.isdigit() and len(n) < 20 for n in extents) and len(extents) <= ARRAY_DIMENSIONS
    if read is None or not good:
        raise DataError(f"{file}: the header of array {name!r} cannot be read.", _HOSTILE)
    kind = read["type"] or "records"
    if not _REAL.fullmatch(kind):
        raise DataError(
            f"{file}: array {name!r} has entries of type {_in_words(kind)}, not real numbers.",
            "Save plain numbers; pickled objects are never loaded.",
        )
    shape = tuple(int(n) for n in extents)
    return _Header(shape, read["order"], np.dtype(kind), 8 + width + length)


def _in_words(kind: str) -> str:
    """Return NumPy's name of a type, where it has one."""
    try:
        return str(np.dtype(kind))
    except (TypeError, ValueError):
        return kind
