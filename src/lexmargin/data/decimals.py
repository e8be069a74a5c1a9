"""Numbers in cells of a CSV file, with a point or, as much of Europe exports them, a comma."""

from __future__ import annotations

import math
import re
from typing import Final, final

from lexmargin.errors import DataError, ParameterError

__all__ = ["Decimals"]

_COMMA: Final = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?", re.ASCII)
# 1,234 may be a thousand and more.
_GROUPED: Final = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)


@final
class Decimals:
    """Reads cells, and knows at the end whether their commas were decimal marks.

    Args:
        mark: "." or ","; None to tell it: commas are decimal marks where no cell has a point and
            some cell cannot be a thousand and more.
        delimiter: of the file. Where it is a comma, only a mark that is given makes commas one.
    """

    def __init__(self, mark: str | None, delimiter: str) -> None:
        if mark not in (None, ".", ","):
            raise ParameterError(f"The decimal mark is {mark!r}.", 'Give "." or ",".')
        self._asked = mark == ","
        self._open = mark is None and delimiter != ","
        self._comma: tuple[str, str, str] | None = None
        self._certain = False
        self._point = False

    def number(self, text: str, place: str, title: str) -> float | int:
        """Return a finite number; an integer that is no float64 stays one.

        Raises :class:`~lexmargin.errors.DataError` naming the place.
        """
        self._point = self._point or "." in text
        if (self._asked or self._open) and _COMMA.fullmatch(text):
            self._comma = self._comma or (text, place, title)
            self._certain = self._certain or not _GROUPED.fullmatch(text)
            text = text.replace(",", ".")
        elif self._asked and "." in text:
            raise _no_number(text, place, title)
        try:
            # Python also reads 1_000 and the digits of other alphabets, which nobody exports.
            value = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise _no_number(text, place, title)
        if abs(value) >= 2.0**53 and text.lstrip("+-").isdigit() and int(text) != value:
            return int(text)
        return value

    def label(self, text: str) -> str:
        """Return a label as the other cells are written, with a point; words stay words."""
        if self._comma is not None and _COMMA.fullmatch(text):
            return text.replace(",", ".")
        return text

    def settle(self) -> None:
        """Raise :class:`~lexmargin.errors.DataError` where commas may be something else."""
        if self._comma is None or self._asked:
            return
        text, place, title = self._comma
        if self._point:
            raise _no_number(text, place, title)
        if not self._certain:
            raise DataError(
                f"{place}, column {title!r}: {text!r} may be a decimal or a thousand and more, and "
                "so may every other number with a comma.",
                'Say decimal = ",", or write numbers without separators of thousands.',
            )


def _no_number(text: str, place: str, title: str) -> DataError:
    shown = text if len(text) <= 40 else text[:40] + "…"
    return DataError(
        f"{place}, column {title!r}: {shown!r} is not a finite number.",
        'Write all numbers as decimals with a point, or all with a comma (decimal = ","), and none '
        "with separators of thousands; a column of words is the label (label = …), row names "
        "(index = …), or needs a coding of its own.",
    )
