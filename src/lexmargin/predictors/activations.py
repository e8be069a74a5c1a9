"""Activations σ as values: each is positive homogeneous of a fixed degree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, final

from lexmargin.errors import ParameterError
from lexmargin.inputs.checks import AtLeastOne
from lexmargin.inputs.family import Family
from lexmargin.inputs.kinds import checked_class
from lexmargin.ops.base import Ops

__all__ = ["Activation", "Identity", "LeakyReLU", "ReLU", "Square"]

T = TypeVar("T")


class Activation(ABC):
    """A scalar function applied to every unit; files know a class by its ``kind``."""

    family: ClassVar[Family] = Family("activation", "activation")
    kind: ClassVar[str]

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if "kind" in vars(cls):
            cls.family.add(cls.kind, cls)

    @abstractmethod
    def __call__(self, ops: Ops[T], z: T) -> T:
        """Return ``σ(z)`` elementwise."""

    @property
    def left_slope(self) -> float | None:
        """The slope s of ``σ(z) = max(z, 0) + s min(z, 0)``; None for another function."""
        return None


@final
@checked_class
@dataclass(frozen=True)
class Identity(Activation):
    """``σ(z) = z``."""

    kind: ClassVar[str] = "identity"

    @property
    def left_slope(self) -> float:
        return 1.0

    def __call__(self, ops: Ops[T], z: T) -> T:
        return z


@final
@checked_class
@dataclass(frozen=True)
class ReLU(Activation):
    """``σ(z) = max(z, 0)^power``: C¹ for power 2, C² above, kinked for power 1 (Assumption 3)."""

    power: AtLeastOne = 1.0

    kind: ClassVar[str] = "relu"

    @property
    def left_slope(self) -> float | None:
        return 0.0 if self.power == 1.0 else None

    def __call__(self, ops: Ops[T], z: T) -> T:
        return ops.relu(z, float(self.power))


@final
@checked_class
@dataclass(frozen=True)
class LeakyReLU(Activation):
    """``σ(z) = max(z, 0) + slope * min(z, 0)``."""

    slope: float = 0.01

    kind: ClassVar[str] = "leaky-relu"

    def __post_init__(self) -> None:
        if not 0.0 <= self.slope < 1.0:
            raise ParameterError(f"The slope of a leaky ReLU is in [0, 1), not {self.slope!r}.")

    @property
    def left_slope(self) -> float:
        return float(self.slope)

    def __call__(self, ops: Ops[T], z: T) -> T:
        return ops.add(ops.scale(z, self.slope), ops.scale(ops.relu(z), 1.0 - self.slope))


@final
@checked_class
@dataclass(frozen=True)
class Square(Activation):
    """``σ(z) = z²``."""

    kind: ClassVar[str] = "square"

    def __call__(self, ops: Ops[T], z: T) -> T:
        return ops.power(z, 2)
