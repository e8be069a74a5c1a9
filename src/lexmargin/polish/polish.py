"""Polish: Newton steps on the KKT conditions that a problem brings, with active-set changes.

Turns a decent answer of any origin into one whose residual is at rounding level, or says that it
could not. It decides nothing about optimality: a saddle polishes as well as a minimum.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.linalg import LinAlgError

from lexmargin.errors import DegreeError, LexmarginError, ParameterError, UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import NEWTON_PARAMETERS
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.polish.augmented import augmented_lagrangian
from lexmargin.polish.losses import least_loss
from lexmargin.polish.margins import Held, MarginProgram
from lexmargin.polish.newton import GOAL
from lexmargin.polish.sequential import descended, small_hessian

__all__ = ["Polished", "finished", "polish", "polish_kkt", "polish_problem", "settled"]

_STEPS = 50
"""Newton steps of one run at most: quadratic convergence needs fewer."""
_KINK = 1e-9
"""Relative distance from a kink at which Newton's steps have no derivative to go by."""
_BESIDE = 1e-5
"""The same at which no rounds of the augmented Lagrangian are spent: such answers lie on it."""
_NEAR = 0.1
"""Residual from which Newton's steps are tried: further away they need not converge."""
_CLOSE = 5e-3
"""Residual at which a round of the augmented Lagrangian is first handed to Newton's steps."""
_FAR = 0.3
"""The same for quadratic programs, which go down from wherever they begin."""
_PROGRAMS = 120
"""Quadratic programs of such a try: most end within 40, and saddles on the way take longer."""
_TRIES = 2
"""Such tries at most: Newton's steps alone come after them."""
_RISE = 30.0
"""Factor by which a residual may rise before such a try is stopped: it goes elsewhere."""
_TRIED = 150
"""Steps of the iterative solver in such a try, which may come too early to be worth more."""
_SOLVED = 1e-9
"""Residual of an answer that is taken, and that later levels are polished on top of."""
_MOST_MOVED = 1e-2
"""A polish that moves the direction further has found another point than the solver's."""


@final
@dataclass(frozen=True, eq=False)
class Polished:
    """Where the Newton steps ended: ``w = Σ λ_n ∇f_n(w)``, ``f_n(w) >= 1``, λ >= 0, or a problem's.

    Attributes:
        theta: (d,) of a direction w at the scale where the smallest margin is 1; of a problem the
            point as it states it.
        multipliers: λ (N,) >= 0.
        residual: the largest of the relative misfit of stationarity, of ``|f_n - 1|`` where
            λ_n > 0, and of the shortfall of ``f_n >= 1``.
        iterations: Newton steps taken.
        rounds: rounds of the augmented Lagrangian, 0 where Newton's steps alone arrived.
        moved: distance between the unit directions before and after.
        converged: the residual is at most 1e-10 and no kink is near.
        reason: why it did not converge; empty if it did.
    """

    theta: FloatArray
    multipliers: FloatArray
    residual: float
    iterations: int
    rounds: int
    moved: float
    converged: bool
    reason: str = ""


def polish(functions: MarginFunctions, theta: FloatArray) -> Polished:
    """Solve ``w = Σ λ_n ∇f_n(w)``, ``f_S(w) = 1``, ``λ_S >= 0`` near θ (eq. 18 with margin 1).

    Args:
        functions: homogeneous margin functions.
        theta: (d,) a separating point, at any scale.

    Returns:
        The best point seen; ``converged`` says whether it is one.

    Raises:
        DegreeError: not homogeneous (Definition 1).
        ParameterError: θ does not separate, or is not finite.
        UnsupportedError: θ is on a kink of a ReLU of power 1, where no Hessian exists.
    """
    _degree(functions)
    start = np.asarray(theta, dtype=np.float64)
    functions.blocks(start)
    return polish_kkt(Kkt(functions=functions, point=start))


def polish_kkt(kkt: Kkt) -> Polished:
    """Solve the KKT system of a record near its point.

    The active set S and its multipliers are fitted at the point, or read off the point of least
    norm in the linearised feasible set; every Newton step is the least-squares one. Where these
    steps do not arrive at a direction,
    :func:`~lexmargin.polish.augmented.augmented_lagrangian` brings the point nearer.

    Args:
        kkt: of a loss, of margins with a level, or of a direction of largest margin.

    Returns:
        The best point seen: w of a direction at margin 1, else w at its own scale.

    Raises:
        ParameterError: the point of a direction does not separate, or is not finite.
        UnsupportedError: the point is on a kink of a ReLU of power 1, where no Hessian exists, or
            Newton's steps do not know such a system.
    """
    functions, point = kkt.functions, kkt.point
    if not np.all(np.isfinite(point)):
        raise ParameterError("The start of a polish is not finite.", "Start from finite numbers.")
    small = functions.size <= NEWTON_PARAMETERS
    if kkt.loss is None:
        stated = kkt.is_direction or kkt.level is not None
        small = stated and (kkt.norm == 2.0 or (small and 1.0 < kkt.norm < math.inf))
    if not small:
        raise UnsupportedError(
            "Newton's steps know losses, levels and directions, these in smooth norms, and beyond "
            f"{NEWTON_PARAMETERS} parameters margins in the Euclidean one.",
            "Take the answer as it is.",
        )
    size = float(np.abs(point).max(initial=0.0))
    unit = point / size / np.linalg.norm(point / size) if size > 0 else point
    margin = float(functions.values(unit).min()) if kkt.is_direction else 1.0
    if not (size > 0 and margin > 0):
        raise ParameterError(
            f"The start of a polish does not separate: its smallest margin is {margin:.3g}.",
            "Descend longer, or start from a point where every margin is positive.",
        )
    if _kink(functions, unit) <= _KINK:
        raise UnsupportedError(
            "The start of a polish is on a kink of a ReLU, where Newton's method has no Hessian.",
            "Use a ReLU of power 2 or more, or start away from the kink.",
        )
    if kkt.loss is not None:
        return _ended(functions, unit, *least_loss(kkt, kkt.loss), 0)
    if not kkt.is_direction:
        program = MarginProgram(kkt, point)
        best, taken = _from_guesses(program)
        return _ended(functions, unit, *program.answer(best), taken, 0)
    degree = _degree(functions)
    found = _direction(kkt, unit / margin ** (1.0 / degree), unit)
    stretch = float(kkt.reach[0]) ** (1.0 / degree)
    multipliers = stretch**2 * found.multipliers
    return replace(found, theta=stretch * found.theta, multipliers=multipliers)


def _direction(kkt: Kkt, w: FloatArray, unit: FloatArray) -> Polished:
    """Return the polished direction at margin 1, with rounds of the augmented Lagrangian for ℓ2."""
    functions = kkt.functions
    program = MarginProgram(Kkt(functions=functions, point=w, norm=kkt.norm), w)
    best, taken = _from_guesses(program)
    answer, rounds = program.answer(best), 0
    hopeless = best.done or kkt.norm != 2.0 or _kink(functions, unit) <= _BESIDE
    for w, multipliers in () if hopeless else augmented_lagrangian(functions, *answer[:2]):
        rounds += 1
        program, state = _normalized(functions, w, multipliers)
        if float(functions.values(w).min()) > 0.0:
            state = min(state, program.guess(rough=True), key=lambda one: one.residual)
        if state.residual < _NEAR:
            state, more = program.run(state, _STEPS)
            taken += more
        if state.residual < best.residual:
            best, answer = state, program.answer(state)
        if best.done:
            break
    return _ended(functions, unit, *answer, taken, rounds)


def _from_guesses(program: MarginProgram) -> tuple[Held, int]:
    """Return the best state of Newton's steps, and their number: exact supports come first.

    What is already a KKT point is then cheap to recognise.
    """
    best, taken = program.guess(rough=False), 0
    if best.residual < _NEAR:
        best, taken = program.run(best, _STEPS)
    if not best.done:
        rough, more = program.run(program.guess(rough=True), _STEPS)
        best, taken = min(best, rough, key=lambda one: one.residual), taken + more
    return best, taken


def _ended(
    functions: MarginFunctions,
    unit: FloatArray,
    w: FloatArray,
    multipliers: FloatArray,
    residual: float,
    taken: int,
    rounds: int,
) -> Polished:
    reason = ""
    if not residual <= GOAL:
        reason = f"the residual stayed at {residual:.1e} after {taken} Newton steps"
        if functions.pre_activations(w):
            reason += "; ReLU answers often lie on kinks, where only Clarke's conditions can hold"
    elif _kink(functions, w) <= _KINK:
        reason = "the steps ended on a kink of a ReLU: only a Clarke certificate can judge it"
    moved = float(np.linalg.norm(w / np.linalg.norm(w) - unit)) if np.any(w) else math.inf
    return Polished(w, multipliers, residual, taken, rounds, moved, not reason, reason)


# -- problems --------------------------------------------------------------------------------------


def polish_problem(problem: Formulation, theta: FloatArray) -> Polished | None:
    """Return a point beside θ that solves the KKT system of the problem to 1e-9, None without one.

    Args:
        problem: any problem that brings its KKT data.
        theta: (d,) the solver's answer.

    Returns:
        The point as the problem states it, and the multipliers of its own stationarity condition.
    """
    if problem.data.is_sparse or not (np.all(np.isfinite(theta)) and np.any(theta)):
        return None
    kkts, rho, done = problem.kkt(theta), problem.rho_value, 0
    while done < len(kkts) and not np.any(kkts[done].target):
        done += 1
    first = kkts[min(done, len(kkts) - 1)]
    # Slack of one sum buys its square root at the next: staged answers are polished though convex.
    convex = problem.functions.curvature <= Curvature.CONCAVE and first.ordered is None
    ended = convex and first.is_direction and first.level is None and first.norm == 2.0
    try:
        found = None if ended else polish_kkt(first)
    except (LexmarginError, ArithmeticError, LinAlgError):
        # A step may leave what doubles hold, where scales are lost: then no point is better.
        return None
    if found is None or not (found.residual <= _SOLVED and found.moved <= _MOST_MOVED):
        return None
    if first.is_direction and first.level is None:
        point, multipliers = problem.placed(theta, found.theta, found.multipliers)
        return replace(found, theta=point, multipliers=multipliers)
    if first.loss is not None:
        return replace(found, theta=found.theta / rho)
    point, multipliers = found.theta, found.multipliers
    for later in kkts[done + 1 :]:
        # The parts before it stay where they are.
        try:
            again = polish_kkt(replace(later, point=point))
        except (LexmarginError, ArithmeticError, LinAlgError):
            break
        costs = later.entry_costs
        costs_more = costs @ again.theta**2 > costs @ point**2 * (1.0 + _SOLVED)
        if not again.residual <= _SOLVED or costs_more:
            break
        point = again.theta
    moved = float(np.linalg.norm(theta / np.linalg.norm(theta) - point / np.linalg.norm(point)))
    if not moved <= _MOST_MOVED:
        return None
    if first.required is not None:
        # Those of f_n, as the program states them.
        multipliers = multipliers / first.required
    return replace(found, theta=point / rho, multipliers=multipliers / rho**2, moved=moved)


# -- parts of a solver -----------------------------------------------------------------------------


def finished(
    functions: MarginFunctions, w: FloatArray, multipliers: FloatArray, iterations: int = 20
) -> Polished:
    """Take Newton steps from a point near margin 1 with its multipliers; no other phase.

    Args:
        functions: homogeneous margin functions.
        w: (d,) where every margin is positive.
        multipliers: λ (N,) >= 0.
        iterations: the most Newton steps.
    """
    program, best = _normalized(functions, w, multipliers)
    taken = 0
    if functions.curvature > Curvature.CONCAVE and _kink(functions, w) > _KINK:
        best, taken = program.run(best, iterations)
    return _ended(functions, w / np.linalg.norm(w), *program.answer(best), taken, 0)


def settled(
    functions: MarginFunctions,
    rounds: Iterable[tuple[FloatArray, FloatArray]],
    deadline: float = math.inf,
) -> Polished:
    """End the rounds of an augmented Lagrangian by Newton steps as soon as these arrive.

    A try begins where the residual is below 5e-3, and is given up where it rises thirtyfold; the
    next one waits until the residual is a third of what it was. Where Hessians are small, quadratic
    programs come first, from a residual of 0.3.

    Args:
        functions: homogeneous margin functions.
        rounds: the points w (d,) with their multipliers (N,), at least one.
        deadline: of ``time.perf_counter()``.

    Returns:
        The first point that arrives, else the last one after a last run of Newton steps; ``moved``
        is 0, and a last point that does not separate is returned as it is, with residual inf.
    """
    _degree(functions)
    formed = small_hessian(functions)
    count, taken, last = 0, 0, None
    close, tries = _FAR if formed else _CLOSE, 0
    smooth = functions.curvature > Curvature.CONCAVE
    for w, multipliers in rounds:
        count, last = count + 1, (w, multipliers)
        margin = float(functions.values(w).min())
        if not (smooth and margin > 0.5) or time.perf_counter() > deadline:
            continue
        program, state = _normalized(functions, w, multipliers)
        if state.residual > close:
            continue
        close = 0.3 * state.residual
        if formed:
            tries += 1
            place = descended(functions, w, multipliers, _PROGRAMS, deadline)
            program, state = _normalized(functions, place.w, place.multipliers)
        else:
            limit = min(_NEAR, _RISE * state.residual)
            state, more = program.run(state, 20, limit, _TRIED)
            taken += more
        if state.done:
            return Polished(*program.answer(state), taken, count, 0.0, True)
        if formed and tries == _TRIES:
            formed, close = False, _CLOSE
    if last is None:
        raise ParameterError("No round came.", "Give at least one point with its multipliers.")
    if not float(functions.values(last[0]).min()) > 0.0:
        reason = "the last point does not separate"
        return Polished(*last, math.inf, taken, count, 0.0, False, reason)
    late = time.perf_counter() > deadline
    end = finished(functions, *last, 0 if late else 20)
    taken += end.iterations
    return replace(end, iterations=taken, rounds=count, moved=0.0)


def _normalized(
    functions: MarginFunctions, w: FloatArray, multipliers: FloatArray
) -> tuple[MarginProgram, Held]:
    """Return the program about the point at margin 1, with multipliers of the same direction."""
    degree, margin = _degree(functions), float(functions.values(w).min())
    scale = margin ** (-1.0 / degree) if margin > 0 else 1.0
    program = MarginProgram(Kkt(functions=functions, point=scale * w), scale * w)
    return program, program.given(multipliers * scale ** (2.0 - degree))


def _degree(functions: MarginFunctions) -> float:
    """Return α, or raise `DegreeError`."""
    degree = functions.homogeneity.degree
    if degree is None:
        raise DegreeError(
            f"A polish needs a homogeneous predictor: {functions.homogeneity.kind.value}.",
            "Solve margin-path instead; its certificate tells how good the answer is.",
        )
    return degree


def _kink(functions: MarginFunctions, w: FloatArray) -> float:
    """Return how near the nearest kink is: the smallest ``|z| / max |z|`` of a power-1 layer."""
    nearest = math.inf
    for z in functions.pre_activations(w):
        largest = float(np.abs(z).max(initial=0.0))
        ratio = float(np.abs(z).min()) / largest if largest > 0 else 0.0
        nearest = min(nearest, ratio)
    return nearest
