"""What a measured statement of the paper is: an instance, figures, predictions, a finding."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, Self, final

from lexmargin.paper.passages import Passage

__all__ = [
    "Check",
    "Effort",
    "Finding",
    "Measurement",
    "Plant",
    "Reading",
    "Relation",
    "Statement",
]


class Effort(StrEnum):
    """How much is measured: every instance and grid, or a smaller one of each."""

    FULL = "full"
    QUICK = "quick"


class Reading(StrEnum):
    """Whose words are tested."""

    PAPER = "paper"
    """The statement as the paper makes it, read literally."""
    CORRECTED = "corrected"
    """The reading that the literal one has to be replaced by."""


class Relation(StrEnum):
    """How a figure has to stand to what is predicted."""

    AT_MOST = "≤"
    AT_LEAST = "≥"
    EQUAL = "="


class Finding(StrEnum):
    """What was found, on the named instances and no others."""

    HOLDS = "holds"
    """Every prediction was met, with the slack shown."""
    DIFFERS = "differs"
    """A certified figure contradicts a prediction."""
    UNDECIDED = "undecided"
    """A figure is not certified, or none was measured."""


_NUMBERS: Final = ("measured", "predicted", "residual")
_WORDS: Final = {"relation": Relation, "reading": Reading}


@final
@dataclass(frozen=True)
class Check:
    """One figure beside its prediction: `measured relation predicted`, up to ``tolerance``.

    Attributes:
        instance: the problem's name on the shelves, or data and predictor in a few words.
        quantity: what was measured, as a formula.
        measured, relation, predicted: the comparison.
        tolerance: of the comparison, absolute, in the unit of the quantity.
        residual: the largest residual that the certificate found behind the figure (ε, gap, angle);
            0 for closed forms evaluated in float64.
        certified: every answer behind the figure passed its certificate.
        reading: whose prediction it is.
    """

    instance: str
    quantity: str
    measured: float
    relation: Relation
    predicted: float
    tolerance: float
    residual: float
    certified: bool
    reading: Reading = Reading.PAPER

    @property
    def slack(self) -> float:
        """How far the figure is from breaking the prediction; negative where it is broken."""
        if not (math.isfinite(self.measured) and math.isfinite(self.predicted)):
            return math.nan
        difference = self.predicted - self.measured
        if self.relation is Relation.AT_MOST:
            return difference + self.tolerance
        if self.relation is Relation.AT_LEAST:
            return self.tolerance - difference
        return self.tolerance - abs(difference)

    @property
    def finding(self) -> Finding:
        """HOLDS or DIFFERS where the figure is certified and finite."""
        if not self.certified or math.isnan(self.slack):
            return Finding.UNDECIDED
        return Finding.HOLDS if self.slack >= 0.0 else Finding.DIFFERS

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, the slack and the finding among them."""
        numbers = {name: _number(getattr(self, name)) for name in (*_NUMBERS, "slack")}
        words = {name: getattr(self, name).value for name in (*_WORDS, "finding")}
        return {**vars(self), **numbers, **words}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote; slack and finding are computed again."""
        numbers = {name: float(stored[name]) for name in _NUMBERS}
        words = {name: kind(stored[name]) for name, kind in _WORDS.items()}
        rest = {k: v for k, v in stored.items() if k not in ("slack", "finding")}
        return cls(**{**rest, **numbers, **words})


@final
@dataclass(frozen=True)
class Measurement:
    """The checks of a statement, and the curves that its figure is drawn from.

    Attributes:
        checks: figures beside predictions.
        curves: name -> numbers; all that :meth:`Statement.draw` may use, so that a figure can be
            drawn again from the stored record, bit for bit.
        remarks: sentences about what was seen; they carry no verdict.
    """

    checks: tuple[Check, ...]
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def finding(self, reading: Reading = Reading.PAPER) -> Finding:
        """DIFFERS if any check does, else UNDECIDED if any is or there is none, else HOLDS."""
        found = [check.finding for check in self.checks if check.reading is reading]
        if Finding.DIFFERS in found:
            return Finding.DIFFERS
        if Finding.UNDECIDED in found or not found:
            return Finding.UNDECIDED
        return Finding.HOLDS

    def slack(self, reading: Reading = Reading.PAPER) -> float:
        """Return the smallest slack relative to `max(|predicted|, 1)`; NaN without a check."""
        slacks = [
            check.slack / max(abs(check.predicted), 1.0)
            for check in self.checks
            if check.reading is reading
        ]
        return min(slacks, default=math.nan)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "checks": [check.to_json() for check in self.checks],
            "curves": {name: [_number(v) for v in values] for name, values in self.curves.items()},
            "remarks": list(self.remarks),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Measurement:
        """Read what :meth:`to_json` wrote; slack and finding are computed again."""
        checks = [Check.from_json(row) for row in stored["checks"]]
        curves = {name: tuple(float(v) for v in row) for name, row in stored["curves"].items()}
        return cls(tuple(checks), curves, tuple(stored["remarks"]))


class Statement(ABC):
    """A statement of the paper, tested on instances that are fields of the final class.

    A final class is a frozen dataclass whose fields are its instance, with defaults: a test puts
    another instance in and sees the finding change. Its module is named after its ``id``.
    """

    id: ClassVar[str]
    """Word on the command line; the module's name with hyphens."""
    title: ClassVar[str]
    """One line."""
    passages: ClassVar[tuple[Passage, ...]]
    """Where the paper says it."""
    beyond: ClassVar[str] = ""
    """Whose statement it is besides, where the paper's own ends before it; else empty."""
    equation: ClassVar[str]
    """What the paper writes there, in LaTeX."""
    says: ClassVar[str]
    """What the paper states, in our words; the formula stands in ``equation``, once."""
    corrected: ClassVar[str] = ""
    """The reading that replaces the literal one, where that goes wrong; else empty."""
    problems: ClassVar[tuple[str, ...]] = ()
    """The problem files it uses."""
    caption: ClassVar[str] = ""
    """What the figure shows and what to look at."""

    @property
    def reference(self) -> str:
        """Equation, lemma, theorem or section of the paper."""
        places = [passage.place for passage in self.passages]
        return "; ".join([*places, self.beyond] if self.beyond else places)

    @abstractmethod
    def measure(self, effort: Effort) -> Measurement:
        """Solve, certify and compare."""

    @abstractmethod
    def planted(self) -> tuple[Plant, ...]:
        """Return what would be false: for every reading that is measured, at least one change.

        A test measures them all. A finding that no change turns says nothing of its statement.
        """

    def draw(self, measurement: Measurement) -> Any:
        """Return a matplotlib figure, from the measurement alone; None where numbers say it all."""
        return None


@final
@dataclass(frozen=True)
class Plant:
    """A statement with one ingredient replaced, which turns the finding of one reading.

    *Holds* and *undecided* become *differs*; *differs* becomes *holds*: the literal reading is
    true of other instances.

    Attributes:
        change: what stands in the place of what: another optimizer, norm, constant or instance.
        stated: the same class with that field.
        reading: whose finding turns.
    """

    change: str
    stated: Statement
    reading: Reading = Reading.PAPER


def _number(value: float) -> float | str:
    """Return the number, or its name where JSON has none: a record must come back as it was."""
    return float(value) if math.isfinite(value) else repr(float(value))
