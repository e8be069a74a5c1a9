"""What a stationary point of a problem satisfies: made by the problem, read by the judge."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.errors import ParameterError
from lexmargin.formulations.parts import Parts
from lexmargin.losses import Loss, SampleLoss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.degree import HomogeneityKind
from lexmargin.separation.long_losses import AskedLoss

__all__ = ["Kkt", "LossTerm", "Powers"]

BoolArray = NDArray[np.bool_]


@final
@dataclass(frozen=True)
class Powers:
    """Costs ``base^{2/α_k}``, one exponent per part, over the largest of them: as stated, exactly.

    Attributes:
        base: γ of eq. 14.
        degrees: α_k (K,).
    """

    base: float
    degrees: tuple[float, ...]

    def spread(self, functions: MarginFunctions) -> FloatArray:
        """Return the costs of all entries (d,), over the largest of them."""
        logs = 2.0 / np.array(self.degrees) * np.log(self.base)
        return Parts(functions).spread(np.exp(logs - logs.max()))


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class LossTerm:
    """A loss, which carries its own multipliers: those of eq. 5 in a ball, of §2.2 with a penalty.

    Attributes:
        loss: L of the data.
        coefficient, power: c and q of the penalty ``c ‖θ‖^q``; None in a ball.
        hidden: counts the dimensions of θ that only weights below rounding decide.
    """

    loss: SampleLoss
    coefficient: float | None = None
    power: float | None = None
    hidden: Callable[[], int] = int

    @property
    def penalty(self) -> tuple[float, float]:
        """c and q of the penalty ``c ‖θ‖^q``; ParameterError in a ball, where there is none."""
        if self.coefficient is None or self.power is None:
            raise ParameterError("The loss has no penalty.", "Give its coefficient and its power.")
        return self.coefficient, self.power


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Kkt:
    """``min ½ Σ c_i w_i²`` or ``min ‖w‖``  s.t.  ``f_n(w)/r_n >= level``, at a point w (math §3).

    Stationary is: ``c w``, or a norm gradient at w, is ``Σ λ_n ∇f_n(w)/r_n`` with λ ≥ 0 where
    f_n/r_n equals the level. For homogeneous f_n and one positive cost of all entries that says
    nothing of the length of w: :attr:`degree`.

    Attributes:
        functions: the f_n.
        point: w (d,), where f_n are evaluated.
        norm: exponent of the norm.
        costs: c ≥ 0 (d,), over the largest of them; None for the norm itself.
        powers: how costs are stated, where they are powers of one number.
        unrounded: θ and ρ of ``w = ρθ``, where that product was rounded; None for w itself.
        required: r_n > 0 (N,); None for 1.
        level: what f_n/r_n must reach. None: the smallest margin is what is made large, in the
            ball of ``radius``; or at any length where there is no radius.
        free: mask (d,) of the entries that may move; None for all.
        radius: ρ of the ball that w must be on; None without a ball.
        loss: the loss whose minimum is asked for instead of a margin.
        part: number of the part whose size is the cost; None where all are.
        exponents: λ of the blocks that the parts are made by, where they are given.
        ordered: how many of the smallest margins are to be largest, in order (Definition 5).

    Raises:
        ParameterError: costs with another norm than the Euclidean one, or numbers out of range.
    """

    functions: MarginFunctions
    point: FloatArray
    norm: float = 2.0
    costs: FloatArray | None = None
    powers: Powers | None = None
    unrounded: tuple[FloatArray, float] | None = None
    required: FloatArray | None = None
    level: float | None = None
    free: BoolArray | None = None
    radius: float | None = None
    loss: LossTerm | None = None
    part: int | None = None
    exponents: tuple[float, ...] = ()
    ordered: int | None = None

    def __post_init__(self) -> None:
        size, count = self.functions.size, self.functions.count
        shapes = (("point", self.point, size), ("costs", self.costs, size))
        for name, value, wanted in (*shapes, ("required", self.required, count)):
            if value is not None and value.shape != (wanted,):
                raise ParameterError(f"{name} has shape {value.shape}, not ({wanted},).")
        if self.costs is not None and (self.norm != 2.0 or not np.all(self.costs >= 0.0)):
            raise ParameterError("Costs are ≥ 0, and belong to the Euclidean norm.")
        if self.required is not None and not np.all(self.required > 0.0):
            raise ParameterError("What the f_n are required to reach must be positive.")
        if self.required is not None and self.level is None:
            raise ParameterError("With required margins the level is a number: 1.")
        if self.free is not None and self.costs is None:
            raise ParameterError("Entries are held where each has a cost: give costs.")
        if self.radius is not None and (self.costs is not None or self.level is not None):
            raise ParameterError("In a ball the margin or a loss is in question, and no level.")
        asks = (self.loss, self.level, self.radius, self.functions.homogeneity.degree)
        if all(one is None for one in asks):
            raise ParameterError("Nothing says how long w may be: give a level or a radius.")
        if self.powers is not None and not self._costs_are(self.powers.spread(self.functions)):
            raise ParameterError("The costs are not the powers that they are said to be.")
        if self.part is not None and not self._costs_are(self._parts.entries(self.part)):
            raise ParameterError("The costs are not those of the part that they are said to be.")

    def _costs_are(self, stated: FloatArray) -> bool:
        return self.costs is not None and np.allclose(self.costs, stated, rtol=1e-9, atol=0.0)

    @functools.cached_property
    def values(self) -> FloatArray:
        """f_n(w)/r_n (N,), -∞ where f is not defined: such a sample is not separated."""
        functions = self.functions
        if functions.data.is_sparse:
            found = functions.values(self.point)
        else:
            # Gradients are asked for next: in one evaluation with them.
            found = functions.value_and_vjp(self.point)[0]
        found = found if self.required is None else found / self.required
        return np.where(np.isnan(found), -np.inf, found)

    @functools.cached_property
    def jacobian(self) -> FloatArray:
        """∇f_n(w)/r_n (N, d)."""
        found = self.functions.jacobian(self.point)
        return found if self.required is None else found / self.required[:, None]

    @functools.cached_property
    def moving(self) -> FloatArray:
        """∇f_n(w)/r_n (N, d), 0 at the entries that may not move."""
        return self.jacobian if self.free is None else np.where(self.free, self.jacobian, 0.0)

    @property
    def margin(self) -> float:
        """The smallest f_n(w)/r_n."""
        return float(np.min(self.values))

    @property
    def reach(self) -> FloatArray:
        """What f_n must reach (N,): ``level r_n``; 1 without a level."""
        found = np.ones(self.functions.count) if self.required is None else self.required
        return found if self.level is None else self.level * found

    @property
    def entry_costs(self) -> FloatArray:
        """c (d,); 1 everywhere without costs."""
        return np.ones(self.point.size) if self.costs is None else self.costs

    @property
    def target(self) -> FloatArray:
        """``c w`` (d,); w itself without costs."""
        return self.point if self.costs is None else self.costs * self.point

    @property
    def held(self) -> BoolArray:
        """Mask (d,) of the entries that may not move."""
        if self.free is None:
            return np.zeros(self.point.size, dtype=np.bool_)
        return ~self.free

    @functools.cached_property
    def parts(self) -> Parts | None:
        """The parts by degree; None without degrees."""
        if self.functions.homogeneity.kind is HomogeneityKind.NEITHER and not self.exponents:
            return None
        return self._parts

    @property
    def _parts(self) -> Parts:
        return Parts(self.functions, exponents=self.exponents)

    @property
    def interior(self) -> FloatArray | None:
        """v with ``v_k = w_k/α_k``, so that ``J v = f``; None without degrees."""
        if self.parts is None:
            return None
        return np.asarray(self.point / self.parts.spread(self.parts.degrees))

    @functools.cached_property
    def degree(self) -> float | None:
        """α where the direction of w is all that counts; None where its length does too.

        With ``u = √c w`` the program is ``min ½‖u‖² s.t. g_n(u) >= level``, g_n α-homogeneous: its
        KKT points are the stretched KKT points of the largest margin over directions of u.
        """
        whole = self.loss is None and self.radius is None and self.free is None
        if not whole or (self.costs is not None and not np.all(self.costs > 0.0)):
            return None
        return self.functions.homogeneity.degree

    @property
    def at_one(self) -> bool:
        """Whether the constraints are ``f_n(w) >= 1``, and every entry may move."""
        return self.level == 1.0 and self.required is None and self.free is None

    @property
    def asked_loss(self) -> AskedLoss | None:
        """The loss as long numbers take it: of two classes and scores linear in w; else None."""
        term, data = self.loss, self.functions.data
        if term is None or data.is_sparse or not self.functions.linear:
            return None
        if term.loss.kind not in (Loss.EXPONENTIAL, Loss.LOGISTIC):
            return None
        penalty = term.penalty if self.radius is None else None
        return AskedLoss(term.loss.kind, self.norm, self.radius, penalty, self.functions.weights)

    @property
    def plain(self) -> bool:
        """Whether every entry costs the same and every f_n must reach the same."""
        stated = (self.costs, self.required)
        return all(one is None or bool(np.all(one == one[0])) for one in stated)

    @property
    def is_direction(self) -> bool:
        """Whether the program asks for a direction of largest margin, and at most its length."""
        return self.plain and self.degree is not None

    @property
    def even_parts(self) -> bool:
        """Whether all entries of a part cost the same."""
        if self.costs is None:
            return True
        if self.parts is None:
            return self.plain
        groups = (self.costs[self.parts.entries(k)] for k in range(len(self.parts.items)))
        return all(bool(np.all(group == group[0])) for group in groups)

    @property
    def even(self) -> bool:
        """Whether orbits keep their cost: they move blocks that share terms, whatever the part."""
        return self.even_parts and (self.parts is None or not self.parts.shared or self.plain)
