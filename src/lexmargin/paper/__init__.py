"""Floor 9: the paper's statements, measured."""

from lexmargin.paper.measure import Record, measure_all, measured_before
from lexmargin.paper.shelf import STATEMENTS, named, statement
from lexmargin.paper.statement import (
    Check,
    Effort,
    Finding,
    Measurement,
    Reading,
    Relation,
    Statement,
)

__all__ = [
    "STATEMENTS",
    "Check",
    "Effort",
    "Finding",
    "Measurement",
    "Reading",
    "Record",
    "Relation",
    "Statement",
    "measure_all",
    "measured_before",
    "named",
    "statement",
]
