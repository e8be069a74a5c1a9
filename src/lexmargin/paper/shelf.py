"""The statements by book: the paper's in its order, those of others on optimizers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from lexmargin.errors import UnknownNameError, nearest
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Statement

__all__ = ["BOOKS", "OPTIMIZERS", "PAPER", "Book", "named", "rows_of", "statement"]


@final
@dataclass(frozen=True)
class Book:
    """Statements that are measured together and stand on one page.

    Attributes:
        word: its command.
        title: of the page.
        about: whose statements they are.
        address: where to read them; empty for more than one place.
        place: what the column of their places is called.
        rooms: folder -> ids; the module of ``dead-neuron`` is ``counterexamples/dead_neuron.py``
            and holds ``STATEMENT``.
    """

    word: str
    title: str
    about: str
    address: str
    place: str
    rooms: Mapping[str, tuple[str, ...]]

    @property
    def statements(self) -> tuple[str, ...]:
        """Ids, in order."""
        return tuple(name for names in self.rooms.values() for name in names)


_PAPER: Final = {
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

_OPTIMIZERS: Final = {
    "optimizers": (
        "steepest-linear",
        "steepest-homogeneous",
        "signum-homogeneous",
        "momentum-classes",
        "adam-linear",
        "adam-per-sample",
        "mirror-linear",
        "boosting-shrinkage",
    ),
}

PAPER: Final = Book(
    word="paper",
    title="The paper, measured",
    about=(
        "Lexicographic and Depth-Sensitive Margins in Homogeneous and Non-Homogeneous Deep Models"
    ),
    address="https://arxiv.org/abs/1905.07325",
    place="in the paper",
    rooms=_PAPER,
)
OPTIMIZERS: Final = Book(
    word="optimizers",
    title="Optimizers and their margins",
    about="theorems on the limits of optimizers",
    address="",
    place="source",
    rooms=_OPTIMIZERS,
)
BOOKS: Final = (PAPER, OPTIMIZERS)


def statement(name: str) -> Statement:
    """Return the statement of an id.

    Raises:
        UnknownNameError: there is none; the nearest known id is named.
    """
    rooms = {one: room for book in BOOKS for room, names in book.rooms.items() for one in names}
    if name not in rooms:
        raise UnknownNameError(f"There is no statement {name!r}.", nearest(name, tuple(rooms)))
    home = f"lexmargin.paper.statements.{rooms[name]}.{name.replace('-', '_')}"
    found: Statement = importlib.import_module(home).STATEMENT
    return found


def named(names: tuple[str, ...], book: Book = PAPER) -> tuple[Statement, ...]:
    """Return the statements of these ids, all of the book where none is given.

    Raises:
        UnknownNameError: one that the book does not hold.
    """
    for name in names:
        if name not in book.statements:
            advice = nearest(name, book.statements)
            raise UnknownNameError(f"There is no statement {name!r}.", advice)
    return tuple(statement(name) for name in names or book.statements)


def rows_of(passage: Passage) -> tuple[str, ...]:
    """Return the ids of the statements that stand for a passage, in the order of the shelf."""
    wanted = {passage, *passage.restates}
    return tuple(name for name in PAPER.statements if wanted & set(statement(name).passages))
