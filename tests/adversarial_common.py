"""What every adversarial family returns, and how families are counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np

from lexmargin.judge import Verdict

__all__ = ["Family", "Row", "Trial", "count"]

_SHOWN: Final = 5


@final
@dataclass(frozen=True)
class Trial:
    """One direction: what was said of it, and what an oracle of its own thinks of that.

    verdict
        the word given; None where the input was refused with a named error.
    wrong
        why the word is false; empty where it is not.
    refused
        why a true point had to be certified and was not; empty otherwise.
    note
        anything else worth a line.
    """

    verdict: Verdict | None
    wrong: str = ""
    refused: str = ""
    note: str = ""


Family = Callable[[np.random.Generator], Trial]
"""Makes one random case, has it judged, and compares with an oracle that shares no code with it."""


@final
@dataclass
class Row:
    """What happened to one family."""

    family: str
    directions: int = 0
    certified: int = 0
    saddles: int = 0
    refuted: int = 0
    undecided: int = 0
    errors: int = 0
    wrong: int = 0
    refused: int = 0
    complaints: list[str] = field(default_factory=list)

    def add(self, trial: Trial) -> None:
        """Count one trial; the first complaints are kept in words."""
        self.directions += 1
        verdict = trial.verdict
        self.errors += verdict is None
        self.certified += verdict is not None and verdict.certified
        self.saddles += verdict is Verdict.SADDLE
        self.refuted += verdict in (Verdict.NOT_STATIONARY, Verdict.NOT_SEPARATING)
        self.undecided += verdict is Verdict.UNDECIDED
        self.wrong += bool(trial.wrong)
        self.refused += bool(trial.refused)
        if (trial.wrong or trial.refused) and len(self.complaints) < _SHOWN:
            self.complaints.append(trial.wrong or f"refused: {trial.refused}")


def count(name: str, family: Family, directions: int, seed: list[int]) -> Row:
    """Judge ``directions`` cases of one family."""
    rng, row = np.random.default_rng(seed), Row(name)
    for _ in range(directions):
        row.add(family(rng))
    return row
