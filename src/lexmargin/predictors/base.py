"""What every predictor is: shapes of its parameter blocks, and a meaning in terms of operations."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, final

import numpy as np

from lexmargin.errors import ParameterError
from lexmargin.inputs.family import Family
from lexmargin.inputs.limits import PARAMETER_BLOCKS, PARAMETERS
from lexmargin.ops.base import FloatArray, Ops
from lexmargin.ops.curvature import Curvature, CurvatureOps
from lexmargin.ops.degree import DegreeOps, Homogeneity, classify

__all__ = ["LinearScores", "Predictor", "Shape"]

T = TypeVar("T")
Shape = tuple[int, ...]


@final
@dataclass(frozen=True, eq=False)
class LinearScores:
    """Features with ``F(x_n; θ) = v(θ)·φ_n`` for every θ, one v per output.

    ``features``: φ (N, k). ``every``: whether every v is that of some θ; if not, some may be out of
    reach, and only that no v separates says anything of θ.
    """

    features: FloatArray
    every: bool = True


class Predictor(ABC):
    """A raw score ``F(x; θ)`` (math.md §1): ``(N,)`` for one output, ``(N, C)`` for C scores.

    Files and receipts know a class by its ``kind``; one without can be used, and not written.
    """

    family: ClassVar[Family] = Family("predictor", "kind")
    kind: ClassVar[str]
    signed_inputs: ClassVar[bool] = False
    """True where the margin function is ``F(y_n x_n; θ)`` and not ``y_n F(x_n; θ)`` (Example 2)."""

    outputs: int
    """Number of scores C; 1 for binary labels."""

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if "kind" in vars(cls):
            cls.family.add(cls.kind, cls)

    @property
    def reads_sparse(self) -> bool:
        """Whether sparse samples are read as they are: one score, linear in x but for biases."""
        return False

    @property
    def kink_slope(self) -> float | None:
        """The slope left of 0 of the units of a network whose only kinks are theirs; else None."""
        return None

    vanishes_at_zero: ClassVar[bool] = False
    """True where ``F(0; θ) = 0`` for every θ: no margin of such a sample is ever positive."""

    def linear_scores(self, X: FloatArray) -> LinearScores | None:
        """Return the features in which the scores are linear whatever θ is, or None."""
        return None

    @property
    @abstractmethod
    def block_count(self) -> int:
        """Number of parameter blocks, whatever the data."""

    @abstractmethod
    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        """Return the shapes of the parameter blocks for that many features.

        Raises :class:`~lexmargin.errors.ShapeError` if the predictor cannot read that many.
        """

    def check_size(self, n_features: int) -> None:
        """Refuse what no memory holds before anything of that size is made.

        Raises:
            ParameterError: more blocks or parameters than a file may state.
        """
        if self.block_count > PARAMETER_BLOCKS:
            raise ParameterError(
                f"The predictor has {self.block_count} parameter blocks.",
                f"Use at most {PARAMETER_BLOCKS}.",
            )
        count = sum(math.prod(shape) for shape in self.shapes(n_features))
        if count > PARAMETERS:
            raise ParameterError(
                f"The predictor has {count} parameters.", f"Use at most {PARAMETERS}."
            )

    @abstractmethod
    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        """Return the scores of all samples: ``(N,)``, or ``(N, C)`` for C outputs."""

    def homogeneity(self, n_features: int) -> Homogeneity:
        """Return the computed degrees (Definition 1, eq. 10): never declared, always derived."""
        ops = DegreeOps()
        blocks = [ops.block(k) for k in range(len(self.shapes(n_features)))]
        return classify(self(ops, blocks, ops.constant(np.ones(1))), len(blocks))

    def curvature(self, n_features: int) -> Curvature:
        """Return the curvature of the scores in θ: affine, concave, or not known to be either."""
        blocks = [Curvature.AFFINE for _ in self.shapes(n_features)]
        return self(CurvatureOps(), blocks, Curvature.CONSTANT)
