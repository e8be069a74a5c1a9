"""The shelves: problems and solver profiles as data, found installed or in a checkout.

A shelf is a folder with ``problems/`` and ``solvers/`` inside. A problem's name is its path below
``problems/`` without ``.toml`` (``"linear/licq-fails"``); its last part alone is enough where it
is the only one of that name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from lexmargin.errors import LibraryError, UnknownNameError, nearest
from lexmargin.inputs.kinds import checked_class
from lexmargin.inputs.toml import read_toml
from lexmargin.shelf.profiles import Grade, Profile, read_grades, read_profile

if TYPE_CHECKING:
    from lexmargin.shelf.problems import ProblemFile

__all__ = ["GRADES_FILE", "Library", "grade", "grades", "shipped_shelf"]

# A leading underscore marks a file that is no profile, or no problem.
GRADES_FILE: Final = "_grades.toml"


@cache
def shipped_shelf() -> Path:
    """Return the folder of the shipped shelf: in the wheel, else in the checkout around it.

    Raises:
        LibraryError: neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "library", package.parents[1]):
        if (folder / "solvers" / GRADES_FILE).is_file() and (folder / "problems").is_dir():
            return folder
    raise LibraryError(
        f"No shelf of problems and solvers is beside {package}.", "Install lexmargin again."
    )


def _names_a_file(text: str) -> bool:
    """Tell whether ``text`` is a path and not a name; a bare word never is."""
    if text.endswith(".toml"):
        return True
    try:
        return ("/" in text or "\\" in text) and Path(text).exists()
    except (OSError, ValueError):
        return False


@cache
def grades() -> tuple[Grade, ...]:
    """Return the grades, the same for all solvers: default, then from loose to tight."""
    return read_grades(shipped_shelf() / "solvers" / GRADES_FILE)


def _profiles_of(shelf: Path) -> dict[str, Path]:
    paths = (shelf / "solvers").glob("*.toml")
    found = {path.stem: path for path in paths if not path.name.startswith("_")}
    return dict(sorted(found.items()))


# What is shipped does not change while a process runs.
_shipped_profiles = cache(_profiles_of)
_shipped_profile = cache(read_profile)


def grade(name: str) -> Grade:
    """Return one grade.

    Raises:
        UnknownNameError: with the nearest known name.
    """
    known = {entry.name: entry for entry in grades()}
    if name not in known:
        raise UnknownNameError(f"There is no grade {name!r}.", nearest(name, known))
    return known[name]


@final
@checked_class
@dataclass(frozen=True)
class Library:
    """The shipped shelf and any others; on equal names the last folder given wins.

    Args:
        folders: extra shelves, each with ``problems/`` or ``solvers/`` inside, or both.

    Raises:
        LibraryError: a folder that is not a shelf.
    """

    folders: Sequence[Path | str] = ()
    _shelves: tuple[Path, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        extra = tuple(Path(folder) for folder in self.folders)
        for folder in extra:
            if not any((folder / inside).is_dir() for inside in ("problems", "solvers")):
                raise LibraryError(
                    f"{folder} is not a shelf.", "A shelf has problems/ or solvers/ inside."
                )
        object.__setattr__(self, "_shelves", (shipped_shelf(), *extra))

    def problem_paths(self) -> dict[str, Path]:
        """Return the file of every problem by its name, sorted."""
        found = {
            path.relative_to(shelf / "problems").with_suffix("").as_posix(): path
            for shelf in self._shelves
            for path in (shelf / "problems").rglob("*.toml")
            if not path.name.startswith("_")
        }
        return dict(sorted(found.items()))

    def profile_paths(self) -> dict[str, Path]:
        """Return the file of every solver profile by its name, sorted."""
        shipped, *others = self._shelves
        found = dict(_shipped_profiles(shipped))
        for shelf in others:
            found |= _profiles_of(shelf)
        return dict(sorted(found.items())) if others else found

    def problems(self) -> tuple[str, ...]:
        """Return the names of all problems."""
        return tuple(self.problem_paths())

    def titles(self) -> dict[str, str]:
        """Return the title of every problem by its name, sorted; nothing else is read.

        Raises:
            LibraryError: a file that is not TOML, or whose title is no text.
        """
        titles = {}
        for name, path in self.problem_paths().items():
            title = read_toml(path).get("title")
            titles[name] = title if isinstance(title, str) else read_problem(path).title
        return titles

    def profiles(self) -> tuple[str, ...]:
        """Return the names of all solver profiles."""
        return tuple(self.profile_paths())

    def problem(self, name: str | Path) -> ProblemFile:
        """Return a problem by its name, the last part of its name, or the path of its file.

        Raises:
            UnknownNameError: no such problem (with the nearest), or several of that last part.
            LibraryError: the file cannot be read as a problem.
            ParameterError, ExpressionError: it holds a value outside its domain.
        """
        text = str(name)
        known = self.problem_paths()
        if text in known:
            return read_problem(known[text])
        if isinstance(name, Path) or _names_a_file(text):
            return read_problem(Path(name))
        same = [full for full in known if full.rpartition("/")[2] == text]
        if len(same) == 1:
            return read_problem(known[same[0]])
        if same:
            raise UnknownNameError(
                f"{text!r} is the name of {len(same)} problems.", f"Say which: {', '.join(same)}."
            )
        short = {full.rpartition("/")[2] for full in known}
        hint = nearest(text, known if "/" in text else short)
        raise UnknownNameError(f"There is no problem {text!r}.", hint)

    def profile(self, name: str) -> Profile:
        """Return a solver profile by its name.

        Raises:
            UnknownNameError: no such profile (with the nearest).
            LibraryError: the file cannot be read as a profile.
        """
        known = self.profile_paths()
        if name not in known:
            raise UnknownNameError(f"There is no solver profile {name!r}.", nearest(name, known))
        path = known[name]
        shipped = _shipped_profiles(self._shelves[0]).get(name) == path
        return _shipped_profile(path) if shipped else read_profile(path)


def read_problem(path: Path) -> ProblemFile:
    """Return the problem in a file; the rooms of problems are imported where one is read."""
    from lexmargin.shelf import problems

    return problems.read_problem(path)
