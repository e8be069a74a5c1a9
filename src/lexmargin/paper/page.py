"""The measured statements as one HTML page that needs nothing else, and as Markdown."""

from __future__ import annotations

import base64
import importlib.util
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from lexmargin.inputs.files import make_folder, write_file
from lexmargin.inputs.optional import optional
from lexmargin.outputs.display import templates
from lexmargin.paper.measure import Record, source_of
from lexmargin.paper.passages import Passage
from lexmargin.paper.shelf import PAPER, Book, rows_of, statement
from lexmargin.paper.statement import Check, Finding, Measurement, Reading, Relation, Statement
from lexmargin.plots import save
from lexmargin.shelf.library import Library
from lexmargin.version import VERSION, installed

__all__ = ["write_pages"]

_MARKS = {Finding.HOLDS: "good", Finding.DIFFERS: "bad", Finding.UNDECIDED: "soft"}
_VERSIONS = ("numpy", "scipy", "cvxpy", "pyomo", "casadi", "cyipopt", "scikit-learn", "matplotlib")


@final
@dataclass(frozen=True)
class _Found:
    """A finding as it is shown: word, style, slack, sentence."""

    word: str
    mark: str
    slack: str
    sentence: str


@final
@dataclass(frozen=True)
class _Row:
    """A check as it is shown."""

    instance: str
    quantity: str
    relation: str
    residual: str
    certified: str
    reading: str
    finding: str
    mark: str


@final
@dataclass(frozen=True)
class _Passage:
    """A passage of the paper as it is shown: its rows, or else what kind it is."""

    section: str
    place: str
    words: str
    rows: Sequence[tuple[str, bool]]
    kind: str


@final
@dataclass(frozen=True)
class _Entry:
    """A statement as it is shown."""

    id: str
    title: str
    reference: str
    equation: str
    mathml: str
    says: str
    corrected: str
    literal: _Found
    correction: _Found
    checks: Sequence[_Row]
    remarks: Sequence[str]
    failure: str
    drawing: str
    caption: str
    command: str
    source: str
    code: str
    problems: Sequence[str]
    planted: Sequence[str]


def write_pages(records: Sequence[Record], folder: Path, book: Book = PAPER) -> tuple[Path, ...]:
    """Write ``index.html``, a Markdown file and ``figures/`` (PNG and SVG) into the folder.

    The bytes depend on the measurements alone: the same records give the same files.

    Args:
        records: of one effort.
        book: whose statements they are.
        folder: made if absent.

    Returns:
        The two pages.

    Raises:
        BadInputError: the folder cannot be written to.
    """
    entries = [_entry(record, folder / "figures", book) for record in records]
    effort = records[0].effort.value if records else ""
    shared: Mapping[str, Any] = {
        "title": book.title,
        "book": book,
        "effort": effort,
        "entries": entries,
        "passages": _passages({entry.id for entry in entries}) if book is PAPER else [],
        "problems": _problem_files(entries),
        "versions": _versions(),
    }
    make_folder(folder)
    pages = []
    for name, template, escape in (
        ("index.html", "paper.html", True),
        (f"{book.word}.md", "paper.md.jinja", False),
    ):
        path = folder / name
        write_file(path, _rendered(template, shared, escape), advice="Name another folder.")
        pages.append(path)
    return tuple(pages)


def _rendered(template: str, shared: Mapping[str, Any], escape: bool) -> str:
    environment = templates(escape)
    environment.filters["cell"] = lambda text: text.replace("|", "\\|").replace("\n", " ")
    page: str = environment.get_template(template).render(**shared)
    return page


def _passages(shown: set[str]) -> list[_Passage]:
    """Return the paper in its order; a row that is not on this page is named without a link."""
    found = ((passage, rows_of(passage)) for passage in Passage)
    return [
        _Passage(
            section=passage.section,
            place=passage.place,
            words=passage.words,
            rows=[(name, name in shown) for name in rows],
            kind="" if rows else passage.kind.value,
        )
        for passage, rows in found
    ]


def _entry(record: Record, figures: Path, book: Book) -> _Entry:
    stated = statement(record.id)
    measured = record.measurement
    command = f"lexmargin {book.word} --only {record.id}"
    return _Entry(
        id=record.id,
        title=stated.title,
        reference=stated.reference,
        equation=stated.equation,
        mathml=_mathml(stated.equation),
        says=stated.says,
        corrected=stated.corrected,
        literal=_found(measured, Reading.PAPER),
        correction=_found(measured, Reading.CORRECTED),
        checks=[] if measured is None else [_row(check) for check in measured.checks],
        remarks=() if measured is None else measured.remarks,
        failure=record.failure,
        drawing="" if measured is None else _drawing(stated, measured, figures),
        caption=stated.caption,
        command=command + (" --quick" if record.effort.value == "quick" else ""),
        source=f"src/lexmargin/{source_of(stated)}",
        code=_code(stated),
        problems=stated.problems,
        planted=list(dict.fromkeys(plant.change for plant in stated.planted())),
    )


def _found(measured: Measurement | None, reading: Reading) -> _Found:
    """Return the finding of one reading; a reading without checks is not spoken of."""
    checks = [] if measured is None else [c for c in measured.checks if c.reading is reading]
    if measured is None or not checks:
        return _Found("–", "soft", "–", "")
    finding, slack = measured.finding(reading), measured.slack(reading)
    count = len({check.instance for check in checks})
    where = f"{count} instances" if count > 1 else checks[0].instance
    these = "these " if count > 1 else ""
    if finding is Finding.HOLDS:
        sentence = f"Holds on {these}{where} with slack {_short(slack)}."
    elif finding is Finding.DIFFERS:
        broken = [check for check in checks if check.finding is Finding.DIFFERS]
        names = list(dict.fromkeys(check.instance for check in broken))
        sentence = f"Differs on {'; '.join(names)}."
    else:
        sentence = "Undecided: a figure is not certified."
    return _Found(finding.value, _MARKS[finding], _short(slack), sentence)


def _row(check: Check) -> _Row:
    return _Row(
        instance=check.instance,
        quantity=check.quantity,
        relation=_relation(check),
        residual=_short(check.residual),
        certified="yes" if check.certified else "no",
        reading=check.reading.value,
        finding=check.finding.value,
        mark=_MARKS[check.finding],
    )


_TOLERATED: Final = {Relation.AT_MOST: "+", Relation.AT_LEAST: "-", Relation.EQUAL: "±"}


def _relation(check: Check) -> str:
    """Return the comparison as it is made, its tolerance within."""
    parts = [_long(check.measured), check.relation.value, _long(check.predicted)]
    if check.tolerance:
        parts += [_TOLERATED[check.relation], _short(check.tolerance)]
    return " ".join(parts)


def _drawing(stated: Statement, measured: Measurement, folder: Path) -> str:
    """Draw the figure, keep it as PNG and SVG, and return the SVG as an address of data."""
    figure = stated.draw(measured)
    if figure is None:
        return ""
    files = save(figure, folder, stated.id)
    drawn = next(path for path in files if path.suffix == ".svg").read_bytes()
    return "data:image/svg+xml;base64," + base64.b64encode(drawn).decode("ascii")


def _mathml(latex: str) -> str:
    """Return the equation as a browser shows it without script or font.

    Its parts, with a wide space between them, are set one by one: a phone puts them on lines.
    """
    convert = optional("latex2mathml.converter").convert

    # A word that the converter would print as it is typed.
    parts = re.split(r",?\\q?quad\s*", latex.replace(r"\arg", r"\operatorname{arg}"))
    return "".join(str(convert(part, display="block")) for part in parts)


def _code(stated: Statement) -> str:
    found = importlib.util.find_spec(type(stated).__module__)
    if found is None or found.origin is None:
        return ""
    return Path(found.origin).read_text(encoding="utf-8")


def _problem_files(entries: Sequence[_Entry]) -> list[tuple[str, str]]:
    paths = Library().problem_paths()
    names = dict.fromkeys(name for entry in entries for name in entry.problems)
    return [(name, paths[name].read_text(encoding="utf-8")) for name in names]


def _versions() -> str:
    others = ((name, installed(name)) for name in _VERSIONS)
    found = (f"{name} {version}" for name, version in others if version is not None)
    return ", ".join([f"lexmargin {VERSION}", *found])


def _short(value: float) -> str:
    return f"{value:.2g}" if math.isfinite(value) else "–"


def _long(value: float) -> str:
    return f"{value:.10g}" if math.isfinite(value) else "–"
