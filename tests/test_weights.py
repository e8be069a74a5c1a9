"""Weights of the samples in a loss: repeated samples, models of our own, slightly wrong answers."""

from __future__ import annotations

import math
import pickle
import tomllib
from dataclasses import replace
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import lexmargin as lm
from lexmargin.errors import DataError, LexmarginError, LibraryError, ReceiptError
from lexmargin.formulations import Formulation
from lexmargin.formulations.loss_path import LossPath
from lexmargin.judge import Verdict, certify
from lexmargin.judge.prove import prove
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.receipt_format import digest
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.losses import Loss, SampleLoss
from lexmargin.optimizers import ConstantStep, GradientDescent
from lexmargin.paths import GradientFlow, descend
from lexmargin.separation.long_losses import AskedLoss, least_loss, least_loss_gap

Array = NDArray[np.float64]
NORMS = (1.0, 1.5, 2.0, math.inf)
LOSSES = ("exponential", "logistic")
RHO = 3.0


def samples(seed: int, count: int = 6, size: int = 2) -> tuple[Array, Array, Array]:
    """Return X, y in {-1, 1}, and weights that are whole numbers from 1 to 4."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((count, size)) + 0.3
    y = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    y[:2] = -1.0, 1.0
    return X, y, rng.integers(1, 5, count).astype(float)


def both(seed: int, size: int = 2) -> tuple[lm.Dataset, lm.Dataset]:
    """Return weighted samples, and the same with every sample as often as it weighs."""
    X, y, w = samples(seed, size=size)
    often = w.astype(int)
    return lm.Dataset(X, y, weights=w), lm.Dataset(np.repeat(X, often, axis=0), np.repeat(y, often))


def path(data: lm.Dataset, kind: str, norm: float, loss: str) -> LossPath:
    if kind == "ball":
        return lm.ConstrainedPath(lm.Linear(), data, RHO, norm, loss)  # type: ignore[arg-type]
    return lm.RegularizationPath(lm.Linear(), data, 0.3, norm, loss=loss)  # type: ignore[arg-type]


# -- repeated samples ------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["ball", "penalty"]),
    norm=st.sampled_from(NORMS),
    loss=st.sampled_from(LOSSES),
)
def test_whole_weights_are_repeated_samples(seed: int, kind: str, norm: float, loss: str) -> None:
    weighted, repeated = (path(data, kind, norm, loss) for data in both(seed))
    one, other = lm.solve(weighted), lm.solve(repeated)
    assert one.certificate is not None and one.certificate.verdict is Verdict.GLOBAL
    assert other.certificate is not None and other.certificate.verdict is Verdict.GLOBAL
    assert one.objective == pytest.approx(other.objective, rel=1e-10, abs=1e-10)
    # Each is the other's answer as well, and a point beside it is neither's.
    assert certify(repeated, one.theta).verdict is Verdict.GLOBAL
    aside = np.concatenate(one.theta) * 0.999 + np.array([0.0, 1e-3])
    words = [certify(problem, aside) for problem in (weighted, repeated)]
    assert words[0].verdict is words[1].verdict is Verdict.NOT_STATIONARY
    assert words[0].gap == pytest.approx(words[1].gap, rel=1e-6, abs=1e-14)
    assert words[0].stationarity == pytest.approx(words[1].stationarity, rel=1e-9)


@pytest.mark.parametrize("loss", list(Loss))
def test_three_classes_repeat_too(loss: Loss) -> None:
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((7, 2)), np.array([0, 1, 2, 0, 1, 2, 2])
    w = np.array([1.0, 2.0, 3.0, 1.0, 1.0, 2.0, 5.0])
    often = w.astype(int)
    weighted = lm.Dataset(X, y, weights=w)
    repeated = lm.Dataset(np.repeat(X, often, axis=0), np.repeat(y, often))
    for build in (
        lambda data: lm.ConstrainedPath(lm.Linear(3), data, RHO, loss=loss),
        lambda data: lm.RegularizationPath(lm.Linear(3), data, 0.2, loss=loss),
    ):
        one, other = lm.solve(build(weighted)), lm.solve(build(repeated))
        assert one.objective == pytest.approx(other.objective, abs=1e-10)
        assert certify(build(repeated), one.theta).verdict is Verdict.GLOBAL
        assert certify(build(weighted), other.theta).verdict is Verdict.GLOBAL
        assert certify(build(weighted.weighted(None)), one.theta).verdict is Verdict.NOT_STATIONARY


@pytest.mark.parametrize(
    "predictor",
    [lm.DiagonalNetwork(2), lm.Network((2,), lm.ReLU(power=2)), lm.Network((2,), lm.ReLU())],
)
def test_networks_repeat_too(predictor: lm.Predictor) -> None:
    rng = np.random.default_rng(8)
    X, w = rng.uniform(0.2, 1.0, (4, 2)), np.array([1.0, 3.0, 2.0, 5.0])
    often = w.astype(int)
    weighted = lm.Dataset(X, [1] * 4, one_class=True, weights=w)
    repeated = lm.Dataset(np.repeat(X, often, axis=0), [1] * often.sum(), one_class=True)
    one, other = (lm.ConstrainedPath(predictor, data, 4.0) for data in (weighted, repeated))
    found = lm.solve(one)
    assert found.certificate is not None and found.certificate.certified
    assert certify(other, found.theta).certified
    assert found.objective == pytest.approx(
        other.objective(np.concatenate([b.ravel() for b in found.theta]))
    )
    assert not certify(
        lm.ConstrainedPath(predictor, weighted.weighted(None), 4.0), found.theta
    ).certified


def test_descent_of_repeated_samples_takes_the_same_steps() -> None:
    weighted, repeated = both(3)
    runs = [
        descend(lm.DiagonalNetwork(2), data, start=[1.0, 0.5, 0.8, 0.3], steps=50, loss=loss,
                optimizer=GradientDescent(ConstantStep(0.01)), polish=False)
        for loss in (Loss.EXPONENTIAL, Loss.LOGISTIC) for data in (weighted, repeated)
    ]  # fmt: skip
    for one, other in (runs[:2], runs[2:]):
        np.testing.assert_allclose(one.direction, other.direction, rtol=1e-12)
        assert one.records.log_loss == pytest.approx(other.records.log_loss, abs=1e-12)
    assert np.abs(runs[0].direction - runs[2].direction).max() > 1e-4


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("loss", [Loss.EXPONENTIAL, Loss.LOGISTIC])
def test_long_numbers_repeat_too(loss: Loss, norm: float) -> None:
    X, y, w = samples(17, 4)
    Z, near = y[:, None] * X, np.array([0.2, -0.1])
    rows = np.repeat(Z, w.astype(int), axis=0)
    for radius, penalty in ((0.4, None), (None, (0.3, 2.5))):
        asked = AskedLoss(loss, norm, radius, penalty, w)
        other = replace(asked, weights=None)
        one = least_loss_gap(Z, near, asked, math.inf)
        two = least_loss_gap(rows, near, other, math.inf)
        assert one is not None and one == pytest.approx(two, rel=1e-12) and one > 1e-3
        best, again = least_loss(Z, near, asked, math.inf), least_loss(rows, near, other, math.inf)
        assert best is not None and again is not None
        np.testing.assert_allclose(best, again, rtol=1e-12, atol=1e-15)
        wrong = least_loss_gap(Z, near, replace(asked, weights=w + 1e-3 * np.arange(4)), math.inf)
        assert wrong is not None and abs(wrong - one) > 1e-8


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), spread=st.sampled_from([20.0, 100.0, 230.0]))
def test_weights_of_any_size(seed: int, spread: float) -> None:
    """Up to e^460 apart: what the lightest samples weigh is far below rounding."""
    X, y, _ = samples(seed)
    w = np.exp(np.random.default_rng(seed).uniform(-spread, spread, 6))
    for loss in LOSSES:
        for kind in ("ball", "penalty"):
            found = lm.solve(path(lm.Dataset(X, y, weights=w), kind, 2.0, loss))
            assert found.certificate is not None and math.isfinite(found.objective)
            assert found.certificate.verdict is Verdict.GLOBAL


# -- models of our own -----------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("kind", ["ball", "penalty"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_answer_is_that_of_a_model_written_afresh(loss: str, kind: str, norm: float) -> None:
    X, y, _ = samples(11, 8, 3)
    w = np.exp(np.random.default_rng(12).normal(0.0, 2.0, 8))
    found = lm.solve(path(lm.Dataset(X, y, weights=w), kind, norm, loss))
    v = cp.Variable(3)
    f = cp.multiply(y, X @ v)
    terms = cp.exp(-f) if loss == "exponential" else cp.logistic(-f)
    total, size = w @ terms, cp.norm(v, "inf" if math.isinf(norm) else norm)
    if kind == "ball":
        least = math.log(cp.Problem(cp.Minimize(total), [size <= RHO]).solve(solver="CLARABEL"))
    else:
        least = cp.Problem(cp.Minimize(total + 0.3 * size**2)).solve(solver="CLARABEL")
    assert found.objective == pytest.approx(least, rel=1e-6, abs=1e-6)
    assert found.certificate is not None and found.certificate.verdict is Verdict.GLOBAL


@pytest.mark.parametrize("solver", ["clarabel", "ipopt-casadi"])
@pytest.mark.parametrize("loss", list(Loss))
def test_compiled_models_hold_the_weights(loss: Loss, solver: str) -> None:
    X, y, w = samples(13, 7)
    problem = lm.ConstrainedPath(lm.Linear(), lm.Dataset(X, y, weights=w), 1.5, loss=loss)
    known, found = lm.solve(problem), lm.solve(problem, solver)
    assert found.objective == pytest.approx(known.objective, abs=1e-6)


# -- units -----------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    unit=st.floats(-30.0, 30.0).map(lambda x: 10.0**x),
    norm=st.sampled_from(NORMS),
    loss=st.sampled_from(LOSSES),
)
def test_a_factor_of_all_weights_shifts_the_loss_alone(
    seed: int, unit: float, norm: float, loss: str
) -> None:
    X, y, w = samples(seed)
    plain, scaled = (lm.Dataset(X, y, weights=v) for v in (w, w * unit))
    one, other = (lm.solve(path(data, "ball", norm, loss)) for data in (plain, scaled))
    np.testing.assert_allclose(other.direction, one.direction, atol=1e-7)
    assert other.objective == pytest.approx(one.objective + math.log(unit), abs=1e-9)
    assert other.certificate is not None and other.certificate.verdict is Verdict.GLOBAL
    # With the penalty the same factor belongs to its strength.
    first = lm.RegularizationPath(lm.Linear(), plain, 0.3, norm, loss=loss)  # type: ignore[arg-type]
    second = lm.RegularizationPath(lm.Linear(), scaled, 0.3 * unit, norm, loss=loss)  # type: ignore[arg-type]
    theta = lm.solve(first).theta
    assert certify(second, theta).verdict is Verdict.GLOBAL


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    loss=st.sampled_from(list(Loss)),
    f=st.lists(st.floats(-30, 30), min_size=2, max_size=8).filter(lambda f: len(f) % 2 == 0),
    spread=st.floats(0.0, 5.0),
)
def test_slopes_are_the_derivatives(loss: Loss, f: list[float], spread: float) -> None:
    margins = np.array(f)
    w = np.repeat(np.exp(spread * np.sin(np.arange(margins.size // 2))), 2)
    weighted = SampleLoss(loss, 3, np.log(w))
    terms = np.array([SampleLoss(loss, 3).value(part) for part in margins.reshape(-1, 2)])
    assert weighted.value(margins) == pytest.approx(
        float(np.logaddexp.reduce(terms + np.log(w[::2])))
    )
    slopes, h = np.exp(weighted.log_slopes(margins) - weighted.value(margins)), 1e-5
    for n, slope in enumerate(slopes):
        unit = h * np.eye(margins.size)[n]
        change = weighted.value(margins - unit) - weighted.value(margins + unit)
        assert slope == pytest.approx(change / (2 * h), abs=1e-8)


# -- proofs, receipts, and what is slightly wrong --------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_a_proof_is_of_these_weights_and_no_others(norm: float, loss: str) -> None:
    X, y, _ = samples(21, 6, 3)
    w = np.array([0.1, 1.0 / 3.0, 2.0, 5.0, 0.7, 1.1])
    problem = path(lm.Dataset(X, y, weights=w), "ball", norm, loss)
    theta = lm.solve(problem).theta
    assert prove(problem, theta).proved
    near = lm.Dataset(X, y, weights=w * (1.0 + 1e-4 * np.arange(6)))
    assert not prove(path(near, "ball", norm, loss), theta).proved
    assert not certify(path(near, "ball", norm, loss), theta).certified


@pytest.mark.parametrize("build", [
    lambda data: lm.ConstrainedPath(lm.DiagonalNetwork(2), data, 3.0),
    lambda data: lm.RegularizationPath(lm.DiagonalNetwork(2), data, 1e-3),
])  # fmt: skip
def test_proofs_of_networks(build: object) -> None:
    X, w = np.array([[1.0, 0.4], [0.3, 1.0], [0.8, 0.9]]), np.array([0.3, 2.0, 7.0])
    problem = build(lm.Dataset(X, [1, 1, 1], one_class=True, weights=w))  # type: ignore[operator]
    theta = lm.solve(problem).theta
    assert prove(problem, theta).proved
    other = build(lm.Dataset(X, [1, 1, 1], one_class=True, weights=w + 1e-3))  # type: ignore[operator]
    assert not prove(other, theta).proved


def test_a_receipt_holds_the_weights() -> None:
    X, y, w = samples(5)
    problem = lm.ConstrainedPath(lm.Linear(), lm.Dataset(X, y, weights=w), RHO)
    theta = lm.solve(problem).theta
    written = receipt(problem, theta, certify(problem, theta))
    again = Receipt.from_bytes(written.to_bytes())
    assert again.stated().data == problem.data
    assert verify_receipt(again).verdict is Verdict.GLOBAL
    for other in (problem.data.weighted(None), problem.data.weighted(w + 1e-9)):
        with pytest.raises(LexmarginError):
            verify_receipt(Receipt.from_bytes(written.to_bytes(), other))
    content = dict(written.content)
    data = {**content["data"], "X": None, "y": None}
    content = {**content, "data": data}
    content["digest"] = digest(content)
    with pytest.raises(ReceiptError, match=r"data\.X"):
        Receipt.from_bytes(
            Receipt(content, None, again.theta, again.tolerances, again.evidence).to_bytes()
        )


# -- data ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1.0, 2.0], "shape"),
        ([[1.0, 2.0, 3.0]], "shape"),
        (2.0, "shape"),
        ([1.0, 0.0, 2.0], "Weight 1 is 0"),
        ([1.0, 2.0, -1.0], "Weight 2 is -1"),
        ([math.nan, 1.0, 1.0], "Weight 0 is nan"),
        ([1.0, math.inf, 1.0], "Weight 1 is inf"),
        ([1e-101, 1.0, 1.0], "Weight 0"),
        (["1", "2", "3"], "text"),
        ([True, True, True], "truth"),
    ],
)
def test_bad_weights_are_named(weights: object, said: str) -> None:
    X = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]
    with pytest.raises(DataError, match=said):
        lm.Dataset(X, [1, 1, -1], weights=weights)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=said):
        lm.Dataset(X, [1, 1, -1]).weighted(weights)  # type: ignore[arg-type]


def test_weights_are_part_of_the_data() -> None:
    X, y, w = samples(1)
    plain, data = lm.Dataset(X, y), lm.Dataset(X, y, "six", weights=w)
    assert plain.weights is None and data.weights is not None and not data.weights.flags.writeable
    assert data != plain and data == plain.weighted(w) and data.weighted(None) == plain
    again = pickle.loads(pickle.dumps(data))
    assert again == data and again.name == "six" and again.classes == data.classes
    np.testing.assert_array_equal(data.standardized().weights, w)
    w[0] = 99.0
    assert data.weights[0] != 99.0


def test_files_hold_weights(tmp_path: Path) -> None:
    X, y, w = samples(2)
    problem = lm.ConstrainedPath(lm.Linear(), lm.Dataset(X, y, weights=w), RHO)
    lm.save(problem, tmp_path / "weighted.toml", title="weighted")
    assert tomllib.loads((tmp_path / "weighted.toml").read_text())["data"]["weights"] == w.tolist()
    assert lm.load(tmp_path / "weighted.toml").data == problem.data
    np.savez(tmp_path / "weighted.npz", X=X, y=y, weights=w)
    assert lm.load_npz(tmp_path / "weighted.npz") == problem.data
    text = (tmp_path / "weighted.toml").read_text().replace("weights = [", "weights = [1, ")
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(DataError, match="one weight per sample"):
        lm.load(tmp_path / "wrong.toml")


CSV = "a,w,b,y\n1,2.5,0,yes\n0,1,1,yes\n-1,0.5,-1,no\n"


def test_a_column_of_a_csv_file_holds_weights(tmp_path: Path) -> None:
    file = tmp_path / "three.csv"
    file.write_text(CSV)
    data = lm.load_csv(file, weight="w")
    assert data.X.tolist() == [[1, 0], [0, 1], [-1, -1]] and data.classes == ("no", "yes")
    np.testing.assert_array_equal(data.weights, [2.5, 1.0, 0.5])
    assert lm.load_csv(file).n_features == 3 and "weighted" in repr(data)
    for wrong in ({"weight": "v"}, {"weight": "y"}, {"weight": "w", "label": "w"}):
        with pytest.raises(DataError):
            lm.load_csv(file, **wrong)  # type: ignore[arg-type]
    for text in (CSV.replace("0.5", "0"), CSV.replace("0.5", ""), CSV.replace("0.5", "few")):
        file.write_text(text)
        with pytest.raises(DataError):
            lm.load_csv(file, weight="w")


def test_a_problem_file_names_the_column(tmp_path: Path) -> None:
    (tmp_path / "three.csv").write_text(CSV)
    head = 'title = "t"\nsource = ""\nformulation = "constrained-path"\nrho = 2.0\n'
    rest = '[predictor]\nkind = "linear"\n[data]\ncsv = "three.csv"\n'
    file = tmp_path / "stated.toml"
    file.write_text(f'{head}{rest}weight = "w"\n')
    assert lm.load(file).data == lm.load_csv(tmp_path / "three.csv", weight="w")
    file.write_text(f"{head}{rest}weights = [1, 2, '1/3']\n")
    np.testing.assert_array_equal(lm.load(file).data.weights, [1.0, 2.0, 1.0 / 3.0])
    file.write_text(f'{head}{rest}weight = "w"\nweights = [1, 2, 3]\n')
    with pytest.raises(LibraryError, match="column or a list"):
        lm.load(file)


# -- margin problems, and paths --------------------------------------------------------------------


@pytest.mark.parametrize("kind", [lm.HardMargin, lm.MarginPath, lm.Lexicographic, lm.WSet])
def test_margin_problems_ignore_weights_and_say_so(kind: type[Formulation]) -> None:
    X = np.array([[2.0, 1.0], [1.0, 3.0], [-1.0, -1.0]])
    plain = lm.Dataset(X, [1, 1, -1])
    problems = [kind(lm.Linear(), data) for data in (plain, plain.weighted([9.0, 1.0, 0.1]))]
    one, other = map(lm.solve, problems)
    np.testing.assert_array_equal(one.direction, other.direction)
    assert "weights" not in problems[0].explain() and "ignored" in problems[1].explain()
    loss = lm.ConstrainedPath(lm.Linear(), problems[1].data)
    assert "those of the loss" in loss.explain()


@pytest.mark.parametrize("predictor", [lm.Linear(), lm.DiagonalNetwork(2)])
def test_the_slack_of_lemma_3_has_the_weights(predictor: lm.Predictor) -> None:
    w = np.array([1e-4, 1.0, 7.0])
    data = lm.Dataset(np.array([[1.0, 0.2], [0.2, 1.0], [0.9, 0.9]]), [1] * 3, one_class=True)
    traced = lm.trace(
        lm.ConstrainedPath(predictor, data.weighted(w), 1.0), [1.0, 10.0, 100.0], margins=True
    )
    assert traced.margin_slack == pytest.approx(math.log(w.sum() / w.min()))
    assert np.all(traced.slacks() > 0.0)
    # The plain log N is no bound here: the lightest sample gives way to the others.
    assert traced.points[1].best_margin - traced.points[1].margin > math.log(3.0)
    plain = lm.trace(lm.ConstrainedPath(predictor, data, 1.0), [1.0])
    assert plain.margin_slack == pytest.approx(math.log(3.0))


def test_the_smoothed_margin_of_light_samples_is_below_the_margin() -> None:
    data = lm.Dataset([[1.0, 0.4], [0.5, 1.0]], [1, 1], one_class=True, weights=[1e-3, 1e-2])
    run = descend(
        lm.DiagonalNetwork(2),
        data,
        start=[0.3, 0.2, 0.3, 0.2],
        flow=GradientFlow(1e4),
        polish=False,
    )
    records = run.records
    assert np.all(records.smoothed_margin <= records.normalized_margin + 1e-12)
    assert np.count_nonzero(records.smoothed_margin > 0.0) > 5
    assert records.smoothed_margin_drop <= 1e-10
    # Without the least weight the same number is above the margin where L itself is small already.
    wrong = -records.log_loss / records.norm**2
    assert np.any(wrong > records.normalized_margin)


def test_the_origin_of_a_network_is_least_for_the_weights_it_has() -> None:
    one = lm.Dataset([[1.0]], [1], one_class=True)
    words = [
        certify(
            lm.RegularizationPath(lm.DiagonalNetwork(3), one.weighted([w]), 0.5), np.zeros(3)
        ).verdict
        for w in (1.0, 0.5, 4.0)
    ]
    assert words[0] is words[1] is Verdict.GLOBAL and words[2] is not Verdict.GLOBAL
