"""Floor 9: the paper's statements, measured."""

from lexmargin.paper.measure import Record, measure_all, measured_before
from lexmargin.paper.passages import Kind, Passage
from lexmargin.paper.shelf import BOOKS, OPTIMIZERS, PAPER, Book, named, rows_of, statement
from lexmargin.paper.statement import (
    Check,
    Effort,
    Finding,
    Measurement,
    Plant,
    Reading,
    Relation,
    Statement,
)

__all__ = [
    "BOOKS",
    "OPTIMIZERS",
    "PAPER",
    "Book",
    "Check",
    "Effort",
    "Finding",
    "Kind",
    "Measurement",
    "Passage",
    "Plant",
    "Reading",
    "Record",
    "Relation",
    "Statement",
    "measure_all",
    "measured_before",
    "named",
    "rows_of",
    "statement",
]
