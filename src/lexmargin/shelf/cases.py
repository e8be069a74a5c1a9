"""A problem of the collection with the answer that is known of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from lexmargin.formulations.base import Formulation
from lexmargin.linalg.norms import vector_norm
from lexmargin.ops.base import FloatArray

__all__ = ["Case"]


@final
@dataclass(frozen=True, eq=False)
class Case:
    """A problem and its answer, made when they are asked for.

    Attributes:
        name: in tables.
        title: what is asked, and of which data.
        state: returns the problem.
        answer: returns θ (d,) as the problem states it, or a direction where that is all it asks
            for, each entry to the nearest double; None where nothing separates the samples.
    """

    name: str
    title: str
    state: Callable[[], Formulation]
    answer: Callable[[], FloatArray | None]

    @functools.cached_property
    def problem(self) -> Formulation:
        """The problem."""
        return self.state()

    @functools.cached_property
    def theta(self) -> FloatArray | None:
        """Its answer."""
        return self.answer()

    @property
    def margin(self) -> float | None:
        """Margin of the answer's direction, of problems that are about it; None for others."""
        theta, problem = self.theta, self.problem
        if theta is None or not problem.traits.largest_margin:
            return None
        # Linear scores: divided last, so that θ is what it is.
        return float(problem.functions.values(theta).min()) / vector_norm(theta, problem.norm_p)
