"""Floor 8: honest comparison of solvers, problems × profiles × grades in isolated processes."""

from __future__ import annotations

from lexmargin.compare.comparison import compare, read_back
from lexmargin.compare.executors import (
    DaskCluster,
    Executor,
    ExecutorName,
    Processes,
    Serial,
    executor,
)
from lexmargin.compare.jobs import Limits
from lexmargin.compare.pages.table import Row, Summary, Table
from lexmargin.compare.records import Honesty, RowStatus
from lexmargin.compare.store import ResultsError, Store

__all__ = [
    "DaskCluster",
    "Executor",
    "ExecutorName",
    "Honesty",
    "Limits",
    "Processes",
    "ResultsError",
    "Row",
    "RowStatus",
    "Serial",
    "Store",
    "Summary",
    "Table",
    "compare",
    "executor",
    "read_back",
]
