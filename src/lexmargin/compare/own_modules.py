"""Classes and functions of one's own in the processes of units: the module that defined them, only.

A class is known where it has been defined, and a unit runs in a fresh process. What defined it in
the planning process is a file; that file is what the unit's process runs, where its contents are
still the same. Nothing is looked for in the current folder, or beside the problem.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from lexmargin.errors import LibraryError, UnsupportedError

__all__ = ["OwnModule", "load_modules", "modules_of", "source_of"]


@final
@dataclass(frozen=True)
class OwnModule:
    """A module by its name, the file that it was imported from, and the sha256 of that file."""

    name: str
    file: str
    sha256: str


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
