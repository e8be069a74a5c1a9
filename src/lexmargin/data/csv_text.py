"""The grammar of CSV as people export it: delimiter, comments, index, missing values, labels."""

from __future__ import annotations

import csv
import io
import itertools
import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from lexmargin.data.decimals import Decimals
from lexmargin.data.npz_archive import samples_file
from lexmargin.errors import DataError, ParameterError, nearest

__all__ = ["COMMENT", "read_csv"]

COMMENT: Final = "#"

# The order is that of ties: a header that several of them split equally well is refused.
_DELIMITERS: Final = (",", ";", "\t", "|")
_SPACE: Final = " "
_MISSING: Final = frozenset(
    ("", "na", "n/a", "#n/a", "nan", "<na>", "null", "none", "nil", "missing", "?", ".", "-")
)
# Spreadsheets write errors as words that begin with the sign of a comment.
_ERRORS: Final = ("#N/A", "#NA", "#NAME?", "#NULL!", "#NUM!", "#DIV/0!", "#REF!", "#VALUE!")
# pandas reads the unnamed index of a file it wrote under this name, and writes it back.
_UNNAMED: Final = ("", "Unnamed: 0")
_SHOWN: Final = 8
"""Lines of missing values named in an error: enough to find them, short enough to be read."""


def read_csv(
    path: str | Path,
    label: str | None = None,
    *,
    weight: str | None = None,
    delimiter: str | None = None,
    comment: str | None = COMMENT,
    index: str | None = None,
    decimal: str | None = None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Return features (N, p), labels (N,) and weights of a CSV file with a header line.

    Args:
        path: the file, UTF-8.
        label: the name of the label column; the last column by default.
        weight: the name of a column of weights.
        delimiter: one character, " " for runs of spaces; None to tell it from the first two lines,
            or from a first line such as ``sep=;``.
        comment: what a line begins with that is skipped; None for no comments.
        index: the name of a column of row names, which is left out. A first column without a name
            is one by itself, and so is a first cell more than the header has in every line.

    Returns:
        The features, float64 (objects where an integer is no float64), the labels: integers where
        all are, else words; and the weights (N,), None without a column of them.

    Raises:
        DataError: naming the line and the column.
        ParameterError: a delimiter, a comment or a decimal mark that is none.
    """
    file = Path(path)
    _check(delimiter, comment)
    try:
        with (
            samples_file(path) as (content, _, _),
            io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as stream,
        ):
            lines = _Lines(stream, comment)
            if delimiter is None:
                delimiter = lines.directive()
            found = delimiter or _sniffed(lines.peek(2), file)
            lines.spaces = found == _SPACE
            decimals = Decimals(decimal, found)
            reader = csv.reader(lines, delimiter=found, strict=True, skipinitialspace=lines.spaces)
            try:
                return _read(file, lines, reader, (label, index, weight), decimals)
            except csv.Error as error:
                raise DataError(
                    f"{file.name}, line {lines.number}: {error}.", "Save it as plain CSV."
                ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name} is not UTF-8 text.", "Save it as UTF-8 CSV.") from error


def _check(delimiter: str | None, comment: str | None) -> None:
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ParameterError(
            f"The delimiter is {delimiter!r}.", 'Give one character, such as ";" or "\\t".'
        )
    if comment is not None and not comment.strip():
        raise ParameterError(f"The comment sign is {comment!r}.", 'Give one such as "#" or "//".')


@final
class _Lines(Iterator[str]):
    """The lines of a file without comments and blank lines, except inside a quoted cell."""

    def __init__(self, stream: Iterable[str], comment: str | None) -> None:
        self._stream = iter(stream)
        self._comment = comment
        self._ahead: list[tuple[int, str]] = []
        self._read = 0
        self.number = 0
        self.begins_row = True
        self.spaces = False

    def __next__(self) -> str:
        if self._ahead:
            self.number, line = self._ahead.pop(0)
        else:
            self.number, line = self._next(self.begins_row)
        self.begins_row = False
        # A space at the end of a line separates nothing.
        return f"{line.strip()}\n" if self.spaces else line

    def peek(self, count: int) -> list[str]:
        """Return the next lines without passing them."""
        while len(self._ahead) < count:
            try:
                self._ahead.append(self._next(True))
            except StopIteration:
                break
        return [line for _, line in self._ahead]

    def directive(self) -> str | None:
        """Pass the line ``sep=;`` that spreadsheets read first, and return what it names."""
        first = "".join(self.peek(1)).strip("\r\n")
        if len(first) != 5 or first[:4].lower() != "sep=":
            return None
        next(self)
        self.begins_row = True
        return first[4]

    def _next(self, begins_row: bool) -> tuple[int, str]:
        for line in self._stream:
            self._read += 1
            if not begins_row or not self._skipped(line.strip()):
                return self._read, line
        raise StopIteration

    def _skipped(self, line: str) -> bool:
        if not line:
            return True
        return (
            self._comment is not None
            and line.startswith(self._comment)
            and not line.upper().startswith(_ERRORS)
        )


def _cells(line: str, delimiter: str) -> int:
    """Return how many cells a line has, 0 where it cannot be read so."""
    row = line.strip() if delimiter == _SPACE else line.rstrip("\r\n")
    reader = csv.reader(
        [row], delimiter=delimiter, strict=True, skipinitialspace=delimiter == _SPACE
    )
    try:
        return len(next(reader, []))
    except csv.Error:
        return 0


def _sniffed(lines: list[str], file: Path) -> str:
    """Return the delimiter that splits header and first sample alike, into most cells."""
    if not lines:
        return ","
    counts = {}
    for delimiter in (*_DELIMITERS, _SPACE):
        header = _cells(lines[0], delimiter)
        sample = _cells(lines[1], delimiter) if len(lines) > 1 else header
        # Row names have no title in some exports.
        if header > 1 and sample in (header, header + 1):
            counts[delimiter] = header
    # Spaces are last: they also stand inside titles.
    visible = {d: count for d, count in counts.items() if d != _SPACE}
    if not visible:
        if counts:
            return _SPACE
        # Lines that no delimiter splits alike are refused by the reader, with the place.
        return max(_DELIMITERS, key=lambda d: _cells(lines[0], d))
    most = max(visible.values())
    best = [d for d, count in visible.items() if count == most]
    if len(best) > 1:
        raise DataError(
            f"{file.name}: the delimiter may be {' or '.join(map(repr, best))}.",
            "Say which: delimiter = ….",
        )
    return best[0]


@final
@dataclass
class _Missing:
    """Cells without a value: they are counted to the end, so that one message names them all."""

    first: tuple[int, str, str] | None = None
    count: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, line: int, title: str, text: str) -> None:
        self.first = self.first or (line, title, text)
        self.count += 1
        if not self.lines or self.lines[-1] != line:
            self.lines.append(line)

    def refuse(self, file: Path) -> None:
        if self.first is None:
            return
        line, title, text = self.first
        shown = ", ".join(map(str, self.lines[:_SHOWN])) + (
            ", …" if len(self.lines) > _SHOWN else ""
        )
        raise DataError(
            f"{file.name}, line {line}, column {title!r}: {text!r} is a missing value "
            f"({self.count} in all, in {len(self.lines)} line(s): {shown}).",
            "Drop these lines, or fill the cells with a value that you can defend (the column's "
            "median, say); with pandas: read_csv(path).dropna().",
        )


def _rows(lines: _Lines, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Yield every row with the number of its last line."""
    lines.begins_row = True
    for row in reader:
        lines.begins_row = True
        cells = [cell.strip() for cell in row]
        # Spreadsheets end with rows of delimiters.
        if any(cells):
            yield lines.number, cells


def _shorten(cells: list[str], size: int) -> None:
    """Drop empty cells at the end beyond a size: some exports end every line with a delimiter."""
    while len(cells) > size and not cells[-1]:
        cells.pop()


def _read(
    file: Path,
    lines: _Lines,
    reader: Iterator[list[str]],
    titles: tuple[str | None, str | None, str | None],
    decimals: Decimals,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any] | None]:
    rows = _rows(lines, reader)
    _, header = next(rows, (0, []))
    _shorten(header, 1)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{file.name} has a header and no samples.", "Add one line per sample.")
    untitled = len(first[1]) == len(header) + 1 and first[1][-1] != ""
    if untitled:
        header = ["", *header]
    columns = _Columns.of(file, header, *titles)
    values, exact, labels, places = array("d"), dict[int, int](), list[str](), list[int]()
    missing, names = _Missing(), set[str]()
    for at, cells in itertools.chain([first], rows):
        place = f"{file.name}, line {at}"
        _shorten(cells, len(header))
        if len(cells) != len(header) or (untitled and cells[0] in names):
            raise DataError(
                f"{place}: {len(cells)} cells under a header of {len(header) - untitled}"
                + (", and the first one is no row name of its own." if untitled else "."),
                "Give every line one cell per column.",
            )
        if untitled:
            names.add(cells[0])
        for column in columns.numbers:
            text, title = cells[column], header[column]
            if text.lower() in _MISSING:
                missing.add(at, title, text)
                continue
            number = decimals.number(text, place, title)
            if isinstance(number, int):
                exact[len(values)] = number
            values.append(float(number))
        text = cells[columns.label]
        if text.lower() in _MISSING:
            missing.add(at, header[columns.label], text)
        labels.append(text)
        places.append(at)
    missing.refuse(file)
    decimals.settle()
    labels = [decimals.label(text) for text in labels]
    X: npt.NDArray[Any] = np.frombuffer(values, dtype=np.float64)
    if exact:
        X = X.astype(object)
        for position, whole in exact.items():
            X[position] = whole
    y = _labels(labels, places, file, header[columns.label])
    X = X.reshape(len(labels), len(columns.numbers))
    return (X, y, None) if titles[2] is None else (X[:, :-1], y, X[:, -1])


@final
@dataclass(frozen=True)
class _Columns:
    """Which columns are numbers, features and then the weights, and which one is the label."""

    numbers: tuple[int, ...]
    label: int

    @classmethod
    def of(
        cls, file: Path, header: list[str], label: str | None, index: str | None, weight: str | None
    ) -> _Columns:
        left_out = {0} if header and header[0] in _UNNAMED and label not in header[:1] else set()
        count = len(header) - len(left_out)
        if count < 2:
            raise DataError(
                f"{file.name}: the header has {count} column(s) beside row names.",
                "Give a header line with at least one feature and the label, or say what stands "
                "between columns: delimiter = ….",
            )
        if all(_is_number(title) for title in header if title):
            raise DataError(
                f"{file.name}: numbers instead of column names in the first line.",
                "Add a header line, such as x1,x2,y, that does not begin with a comment sign.",
            )
        seen = set[str]()
        for position, title in enumerate(header):
            if not title and position not in left_out:
                raise DataError(
                    f"{file.name}: column {position + 1} of the header has no name.",
                    "Name every column; only a first column of row names may go without.",
                )
            if title in seen:
                raise DataError(
                    f"{file.name}: two columns are named {title!r}.", "Rename one of them."
                )
            seen.add(title)
        if index is not None:
            left_out.add(_position(file, header, index, "index"))
        weights = () if weight is None else (_position(file, header, weight, "weight"),)
        left_out.update(weights)
        kept = [c for c in range(len(header)) if c not in left_out]
        last = kept[-1] if kept else 0
        chosen = last if label is None else _position(file, header, label, "label")
        features = tuple(c for c in kept if c != chosen)
        if chosen in left_out or not features:
            raise DataError(
                f"{file.name}: no feature is left beside the label, the index and the weight.",
                "Name different columns, and keep at least one feature.",
            )
        return cls(features + weights, chosen)


def _position(file: Path, header: list[str], title: str, what: str) -> int:
    if title not in header:
        raise DataError(f"{file.name} has no {what} column {title!r}.", nearest(title, header))
    return header.index(title)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _labels(labels: list[str], places: list[int], file: Path, title: str) -> npt.NDArray[Any]:
    """Return integers where all labels are numbers, and words where none is."""
    numbers = [text.isascii() and "_" not in text and _is_number(text) for text in labels]
    if not any(numbers):
        return np.array(labels, dtype=str)
    if not all(numbers):
        row = numbers.index(not numbers[0])
        raise DataError(
            f"{file.name}, line {places[row]}, column {title!r}: {labels[row]!r} and the label "
            f"{labels[0]!r} of line {places[0]} are of different kinds.",
            "Name all classes by words, or all by integers.",
        )
    whole = list[int]()
    for text, place in zip(labels, places, strict=True):
        value = float(text)
        if not (math.isfinite(value) and value.is_integer()):
            raise DataError(
                f"{file.name}, line {place}, column {title!r}: the label {text!r} is not an "
                "integer.",
                "Name classes by integers or words; another column may be the label: label = ….",
            )
        whole.append(int(text) if text.lstrip("+-").isdigit() else int(value))
    if all(-(2**63) <= value < 2**63 for value in whole):
        return np.array(whole, dtype=np.int64)
    return np.array(whole, dtype=object)
