"""The statements: in the order of the paper, then the points where a literal reading fails."""

from __future__ import annotations

import importlib
from typing import Final

from lexmargin.errors import UnknownNameError, nearest
from lexmargin.paper.statement import Statement

__all__ = ["STATEMENTS", "named", "statement"]

STATEMENTS: Final = (
    "lemma-3",
    "corollary-1",
    "example-1",
    "example-2",
    "example-3",
    "theorem-1",
    "theorem-1-discard",
    "svm-with-bias",
    "theorem-2",
    "theorem-3",
    "theorem-4",
    "definition-3-scale",
    "bias-literal-square",
    "theorem-4-third-level",
    "cascade-breaks",
    "order-terms",
    "loss-resolution",
    "licq-not-needed",
    "dead-neuron",
    "regularization-jump",
    "carried-multipliers",
    "separable-part",
)
"""Ids; the module of ``dead-neuron`` is ``statements/dead_neuron.py`` and holds ``STATEMENT``."""


def statement(name: str) -> Statement:
    """Return the statement of an id.

    Raises:
        UnknownNameError: there is none; the nearest known id is named.
    """
    if name not in STATEMENTS:
        raise UnknownNameError(f"There is no statement {name!r}.", nearest(name, STATEMENTS))
    module = importlib.import_module(f"lexmargin.paper.statements.{name.replace('-', '_')}")
    found: Statement = module.STATEMENT
    return found


def named(names: tuple[str, ...]) -> tuple[Statement, ...]:
    """Return the statements of these ids, all of them where none is given."""
    return tuple(statement(name) for name in names or STATEMENTS)
