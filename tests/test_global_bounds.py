"""Global bounds: never below a margin that is attained, and tight where the answer is known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lexmargin as lm
from lexmargin.formulations import Kkt
from lexmargin.judge import Verdict
from lexmargin.judge.bounds.networks import Vertices
from lexmargin.judge.bounds.table import lowest, with_bounds
from lexmargin.judge.proved import BoundMethod, Proved
from lexmargin.linalg.norms import vector_norm
from lexmargin.predictors import Predictor

XOR = [[1, 1], [-1, -1], [1, -1], [-1, 1]]
SIGNS = [1, 1, -1, -1]
PAIR = [[1.0, 0.6], [0.6, 1.0]]
R2 = 2.0**0.5


def problem(predictor: Predictor, Z: Any, y: Any = None, norm: float = 2.0) -> lm.HardMargin:
    labels = np.ones(len(Z), int) if y is None else np.array(y)
    return lm.HardMargin(predictor, lm.Dataset(np.array(Z, float), labels, one_class=True), norm)


def angle(degrees: float) -> list[list[float]]:
    phi = math.radians(degrees)
    return [[1.0, 0.0], [math.cos(phi), math.sin(phi)]]


def one_unit(degrees: float) -> list[float]:
    half = math.radians(degrees / 2)
    return [math.cos(half), math.sin(half), 0.0, 0.0, 1.0, 0.0]


def two_units(degrees: float) -> list[float]:
    return [*np.ravel(angle(degrees)), 1.0, 1.0]


def bound_of(stated: lm.HardMargin, theta: Any, weights: Any = None) -> tuple[Proved, float] | None:
    """Return the lowest bound on all margins, and the gap that it leaves to a direction."""
    unit = theta / vector_norm(theta, stated.norm_p)
    margin = float(np.min(stated.functions.values(unit)))
    known = np.zeros(stated.functions.count) if weights is None else weights
    found = lowest(Kkt(functions=stated.functions, point=unit, norm=stated.norm_p), known, margin)
    return None if found is None else (found, found.gap(margin))


RELU = lm.Network((2,), lm.ReLU())
QUARTICS = lm.Polynomial(((4, 0), (0, 4)))
THIRD = lm.Polynomial(((4, 0), (3, 1), (0, 4)))

# problem, a global θ, γ*(1) from cases.md, the method
GLOBAL: dict[str, tuple[lm.HardMargin, Any, float, BoundMethod]] = {
    "linear": (problem(lm.Linear(), [(1, 0), (0, 2)]), [2, 1], 2 / 5**0.5, BoundMethod.LINEAR),
    "linear-l1": (
        problem(lm.Linear(), [(1, 0), (0, 2)], norm=1.0), [2, 1], 2 / 3, BoundMethod.LINEAR
    ),
    "linear-linf": (
        problem(lm.Linear(), [(1, 0), (0, 2)], norm=math.inf), [4, 3], 1.0, BoundMethod.LINEAR
    ),
    "fully-connected-1": (
        problem(lm.Linear(), np.eye(2)), [1, 1], 1 / R2, BoundMethod.LINEAR
    ),
    "fully-connected-2": (
        problem(lm.Network((2,)), np.eye(2)), [1, 1, 0, 0, R2, 0], 8**-0.5,
        BoundMethod.LINEAR_NETWORK,
    ),
    "fully-connected-3": (
        problem(lm.Network((1, 1)), np.eye(2)), [1, 1, R2, R2], 0.1360827634879543,
        BoundMethod.LINEAR_NETWORK,
    ),
    "diagonal-2": (
        problem(lm.DiagonalNetwork(2), PAIR), [1, 1, 1, 1], 0.4, BoundMethod.LINEAR_NETWORK
    ),
    "diagonal-3": (
        problem(lm.DiagonalNetwork(3), PAIR), [0, 1, 0, 1, 0, 1],
        (3 * (5 / 3) ** (2 / 3)) ** -1.5, BoundMethod.VERTICES,
    ),
    "convolution-2": (
        problem(lm.ConvolutionalNetwork(2), [(1, 1, 0, 0)]), [1, 1, 1, 1, 1, 1, 1, 1], 0.5,
        BoundMethod.LINEAR_NETWORK,
    ),
    "xor": (
        problem(lm.Network((4,), lm.ReLU()), XOR, SIGNS),
        np.concatenate([np.ravel(XOR) / R2, SIGNS]), 1 / (4 * R2), BoundMethod.PATTERNS,
    ),
    "two-samples-119": (
        problem(RELU, angle(119)), one_unit(119), 0.5 * math.cos(math.radians(59.5)),
        BoundMethod.PATTERNS,
    ),
    "two-samples-121": (problem(RELU, angle(121)), two_units(121), 0.25, BoundMethod.PATTERNS),
    "no-blocked-index": (
        problem(QUARTICS, [(1, 2), (2, 1), (5, 9)]), [0, 1], 1.0, BoundMethod.SPHERE
    ),
    "theorem-4": (
        problem(THIRD, [(1, 0, 1), (2, 1, 2), (9, 0, 10)]), [1, 0], 1.0, BoundMethod.SPHERE
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GLOBAL)
def test_known_maxima_are_met(name: str) -> None:
    stated, theta, margin, method = GLOBAL[name]
    theta = np.array(theta, float)
    found, gap = bound_of(stated, theta) or pytest.fail("no bound")
    assert found.method is method
    assert found.value == pytest.approx(margin, rel=1e-7)
    assert found.value >= margin * (1.0 - 1e-14)
    assert gap <= 1e-7
    certificate = lm.certify(stated, theta)
    assert certificate.verdict is Verdict.GLOBAL
    assert certificate.bound == pytest.approx(margin, rel=1e-7)


# problem, a stationary θ that is not global, and γ/γ* from cases.md
NOT_GLOBAL = {
    "diagonal-3": (
        problem(lm.DiagonalNetwork(3), PAIR), [1] * 6, (2.1085816 / 2.1930133) ** 1.5
    ),
    "saddle": (problem(lm.DiagonalNetwork(2), [(1, 2)]), [1, 0, 1, 0], 0.5),
    "two-samples-121": (problem(RELU, angle(121)), one_unit(121), 2 / 2.030772),
    "dead-neuron": (problem(RELU, angle(150)), one_unit(150), 2 / 3.8637033),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_GLOBAL)
def test_worse_points_keep_their_gap(name: str) -> None:
    stated, theta, ratio = NOT_GLOBAL[name]
    theta = np.array(theta, float)
    certificate = lm.certify(stated, theta)
    assert certificate.verdict is not Verdict.GLOBAL
    _, gap = bound_of(stated, theta, certificate.multipliers) or pytest.fail("no bound")
    assert 1.0 - gap == pytest.approx(ratio, rel=1e-6)


PREDICTORS = [
    lm.Linear(),
    lm.Network((2,)),
    lm.Network((2, 2)),
    lm.Network((3,), lm.ReLU()),
    lm.Network((3,), lm.LeakyReLU(0.3)),
    lm.DiagonalNetwork(2),
    lm.DiagonalNetwork(3),
    lm.ConvolutionalNetwork(2),
    lm.Network((1,), lm.Square()),
]


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.sampled_from(PREDICTORS), st.integers(1, 4), st.integers(1, 3), st.integers(0, 10**6))
def test_no_margin_is_above_the_bound(
    predictor: Predictor, count: int, size: int, seed: int
) -> None:
    """Random search, then random local steps, must stay below every bound."""
    rng = np.random.default_rng(seed)
    Z = np.abs(rng.standard_normal((count, size))) + 0.1
    stated = problem(predictor, Z)
    f = stated.functions
    best, where = -math.inf, np.zeros(f.size)
    for step in range(400):
        near = where + rng.standard_normal(f.size) * 0.3 * 0.99**step
        theta = rng.standard_normal(f.size) if step < 100 else near
        theta /= np.linalg.norm(theta)
        margin = float(np.min(f.values(theta)))
        if margin > best:
            best, where = margin, theta
    found = bound_of(stated, where)
    if found is not None:
        assert best <= found[0].value
        assert found[1] >= 0.0


@settings(max_examples=12, derandomize=True, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(4, 0), (2, 2), (3, 1)]))
def test_the_circle_is_searched_completely(seed: int, middle: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    predictor = lm.Polynomial(((4, 0), middle, (0, 4)) if middle != (4, 0) else ((4, 0), (0, 4)))
    Z = rng.standard_normal((3, len(predictor.exponents)))
    Z[:, 0], Z[:, -1] = np.abs(Z[:, 0]), np.abs(Z[:, -1])
    stated = problem(predictor, Z)
    f = stated.functions
    turn = np.linspace(0.0, 2.0 * math.pi, 20_001)
    best = max(float(np.min(f.values(np.array([math.cos(t), math.sin(t)])))) for t in turn[::10])
    found, _ = bound_of(stated, np.array([1.0, 0.0])) or pytest.fail("no bound")
    assert found.method is BoundMethod.SPHERE
    assert found.value >= best
    if best > 0.05:
        assert found.value <= best * 1.01


def test_too_many_vertices_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    f = problem(lm.DiagonalNetwork(3), rng.random((40, 6))).functions
    assert Vertices().prove(Kkt(functions=f, point=np.ones(f.size)), np.ones(40)) is None
    pair = problem(lm.DiagonalNetwork(2), PAIR).functions
    assert not Vertices().applies(Kkt(functions=pair, point=np.ones(pair.size)))


def test_predictors_without_a_bound() -> None:
    cubic = problem(lm.Network((2,), lm.ReLU(2)), PAIR)
    assert bound_of(cubic, np.ones(cubic.functions.size)) is None
    assert bound_of(problem(lm.DiagonalNetwork(2), PAIR, norm=1.0), np.ones(4)) is None


@pytest.mark.parametrize("better", [1e-5, 3e-7])
def test_a_maximum_that_is_nearly_the_largest_is_not_global(better: float) -> None:
    # f = θ_1⁴ + (1 + c) θ_2⁴: local maxima on both axes, one of them larger by c.
    stated = problem(lm.Polynomial(((4, 0), (0, 4))), [[1.0, 1.0 + better]])
    least, most = lm.certify(stated, [1.0, 0.0]), lm.certify(stated, [0.0, 1.0])
    assert most.verdict is Verdict.GLOBAL and least.verdict is Verdict.STRICT_LOCAL
    assert least.gap == pytest.approx(better, rel=0.1)


def test_only_positive_verdicts_are_raised() -> None:
    stated, theta, _, _ = GLOBAL["diagonal-3"]
    theta = np.array(theta, float)
    certificate = lm.certify(stated, theta)
    kkt = Kkt(functions=stated.functions, point=theta)
    for word in (Verdict.UNDECIDED, Verdict.NOT_STATIONARY, Verdict.SADDLE):
        lowered = replace(certificate, verdict=word)
        assert with_bounds(kkt, lowered) is lowered
    plain = replace(certificate, verdict=Verdict.KKT, bound=None, gap=None)
    raised = with_bounds(kkt, plain)
    assert raised.verdict is Verdict.GLOBAL
    assert BoundMethod.VERTICES.value in raised.reasons[-1]


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**30])
@pytest.mark.parametrize("name", ["linear", "diagonal-3", "xor", "two-samples-119"])
def test_bounds_scale_with_the_data(name: str, scale: float) -> None:
    stated, theta, margin, _ = GLOBAL[name]
    data = lm.Dataset(stated.data.X * scale, stated.data.y, one_class=True)
    scaled = lm.HardMargin(stated.predictor, data)
    found, _ = bound_of(scaled, np.array(theta, float)) or pytest.fail("no bound")
    assert found.value == pytest.approx(margin * scale, rel=1e-7)
    assert vector_norm(np.array(theta, float), 2.0) > 0.0
