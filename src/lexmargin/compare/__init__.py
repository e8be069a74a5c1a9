"""Floor 8: honest comparison of solvers, problems × profiles × grades in isolated processes."""

from __future__ import annotations

from lexmargin.compare.comparison import compare, read_back
from lexmargin.compare.contender import Contender, Reading, contender
from lexmargin.compare.executors import (
    DaskCluster,
    Executor,
    ExecutorName,
    Processes,
    Serial,
    executor,
)
from lexmargin.compare.jobs import Limits
from lexmargin.compare.own_measure import OwnMeasure
from lexmargin.compare.pages.table import Row, Summary, Table
from lexmargin.compare.records import Honesty, RowStatus
from lexmargin.compare.store import ResultsError, Store

__all__ = [
    "Contender",
    "DaskCluster",
    "Executor",
    "ExecutorName",
    "Honesty",
    "Limits",
    "OwnMeasure",
    "Processes",
    "Reading",
    "ResultsError",
    "Row",
    "RowStatus",
    "Serial",
    "Store",
    "Summary",
    "Table",
    "compare",
    "contender",
    "executor",
    "read_back",
]
