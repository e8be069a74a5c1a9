"""The leading part of a predictor: what is left of it when ‖θ‖ grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar, final

from lexmargin.errors import ParameterError
from lexmargin.inputs.kinds import checked_class
from lexmargin.ops.base import Ops
from lexmargin.ops.leading import LeadingOps
from lexmargin.predictors.base import Predictor, Shape

__all__ = ["Leading"]

T = TypeVar("T")


@final
@checked_class
@dataclass(frozen=True)
class Leading(Predictor):
    """``F^H(x; θ) = lim_{r→∞} F(x; rθ) / r^M``, M the highest degree of the terms of F.

    The margin path and the constrained path of F approach the max-margin problem of F^H, whatever
    parameters its terms share: ``f_n(ρ·)/ρ^M → f^H_n`` uniformly on the sphere, so that limits of
    maximisers are maximisers, if the largest margin of f^H is positive. Otherwise it says nothing.
    Parameters that left F^H have gradient 0.

    Blocks: those of ``predictor``.
    """

    predictor: Predictor

    kind: ClassVar[str] = "leading"

    def __post_init__(self) -> None:
        if self.predictor.signed_inputs:
            raise ParameterError("A log predictor has no leading part.")

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """Number of scores, those of the predictor."""
        return self.predictor.outputs

    @property
    def vanishes_at_zero(self) -> bool:  # type: ignore[override]
        return self.predictor.vanishes_at_zero

    @property
    def block_count(self) -> int:
        return self.predictor.block_count

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        return self.predictor.shapes(n_features)

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        leading = LeadingOps(ops)
        blocks = [leading.block(block) for block in theta]
        return self.predictor(leading, blocks, leading.sample(X)).array
