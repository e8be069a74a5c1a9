"""Linear scores with biases in rational arithmetic: eq. 13 and 14 as convex quadratic programs.

Two classes or several: then z_n and s_n are those of the differences of scores.
With c = b² (one unknown c ≥ 0 per square and sign) the margins `f_n = z_n·w + s_n·c` are linear and
both problems read `min ½ a ‖w‖² + ½ b Σ c s.t. f_n ≥ 1, c ≥ 0`: a = γ², b = γ for eq. 14, a = 1,
b = 0 for eq. 13. An answer is its own proof: `a w = Σ λ_n z_n`, `Σ λ_n s_n ≤ b/2`, λ ≥ 0, with
complementarity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.judge.proofs.proof import Arithmetic, Proof, Witness
from lexmargin.judge.proofs.rational import (
    Vector,
    as_floats,
    first_exact,
    positive_entries,
    solve_near,
    to_text,
)
from lexmargin.judge.tolerances import PROVED_NEAR
from lexmargin.linalg.exact import combination, dot, matvec, to_fractions
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.predictors import Bias, BiasForm, Linear, Member, Sum

__all__ = ["BiasProgram", "check_exact_program", "exact_program", "stated_program"]

_ZERO, _ONE = Fraction(0), Fraction(1)


@final
@dataclass(frozen=True, eq=False)
class BiasProgram:
    """`min ½ a ‖w‖² + ½ b Σ c  s.t.  Z w + S c ≥ 1, c ≥ 0`.

    Z, S
        (N, p) and (N, q), doubles taken at their exact values.
    a, b
        the costs.
    """

    Z: Array
    S: Array
    a: Fraction
    b: Fraction

    def margins(self, w: Vector, c: Vector) -> Vector:
        """Return `Z w + S c`."""
        first = matvec(self.Z, w)
        second = matvec(self.S, c) if c else (_ZERO,) * len(first)
        return tuple(x + y for x, y in zip(first, second, strict=True))

    def cost(self, w: Vector, c: Vector) -> Fraction:
        """Return `a ‖w‖² + b Σ c`."""
        return self.a * dot(w, w) + self.b * sum(c, _ZERO)


# -- from a problem --------------------------------------------------------------------------------


def stated_program(kkt: Kkt) -> tuple[BiasProgram, Vector, Vector] | None:
    """Return the program of a linear score with biases, and (w, c) of the point.

    None for other predictors or costs, and where nothing is linear.
    """
    functions = kkt.functions
    form = _forms(functions)
    stated = kkt.at_one and kkt.part == 0
    if kkt.powers is not None and kkt.parts is not None:
        stated = kkt.at_one and list(kkt.powers.degrees) == list(kkt.parts.degrees)
    if form is None or not stated or BiasForm.PLAIN not in form:
        return None
    linear = np.array([one is BiasForm.PLAIN for one in form])
    # At w = 0 and b = 1 the gradient holds z_n, and twice s_n: `f_n = z_n·w + s_n·b²`.
    rows = functions.jacobian(np.where(linear, 0.0, 1.0))
    columns, c = list[Array](), list[Fraction]()
    for j in np.flatnonzero(~linear).tolist():
        (value,) = to_fractions([float(kkt.point[j])])
        square, column = abs(value) * value, 0.5 * rows[:, j]
        if form[j] is BiasForm.SIGNED_SQUARE:
            columns += [column, -column]
            c += [max(square, _ZERO), max(-square, _ZERO)]
        else:
            columns.append(column)
            c.append(abs(square))
    b = _ZERO if kkt.powers is None else Fraction(kkt.powers.base)
    S = np.stack(columns, axis=1) if columns else np.zeros((functions.count, 0))
    program = BiasProgram(
        np.ascontiguousarray(rows[:, linear]), S, _ONE if kkt.powers is None else b * b, b
    )
    return program, to_fractions(kkt.point[linear].tolist()), tuple(c)


def _forms(functions: MarginFunctions) -> list[BiasForm] | None:
    """Return how each parameter enters the scores; None where it is neither w nor a bias."""
    predictor = functions.predictor
    members = predictor.members if isinstance(predictor, Sum) else (Member(predictor),)
    found = list[BiasForm]()
    for member, shape in zip(members, functions.shapes, strict=True):
        inner = member.predictor
        if not isinstance(inner, (Linear, Bias)):
            return None
        form = BiasForm(inner.form) if isinstance(inner, Bias) else BiasForm.PLAIN
        found += [form] * math.prod(shape)
    return found


# -- the exact answer ------------------------------------------------------------------------------


def exact_program(kkts: tuple[Kkt, ...]) -> Proof | str:
    """Compare the point with the exact optimum of eq. 13 or 14, or say why none was found.

    The value is the least cost, and the least ‖w_2‖² at that w where the second level of eq. 13 is
    asked for. The gap is the relative excess of the point's cost, once it is stretched to margin 1,
    or the relative error of the second level where that is larger.
    """
    stated = stated_program(kkts[0])
    if stated is None:
        return "only linear scores with biases are rational quadratic programs"
    program, w, c = stated
    margins = program.margins(w, c)
    smallest = min(margins)
    if smallest <= 0:
        return "a margin is not positive"
    stretched = tuple(x / smallest for x in w), tuple(x / smallest for x in c)
    floats = np.array([float(m / smallest) for m in margins])
    seen = program, stretched, floats
    answer = first_exact(
        lambda cut: _answer(*seen, cut, held=False) or _answer(*seen, cut, held=True)
    )
    if answer is None:
        return "the active set of this point is not that of an exact optimum"
    return _compared(len(kkts), program, answer, stretched, float(abs(smallest - 1)))


def check_exact_program(
    program: BiasProgram,
    w: Vector,
    c: Vector,
    multipliers: Vector,
) -> str:
    """Return "" if λ proves (w, c) optimal, else why not; rational arithmetic only."""
    if any(x < 0 for x in multipliers) or any(x < 0 for x in c):
        return "a multiplier or a square is negative"
    margins = program.margins(w, c)
    if any(m < 1 for m in margins):
        return "a margin is below 1"
    if any(x != 0 and m != 1 for x, m in zip(multipliers, margins, strict=True)):
        return "a sample above 1 carries weight"
    pull = combination(multipliers, program.Z)
    if any(program.a * x != g for x, g in zip(w, pull, strict=True)):
        return "a w is not Σ λ z"
    if not c:
        return ""
    push = combination(multipliers, program.S)
    half = program.b / 2
    if any(g > half for g in push):
        return "a square that is 0 would pay"
    if any(x != 0 and g != half for x, g in zip(c, push, strict=True)):
        return "a square is not stationary"
    return ""


def _answer(
    program: BiasProgram,
    point: tuple[Vector, Vector],
    margins: Array,
    tolerance: float,
    *,
    held: bool,
) -> tuple[Vector, Vector, Vector] | None:
    """Solve and check the equations of the active samples and positive squares seen in floats.

    With ``held`` the multipliers are such that no square that is 0 would pay, too.
    """
    w, c = point
    a, half = float(program.a), float(program.b) / 2.0
    size = max([float(x) for x in c], default=0.0)
    positive = [j for j, x in enumerate(c) if float(x) > tolerance * max(1.0, size)]
    zero = [j for j in range(len(c)) if held and j not in positive]
    near = np.flatnonzero(margins <= 1.0 + max(tolerance, 1e-9) * 10.0)
    rows = np.hstack([program.Z[near], program.S[near][:, positive + zero]])
    # What `Σ λ_n s_n` of a square that is 0 lacks of b/2 is a multiplier of its own.
    slack = np.eye(len(zero), rows.shape[1], rows.shape[1] - len(zero))
    target = np.concatenate([[a * float(x) for x in w], np.full(len(positive + zero), half)])
    chosen, guess, tight = list[int](), np.zeros(0), positive
    if np.any(target):
        length = float(np.linalg.norm(target))
        found = nonnegative_multipliers(np.vstack([rows, slack]), target / length).multipliers
        shares, rest = length * found[: near.size], length * found[near.size :]
        carries = shares > tolerance * float(np.max(shares, initial=0.0))
        chosen, guess = [int(n) for n in near[carries]], shares[carries]
        tight = positive + [j for j, x in zip(zero, rest, strict=True) if x <= tolerance * half]
    exact = [to_fractions(program.Z[n].tolist()) for n in chosen]
    shifts = [to_fractions(program.S[n].tolist()) for n in chosen]
    table = []
    for z, s in zip(exact, shifts, strict=True):
        gram = [dot(z, other) / program.a for other in exact]
        table.append([*gram, *(s[j] for j in positive), _ONE])
    for j in tight:
        table.append([*(s[j] for s in shifts), *([_ZERO] * len(positive)), program.b / 2])
    start = [Fraction(float(x)) for x in guess] + [c[j] for j in positive]
    solved = solve_near(table, start) if table else []
    if solved is None:
        return None
    multipliers = [_ZERO] * program.Z.shape[0]
    for n, value in zip(chosen, solved, strict=False):
        multipliers[n] = value
    squares = [_ZERO] * len(c)
    for j, value in zip(positive, solved[len(chosen) :], strict=True):
        squares[j] = value
    pull = combination(multipliers, program.Z)
    answer = tuple(g / program.a for g in pull), tuple(squares), tuple(multipliers)
    return None if check_exact_program(program, *answer) else answer


def _compared(
    levels: int,
    program: BiasProgram,
    answer: tuple[Vector, Vector, Vector],
    point: tuple[Vector, Vector],
    shortfall: float,
) -> Proof | str:
    w, c, multipliers = answer
    least = program.cost(w, c)
    gap = _excess(program.cost(*point), least)
    statement = f"the least cost is {float(least):.15g}, in rational arithmetic"
    value: Vector = (least,)
    if levels > 1:
        bias = _least_bias(program, w)
        if bias is None:
            return "the second level is proved for one bias only"
        value = (least, bias)
        gap = max(gap, float(abs(sum(point[1], _ZERO) - bias) / max(bias, _ONE)))
        statement += f", and that of the second level {float(bias):.15g}"
    used = positive_entries(multipliers)
    facts = {
        "value": to_text(least),
        "second_level": to_text(value[1]) if levels > 1 else None,
        "w": as_floats(w),
        "squares": as_floats(c),
        "support": list(used),
        "multipliers": list(used.values()),
        "shortfall": shortfall if math.isfinite(shortfall) else None,
    }
    return Proof(
        kind=Arithmetic.RATIONAL,
        proved=gap <= PROVED_NEAR and shortfall <= PROVED_NEAR,
        statement=f"{statement}; the point given is {gap:.3e} above it, its margin {shortfall:.3e} "
        "from 1",
        facts=facts,
        gap=gap,
        value=value,
        witness=Witness((*w, *c), (multipliers,)),
    )


def _excess(reached: Fraction, least: Fraction) -> float:
    if least == 0:
        return 0.0 if reached == 0 else math.inf
    return float(reached / least - 1)


def _least_bias(program: BiasProgram, w: Vector) -> Fraction | None:
    """Return the least Σ c with `S c ≥ 1 - Z w`, for one bias: an interval of c_+ - c_-."""
    S = program.S
    count = S.shape[1]
    if count == 0 or count > 2 or (count == 2 and np.any(S[:, 0] != -S[:, 1])):
        return None
    low: Fraction | None = _ZERO if count == 1 else None
    high: Fraction | None = None
    for side, margin in zip(S[:, 0].tolist(), matvec(program.Z, w), strict=True):
        rest = (1 - margin) * int(side)
        if side > 0:
            low = rest if low is None else max(low, rest)
        else:
            high = rest if high is None else min(high, rest)
    if low is not None and high is not None and low > high:
        return None
    if low is not None and low > 0:
        return low
    return -high if high is not None and high < 0 else _ZERO
