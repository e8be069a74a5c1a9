"""Proofs that must not be: each condition of an exact check, taken away once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar, final

import numpy as np
import pytest
from flint import arb, arb_mat

import lexmargin as lm
from lexmargin.formulations.kkt import Kkt, LossTerm
from lexmargin.judge.functions.enclosure import Equations, enclosed
from lexmargin.judge.levels.exact_levels import check_exact_levels
from lexmargin.judge.proofs.exact_bias import BiasProgram, check_exact_program
from lexmargin.judge.proofs.krawczyk import prove_zero_part
from lexmargin.judge.prove import Arithmetic, prove
from lexmargin.linalg.long_numbers import precision
from lexmargin.losses import Loss, SampleLoss
from lexmargin.ops.base import FloatArray
from uneven_margin import Uneven

HALF = Fraction(1, 2)


def test_each_condition_of_an_exact_program_is_checked() -> None:
    # Free bias: w = (4/5, -2/5), c = (0, 7/5), λ = (2/5, 2/5).
    Z, S = np.array([[3.0, 0.0], [-1.0, -1.0]]), np.array([[1.0, -1.0], [-1.0, 1.0]])
    program = BiasProgram(Z, S, Fraction(1), Fraction(0))
    w, c = (Fraction(4, 5), Fraction(-2, 5)), (Fraction(0), Fraction(7, 5))
    weights = (Fraction(2, 5), Fraction(2, 5))
    assert check_exact_program(program, w, c, weights) == ""

    def times(factor: Fraction) -> str:
        scaled = (tuple(factor * x for x in part) for part in (w, c, weights))
        return check_exact_program(program, *scaled)

    assert "below 1" in times(HALF) and "carries weight" in times(Fraction(2))
    assert "negative" in check_exact_program(program, w, (Fraction(-1), HALF), weights)
    assert "negative" in check_exact_program(program, w, c, (-weights[0], weights[1]))
    assert "not Σ λ z" in check_exact_program(program, w, c, (HALF, HALF))
    # One sample, z = s = 1, costs 1 and 1: a square pays from λ = 1/2 on, and λ = 1/2 it must be.
    one = BiasProgram(np.ones((1, 1)), np.ones((1, 1)), Fraction(1), Fraction(1))
    assert check_exact_program(one, (HALF,), (HALF,), (HALF,)) == ""
    assert "would pay" in check_exact_program(one, (Fraction(1),), (Fraction(0),), (Fraction(1),))
    quarter = Fraction(1, 4)
    wrong = check_exact_program(one, (quarter,), (1 - quarter,), (quarter,))
    assert "not stationary" in wrong


def test_each_condition_of_an_exact_chain_is_checked() -> None:
    Z, zero, one = np.array([[1.0, 1.0], [2.0, 3.0]]), Fraction(0), Fraction(1)
    chain = ((one, zero), (zero, one))
    assert check_exact_levels(Z, 1.0, (zero, one), chain, 2) == ""
    middle = (HALF, HALF)
    # At the middle of the face the second margin is 5/2, and 3 could be had.
    assert "larger bound" in check_exact_levels(Z, 1.0, middle, chain, 2)
    short = ((one, zero), (zero, Fraction(5, 6)))
    assert "sum to 1" in check_exact_levels(Z, 1.0, middle, short, 2)
    assert "negative" in check_exact_levels(Z, 1.0, (zero, one), ((-one, one),), 2)
    assert "too short" in check_exact_levels(Z, 1.0, (zero, one), chain[:1], 2)
    assert "norm 1" in check_exact_levels(Z, 1.0, (one, one), chain, 2)


@final
class Doubtful(Equations):
    """``x = 0`` known up to 1: no box of the test holds its own image."""

    start = np.ones(1)
    units = np.ones(1)
    lead = 1

    def residual(self, x: Any) -> list[Any]:
        return [x[0] - 1 + arb(0, 1)]

    def derivative(self, x: Any) -> Any:
        return arb_mat(1, 1, [1])


def test_an_image_that_only_meets_its_box_proves_nothing() -> None:
    with precision():
        assert enclosed(Doubtful()) == "the Krawczyk test does not contract"


def test_a_program_proof_speaks_of_near_points_and_calls_only_convex_ones_global() -> None:
    # f = θ_1 + θ_2 θ_3 at ρ = 2: θ = (1/ρ, s, s), and a turn along the tangents of the one margin.
    data = lm.Dataset([[1.0]], [1], one_class=True)
    problem = lm.MarginPath(lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)]), data, 2.0)
    theta = np.array([0.5, math.sqrt(3 / 8), math.sqrt(3 / 8)])
    found = prove(problem, theta)
    assert found.kind is Arithmetic.BALLS and found.proved and "convex" not in found.statement
    for turn, near in ((1e-8, True), (1e-5, False)):
        moved = theta + turn * np.array([0.0, 1.0, -1.0])
        proof = prove(problem, moved / np.linalg.norm(moved))
        assert proof.proved is near


@dataclass(frozen=True)
class Twice(Uneven):
    """A second level, of other costs, that the answer does not meet."""

    name: ClassVar[str] = "twice"

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        (record,) = super().kkt(theta)
        return record, replace(record, costs=record.costs[::-1])


@dataclass(frozen=True)
class Held(Uneven):
    """Half of the entries may not move."""

    name: ClassVar[str] = "held"

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        (record,) = super().kkt(theta)
        return (replace(record, free=np.array([True, False])),)


@dataclass(frozen=True)
class Lossy(Uneven):
    """A loss beside costs."""

    name: ClassVar[str] = "lossy"

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        (record,) = super().kkt(theta)
        term = LossTerm(loss=SampleLoss(Loss.EXPONENTIAL), coefficient=0.5, power=2.0)
        return (replace(record, loss=term, level=None, required=None),)


@pytest.mark.parametrize(
    ("kind", "point", "word"),
    [
        (Uneven, [0.8, 0.2], ""),
        (Twice, [0.8, 0.2], "levels"),
        (Held, [0.8, 0.2], "held"),
        # w = e^{-f} with f = w_1 + w_2 solves the equations without the costs.
        (Lossy, [0.4263027510068627] * 2, "cost"),
    ],
)
def test_what_no_proof_looks_at_is_not_proved(
    kind: type[Uneven], point: list[float], word: str
) -> None:
    data = lm.Dataset([[1.0, 1.0]], [1], one_class=True)
    found = prove(kind(lm.Linear(), data, (1.0, 4.0), (1.0,)), point)
    assert found.proved is (not word) and word in found.statement


def test_a_part_that_is_zero_needs_positive_margins() -> None:
    data = lm.Dataset([[1.0]], [1], one_class=True)
    problem = lm.WSet(lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)]), data)
    assert prove(problem, [0.0, 1.0, 1.0]).proved
    found = prove_zero_part(problem.kkt(np.array([0.0, 1.0, -1.0])))
    assert not found.proved and "not clearly positive" in found.statement
