"""Upper bounds on all margins of networks over the directions of the ℓ2 ball (math §4, §7.8).

Each is evaluated, never believed: a solver may suggest weights, but what is returned is the bound
that these weights prove, whatever the solver said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import NETWORK_BOUND_ENTRIES
from lexmargin.judge.bounds.duality import usable
from lexmargin.judge.bounds.enumeration import signed_rows, vertex_bound
from lexmargin.judge.local.birth import Birth, birth_value, leak
from lexmargin.judge.multipliers.vertex_bounds import best_weights
from lexmargin.judge.proved import BoundMethod, Proved
from lexmargin.linalg.guarded import TIGHT, linear_program
from lexmargin.linalg.nonnegative import nonnegative
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.rounding import OUTWARD
from lexmargin.predictors.activations import Identity
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.networks import ConvolutionalNetwork, DiagonalNetwork, fully_connected

__all__ = [
    "LinearNetwork",
    "Patterns",
    "Vertices",
    "linear_network_reach",
]

_SETTLED: Final = 1e-15
"""Move of a unit vector that is rounding: further steps find nothing new."""
_LONGER: Final = 1e-8
"""Relative length up to which a birth test is met: what is left of the gap is within tolerance."""
_ROUNDS: Final = 100
"""Cuts of the relaxed program at most; fewer leave a weaker bound, never a wrong one."""
_STARTS: Final = 400
"""Random starts of the search for cuts; a missed cut is found by the birth test, only later."""
_ASCENTS: Final = 30
"""Steps from each start: the fixed point is settled before, or another start finds it."""
_CUTS: Final = 40
"""Cuts added at once; more make the program slower, fewer make more programs (judgement)."""
_MET: Final = 1e-9
"""Gap that no better weights are looked for to close: beyond rounding, within all tolerances."""
_LARGER: Final = "no direction has a larger margin"


def _directions(kkt: Kkt) -> bool:
    return kkt.is_direction and kkt.norm == 2.0 and not kkt.functions.data.is_sparse


def _small(kkt: Kkt) -> bool:
    return kkt.functions.count * kkt.functions.data.n_features <= NETWORK_BOUND_ENTRIES


def _over(method: BoundMethod, upper: float, weights: Array | None = None) -> Proved:
    share = None if weights is None else weights / float(np.sum(weights))
    return Proved(method=method, value=upper, sentence=_LARGER, weights=share, bound=upper)


# -- linear networks -------------------------------------------------------------------------------


def linear_network_reach(
    predictor: Predictor, X: Array, scores: Array, slack: float = 0.0
) -> tuple[int, float] | None:
    """Return L and `B ≥ max Σ v_n F(x_n; θ)` over `‖θ‖₂ ≤ 1`; None for other predictors.

    A linear network of depth L and ‖θ‖₂ ≤ 1 computes β·x with `‖β‖₂ ≤ L^{-L/2}` (fully
    connected), `‖β‖₁ ≤ L^{-L/2}` (diagonal, L ≥ 2), and the same for the unitary discrete Fourier
    transform of β (convolution, L ≥ 2): inequality of arithmetic and geometric means, layer by
    layer. The dual norm is ℓ2, ℓ∞, and ℓ∞ of the transform. Attained for every fully connected
    network, and where a sparse enough β is best for the others.

    Args:
        predictor: of one output.
        X: (N, p).
        scores: v (N,) of any sign.
        slack: by how much every v_n may be another one, relative.
    """
    combined, network = scores @ X, fully_connected(predictor)
    if network is not None and isinstance(network.activation, Identity):
        depth, size = network.block_count, vector_norm(combined, 2.0)
    elif isinstance(predictor, DiagonalNetwork) and predictor.depth >= 2:
        depth, size = predictor.depth, float(np.max(np.abs(combined)))
    elif isinstance(predictor, ConvolutionalNetwork) and predictor.depth >= 2:
        depth = predictor.depth
        size = float(np.max(np.abs(np.fft.fft(combined, norm="ortho"))))
    else:
        return None
    spent = vector_norm(np.abs(scores) @ np.abs(X), 2.0)
    return depth, float(depth ** (-0.5 * depth)) * (size + (OUTWARD + slack) * spent)


@final
@dataclass(frozen=True)
class LinearNetwork:
    """`γ* ≤ L^{-L/2} ‖Σ p_n z_n‖_*`, Σp = 1, of the end-to-end β (math §4).

    search: the best weights of β are looked for beside those given.
    """

    method = BoundMethod.LINEAR_NETWORK
    search: bool = True

    def applies(self, kkt: Kkt) -> bool:
        predictor = kkt.functions.predictor
        if not _directions(kkt) or predictor.outputs != 1:
            return False
        return linear_network_reach(predictor, np.zeros((1, 1)), np.zeros(1)) is not None

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        functions = kkt.functions
        known = usable(weights)
        tried = [] if known is None else [known]
        if self.search and _small(kkt):
            diagonal = isinstance(functions.predictor, DiagonalNetwork)
            tried.append(best_weights(signed_rows(functions), 1.0 if diagonal else 2.0))
        found = []
        for one in tried:
            share = one / float(np.sum(one))
            scores = functions.score_weights(share)
            reach = linear_network_reach(functions.predictor, functions.data.X, scores)
            if reach is not None:
                found.append((reach[1], share))
        if not found:
            return None
        upper, share = min(found, key=lambda pair: pair[0])
        why = "no weights of this linear network have a margin above the bound"
        return Proved(method=self.method, value=upper, sentence=why, weights=share, bound=upper)


# -- two-layer networks ----------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Patterns:
    """Maximise Σλ with `|Σ λ_n y_n σ(u·x_n)| ≤ 1` for all unit u, by cutting planes.

    Linear programs suggest λ; every λ is scaled by the birth test and proves
    `γ* ≤ b(λ)/(2 Σλ)`. Where b has no tight bound (many samples in more than three dimensions)
    the bound is that of the weights given.

    looks: how often all activation patterns are searched for better weights; with 0 none are, and
    nothing but NumPy is needed.
    """

    method = BoundMethod.PATTERNS
    looks: int = 2

    def applies(self, kkt: Kkt) -> bool:
        return _directions(kkt) and leak(kkt.functions.predictor) is not None

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        functions, slope, known = kkt.functions, leak(kkt.functions.predictor), usable(weights)
        if slope is None or (known is None and not (self.looks and _small(kkt))):
            return None
        X = functions.data.X
        signs = functions.score_weights(np.ones(functions.count))
        best: Proved | None = None

        def tried(one: Array) -> Birth:
            nonlocal best
            given = None if self.looks else nonnegative
            birth = birth_value(X, signs * one, slope, given)
            upper = 0.5 * birth.upper / float(np.sum(one))
            if best is None or upper < best.value:
                best = _over(self.method, upper, one)
            return birth

        if known is not None and not tried(known).exact:
            return best
        # A linear network has the best weights of its β, and one pattern.
        if not self.looks or slope == 1.0 or not _small(kkt):
            return best
        margin = float(np.min(functions.values(kkt.point / vector_norm(kkt.point, 2.0))))
        if best is None or best.gap(margin) > max(wanted, _MET):
            self._search(X, signs, slope, tried)
        return best

    def _search(
        self, X: Array, signs: Array, slope: float, tried: Callable[[Array], Birth]
    ) -> None:
        sizes = np.linalg.norm(X, axis=1)
        if np.any(sizes == 0.0):
            return
        length = float(np.max(sizes))
        scaled = X / length
        looked, weights = 0, None
        cuts = np.vstack([X, -X]) / np.append(sizes, sizes)[:, None]
        for _ in range(_ROUNDS):
            weights = _relaxed(cuts, scaled, signs, slope)
            if weights is None:
                return
            deeper = _maximisers(scaled, signs * weights, slope, cuts)
            if not deeper.size:
                looked += 1
                birth = tried(weights)
                met = birth.lower <= length * (1.0 + _LONGER)
                if looked == self.looks or met or not birth.exact:
                    return
                deeper = birth.direction[None, :]
            cuts = np.vstack([cuts, deeper])
        if weights is not None:
            tried(weights)


def _maximisers(X: Array, c: Array, slope: float, starts: Array) -> Array:
    """Return unit vectors with `|Σ c_n σ(u·x_n)|` above 1, by fixed-point ascent (K, p)."""
    rng = np.random.default_rng(0)
    begin = np.vstack([starts, rng.standard_normal((_STARTS, X.shape[1]))])
    found = []
    for sign in (1.0, -1.0):
        u = (begin / np.linalg.norm(begin, axis=1, keepdims=True)).T
        top, where = np.full(u.shape[1], -np.inf), u.copy()
        for _ in range(_ASCENTS):
            z = X @ u
            slopes = np.where(z > 0.0, 1.0, slope)
            values = sign * (c @ (slopes * z))
            # The negative terms are not convex, so that a step may lead down again.
            better = values > top
            top, where[:, better] = np.maximum(values, top), u[:, better]
            gradient = sign * X.T @ (c[:, None] * slopes)
            lengths = np.linalg.norm(gradient, axis=0)
            moved = np.where(lengths > 0.0, gradient / np.where(lengths > 0.0, lengths, 1.0), u)
            if np.allclose(moved, u, rtol=0.0, atol=_SETTLED):
                break
            u = moved
        good = top > 1.0 + _MET
        found.append(where.T[good][np.argsort(-top[good])])
    every = np.vstack(found)
    if not every.size:
        return every
    _, first = np.unique(np.round(every, 9), axis=0, return_index=True)
    return np.array(every[np.sort(first)][:_CUTS])


def _relaxed(directions: Array, X: Array, signs: Array, slope: float) -> Array | None:
    """Maximise Σλ over λ ≥ 0 with the constraints of the given directions only."""
    z = directions @ X.T
    rows = np.where(z > 0.0, z, slope * z) * signs
    answer = linear_program(
        -np.ones(signs.size),
        A_ub=np.vstack([rows, -rows]),
        b_ub=np.ones(2 * directions.shape[0]),
        bounds=(0.0, None),
        method="highs-ds",
        options=TIGHT,
    )
    if answer.x is None or not float(np.sum(answer.x)) > 0.0:
        return None
    return np.maximum(np.asarray(answer.x, dtype=np.float64), 0.0)


# -- all vertices --------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Vertices:
    """Diagonal networks of depth ≥ 3: all vertices, where they are not too many."""

    method = BoundMethod.VERTICES

    def applies(self, kkt: Kkt) -> bool:
        predictor = kkt.functions.predictor
        return _directions(kkt) and isinstance(predictor, DiagonalNetwork) and predictor.depth >= 3

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        upper = vertex_bound(kkt.functions)
        return None if upper is None else _over(self.method, upper)
