"""Signs of the margins of trained networks: a computed 0, or a product lost, proves nothing."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.errors import UnsupportedError
from lexmargin.judge import Tolerances, Verdict
from lexmargin.judge.autodiff.scores import Scores
from lexmargin.judge.trained.trained_margins import TrainedMargins
from lexmargin.judge.trained.trained_signs import with_sign_of_module
from lexmargin.judge.unmeasured import negative


class Written(Scores):
    """A network written out in NumPy: what signs ask of any framework."""

    def __init__(self, blocks, X, relu):
        own = [np.asarray(b, float) for b in blocks]
        self.X, self.relu = X, relu
        self.theta = np.concatenate([b.ravel() for b in own])
        self.count = len(X)
        self.names = tuple(str(k) for k in range(len(blocks)))
        self.shapes = tuple(b.shape for b in own)

    def _at(self, theta):
        flat = self.theta if theta is None else theta
        return [block[0] for block in self.blocks(flat[None, :])]

    def _taken(self, samples):
        return self.X[samples]

    def _values(self, at, x):
        if self.relu:
            return (np.maximum(x @ at[0].T, 0.0) @ at[1])[:, None]
        for block in at:
            x = x * block
        return x.sum(axis=1)[:, None]

    def _rows(self, at, x, seeds):
        if self.relu:
            z = x @ at[0].T
            on = seeds * (z > 0.0)
            return [(on * at[1])[:, :, None] * x[:, None, :], seeds * np.maximum(z, 0.0)]
        return [
            seeds * x * np.prod([p for j, p in enumerate(at) if j != k], axis=0)
            for k in range(len(at))
        ]

    def _never(self, *_):
        raise UnsupportedError("Signs ask for values and gradients alone.")

    _tangent = _gradient = _products = kinked_rows = kinks = _never

    def suspects(self):
        return ()


def word(blocks, X, y=None, relu=False):
    X = np.asarray(X, float)
    y = np.ones(len(X)) if y is None else np.asarray(y, float)
    margins = TrainedMargins(Written(blocks, X, relu), np.arange(len(X)), y[:, None])
    degree = 2.0 if relu else float(len(blocks))
    with np.errstate(all="ignore"):
        found = negative(margins.values(margins.theta), 2.0, Tolerances())
        return with_sign_of_module(found, margins, degree, None).verdict


def test_a_product_below_the_smallest_double_is_undecided():
    # f_2 = 1e-330 > 0 is computed as 0.
    assert word([[1.0, 1e-110]] * 3, [[1, 1], [0, 1]]) is Verdict.UNDECIDED


def test_a_product_below_the_smallest_double_may_be_negative():
    # Its sign is lost too: -1e-330.
    blocks = [[1.0, 1e-110], [1.0, 1e-110], [1.0, -1e-110]]
    assert word(blocks, [[1, 1], [0, 1]]) is Verdict.UNDECIDED


@pytest.mark.parametrize("scale", [1e-60, 1.0, 1e60])
def test_a_negative_margin_is_shown_at_every_scale(scale):
    blocks = scale * np.array([[1.0, 0.5]] * 3)
    assert word(blocks, [[1, 1], [0, -1]]) is Verdict.NOT_SEPARATING


def test_a_sum_that_cancels_to_0_is_undecided():
    # As stored, .3 - .1 - .2 is -2.8e-17: no more than rounding.
    assert word([[1.0, -1.0, -1.0]], [[0.3, 0.1, 0.2]]) is Verdict.UNDECIDED
    assert word([[1.0, -1.0, -1.0]], [[0.3, 0.1, 0.2 + 1e-7]]) is Verdict.NOT_SEPARATING


def test_a_margin_lost_on_the_sphere_only_is_undecided():
    assert word([[1.0, 1e-100]] * 3, [[1, 1], [0, 1]]) is Verdict.UNDECIDED


def test_a_sample_at_which_every_unit_is_off_has_the_margin_0():
    W, v = [[1.0, -1.0], [1.0, -0.5]], [1.0, 1.0]
    assert word([W, v], [[1, 0], [-1, 0.2]], relu=True) is Verdict.NOT_SEPARATING


def test_a_unit_within_rounding_of_its_kink_is_not_off():
    W, v = [[1.0, 1.0, -1.0]], [1.0]
    assert word([W, v], [[0.1, 0.2, 0.1 + 0.2]], relu=True) is Verdict.UNDECIDED


def test_units_whose_weights_underflow_are_undecided():
    # The first unit is off; the second, on, adds 1e-400.
    W, v = [[1.0, 0.0], [0.0, 1e-200]], [1.0, 1e-200]
    assert word([W, v], [[-1, 1]], relu=True) is Verdict.UNDECIDED


NUMBERS = st.builds(
    lambda mantissa, power: mantissa / 4 * 10.0**power,
    st.integers(-8, 8),
    st.sampled_from([0, 0, 0, -30, -110, -160, 30, 110]),
)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.data())
def test_what_is_called_not_positive_is_not_positive(data):
    size, relu = data.draw(st.integers(1, 3)), data.draw(st.booleans())
    count = data.draw(st.integers(1, 3))
    numbers = st.lists(NUMBERS, min_size=size, max_size=size)
    X = data.draw(st.lists(numbers, min_size=count, max_size=count))
    depth = 2 if relu else data.draw(st.integers(1, 5))
    if relu:
        W = data.draw(st.lists(numbers, min_size=2, max_size=2))
        blocks = [W, data.draw(st.lists(NUMBERS, min_size=2, max_size=2))]
    else:
        blocks = [data.draw(numbers) for _ in range(depth)]
    if not any(np.any(b) for b in blocks):
        return
    exact = []
    for row in X:
        x = [Fraction(a) for a in row]
        if relu:
            units = [
                max(Fraction(0), sum(Fraction(a) * b for a, b in zip(u, x, strict=True)))
                for u in blocks[0]
            ]
            exact.append(sum(Fraction(v) * h for v, h in zip(blocks[1], units, strict=True)))
        else:
            for block in blocks:
                x = [a * Fraction(b) for a, b in zip(x, block, strict=True)]
            exact.append(sum(x))
    if word(blocks, X, relu=relu) is Verdict.NOT_SEPARATING:
        assert min(exact) <= 0
