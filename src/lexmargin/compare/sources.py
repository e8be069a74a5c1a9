"""What a unit is made of: a problem or a profile in a file, or an object of the planning process.

A file travels as its path and the digest of what it holds; an object as its pickled self, because
a function of a script or of a notebook is in no file that another process could import.

A class is known where it has been defined, and a unit runs in a fresh process. What defined it in
the planning process is a file; that file is what the unit's process runs, where its contents are
still the same. Nothing is looked for in the current folder, or beside the problem.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

import cloudpickle

from lexmargin.compare.contender import Contender
from lexmargin.errors import LexmarginError, LibraryError, UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.files import read_file
from lexmargin.inputs.limits import HASHED_BYTES
from lexmargin.judge.receipts.receipt_problem import problem_to_json
from lexmargin.shelf.build import build
from lexmargin.shelf.problems import ProblemFile, read_problem
from lexmargin.shelf.profiles import Profile, read_profile

__all__ = [
    "OwnModule",
    "Source",
    "contender_source",
    "digest",
    "entrant_in",
    "file_source",
    "load_modules",
    "modules_of",
    "object_source",
    "problem_in",
    "profile_source",
    "source_of",
]

_AGAIN: Final = "Start the comparison again."


@final
@dataclass(frozen=True)
class OwnModule:
    """A module by its name, the file that it was imported from, and the sha256 of that file."""

    name: str
    file: str
    sha256: str


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
    try:
        content: bytes = cloudpickle.dumps(value)
    except Exception as error:  # whatever somebody's objects raise
        raise UnsupportedError(
            f"{value!r} cannot be sent to another process: {error}.",
            "Let it hold no open files, locks or solvers; make these inside its functions.",
        ) from error
    return content


def _unpickled(source: Source) -> Any:
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


def modules_of(formulation: type[Any], predictor: Any) -> tuple[OwnModule, ...]:
    """Return the modules outside of this package whose classes a problem is made of.

    Raises:
        UnsupportedError: a class of a module that no other process can import.
    """
    found = {}
    for cls in {formulation, *_classes(predictor)}:
        if _is_ours(cls.__module__):
            continue
        module = source_of(cls)
        if module is None:
            raise UnsupportedError(
                f"{cls.__qualname__} is defined in {cls.__module__}, which no other process can "
                "import.",
                "Define it in a file of its own and import it; units run in other processes.",
            )
        found[module.name] = module
    return tuple(found[name] for name in sorted(found))


def source_of(defined: Any) -> OwnModule | None:
    """Return the module of a class or a function; None where no other process can import it."""
    name = str(getattr(defined, "__module__", None) or "__main__")
    file = getattr(sys.modules.get(name), "__file__", None)
    if name == "__main__" or file is None or not Path(file).is_file():
        return None
    return OwnModule(name, str(Path(file).resolve()), _sha256(file))


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == __name__.partition(".")[0]


def _classes(value: Any) -> Iterator[type[Any]]:
    if isinstance(value, tuple):
        for entry in value:
            yield from _classes(entry)
    elif dataclasses.is_dataclass(value):
        yield type(value)
        for one in dataclasses.fields(value):
            yield from _classes(getattr(value, one.name))


def load_modules(modules: Sequence[OwnModule]) -> None:
    """Import the modules of :func:`modules_of`, by their names or else from their files.

    Raises:
        LibraryError: a file that has changed or is not there, or that fails to run.
    """
    for module in modules:
        if module.name in sys.modules:
            continue
        try:
            _load(module)
        except Exception as error:  # whatever somebody's code raises
            raise LibraryError(
                f"The module {module.name} cannot be imported in another process: {error}.",
                "Install it where units run, and start the comparison again.",
            ) from error


def _load(module: OwnModule) -> None:
    spec = None
    # Where its package is not on the path of this process, there is the file.
    with suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(module.name)
    if spec is not None and spec.origin is not None and _is_file_of(module, spec.origin):
        importlib.import_module(module.name)
        return
    if not _is_file_of(module, module.file):
        raise LibraryError(f"{module.file} has changed")
    spec = importlib.util.spec_from_file_location(module.name, module.file)
    if spec is None or spec.loader is None:
        raise LibraryError(f"{module.file} is no Python module")
    made = importlib.util.module_from_spec(spec)
    # Dataclasses look their annotations up in the module they say they belong to.
    sys.modules[module.name] = made
    spec.loader.exec_module(made)


def _is_file_of(module: OwnModule, file: str) -> bool:
    return Path(file).is_file() and _sha256(file) == module.sha256


def _sha256(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
