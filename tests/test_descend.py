"""Optimization paths (eq. 4), gradient flow, losses in the log domain, and the polish."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.errors import (
    DataError,
    DegreeError,
    ParameterError,
    ShapeError,
    UnsupportedError,
)
from lexmargin.judge import certify_arrays
from lexmargin.linalg.norms import angle
from lexmargin.losses import Loss, SampleLoss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.optimizers import (
    ConstantStep,
    GradientDescent,
    LineSearch,
    LossNormalizedStep,
    PolyakStep,
    Step,
)
from lexmargin.outputs.progress import Part, Tick
from lexmargin.paths.descend import Descent, EndReason, descend
from lexmargin.paths.flow import Clock, FlowMethod, GradientFlow
from lexmargin.polish.polish import polish
from lexmargin.predictors import (
    Bias,
    ConvolutionalNetwork,
    DiagonalNetwork,
    Identity,
    LeakyReLU,
    Linear,
    Network,
    Polynomial,
    ReLU,
    Square,
    Sum,
)
from lexmargin.predictors.base import Predictor

PAIRS = Dataset([[0.5, 1.5], [1.5, 0.5]], [1, 1], one_class=True)
SKEW = Dataset([[1.0, 0.0], [0.0, 2.0]], [1, 1], one_class=True)
ONE = Dataset([[1.0]], [1], one_class=True)
DEEP = Polynomial(((1, 0, 0), (0, 1, 1)))
DEEP_DATA = Dataset([[1.0, 1.0]], [1], one_class=True)
WINE = load_dataset("wine", positive=0, standardize=True)
RELU2 = Network((6,), ReLU(2.0))


def flat(path: Descent) -> FloatArray:
    return np.concatenate([block.reshape(-1) for block in path.theta])


def thetas(path: Descent) -> FloatArray:
    return path.records.direction * path.records.norm[:, None]


# -- losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "classes", "f", "expected"),
    [
        (Loss.EXPONENTIAL, 2, [0.0, 0.0], math.log(2.0)),
        (Loss.EXPONENTIAL, 2, [1e4, 1e4 + math.log(2.0)], -1e4 + math.log(1.5)),
        (Loss.EXPONENTIAL, 2, [-1e4], 1e4),
        (Loss.LOGISTIC, 2, [0.0], math.log(math.log(2.0))),
        (Loss.LOGISTIC, 2, [1e5], -1e5),
        (Loss.LOGISTIC, 2, [-1e5], math.log(1e5)),
        (Loss.CROSS_ENTROPY, 3, [0.0, 0.0], math.log(math.log(3.0))),
        (Loss.CROSS_ENTROPY, 3, [1e5, 1e5, 2e5, 2e5], -1e5 + math.log(2.0)),
        (Loss.CROSS_ENTROPY, 2, [0.3, -0.2], None),
    ],
)
def test_log_losses(loss: Loss, classes: int, f: list[float], expected: float | None) -> None:
    if expected is None:
        expected = SampleLoss(Loss.LOGISTIC).value(np.array(f))
    assert SampleLoss(loss, classes).value(np.array(f)) == pytest.approx(expected, rel=1e-14)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.sampled_from(list(Loss)),
    st.lists(st.floats(-30, 30), min_size=2, max_size=8).filter(lambda f: len(f) % 2 == 0),
)
def test_weights_are_the_derivatives_of_the_loss(loss: Loss, f: list[float]) -> None:
    margins = np.array(f)
    weights = np.exp(SampleLoss(loss, 3).log_slopes(margins) - SampleLoss(loss, 3).value(margins))
    h = 1e-5
    for n, weight in enumerate(weights):
        unit = h * np.eye(margins.size)[n]
        change = SampleLoss(loss, 3).value(margins - unit) - SampleLoss(loss, 3).value(
            margins + unit
        )
        assert weight == pytest.approx(change / (2 * h), abs=1e-8)


@pytest.mark.parametrize("loss", list(Loss))
def test_losses_share_one_tail(loss: Loss) -> None:
    """At margins of 1e3 the loss itself is 0 in double precision; its weights are not."""
    f = 1e3 + np.array([0.0, 1.0, 2.0, 5.0])
    assert math.exp(-f.min()) == 0.0
    weights = np.exp(SampleLoss(loss, 3).log_slopes(f) - SampleLoss(loss, 3).value(f))
    assert weights == pytest.approx(np.exp(-(f - 1e3)) / np.exp(-(f - 1e3)).sum(), rel=1e-12)


def test_losses_refuse_margins_that_do_not_group() -> None:
    with pytest.raises(ShapeError):
        SampleLoss(Loss.CROSS_ENTROPY, 3).value(np.zeros(3))
    with pytest.raises(ShapeError):
        SampleLoss(Loss.EXPONENTIAL).log_slopes(np.zeros(0))


# -- gradient flow against closed forms ------------------------------------------------------------


@pytest.mark.parametrize("method", list(FlowMethod))
def test_flow_two_samples(method: FlowMethod) -> None:
    times = np.array([1.0, 1e3, 1e6])
    path = descend(
        Linear(), PAIRS, start=np.zeros(2), flow=GradientFlow(1e6, method), record=times.tolist()
    )
    expected = 0.5 * np.log1p(4.0 * times)
    assert thetas(path) == pytest.approx(np.column_stack([expected, expected]), abs=1e-8)
    assert path.reason is EndReason.TIME
    assert path.records.at == pytest.approx(times)


def test_flow_two_samples_invariant() -> None:
    def invariant(w: FloatArray) -> float:
        across, along = (w[0] - w[1]) / math.sqrt(2.0), (w[0] + w[1]) / math.sqrt(2.0)
        return math.sinh(across / math.sqrt(2.0)) * math.exp(along / (2.0 * math.sqrt(2.0)))

    def wrong(w: FloatArray) -> float:
        return invariant(np.array([1.001 * w[0], w[1]]))

    path = descend(
        Linear(),
        PAIRS,
        start=np.array([1.0, -0.5]),
        flow=GradientFlow(1e8),
        monitors={"right": invariant, "wrong": wrong},
    )
    right, off = path.records.monitors["right"], path.records.monitors["wrong"]
    assert right == pytest.approx(right[0], rel=1e-7)
    assert off != pytest.approx(off[0], rel=1e-7)


@pytest.mark.parametrize("w0", [-2.0, 0.0, 3.0])
def test_flow_one_sample(w0: float) -> None:
    path = descend(Linear(), ONE, start=np.array([w0]), flow=GradientFlow(1e12))
    expected = np.log(path.records.at + math.exp(w0))
    assert path.records.margin == pytest.approx(expected, abs=1e-8)
    assert path.records.log_loss == pytest.approx(-expected, abs=1e-8)


@pytest.mark.parametrize("method", [FlowMethod.LSODA, FlowMethod.DOP853])
def test_flow_of_a_network_reaches_late_times(method: FlowMethod) -> None:
    flow = GradientFlow(1e20, method, rtol=1e-8, atol=1e-8)
    path = descend(RELU2, WINE, flow=flow, record=2)
    assert path.reason is EndReason.TIME
    assert path.records.log_loss[-1] < -40.0
    assert path.records.smoothed_margin_drop <= 1e-9
    assert path.records.drift["layers 1, 2"] < 1e-5


def test_flow_depth_1_plus_2() -> None:
    path = descend(
        DEEP,
        DEEP_DATA,
        start=np.array([0.0, 0.5, 0.5]),
        flow=GradientFlow(1e8),
        monitors={
            "growth": lambda w: float((w[1] + w[2]) * math.exp(-w[0])),
            "balance": lambda w: float(w[1] ** 2 - w[2] ** 2),
        },
    )
    assert flat(path) == pytest.approx([2.188225, 4.459686, 4.459686], abs=1e-6)
    assert path.records.margin[-1] == pytest.approx(22.0770, abs=1e-4)
    assert path.records.monitors["growth"] == pytest.approx(1.0, abs=1e-8)
    assert path.records.monitors["balance"] == pytest.approx(0.0, abs=1e-8)
    assert np.all(np.isnan(path.records.normalized_margin)), "two degrees: no normalised margin"


INVARIANT: list[tuple[Predictor, list[str]]] = [
    (DiagonalNetwork(3), ["layers 1, 2", "layers 2, 3"]),
    (ConvolutionalNetwork(2), ["layers 1, 2"]),
    (Network((3, 2), Identity()), ["layers 1, 2", "layers 2, 3"]),
    (Network((4,), ReLU(2.0)), ["layers 1, 2"]),
    (Network((3,), Square()), ["layers 1, 2"]),
    (Sum((Linear(), DiagonalNetwork(2))), ["member 2: layers 1, 2"]),
    (Sum((Linear(), Bias())), []),
    (Linear(), []),
]


@pytest.mark.parametrize(("predictor", "names"), INVARIANT)
def test_balancedness_is_invariant_along_flow(predictor: Predictor, names: list[str]) -> None:
    data = Dataset([[1.0, 0.3], [0.4, 1.2], [-1.0, -0.7]], [1, 1, -1])
    path = descend(predictor, data, seed=3, flow=GradientFlow(1e3))
    assert path.reason is EndReason.TIME
    assert list(path.records.invariants) == names
    for name in names:
        assert path.records.drift[name] < 1e-8
    # A coarse step does not conserve them: the recorder does measure something.
    coarse = descend(
        predictor, data, seed=3, steps=20, optimizer=GradientDescent(LossNormalizedStep(0.1))
    )
    assert all(coarse.records.drift[name] > 1e-5 for name in names)


def test_balancedness_of_a_leaky_network_is_conserved_to_the_kinks() -> None:
    data = Dataset([[1.0, 0.3], [0.4, 1.2], [-1.0, -0.7]], [1, 1, -1])
    path = descend(Network((4,), LeakyReLU(0.2)), data, seed=3, flow=GradientFlow(1e2))
    assert path.records.drift["layers 1, 2"] < 1e-6


# -- descent ---------------------------------------------------------------------------------------


def test_descent_approaches_the_svm_direction() -> None:
    """Hard margin of (1,0), (0,2) is (2,1)/sqrt(5) (case norms-two-points)."""
    path = descend(
        Linear(), SKEW, steps=20_000, optimizer=GradientDescent(LossNormalizedStep(0.05)), seed=1
    )
    svm = np.array([2.0, 1.0]) / math.sqrt(5.0)
    off = [angle(direction, svm) for direction in path.records.direction[1:]]
    assert off[-1] < 2e-3
    assert off[-1] < 0.1 * off[len(off) // 2]
    assert path.records.normalized_margin[-1] == pytest.approx(2.0 / math.sqrt(5.0), rel=2e-3)
    assert path.records.angle[-1] < 2e-3
    assert path.records.log_loss[-1] < -745.0, "L itself is 0 by now"
    assert path.records.weights[-1] == pytest.approx([0.8, 0.2], abs=5e-3)


@pytest.mark.parametrize("predictor", [Linear(), DiagonalNetwork(2), RELU2, Network((3, 3))])
def test_smoothed_margin_never_falls_along_flow(predictor: Predictor) -> None:
    path = descend(predictor, SKEW, seed=2, flow=GradientFlow(1e10))
    assert path.records.log_loss[-1] < 0.0
    assert path.records.smoothed_margin_drop <= 1e-10
    assert path.records.angle[-1] < path.records.angle[0]


def test_smoothed_margin_drop_sees_a_fall() -> None:
    path = descend(
        DiagonalNetwork(2),
        WINE,
        seed=0,
        steps=300,
        optimizer=GradientDescent(LossNormalizedStep(1e-2)),
        record=50,
    )
    values = path.records.smoothed_margin[path.records.log_loss < 0.0]
    worst = max((a - b for a, b in itertools.pairwise(values)), default=0.0)
    assert path.records.smoothed_margin_drop == max(0.0, worst)


@pytest.mark.parametrize("loss", list(Loss))
def test_every_loss_descends_to_the_same_direction(loss: Loss) -> None:
    path = descend(Linear(), SKEW, loss=loss, steps=3000, seed=0)
    assert angle(path.direction, np.array([2.0, 1.0])) < 1e-2


def test_cross_entropy_on_three_classes() -> None:
    data = load_dataset("wine", standardize=True)
    path = descend(Linear(3), data, loss=Loss.CROSS_ENTROPY, steps=300)
    assert path.records.margin[-1] > 0.0
    assert path.records.weights.shape[1] == 178 * 2
    assert path.theta[0].shape == (3, 13)


def test_constant_steps_move_as_eq_4_says() -> None:
    data = Dataset([[1.0, 2.0], [-0.5, 1.0]], [1, -1])
    start = np.array([0.3, -0.2])
    path = descend(
        Linear(), data, start=start, steps=2, optimizer=GradientDescent(ConstantStep(0.1))
    )
    theta, Z = start, data.y[:, None] * data.X
    for _ in range(2):
        theta = theta + 0.1 * Z.T @ np.exp(-Z @ theta)
    assert flat(path) == pytest.approx(theta, rel=1e-14)


def test_polyaks_step_divides_the_loss_by_the_squared_gradient() -> None:
    theta, Z = np.array([0.3, -0.2]), SKEW.y[:, None] * SKEW.X
    path = descend(
        Linear(),
        SKEW,
        start=theta,
        steps=2,
        optimizer=GradientDescent(PolyakStep(0.5)),
        polish=False,
    )
    for _ in range(2):
        losses = np.exp(-Z @ theta)
        slope = -Z.T @ losses
        theta = theta - 0.5 * losses.sum() / (slope @ slope) * slope
    assert flat(path) == pytest.approx(theta, rel=1e-14)


@pytest.mark.parametrize("predictor", [Linear(), DiagonalNetwork(2)])
@pytest.mark.parametrize("method", [FlowMethod.RADAU, FlowMethod.DOP853])
def test_both_clocks_run_along_one_curve(predictor: Predictor, method: FlowMethod) -> None:
    timed = descend(predictor, SKEW, seed=1, flow=GradientFlow(1e6), polish=False)
    gained = float(timed.records.log_loss[0] - timed.records.log_loss[-1])
    by_nats = GradientFlow(gained, method, rtol=1e-10, clock=Clock.NATS)
    path = descend(predictor, SKEW, seed=1, flow=by_nats, polish=False)
    assert flat(path) == pytest.approx(flat(timed), rel=1e-7)
    records = path.records
    assert records.log_loss[0] - records.log_loss == pytest.approx(records.at, abs=1e-6)


def test_the_nats_go_on_where_time_leaves_the_doubles() -> None:
    """The linear angle is C/log t: also at t = e^(1e5)."""
    flow = GradientFlow(1e5, FlowMethod.RADAU, 1e-9, 1e-11, clock=Clock.NATS)
    records = descend(Linear(), SKEW, seed=1, flow=flow, record=1, polish=False).records
    product = records.angle * -records.log_loss
    assert product[-3:] == pytest.approx(product[-1], rel=1e-2)


@pytest.mark.parametrize(
    ("rule", "start", "reason"),
    [
        (ConstantStep(1.0), [800.0], EndReason.UNDERFLOW),
        (ConstantStep(1.0), [50.0], EndReason.UNDERFLOW),
        (LossNormalizedStep(1.0), [800.0], EndReason.STEPS),
        (LineSearch(), [800.0], EndReason.STEPS),
        (ConstantStep(1e300), [-600.0], EndReason.DIVERGED),
        (ConstantStep(1e-3), [-800.0], EndReason.DIVERGED),
    ],
)
def test_end_reasons(rule: Step, start: list[float], reason: EndReason) -> None:
    path = descend(Linear(), ONE, start=np.array(start), steps=50, optimizer=GradientDescent(rule))
    assert path.reason is reason
    assert np.all(np.isfinite(flat(path)))
    assert path.steps == (50 if reason is EndReason.STEPS else 0)


def test_zero_is_stationary_for_a_deep_network() -> None:
    for flow in (None, GradientFlow(10.0)):
        path = descend(DiagonalNetwork(2), SKEW, start=np.zeros(4), flow=flow)
        assert path.reason is EndReason.STATIONARY
        assert len(path.records) == 1


def test_time_limit_keeps_the_records() -> None:
    path = descend(RELU2, WINE, steps=10**9, time_limit=0.2)
    assert path.reason is EndReason.TIME_LIMIT
    assert path.records.at[-1] == path.steps < 10**9
    assert len(path.records) > 3
    flow = descend(RELU2, WINE, flow=GradientFlow(1e300), time_limit=0.1)
    assert flow.reason is EndReason.TIME_LIMIT
    assert np.all(np.diff(flow.records.at) > 0)


@pytest.mark.parametrize("flow", [None, GradientFlow(1e6)])
def test_interrupt_returns_what_was_recorded(flow: GradientFlow | None) -> None:
    seen: list[float] = []

    def stop(tick: Tick) -> None:
        assert tick.part is Part.STEPS and tick.line.startswith("log L ")
        seen.append(tick.done)
        if len(seen) == 5:
            raise KeyboardInterrupt

    path = descend(Linear(), SKEW, flow=flow, progress=stop)
    assert path.reason is EndReason.INTERRUPTED
    assert path.records.at.tolist() == seen
    assert thetas(path)[-1] == pytest.approx(flat(path))


def test_records_agree_with_the_margin_functions() -> None:
    functions = MarginFunctions(RELU2, WINE)
    path = descend(RELU2, WINE, steps=400, seed=4)
    records = path.records
    assert records.margin[-1] > 0.0
    theta = flat(path)
    f, J = functions.values(theta), functions.jacobian(theta)
    w = theta / f.min() ** (1.0 / 3.0)
    stated = functions.jacobian(w).T @ records.multipliers[-1]
    assert np.linalg.norm(stated) == pytest.approx(np.linalg.norm(w), rel=1e-12)
    measured = np.linalg.norm(w - stated) / np.linalg.norm(w)
    # math.md §7.10: the residual with the multipliers of descent is sqrt(2(1 - cos angle)).
    assert records.residual[-1] == pytest.approx(measured, rel=1e-10)
    assert measured == pytest.approx(math.sqrt(2 * (1 - math.cos(records.angle[-1]))), rel=1e-9)
    weights = np.exp(-(f - f.min()))
    assert records.weights[-1] == pytest.approx(weights / weights.sum(), rel=1e-9)
    assert records.angle[-1] == pytest.approx(angle(J.T @ weights, theta), rel=1e-9)
    assert records.at[-1] == 400
    assert np.array_equal(records.at, np.unique(records.at))


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.floats(-14, 0))
def test_small_angles_are_accurate(exponent: float) -> None:
    small = 10.0**exponent
    a, b = np.array([1.0, 0.0]), 1e200 * np.array([math.cos(small), math.sin(small)])
    assert angle(a, b) == pytest.approx(small, rel=1e-3 if small < 1e-12 else 1e-5)


def test_starts_and_json() -> None:
    one = descend(RELU2, WINE, seed=7, steps=20)
    again = descend(RELU2, WINE, seed=7, steps=20)
    other = descend(RELU2, WINE, seed=8, steps=20)
    assert np.array_equal(flat(one), flat(again))
    assert not np.array_equal(flat(one), flat(other))
    by_blocks = descend(RELU2, WINE, start=one.theta, steps=0)
    assert np.array_equal(flat(by_blocks), flat(one))
    assert np.array_equal(flat(descend(RELU2, WINE, start=flat(one), steps=0)), flat(one))
    text = json.dumps(descend(DEEP, DEEP_DATA, steps=5).to_json(), allow_nan=False)
    assert json.loads(text)["reason"] == "steps"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: descend(Linear(), SKEW, start=np.zeros(3)), ShapeError),
        (lambda: descend(Linear(), SKEW, start=np.array([np.nan, 0.0])), DataError),
        (lambda: descend(Linear(), SKEW, start="text"), ShapeError),
        (lambda: descend(Linear(), SKEW, loss="hinge"), ParameterError),
        (lambda: descend(Linear(), SKEW, seed=-1), ParameterError),
        (lambda: descend(Linear(), SKEW, seed=0.5), ParameterError),
        (lambda: descend(Linear(), SKEW, time_limit="soon"), ParameterError),
        (lambda: descend(Linear(), SKEW, record="often"), ParameterError),
        (lambda: descend(Linear(), SKEW, steps=-1), ParameterError),
        (lambda: descend(Linear(), SKEW, time_limit=0.0), ParameterError),
        (lambda: descend(Linear(), SKEW, record=0), ParameterError),
        (lambda: descend(Linear(), SKEW, record=[1e9]), ParameterError),
        (
            lambda: descend(
                Linear(), SKEW, flow=GradientFlow(1.0), optimizer=GradientDescent(LineSearch())
            ),
            ParameterError,
        ),
        (lambda: GradientFlow(-1.0), ParameterError),
        (lambda: ConstantStep(0.0), ParameterError),
        (lambda: LossNormalizedStep(math.inf), ParameterError),
        (lambda: LineSearch(shrink=1.0), ParameterError),
        (lambda: LineSearch(growth=0.5), ParameterError),
    ],
)
def test_refusals(call: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        call()


# -- polish ----------------------------------------------------------------------------------------


def kkt_residual(functions: MarginFunctions, w: FloatArray, multipliers: FloatArray) -> float:
    """The four KKT parts of ``min ½‖w‖² s.t. f_n >= 1``, written out independently."""
    f, J = functions.values(w), functions.jacobian(w)
    return max(
        float(np.linalg.norm(w - J.T @ multipliers) / np.linalg.norm(w)),
        float(np.max(1.0 - f)),
        float(np.max(-multipliers)),
        float(np.max(np.abs(multipliers * (f - 1.0))) / np.max(multipliers)),
    )


@pytest.fixture(scope="module")
def wine_path() -> Descent:
    return descend(RELU2, WINE, steps=1000, seed=0)


def test_polish_ends_at_an_exact_kkt_point(wine_path: Descent) -> None:
    functions = MarginFunctions(RELU2, WINE)
    polished = wine_path.polished
    assert polished is not None and polished.converged and wine_path.polish_problem == ""
    assert polished.residual <= 1e-10
    assert kkt_residual(functions, polished.theta, polished.multipliers) <= 1e-10
    before = wine_path.direction
    after = polished.theta / np.linalg.norm(polished.theta)
    assert polished.moved == pytest.approx(float(np.linalg.norm(after - before)), rel=1e-9)
    w = polished.theta
    certificate = certify_arrays(functions.values(w), functions.jacobian(w), w, 3.0)
    assert certificate.verdict.stationary
    # A turned point is not one: the residual above does tell them apart.
    turned = w * (1.0 + 1e-5 * np.cos(np.arange(w.size)))
    assert kkt_residual(functions, turned, polished.multipliers) > 1e-7


def test_polish_returns_from_a_turned_point(wine_path: Descent) -> None:
    functions = MarginFunctions(RELU2, WINE)
    assert wine_path.polished is not None
    w = wine_path.polished.theta
    turn = np.random.default_rng(0).standard_normal(w.size)
    turned = w + 1e-3 * np.linalg.norm(w) * turn / np.linalg.norm(turn)
    back = polish(functions, 37.0 * turned)
    assert back.converged and back.rounds == 0
    assert 5e-4 < back.moved < 2e-3
    assert 0.5 * back.theta @ back.theta == pytest.approx(0.5 * w @ w, rel=1e-9)
    assert back.theta == pytest.approx(w, abs=1e-2)


@pytest.mark.parametrize(
    ("predictor", "value"),
    [
        (Linear(), 0.625),
        (DiagonalNetwork(2), None),
        (Network((3,)), 1.25**0.5),
    ],
)
def test_polish_reaches_known_values(predictor: Predictor, value: float | None) -> None:
    """Hard margin of (1,0), (0,2): β = (1, ½); (L/2)‖β‖^{2/L} for L = 1, 2 (fully-connected-L)."""
    if value is None:
        value = 1.5  # diagonal, L = 2: Σ|β_i|
    path = descend(predictor, SKEW, steps=500, seed=1)
    assert path.polished is not None and path.polished.converged
    assert 0.5 * path.polished.theta @ path.polished.theta == pytest.approx(value, rel=1e-9)


def test_polish_with_hessian_vector_products(monkeypatch: pytest.MonkeyPatch) -> None:
    path = descend(RELU2, WINE, steps=1000, seed=0)
    functions = MarginFunctions(RELU2, WINE)
    dense = polish(functions, flat(path))
    monkeypatch.setattr("lexmargin.polish.margins._DENSE", 10)
    products = polish(functions, flat(path))
    assert products.converged
    assert np.linalg.norm(products.theta) == pytest.approx(np.linalg.norm(dense.theta), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1e5])
@pytest.mark.parametrize("predictor", [Linear(), RELU2])
def test_polish_does_not_depend_on_the_unit_of_the_data(predictor: Predictor, scale: float) -> None:
    start = flat(descend(predictor, WINE, steps=1000, seed=0))
    functions = MarginFunctions(predictor, Dataset(scale * WINE.X, WINE.y))
    found = polish(functions, start)
    assert found.converged
    assert kkt_residual(functions, found.theta, found.multipliers) <= 1e-10


def test_a_polish_that_fails_says_so() -> None:
    """Ten units of power 1 on wine: the answers nearby lie on kinks."""
    predictor = Network((10,), ReLU())
    path = descend(predictor, WINE, steps=500, seed=0)
    assert path.polished is not None
    assert path.polished.converged == (path.polish_problem == "")
    assert path.polished.converged == (path.polished.residual <= 1e-10)


def test_polish_several_classes() -> None:
    data = load_dataset("wine", standardize=True)
    functions = MarginFunctions(Linear(3), data)
    path = descend(Linear(3), data, steps=1000)
    assert path.polished is not None and path.polished.converged
    assert kkt_residual(functions, path.polished.theta, path.polished.multipliers) <= 1e-10


def test_polish_refuses_a_start_that_does_not_separate() -> None:
    functions = MarginFunctions(Linear(), SKEW)
    with pytest.raises(ParameterError, match="does not separate"):
        polish(functions, np.array([1.0, -1.0]))
    with pytest.raises(ParameterError, match="does not separate"):
        polish(functions, np.zeros(2))
    path = descend(Linear(), SKEW, start=np.array([1.0, -1.0]), steps=0)
    assert path.polished is None and "does not separate" in path.polish_problem


def test_polish_refuses_two_degrees_and_kinks() -> None:
    with pytest.raises(DegreeError):
        polish(MarginFunctions(DEEP, DEEP_DATA), np.ones(3))
    data = Dataset([[1.0, 0.0], [0.0, 1.0]], [1, 1], one_class=True)
    kinked = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    with pytest.raises(UnsupportedError, match="kink"):
        polish(MarginFunctions(Network((2,), ReLU()), data), kinked)


def test_polish_keeps_a_relu_pattern_away_from_kinks() -> None:
    """One active unit for both samples: linear there, ½‖w‖² = ‖β‖ = sqrt(2) for Z = I."""
    data = Dataset([[1.0, 0.0], [0.0, 1.0]], [1, 1], one_class=True)
    found = polish(MarginFunctions(Network((1,), ReLU()), data), np.array([1.1, 0.9, 1.2]))
    assert found.converged
    assert 0.5 * found.theta @ found.theta == pytest.approx(math.sqrt(2.0), rel=1e-12)
