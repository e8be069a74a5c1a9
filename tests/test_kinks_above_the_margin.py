"""Weight above the margin at kinks: of many multipliers those that serve are found."""

from __future__ import annotations

import numpy as np
import pytest

import adversarial_networks
import lexmargin as lm
from lexmargin.judge import Tolerances
from lexmargin.judge.local.clarke import GradientSets, balanced_stationarity
from lexmargin.judge.local.kinked import element_at_kink
from lexmargin.judge.receipts.receipt import receipt
from lexmargin.judge.receipts.verify import verify_receipt
from told_kinks import Told

LIMITS = Tolerances()
THETA = np.array([1.0, 0.0])


def two_margins(above: float, part: float) -> GradientSets:
    """The first margin has {(1, 1 - s part)}, the second, ``above`` higher, (1 + above, 0)."""
    return GradientSets(
        np.array([[1.0, 1.0], [1.0 + above, 0.0]]),
        (np.array([[0.0, -part]]), np.zeros((0, 2))),
        (np.ones(1), np.zeros(0)),
        (np.zeros((0, 2)),) * 2,
        True,
    )


@pytest.mark.parametrize(
    ("above", "part", "serves"),
    [
        # The second alone is θ̂, with δ just above its tolerance; the first is θ̂ at s = 1/2.
        (1.07e-7, 2.0, True),
        (1e-3, 2.0, True),
        # The first never is: without the second ε is large, with it δ.
        (1.07e-7, 0.5, False),
        (0.93e-7, 0.5, True),
        (1e-3, 0.5, False),
    ],
)
def test_of_many_multipliers_those_within_tolerance_are_found(
    above: float, part: float, serves: bool
) -> None:
    sets, values = two_margins(above, part), np.array([1.0, 1.0 + above])
    found = element_at_kink(Told(sets, THETA, values), sets, np.arange(2), LIMITS)
    assert found.within(LIMITS) is serves
    # What is stated is what these multipliers and elements give.
    clarke = found.clarke
    rest = THETA - clarke.multipliers @ clarke.elements
    assert clarke.residual == pytest.approx(np.linalg.norm(rest), abs=1e-15)
    assert found.complementarity == pytest.approx(float(clarke.multipliers[1]) * above, rel=1e-6)
    slope = (1.0 - clarke.elements[0, 1]) / part
    assert -1e-12 <= slope <= 1.0 + 1e-12 and clarke.elements[0, 0] == 1.0
    assert np.all(clarke.multipliers >= 0.0)
    np.testing.assert_array_equal(clarke.elements[1], [1.0 + above, 0.0])


def test_what_is_minimised_together_is_counted_in_units_of_the_tolerances() -> None:
    # With all weight that makes ε = 0, δ is 1e-9; with half of it ε is .5e-5 and δ .5e-9. In
    # equal units δ would weigh nothing.
    base = np.array([[1.0, 1e-5], [1.0 + 1e-4, -1.0]])
    sets = GradientSets(base, (np.zeros((0, 2)),) * 2, (np.zeros(0),) * 2,
                        (np.zeros((0, 2)),) * 2, True)  # fmt: skip
    values = np.array([1.0, 1.0 + 1e-4])
    both, place = np.arange(2), Told(sets, THETA, values)
    limits = Tolerances(stationarity=0.8e-5, complementarity=0.8e-9)
    assert element_at_kink(place, sets, both, limits).within(limits)
    limits = Tolerances(stationarity=0.8e-5, complementarity=0.1e-9)
    assert not element_at_kink(place, sets, both, limits).within(limits)


@pytest.mark.parametrize("seed", range(12))
def test_what_bounds_both_together_is_below_every_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base, parts = rng.standard_normal((3, 4)), rng.standard_normal((3, 2, 4))
    base[:, 0] = 3.0 + rng.random(3)
    parts[:, :, 0] *= 0.1
    theta, price = np.eye(4)[0], rng.random(3)
    none = (np.zeros((0, 4)),) * 3
    sets = GradientSets(base, tuple(parts), (np.ones(2),) * 3, none, True)
    found = balanced_stationarity(sets, theta, price)
    for _ in range(200):
        weights = rng.random(3) * found.multipliers * 2.0
        elements = base + np.einsum("nk,nkd->nd", rng.random((3, 2)), parts)
        total = np.hypot(np.linalg.norm(theta - weights @ elements), weights @ price)
        assert found.lower <= total + 1e-12
    mine = np.hypot(found.residual, found.multipliers @ price)
    assert found.lower == pytest.approx(mine, abs=1e-7)


# Samples 3 and 2 are one point of which the first lies 1e-6 above the margin: with all weight on it
# ε is 0 and δ 1.07 times its tolerance. Sample 5 is near the kink of the second unit that 0 is on.
X = np.array(
    [
        [-3.4369244795647518, -12.717651856254044],
        [-1.2911630371512088, 0.8318414233348905],
        [2.9379929898348123, 1.2828336233324271],
        [2.9695519453396555, 1.35214283764271],
        [2.9379929898348114, 1.2828336233324242],
        [0.8155537096153838, 1.791104487998833],
        [8.080744622875288, 3.6794510302431895],
        [6.893557702758373, 3.0099757338011544],
    ]
)
LABELS = np.array([-1, 1, -1, -1, -1, 1, -1, -1])
POINT = np.array(
    [
        4.974413863981678,
        -2.2650279238958038,
        -2.9164770464589225,
        6.40511478946208,
        -5.465816021986184,
        7.037850085694326,
    ]
)


def test_a_point_that_one_of_many_multipliers_refused_is_certified() -> None:
    problem = lm.HardMargin(lm.Network((2,), lm.ReLU()), lm.Dataset(X, LABELS))
    made = adversarial_networks.Kinked(X, LABELS.astype(float), 0.0, POINT, 2)
    values, rows, owners, _ = adversarial_networks._clarke(made, POINT, 1e-7)
    least, noise = adversarial_networks.measured(values, rows, owners, POINT, 2.0)
    assert least + noise < 1e-11
    # Which of the many is met first hangs on the last bits of the point: at some scales one with
    # weight on samples 3 and 4, at others one with weight on sample 1 too.
    for scale in (1.0, 3.0, 0.7, 0.0793):
        found = lm.certify(problem, scale * POINT)
        assert found.verdict.stationary, found.report()
        assert found.complementarity < 0.5 * found.tolerances.complementarity
        again = verify_receipt(receipt(problem, scale * POINT, found))
        assert again.verdict is found.verdict
