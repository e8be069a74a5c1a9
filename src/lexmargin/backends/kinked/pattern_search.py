"""The hard margin of kinked networks of any depth: fixed patterns, re-solved, crossed at kinks.

With the slopes of all units held, ``min ½‖θ‖² s.t. f_n(θ) >= 1`` is a program of polynomials, and
sequential quadratic programming solves it. Where a step would carry a unit over its kink and the
margin falls there (the concave side), the polynomial of the other side joins the program: both
are constraints, so that the kink is held where that is best, and their multipliers weigh the two
gradients, which is an element of the generalised gradient. Where the margin rises (the convex side)
the step crosses, and the pattern changes with it.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import final

import numpy as np

from lexmargin.backends.kinked.gated import GatedNetwork, Pieces
from lexmargin.backends.kinked.pattern_program import (
    Held,
    QuadraticModel,
    corrected,
    distinct,
    unseen,
)
from lexmargin.backends.smooth.homogeneous import Ended
from lexmargin.linalg.guarded import least_norm
from lexmargin.ops.base import FloatArray

__all__ = ["pattern_search"]

_BAND = 0.5
"""Samples up to 1.5 times the margin are in the first program; fewer cost more rounds of it."""
_GENERATED = 8
"""Rounds that add pieces to one program; a step that meets more is cut by the merit anyway."""
_TINY = 1e-8
"""Relative length of a step that changes nothing; two in a row leave the rest to Newton."""
_NEWTON_STEPS = 12
"""Newton steps at the end: quadratic convergence needs fewer, slower is not worth more."""
_EXACT = 1e-15
"""Residual that rounding allows; below it steps only move the last bits."""
_LARGEST_SHIFT = 1e9
"""Shift of the Hessian at which steps have no length left: there is no descent here."""
_NEAR_KINK = 1e-7
"""Relative pre-activation that counts as on a kink to cross; a false one costs a try."""
_NEARBY = 1e-3
"""Residual below which Newton's answer is near enough to be this point's; else the descent's
stays."""
_DEAD = 1e-5
"""Weight below which a unit is tried at 0; what survives is measured, so a false one costs a
try."""
_SLOW = 1e-2
"""Relative length of steps that count as slow: a saddle may be near."""
_PATIENCE = 5
"""Slow steps between looks for a way off a saddle, which costs a spectrum each."""
_LENGTHS = (0.3, 0.1, 0.03, 0.01, 1e-3)
"""Lengths tried off a saddle by ‖θ‖, longest first: short ones gain too little to leave it."""


def pattern_search(
    net: GatedNetwork,
    theta: FloatArray,
    *,
    rounds: int = 1500,
    deadline: float = np.inf,
    shift: float = 1.0,
) -> Ended:
    """Minimise ``½‖θ‖² s.t. f_n(θ) >= 1`` from a separating θ.

    Every step raises the normalised margin ``min f_n(θ)/‖θ‖^L``; the last ones are Newton's.

    Args:
        net: the margin functions.
        theta: (d,) where every margin is positive, at any scale.
        rounds: the most quadratic programs.
        deadline: of ``time.perf_counter()``.
        shift: added to the curvature of the first model; little is needed near the answer.
    """
    f, _ = net.evaluated(theta)
    if not f.min() > 0.0:
        return Ended(theta, np.zeros(f.size), np.inf, False, 0, False)
    search = _Search(net, theta, rounds, deadline, shift)
    best = search.descended()
    while search.left > 0 and not search.late:
        crossed = search.crossed()
        if not crossed:
            break
        following = search.descended()
        best = min(best, following, key=lambda a: (a.residual > 1e-9, _size(a.theta)))
    return replace(best, rounds=rounds - search.left, out_of_time=search.late)


def _size(theta: FloatArray) -> float:
    return float(np.linalg.norm(theta))


@final
class _Search:
    """A point with margin 1, its pieces, and the shift of the quadratic model."""

    def __init__(
        self, net: GatedNetwork, theta: FloatArray, rounds: int, deadline: float, shift: float
    ) -> None:
        self._net, self._deadline = net, deadline
        self.left = rounds
        self._moved(theta)
        empty = np.zeros(0)
        self._held = Held(
            np.zeros(0, dtype=np.int64), tuple(np.zeros((0, w)) for w in net.widths), empty
        )
        self._shift = shift
        self._downhill: FloatArray | None = None

    @property
    def late(self) -> bool:
        return time.perf_counter() > self._deadline

    def _moved(self, theta: FloatArray) -> None:
        f, _ = self._net.evaluated(theta)
        stretch = float(f.min()) ** (-1.0 / self._net.degree)
        self._theta = theta * stretch
        self._f, self._z = self._net.evaluated(self._theta)

    def _merit(self, theta: FloatArray) -> float:
        """Return ``½‖θ‖²`` of θ brought to margin 1; inf where it does not separate."""
        least = float(self._net.evaluated(theta)[0].min())
        if not least > 0.0:
            return np.inf
        return 0.5 * float(theta @ theta) * float(least ** (-2.0 / self._net.degree))

    def descended(self) -> Ended:
        """Take steps until none is left that lowers the norm, then Newton's."""
        small = slow = 0
        while self.left > 0 and not self.late and small < 2:
            moved = self._stepped()
            slow = slow + 1 if moved is None or moved <= _SLOW else 0
            if slow % _PATIENCE == 1 and self._escaped():
                slow = 0
                continue
            if moved is None:
                break
            small = small + 1 if moved <= _TINY else 0
        return self._polished()

    def _program(self) -> tuple[Held, Pieces]:
        """Return the pieces of this round: those held, at today's pattern, and the natural ones."""
        net, held = self._net, self._held
        near = np.flatnonzero(self._f <= 1.0 + _BAND)
        natural = Held(near, tuple(net.gates(self._z, near)), np.zeros(near.size))
        if not held.rows.size:
            return natural, net.pieces(self._theta, natural.rows, natural.gates)
        everywhere = net.gates(self._z, held.rows)
        renewed = []
        for gates, today in zip(held.gates, everywhere, strict=True):
            high = np.full((self._f.size, gates.shape[1]), -np.inf)
            low = -high
            np.maximum.at(high, held.rows, gates)
            np.minimum.at(low, held.rows, gates)
            kinked = (high > low)[held.rows]
            renewed.append(np.where(kinked, gates, today))
        kept = Held(held.rows, tuple(renewed), held.multipliers)
        program = distinct(kept.joined(natural))
        pieces = net.pieces(self._theta, program.rows, program.gates)
        # A piece below the function itself is one that the step has crossed for good.
        valid = pieces.values >= self._f[program.rows] - 1e-12 * (1.0 + np.abs(pieces.values))
        if not np.all(valid):
            program = program.some(valid)
            pieces = net.pieces(self._theta, program.rows, program.gates)
        return program, pieces

    def _stepped(self) -> float | None:
        """Take one accepted step and return its relative length; None where there is none."""
        net, theta = self._net, self._theta
        program, pieces = self._program()
        hessian = np.eye(theta.size)
        if np.any(program.multipliers):
            hessian -= pieces.hessian(program.multipliers)
        merit = 0.5 * float(theta @ theta)
        while self.left > 0 and not self.late:
            model = QuadraticModel(hessian, pieces, program, self._shift)
            if self._shift > _LARGEST_SHIFT:
                return None
            if model.downhill is not None:
                self._downhill = model.downhill
            solved = self._generated(model, program, pieces)
            if solved is None:
                self._shift = max(4.0 * self._shift, 1e-3)
                continue
            step, program, pieces = solved
            length = float(np.linalg.norm(step)) / float(np.linalg.norm(theta))
            best, reached = theta + step, self._merit(theta + step)
            bent = corrected(net, best, program)
            if bent is not None:
                other = self._merit(best + bent)
                if other < reached:
                    best, reached = best + bent, other
            self._held = program.some(program.multipliers > 0.0)
            if length <= _TINY:
                if reached <= merit * (1.0 + 1e-14):
                    self._moved(best)
                return length
            predicted = merit - 0.5 * float((theta + step) @ (theta + step))
            gain = merit - reached
            if gain > 1e-4 * max(predicted, 0.0) and gain > 1e-15 * merit:
                if gain > 0.5 * predicted:
                    self._shift = 0.2 * self._shift if self._shift > 1e-6 else 0.0
                self._moved(best)
                return length
            self._shift = max(4.0 * self._shift, 1e-2)
        return None

    def _generated(
        self, model: QuadraticModel, program: Held, pieces: Pieces
    ) -> tuple[FloatArray, Held, Pieces] | None:
        """Solve the quadratic program, adding the pieces that its step would meet."""
        net, theta = self._net, self._theta
        for _ in range(_GENERATED):
            self.left -= 1
            found = model.solve(theta, pieces)
            if found is None:
                return None
            step, multipliers = found
            program = replace(program, multipliers=multipliers)
            f, z = net.evaluated(theta + step)
            near = np.flatnonzero((f < 1.0 - 1e-13) | np.isin(np.arange(f.size), program.rows))
            today, ahead = net.gates(self._z, near), net.gates(z, near)
            natural = net.pieces(theta, near, today)
            met = tuple(
                np.where(felt < 0.0, later, now)
                for felt, later, now in zip(natural.felt, ahead, today, strict=True)
            )
            fresh = None
            for gates in (met, tuple(ahead)):
                # Where kinks of several layers meet, their sides cannot be told one by one.
                other = net.pieces(theta, near, gates)
                short = other.values + other.rows @ step < 1.0 - 1e-12
                short &= other.values >= self._f[near] - 1e-9
                fresh = unseen(Held(near, gates, np.zeros(near.size)).some(short), program)
                if fresh.rows.size:
                    break
            assert fresh is not None
            if not fresh.rows.size:
                break
            program = program.joined(fresh)
            pieces = net.pieces(theta, program.rows, program.gates)
        if multipliers.size < program.rows.size:
            padded = np.zeros(program.rows.size)
            padded[: multipliers.size] = multipliers
            program = replace(program, multipliers=padded)
        return step, program, pieces

    def _escaped(self) -> bool:
        """Leave a saddle along negative curvature, where that lowers the norm."""
        downhill, theta = self._downhill, self._theta
        self._downhill = None
        if downhill is None:
            return False
        size, merit = float(np.linalg.norm(theta)), 0.5 * float(theta @ theta)
        held = self._held
        for length in _LENGTHS:
            for sign in (1.0, -1.0):
                moved = theta + sign * length * size * downhill
                for _ in range(2):
                    bent = corrected(self._net, moved, held)
                    moved = moved if bent is None else moved + bent
                if self._merit(moved) < merit * (1.0 - 1e-9):
                    self._moved(moved)
                    return True
        return False

    def crossed(self) -> bool:
        """Cross the kinks that this point stands on, where the margin rises beyond them."""
        net, theta = self._net, self._theta
        used = np.unique(self._held.rows)
        if not used.size:
            return False
        gates = net.gates(self._z, used)
        natural = net.pieces(theta, used, gates)
        scale = float(np.linalg.norm(theta)) / net.degree**0.5
        other, any_near = [], np.zeros(used.size, dtype=bool)
        for k, (now, felt) in enumerate(zip(gates, natural.felt, strict=True)):
            near = np.abs(self._z[k][net.samples[used]]) <= _NEAR_KINK * scale
            near &= felt > 1e-9
            any_near |= near.any(axis=1)
            other.append(np.where(near, np.where(now == 1.0, net.slope, 1.0), now))
        if not np.any(any_near):
            return False
        program = Held(used, tuple(other), np.zeros(used.size))
        pieces = net.pieces(theta, used, other)
        for shift in (1.0, 10.0, 100.0):
            model = QuadraticModel(np.eye(theta.size), pieces, program, shift)
            solved = self._generated(model, program, pieces)
            if solved is None:
                return False
            moved = theta + solved[0]
            if self._merit(moved) < 0.5 * float(theta @ theta) * (1.0 - 1e-8):
                self._moved(moved)
                self._shift = 1.0
                return True
        return False

    def _polished(self) -> Ended:
        """Return the point after Newton's steps, units of no weight set to 0 where that helps."""
        found = self._newton(_cleaned(self._net, self._theta))
        if found is None or found.residual > 1e-10:
            other = self._newton(self._theta)
            if found is None or (other is not None and other.residual < found.residual):
                found = other
        if found is not None and found.residual < _NEARBY:
            return found
        residual = np.inf if found is None else found.residual
        return Ended(self._theta, np.zeros(self._f.size), residual, True, 0, False)

    def _newton(self, theta: FloatArray) -> Ended | None:
        """Take Newton steps on ``θ = Σ μ_p ∇f^p(θ), f^p(θ) = 1`` over the held pieces."""
        net, held = self._net, self._held
        if not held.rows.size:
            return None
        share = held.multipliers / float(held.multipliers.max())
        held = held.some(share > 1e-9)
        mu, d = held.multipliers, theta.size
        best: Ended | None = None
        for _ in range(_NEWTON_STEPS):
            pieces = net.pieces(theta, held.rows, held.gates)
            misfit = theta - mu @ pieces.rows
            f, z = net.evaluated(theta)
            parts = (
                _beyond_kinks(net, z, held),
                float(np.linalg.norm(misfit)) / max(float(np.linalg.norm(theta)), 1e-300),
                float(np.abs(pieces.values - 1.0).max()),
                float(1.0 - f.min()),
                float(np.max(-mu, initial=0.0)) / float(np.abs(mu).max()),
            )
            residual = max(parts) if np.all(np.isfinite(parts)) else np.inf
            if f.min() > 0.0 and (best is None or residual < best.residual):
                multipliers = np.zeros(f.size)
                np.add.at(multipliers, held.rows, np.maximum(mu, 0.0))
                best = Ended(theta, multipliers, residual, True, 0, False)
            elif best is None or residual > max(1e3 * best.residual, 1e-6):
                break
            if residual <= _EXACT:
                break
            rows = pieces.rows
            top = np.hstack([np.eye(d) - pieces.hessian(mu), -rows.T])
            bottom = np.hstack([rows, np.zeros((rows.shape[0], rows.shape[0]))])
            right = np.concatenate([-misfit, 1.0 - pieces.values])
            move = least_norm(np.vstack([top, bottom]), right, 1e-12)
            length = float(np.linalg.norm(move[:d])) / float(np.linalg.norm(theta))
            if not np.isfinite(length):
                break
            damping = min(1.0, 0.1 / length) if length > 0.0 else 1.0
            theta = theta + damping * move[:d]
            mu = mu + damping * move[d:]
        return best


def _beyond_kinks(net: GatedNetwork, z: list[FloatArray], held: Held) -> float:
    """Return the largest distance of a unit from a kink whose other side a piece is on.

    Only the pieces that meet at θ span its generalised gradients.
    """
    farthest = 0.0
    for now, gates, own in zip(z, held.gates, net.gates(z, held.rows), strict=True):
        wrong = np.where(gates != own, np.abs(now[net.samples[held.rows]]), 0.0)
        largest = float(np.abs(now).max(initial=0.0))
        farthest = max(farthest, float(wrong.max(initial=0.0)) / max(largest, 1e-300))
    return farthest


def _cleaned(net: GatedNetwork, theta: FloatArray) -> FloatArray:
    """Return θ with units set to 0 whose weights, in or out, are next to nothing."""
    theta = theta.copy()
    blocks = net.blocks(theta)
    least = _DEAD * float(np.linalg.norm(theta))
    for before, after in itertools.pairwise(blocks):
        weak = np.linalg.norm(before, axis=1) <= least
        weak |= np.linalg.norm(after, axis=0) <= least
        before[weak] = 0.0
        after[:, weak] = 0.0
    return theta
