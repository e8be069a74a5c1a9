"""Known faults of solvers as data, and their retest: which of them still hold here?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, final

from lexmargin.compare.comparison import compare
from lexmargin.compare.executors import Executor
from lexmargin.compare.jobs import Limits
from lexmargin.compare.records import Honesty, RowStatus
from lexmargin.inputs.codec import Where, read_as
from lexmargin.inputs.toml import read_toml
from lexmargin.shelf.library import Library, shipped_shelf

__all__ = ["ISSUES_FILE", "KnownIssue", "Retest", "known_issues", "retest"]

ISSUES_FILE: Final = "_known_issues.toml"


@final
@dataclass(frozen=True)
class KnownIssue:
    """A fault: this profile on this problem, seen with these versions.

    ``honesty``, and ``ran`` if it is given, are what the comparison finds where the fault is
    present; ``wrong`` says in a sentence what goes wrong, ``link`` where it is discussed.
    """

    name: str = field(metadata={"internal": True})
    profile: str
    problem: str
    wrong: str
    honesty: Honesty = Honesty.FALSE
    ran: RowStatus | None = None
    grade: str = "default"
    link: str = ""
    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@final
@dataclass(frozen=True)
class Retest:
    """What became of a known fault here."""

    issue: KnownIssue
    holds: bool | None
    found: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.issue.name,
            "profile": self.issue.profile,
            "problem": self.issue.problem,
            "holds": self.holds,
            "found": self.found,
        }

    def __str__(self) -> str:
        word = {True: "still holds", False: "gone", None: "not run"}[self.holds]
        return f"{self.issue.name:<32}{word:<14}{self.found}"


def known_issues(library: Library) -> tuple[KnownIssue, ...]:
    """Return the faults on the shipped shelf and on the folders of a library.

    Raises:
        LibraryError: a file that cannot be read as a list of faults.
    """
    folders = (shipped_shelf(), *(Path(folder) for folder in library.folders))
    issues: dict[str, KnownIssue] = {}
    for folder in folders:
        path = folder / "solvers" / ISSUES_FILE
        if not path.is_file():
            continue
        for name, raw in read_toml(path).items():
            issues[name] = read_as(KnownIssue, raw, Where(path, name), name=name)
    return tuple(issues.values())


def retest(
    library: Library, executor: Executor | None = None, only: Sequence[str] = ()
) -> tuple[Retest, ...]:
    """Run every known fault again, or ``only`` those named, and say which still hold."""
    limits = Limits(seconds=30.0)
    retests = []
    for issue in known_issues(library):
        if only and issue.name not in only:
            continue
        table = compare(
            [issue.problem],
            [issue.profile],
            [issue.grade],
            limits=limits,
            executor=executor,
            library=library,
        )
        row = table.rows[0]
        found = f"{row.ran.value}, {row.claim.value}, {row.verdict or 'nothing to judge'}"
        same = row.honesty is issue.honesty and issue.ran in (None, row.ran)
        holds = same if row.entered else None
        retests.append(Retest(issue, holds, found))
    return tuple(retests)


def main() -> None:
    """Print the retest of every known fault; run by ``make known-issues``."""
    from lexmargin.compare.executors import Serial

    for found in retest(Library(), Serial()):
        print(found)


if __name__ == "__main__":
    main()
