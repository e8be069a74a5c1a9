"""What a unit is made of: a problem or a profile in a file, or an object of the planning process.

A file travels as its path and the digest of what it holds; an object as its pickled self, because
a function of a script or of a notebook is in no file that another process could import.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

from lexmargin.compare.contender import Contender
from lexmargin.compare.own_modules import OwnModule, modules_of, source_of
from lexmargin.errors import LexmarginError, LibraryError, UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.files import read_file
from lexmargin.inputs.limits import HASHED_BYTES
from lexmargin.judge.receipts.receipt_problem import problem_to_json
from lexmargin.shelf.build import build
from lexmargin.shelf.problems import ProblemFile, read_problem
from lexmargin.shelf.profiles import Profile, read_profile

__all__ = [
    "Source",
    "contender_source",
    "digest",
    "entrant_in",
    "file_source",
    "object_source",
    "problem_in",
    "profile_source",
]

_AGAIN: Final = "Start the comparison again."


@final
@dataclass(frozen=True)
class Source:
    """A problem or an entrant by its name, and where it comes from.

    Attributes:
        name: in tables.
        digest: of what it is; equal digests give equal results.
        path: of its file, or "".
        content: the pickled object where there is no file.
        modules: somebody's own, which define its classes or functions.
    """

    name: str
    digest: str
    path: str = ""
    content: bytes = b""
    modules: tuple[OwnModule, ...] = ()


def digest(content: bytes) -> str:
    """Return 32 hexadecimal digits of the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()[:32]


def file_source(name: str, problem: ProblemFile) -> Source:
    """Return the source of a problem in a file.

    Raises:
        UnsupportedError: a class of a module that no other process can import.
        LibraryError: a file of samples that cannot be read.
    """
    modules = modules_of(problem.formulation, problem.predictor)
    return Source(name, _digest_of(problem), str(problem.path.resolve()), modules=modules)


def object_source(name: str, problem: Formulation) -> Source:
    """Return the source of a problem that is an object here.

    Raises:
        UnsupportedError: something in it cannot be sent to another process.
    """
    # What it has computed meanwhile is no part of it.
    content = _pickled(replace(problem))  # type: ignore[type-var]
    try:
        stated = repr(sorted(problem_to_json(problem).items())).encode()
    except LexmarginError:
        stated = content
    whole = stated + f"{problem.norm_p} {problem.data.fingerprint}".encode()
    return Source(name, digest(whole), content=content, modules=_importable(problem))


def profile_source(name: str, path: Path) -> Source:
    """Return the source of a solver profile."""
    return Source(name, digest(_read(path)), str(path.resolve()))


def contender_source(entrant: Contender) -> Source:
    """Return the source of a contender.

    Raises:
        UnsupportedError: one of its functions cannot be sent to another process.
    """
    functions = [entrant.build, entrant.read, *([entrant.solve] if entrant.solve else [])]
    found = {module.name: module for f in functions if (module := source_of(f)) is not None}
    content = _pickled(entrant)
    whole = content + "".join(module.sha256 for module in found.values()).encode()
    return Source(
        entrant.name, digest(whole), content=content, modules=tuple(found[n] for n in sorted(found))
    )


def problem_in(source: Source) -> tuple[Formulation, ProblemFile | None]:
    """Return the problem of a source, and its file where it has one.

    Raises:
        LibraryError: the file has changed, or does not state a problem any more.
    """
    if not source.path:
        problem: Formulation = _unpickled(source)
        return problem, None
    stated = read_problem(Path(source.path))
    if _digest_of(stated) != source.digest:
        raise LibraryError(f"{source.path} has changed.", _AGAIN)
    return build(stated), stated


def entrant_in(source: Source) -> Profile | Contender:
    """Return who answers; as :func:`problem_in`."""
    if not source.path:
        found: Contender = _unpickled(source)
        return found
    if digest(_read(Path(source.path))) != source.digest:
        raise LibraryError(f"{source.path} has changed.", _AGAIN)
    return read_profile(Path(source.path))


def _digest_of(problem: ProblemFile) -> str:
    """Return the digest of a problem file and of the file of samples it names."""
    parts = [_read(problem.path)]
    for name in (problem.data.csv, problem.data.npz):
        if name is not None:
            parts.append(_read(problem.folder / name))
    return digest(b"".join(digest(part).encode() for part in parts))


def _importable(problem: Formulation) -> tuple[OwnModule, ...]:
    """Return the modules to import first; what none defines is pickled whole."""
    try:
        return modules_of(type(problem), problem.predictor)
    except UnsupportedError:
        return ()


def _pickled(value: Any) -> bytes:
    import cloudpickle

    try:
        content: bytes = cloudpickle.dumps(value)
    except Exception as error:  # whatever somebody's objects raise
        raise UnsupportedError(
            f"{value!r} cannot be sent to another process: {error}.",
            "Let it hold no open files, locks or solvers; make these inside its functions.",
        ) from error
    return content


def _unpickled(source: Source) -> Any:
    import pickle

    try:
        # Pickled by this program's own planning process, never read from a file.
        return pickle.loads(source.content)
    except Exception as error:
        folders = ", ".join(path for path in sys.path if path)
        raise LibraryError(
            f"{source.name} cannot be made again in another process: {error}.",
            f"Let what it imports lie in one of {folders}.",
        ) from error


def _read(path: Path) -> bytes:
    return read_file(path, HASHED_BYTES, LibraryError, "Check the path.")
