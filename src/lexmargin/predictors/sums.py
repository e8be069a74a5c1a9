"""Sums of predictors without shared parameters (eq. 10)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar, final

import numpy as np

from lexmargin.errors import ParameterError, ShapeError
from lexmargin.inputs.checks import WholeNumber
from lexmargin.inputs.family import BESIDE
from lexmargin.inputs.kinds import Listed, checked_class
from lexmargin.ops.base import FloatArray, Ops
from lexmargin.predictors.base import LinearScores, Predictor, Shape
from lexmargin.predictors.bias import Bias
from lexmargin.predictors.linear import Linear

__all__ = ["Member", "Sum", "linear_and_bias"]

T = TypeVar("T")


@final
@checked_class
@dataclass(frozen=True)
class Member:
    """One summand, and the columns of X it reads (all of them when ``columns`` is None)."""

    predictor: Predictor = field(metadata=BESIDE)
    columns: Listed[WholeNumber] | None = None


@final
@checked_class
@dataclass(frozen=True)
class Sum(Predictor):
    """``F(x; θ) = Σ_k F^{(k)}(x; θ_k)`` (eq. 10), each member with its own parameters.

    ``members`` are predictors or :class:`Member`; blocks are those of the members, in order.
    """

    members: Listed[Member]

    kind: ClassVar[str] = "sum"

    def __init__(self, members: Sequence[Predictor | Member]) -> None:
        wrapped = tuple(m if isinstance(m, Member) else Member(m) for m in members)
        object.__setattr__(self, "members", wrapped)
        if not wrapped:
            raise ParameterError("A sum needs at least one member.")
        if len({m.predictor.outputs for m in wrapped}) != 1:
            raise ParameterError("The members of a sum must have the same number of outputs.")
        if any(m.predictor.signed_inputs for m in wrapped):
            raise ParameterError("A log predictor cannot be a member of a sum.")

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """Number of scores, the same for every member."""
        return self.members[0].predictor.outputs

    @property
    def vanishes_at_zero(self) -> bool:  # type: ignore[override]
        return all(m.predictor.vanishes_at_zero for m in self.members)

    @property
    def reads_sparse(self) -> bool:
        return all(m.columns is None and m.predictor.reads_sparse for m in self.members)

    @property
    def block_count(self) -> int:
        return sum(m.predictor.block_count for m in self.members)

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        found: list[Shape] = []
        for member in self.members:
            columns = member.columns
            if columns is not None and not all(0 <= c < n_features for c in columns):
                raise ShapeError(
                    f"A member reads the columns {list(columns)} of data with {n_features}.",
                    f"Use columns between 0 and {n_features - 1}.",
                )
            found.extend(member.predictor.shapes(n_features if columns is None else len(columns)))
        return tuple(found)

    def linear_scores(self, X: FloatArray) -> LinearScores | None:
        found: list[LinearScores] = []
        for member in self.members:
            read = X if member.columns is None else X[:, list(member.columns)]
            scores = member.predictor.linear_scores(read)
            if scores is None:
                return None
            found.append(scores)
        features = np.hstack([scores.features for scores in found])
        return LinearScores(features, all(scores.every for scores in found))

    def split(self, theta: Sequence[T]) -> list[Sequence[T]]:
        """Return the blocks of each member."""
        splits, first = [], 0
        for member in self.members:
            splits.append(theta[first : first + member.predictor.block_count])
            first += member.predictor.block_count
        return splits

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        parts = []
        for member, blocks in zip(self.members, self.split(theta), strict=True):
            features = X if member.columns is None else ops.columns(X, tuple(member.columns))
            parts.append(member.predictor(ops, blocks, features))
        return functools.reduce(ops.add, parts)


def linear_and_bias(predictor: Predictor, several: bool = False) -> tuple[Member, Bias] | None:
    """Return the two members of a sum of one linear score and one bias, in any order, or None.

    ``several``: also where there is a score per class.
    """
    if not isinstance(predictor, Sum) or len(predictor.members) != 2:
        return None
    if predictor.outputs > 1 and not several:
        return None
    for linear, other in (predictor.members, predictor.members[::-1]):
        if isinstance(linear.predictor, Linear) and isinstance(other.predictor, Bias):
            return linear, other.predictor
    return None
