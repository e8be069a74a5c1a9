"""A comparison as one HTML page that needs nothing else: no server, no remote file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from lexmargin.compare.pages.figures import (
    accuracy,
    dolan_more,
    legend_mark,
    profile_curves,
    success_and_honesty,
)
from lexmargin.compare.pages.known_issues import KnownIssue, known_issues
from lexmargin.compare.pages.output import percent, short
from lexmargin.compare.pages.table import Row, Table
from lexmargin.compare.records import RowStatus
from lexmargin.errors import LexmarginError
from lexmargin.shelf.collection import described
from lexmargin.shelf.library import Library
from lexmargin.shelf.profiles import Profile

__all__ = ["as_page"]


@final
@dataclass(frozen=True)
class _ProblemEntry:
    """What the page says about a problem."""

    name: str
    title: str
    source: str
    mathematics: str
    size: str


@final
@dataclass(frozen=True)
class _ProfileEntry:
    """What the page says about a profile."""

    name: str
    mark: str
    profile: Profile | None
    absent: bool
    entered: bool
    lacks: str
    pinned: str


@final
@dataclass(frozen=True)
class _Curves:
    """The performance profiles of one grade."""

    grade: str
    drawing: str


def as_page(table: Table, library: Library, title: str = "Solvers compared") -> str:
    """Return the page.

    Args:
        table: the rows.
        library: where the problems' mathematics and the profiles are read from.
        title: of the page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("lexmargin", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "short": short, "seconds": _seconds}
    names = list(dict.fromkeys(row.profile for row in table.rows))
    styles = {name: index for index, name in enumerate(names)}
    grades = list(dict.fromkeys(row.grade for row in table.rows))
    curves = [
        _Curves(grade, Markup(profile_curves(dolan_more(rows), styles)))
        for grade in grades
        if (rows := [row for row in table.rows if row.grade == grade])
    ]
    entered = [row for row in table.rows if row.entered]
    page: str = environment.get_template("report.html").render(
        title=title,
        table=table,
        rows=entered,
        skipped=len(table.rows) - len(entered),
        summaries=table.summaries(),
        lies=table.lies(),
        figures=Markup(success_and_honesty(table.summaries(), styles)),
        curves=[c for c in curves if c.drawing],
        accuracy=Markup(accuracy(table.rows, styles)),
        profiles=_profiles(names, styles, table.rows, library),
        problems=_problems(table.rows, library),
        issues=_issues(names, library),
        versions=sorted({pair for row in table.rows for pair in row.versions.items()}),
    )
    return page


def _profiles(
    names: Sequence[str], styles: dict[str, int], rows: Sequence[Row], library: Library
) -> list[_ProfileEntry]:
    from markupsafe import Markup

    entries = []
    for name in names:
        try:
            profile = library.profile(name)
        except LexmarginError:
            profile = None
        own = [row for row in rows if row.profile == name]
        entries.append(
            _ProfileEntry(
                name=name,
                mark=Markup(legend_mark(styles[name])),
                profile=profile,
                entered=any(row.entered for row in own),
                absent=all(row.ran is RowStatus.MISSING for row in own),
                lacks=", ".join(word.value for word in profile.lacks()) if profile else "",
                pinned=", ".join(f"{k} = {v}" for k, v in profile.fixed.items()) if profile else "",
            )
        )
    return entries


def _problems(rows: Sequence[Row], library: Library) -> list[_ProblemEntry]:
    entries = []
    for name in dict.fromkeys(row.problem for row in rows):
        try:
            title, source, problem = described(name, library)
        except LexmarginError as error:
            entries.append(_ProblemEntry(name, "", "", str(error), ""))
            continue
        count, features = problem.data.n_samples, problem.data.n_features
        size = f"{count} sample{'s' * (count > 1)}, {features} feature{'s' * (features > 1)}"
        mathematics = (
            f"{problem.program()}\n  where     f_n = y_n F(x_n), F = {problem.predictor!r}"
        )
        entries.append(_ProblemEntry(name, title, source, mathematics, size))
    return entries


def _issues(names: Sequence[str], library: Library) -> list[KnownIssue]:
    return [issue for issue in known_issues(library) if issue.profile in names]


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
