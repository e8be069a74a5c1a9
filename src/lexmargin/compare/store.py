"""The results folder: one file per unit, each complete or absent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from lexmargin.compare.job_run import Answered
from lexmargin.compare.jobs import FORMAT
from lexmargin.compare.pages.reading import (
    machine_of,
    measures_of,
    read_json,
    read_record,
    result_of,
    sealed,
    unit_keys,
)
from lexmargin.errors import LexmarginError, LibraryError
from lexmargin.inputs.files import make_folder, read_file, sweep, write_file
from lexmargin.inputs.json_text import canonical
from lexmargin.inputs.limits import RECORD_BYTES

__all__ = ["Memory", "Results", "ResultsError", "Store"]

_FORMAT_FILE: Final = "format.json"
_COMPARISON: Final = "comparison.json"
_KIND: Final = "lexmargin comparison"
_FREE_SPACE: Final = "Free some space or name another folder with --out; what is done stays done."


class ResultsError(LibraryError):
    """A results folder that cannot be written, or that holds something else."""

    code = "results"


class Results(ABC):
    """Where the answers of a comparison are kept."""

    @abstractmethod
    def prepare(self) -> None:
        """Make it ready for writing."""

    @abstractmethod
    def has(self, key: str) -> bool:
        """Tell whether the unit is done."""

    @abstractmethod
    def put(self, answered: Answered) -> None:
        """Keep an answer."""

    @abstractmethod
    def get(self, key: str) -> Answered:
        """Return what was kept about a unit."""

    @abstractmethod
    def write_comparison(self, keys: Sequence[str], machine: Mapping[str, str]) -> None:
        """Keep which units the latest comparison consists of, in its order, and where it runs."""

    @abstractmethod
    def comparison(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the units of the latest comparison, and where it ran."""


@final
class Memory(Results):
    """Answers that nobody asked to keep on a disk: whatever ends the process, no file is left."""

    def __init__(self) -> None:
        self._answers: dict[str, Answered] = {}
        self._comparison: tuple[tuple[str, ...], dict[str, str]] = ((), {})

    def prepare(self) -> None:
        return

    def has(self, key: str) -> bool:
        return key in self._answers

    def put(self, answered: Answered) -> None:
        self._answers[answered.key] = answered

    def get(self, key: str) -> Answered:
        return self._answers[key]

    def write_comparison(self, keys: Sequence[str], machine: Mapping[str, str]) -> None:
        self._comparison = (tuple(keys), dict(machine))

    def comparison(self) -> tuple[tuple[str, ...], dict[str, str]]:
        return self._comparison


@final
@dataclass(frozen=True)
class Store(Results):
    """Results of units below a folder, named by the hash of their specification.

    ``results/`` holds what is the same wherever and in whatever order units run;
    ``measures/`` holds seconds and memory, which never are.
    """

    folder: Path

    def prepare(self) -> None:
        """Make the folder ready for writing.

        Raises:
            ResultsError: it holds results of another version or other files, or is read-only.
        """
        # Left by a killed process, a draft of the format would pass for a file of somebody else.
        sweep(self.folder)
        self._check()
        make_folder(self.folder, ResultsError, _FREE_SPACE)
        # First: a folder that holds anything without it is not ours.
        self._write(self.folder / _FORMAT_FILE, canonical({"kind": _KIND, "format": FORMAT}))
        for name in ("results", "measures"):
            make_folder(self.folder / name, ResultsError, _FREE_SPACE)

    def _check(self) -> None:
        mark = self.folder / _FORMAT_FILE
        if not mark.exists():
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise ResultsError(
                    f"{self.folder} holds other files.", "Name a new folder, or an empty one."
                )
            if self.folder.exists() and not self.folder.is_dir():
                raise ResultsError(f"{self.folder} is a file.", "Name a folder for the results.")
            return
        found = read_json(mark)
        if not isinstance(found, dict) or found.get("kind") != _KIND:
            raise ResultsError(f"{mark} is not ours.", "Name another folder for the results.")
        if found.get("format") != FORMAT:
            raise ResultsError(
                f"{self.folder} holds results of format {found.get('format')!r}, "
                f"this version writes {FORMAT}.",
                "Name another folder, or remove this one.",
            )

    def result_path(self, key: str) -> Path:
        """Return where the result of a unit is."""
        return self.folder / "results" / f"{key}.json"

    def has(self, key: str) -> bool:
        """Tell whether the unit is done; a file that is not its record counts as absent."""
        return result_of(read_record(self.result_path(key)), key) is not None

    def put(self, answered: Answered) -> None:
        """Write an answer; the result last, because its presence says that the unit is done."""
        measures = self.folder / "measures" / f"{answered.key}.json"
        self._write(measures, canonical(answered.measures))
        self._write(self.result_path(answered.key), canonical(sealed(answered.result)))

    def get(self, key: str) -> Answered:
        """Return what was written about a unit.

        Raises:
            ResultsError: the unit is not there, or its record is damaged.
        """
        result = result_of(read_record(self.result_path(key)), key)
        if result is None:
            what = "a damaged" if self.result_path(key).exists() else "no"
            raise ResultsError(
                f"{self.folder} has {what} result {key}.",
                "Run the comparison again to complete it.",
            )
        measures = read_json(self.folder / "measures" / f"{key}.json")
        return Answered(key, result, measures_of(measures))

    def write_comparison(self, keys: Sequence[str], machine: Mapping[str, str]) -> None:
        """Write down which units the latest comparison consists of, in its order, and where."""
        found = {"units": list(keys), "machine": dict(machine)}
        self._write(self.folder / _COMPARISON, canonical(found))

    def comparison(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the units of the latest comparison, and where it ran.

        Raises:
            ResultsError: there is none, it is damaged, or it is of another version.
        """
        self._check()
        written = read_json(self.folder / _COMPARISON)
        found = unit_keys(written)
        if found is None:
            raise ResultsError(
                f"{self.folder} holds no comparison.", "Run lexmargin compare --out FOLDER first."
            )
        return found, machine_of(written)

    def _write(self, path: Path, content: bytes) -> None:
        """Replace a file in one step: all of it is there after a crash, or none."""
        if _bytes_of(path) != content:
            write_file(path, content, ResultsError, _FREE_SPACE)


def _bytes_of(path: Path) -> bytes | None:
    try:
        return read_file(path, RECORD_BYTES)
    except LexmarginError:
        return None
