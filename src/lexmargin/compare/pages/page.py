"""A comparison as one HTML page that needs nothing else: no server, no remote file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from lexmargin.compare.citation import as_citation
from lexmargin.compare.pages.colours import colour, style_sheet
from lexmargin.compare.pages.figures import (
    accuracy,
    legend_mark,
    profile_curves,
    success_and_honesty,
    unit,
)
from lexmargin.compare.pages.known_issues import KnownIssue, known_issues
from lexmargin.compare.pages.output import percent, short
from lexmargin.compare.pages.table import Row, Summary, Table
from lexmargin.compare.performance import SHIFT, Performance, performances
from lexmargin.compare.records import Honesty, RowStatus
from lexmargin.errors import LexmarginError
from lexmargin.outputs.display import templates
from lexmargin.shelf.collection import described
from lexmargin.shelf.library import Library
from lexmargin.shelf.profiles import Profile

__all__ = ["as_page"]

_MOST_RUNS: Final = 300
"""Rows of the table of all runs: with more of them a phone takes seconds to open the page, and
nobody reads on; the CSV file has every one."""
_DASH: Final = "–"


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
    """The performance profiles of one grade, on raw or on scaled problems."""

    title: str
    drawing: str


@final
@dataclass(frozen=True)
class _Line:
    """One solver at one grade: its figures, those of raw problems before those of scaled ones."""

    summaries: tuple[Summary, ...]
    means: tuple[Performance, ...]
    mark: str

    @property
    def failures(self) -> tuple[float, float, int]:
        """What lines are sorted by, the most failures first: failing runs, lies, then size."""
        entered = sum(s.entered for s in self.summaries)
        failed = entered - sum(s.certified for s in self.summaries)
        false = sum(s.claims - s.kept for s in self.summaries)
        return -failed / max(entered, 1), -false / max(entered, 1), -entered

    def each(self, name: str) -> str:
        """Return one figure of all summaries."""
        return " / ".join(_shown(getattr(s, name)) for s in self.summaries)

    @property
    def success(self) -> str:
        """The share of successes."""
        return " / ".join(percent(s.success) for s in self.summaries)

    @property
    def honesty(self) -> str:
        """The share of true claims."""
        return " / ".join(percent(s.honesty) for s in self.summaries)

    @property
    def false(self) -> str:
        """How many claims are false."""
        return " / ".join(str(s.claims - s.kept) for s in self.summaries)

    @property
    def lies(self) -> bool:
        """Whether any is."""
        return any(s.claims > s.kept for s in self.summaries)

    def mean(self, name: str) -> str:
        """Return a mean of seconds of all summaries."""
        return " / ".join(_seconds(getattr(one, name)) for one in self.means)


@final
@dataclass(frozen=True)
class _Cell:
    """What one solver made of one problem: signs, a style, and the failure in words."""

    signs: str
    kind: str
    ink: str
    words: str


@final
@dataclass(frozen=True)
class _Problem:
    """One problem: a cell per solver, and how many of its runs failed."""

    name: str
    cells: tuple[_Cell, ...]
    failed: int
    told: tuple[tuple[str, str, str], ...]


@final
@dataclass(frozen=True)
class _Matrix:
    """All cells of one grade, problems and solvers with the most failures first."""

    grade: str
    heads: tuple[tuple[str, str], ...]
    problems: tuple[_Problem, ...]

    @property
    def failing(self) -> tuple[_Problem, ...]:
        """The problems that something failed on."""
        return tuple(one for one in self.problems if one.told)


def as_page(table: Table, library: Library, title: str = "Solvers compared") -> str:
    """Return the page.

    Args:
        table: the rows.
        library: where the problems' mathematics and the profiles are read from.
        title: of the page.
    """
    environment = templates(escape=True)
    from markupsafe import Markup

    environment.filters |= {"percent": percent, "short": short, "seconds": _seconds}
    names = list(dict.fromkeys(row.profile for row in table.rows))
    # By name, so that a solver keeps its colour from one comparison to the next of the same ones.
    styles = {name: index for index, name in enumerate(sorted(names))}
    speeds = performances(table.rows)
    lines = _lines(table, speeds, styles)
    entered = sorted((row for row in table.rows if row.entered), key=_badness)
    shown = [line for line in lines if any(s.entered for s in line.summaries)]
    page: str = environment.get_template("report.html").render(
        title=title,
        table=table,
        rows=entered,
        most=_MOST_RUNS,
        skipped=len(table.rows) - len(entered),
        lines=lines,
        units=" / ".join(unit(scaled) for scaled in sorted({row.scaled for row in table.rows})),
        colours=Markup(style_sheet(len(styles))),
        figures=Markup(success_and_honesty([line.summaries for line in shown], styles)),
        curves=[c for c in _curves(speeds, styles) if c.drawing],
        shift=SHIFT,
        accuracy=Markup(accuracy(table.rows, styles)),
        matrices=_matrices(table.rows, [line.summaries[0].profile for line in shown], styles),
        profiles=_profiles(names, styles, table.rows, library),
        problems=_problems(table.rows, library),
        issues=_issues(names, library),
        citation=as_citation(table, library),
        versions=sorted({pair for row in table.rows for pair in row.versions.items()}),
    )
    return page


def _lines(table: Table, speeds: Sequence[Performance], styles: Mapping[str, int]) -> list[_Line]:
    from markupsafe import Markup

    groups: dict[tuple[str, str], list[Summary]] = {}
    for summary in table.summaries():
        groups.setdefault((summary.profile, summary.grade), []).append(summary)
    lines = []
    for (profile, grade), found in groups.items():
        means = [one for one in speeds if (one.profile, one.grade) == (profile, grade)]
        summaries = tuple(sorted(found, key=lambda s: s.scaled))
        means.sort(key=lambda one: one.scaled)
        lines.append(_Line(summaries, tuple(means), Markup(legend_mark(styles[profile]))))
    return sorted(lines, key=lambda line: line.failures)


def _curves(speeds: Sequence[Performance], styles: Mapping[str, int]) -> list[_Curves]:
    from markupsafe import Markup

    kinds = list(dict.fromkeys((one.grade, one.scaled) for one in speeds))
    return [
        _Curves(
            f"grade {grade}, {unit(scaled)} problems",
            Markup(
                profile_curves(
                    [s for s in speeds if (s.grade, s.scaled) == (grade, scaled)], styles
                )
            ),
        )
        for grade, scaled in kinds
    ]


_SIGNS: Final[Mapping[Honesty, tuple[str, str]]] = {
    Honesty.FALSE: ("≠", "false"),
    Honesty.NOT_MEANT: ("≈", "notmeant"),
}


def _sign(row: Row) -> tuple[str, str]:
    """Return the sign of a run and its style."""
    if row.honesty in _SIGNS:
        return _SIGNS[row.honesty]
    if row.success:
        return "✓", "done"
    return ("○", "failed") if row.entered else ("·", "out")


def _badness(row: Row) -> tuple[int, str, str]:
    """Sort runs: refuted claims first, then failures, then successes."""
    order = ("≠", "≈", "○", "✓", "·")
    return order.index(_sign(row)[0]), row.problem, row.profile


def _matrices(
    rows: Sequence[Row], columns: Sequence[str], styles: Mapping[str, int]
) -> list[_Matrix]:
    found = []
    solvers = list(dict.fromkeys(columns))
    for grade in dict.fromkeys(row.grade for row in rows):
        groups: dict[str, dict[str, list[Row]]] = {}
        for row in rows:
            if row.grade == grade:
                groups.setdefault(row.problem, {}).setdefault(row.profile, []).append(row)
        problems = [_problem(name, group, solvers, styles) for name, group in groups.items()]
        problems.sort(key=lambda one: (-one.failed, one.name))
        heads = tuple((name, colour(styles[name])) for name in solvers)
        found.append(_Matrix(grade, heads, tuple(problems)))
    return found


def _problem(
    name: str, group: Mapping[str, Sequence[Row]], solvers: Sequence[str], styles: Mapping[str, int]
) -> _Problem:
    cells, told, failed = [], [], 0
    for solver in solvers:
        own = sorted(group.get(solver, ()), key=lambda row: (row.scaled, row.seed))
        signs = [_sign(row) for row in own]
        words = [f"{unit(row.scaled)}: {row.failure or 'a success'}" for row in own]
        worst = min(own, key=_badness, default=None)
        kind = "out" if worst is None else _sign(worst)[1]
        ink = colour(styles[solver])
        cells.append(_Cell("".join(s for s, _ in signs) or "·", kind, ink, "; ".join(words)))
        bad = [row for row in own if row.entered and row.failure]
        failed += len(bad)
        told += [(solver, f"{unit(row.scaled)}", row.failure) for row in bad]
    return _Problem(name, tuple(cells), failed, tuple(told))


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
    return _DASH if value is None else f"{value:.3f}"


def _shown(value: float | None) -> str:
    return _DASH if value is None else str(value)
