"""The statements: in the order of the paper, then the points where a literal reading fails."""

from __future__ import annotations

import importlib
from typing import Final

from lexmargin.errors import UnknownNameError, nearest
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Statement

__all__ = ["STATEMENTS", "named", "rows_of", "statement"]

_ROOMS: Final = {
    "section_1": (
        "sgd",
        "logistic-loss",
        "cross-entropy-loss",
    ),
    "section_2": (
        "lemma-1",
        "appendix-f-1",
        "appendix-f-2",
        "lemma-2",
        "assumption-2-sums",
        "equation-9",
    ),
    "section_3": (
        "lemma-3",
        "corollary-1",
        "example-1-margin-path",
        "example-1",
        "example-2",
        "example-2-regularization",
        "example-2-optimization",
        "example-3-regularization",
        "example-3-optimization",
        "example-3",
        "lemma-5",
        "theorem-1",
        "theorem-1-discard",
        "svm-with-bias",
    ),
    "section_4": (
        "unlikely-global",
        "assumption-4-losses",
        "assumption-4-directions",
        "remark-1",
        "independent-supports",
        "theorem-2",
        "vanishing-rate",
        "theorem-3",
        "definition-5",
        "definition-6",
        "theorem-4",
    ),
    "networks": (
        "network-l1",
        "network-l3",
        "network-linf",
        "relu-2-plus-3",
        "level-1",
        "level-2",
        "shared-parameters",
    ),
    "answers": (
        "empty-w",
        "theorem-4-test",
    ),
    "section_5": (
        "weights-linear",
        "weights-select",
    ),
    "counterexamples": (
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
    ),
}

STATEMENTS: Final = tuple(name for names in _ROOMS.values() for name in names)
"""Ids; the module of ``dead-neuron`` is ``counterexamples/dead_neuron.py``, holds ``STATEMENT``."""


def statement(name: str) -> Statement:
    """Return the statement of an id.

    Raises:
        UnknownNameError: there is none; the nearest known id is named.
    """
    if name not in STATEMENTS:
        raise UnknownNameError(f"There is no statement {name!r}.", nearest(name, STATEMENTS))
    room = next(room for room, names in _ROOMS.items() if name in names)
    home = f"lexmargin.paper.statements.{room}.{name.replace('-', '_')}"
    module = importlib.import_module(home)
    found: Statement = module.STATEMENT
    return found


def named(names: tuple[str, ...]) -> tuple[Statement, ...]:
    """Return the statements of these ids, all of them where none is given."""
    return tuple(statement(name) for name in names or STATEMENTS)


def rows_of(passage: Passage) -> tuple[str, ...]:
    """Return the ids of the statements that stand for a passage, in the order of the shelf."""
    wanted = {passage, *passage.restates}
    return tuple(name for name in STATEMENTS if wanted & set(statement(name).passages))
