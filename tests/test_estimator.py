"""MarginClassifier is a scikit-learn classifier: every check it yields, no expected failures."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import lexmargin as lm
from lexmargin.errors import DataError, NotSeparableError, UnknownNameError
from lexmargin.estimator import _PLAIN, MarginClassifier
from lexmargin.formulations import Formulation
from lexmargin.predictors import Bias, BiasForm, Linear, Network, ReLU, Sum

CHECKS = """
import json
from sklearn.utils.estimator_checks import check_estimator
from lexmargin import MarginClassifier
rows = check_estimator(MarginClassifier(), on_skip=None, on_fail=None)
print(json.dumps([[row["check_name"], row["status"], str(row["exception"])] for row in rows]))
"""


def test_scikit_learn_checks() -> None:
    # scipy reads the variable when it is imported, so that the checks need a process of their own.
    done = subprocess.run(
        [sys.executable, "-c", CHECKS],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout.splitlines()[-1])
    assert len(rows) > 40
    assert [row for row in rows if row[1] != "passed"] == []


def _separable(classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    angles = 2 * np.pi * np.arange(classes) / classes
    centres = 5.0 * np.column_stack([np.cos(angles), np.sin(angles)])
    y = np.arange(30) % classes
    return centres[y] + rng.uniform(-1, 1, (30, 2)), np.array(["ant", "bee", "cat", "dog"])[y]


@pytest.mark.parametrize(
    ("formulation", "parameters"),
    [
        ("hard-margin", {}),
        ("hard-margin", {"norm": 1}),
        ("margin-path", {"rho": 3.0}),
        ("constrained-path", {"rho": 10.0, "loss": "logistic"}),
        ("regularization-path", {"strength": 0.1, "power": 3.0}),
        ("w-set", {"levels": 1}),
        ("lexicographic", {"norm": "inf"}),
    ],
)
def test_every_formulation_fits_separable_data(formulation: str, parameters: dict) -> None:  # type: ignore[type-arg]
    X, y = _separable()
    model = MarginClassifier(formulation=formulation, **parameters).fit(X, y)
    assert list(model.classes_) == ["ant", "bee"]
    assert (model.predict(X) == y).all()
    assert model.certificate_.certified


def test_a_network_and_a_free_bias_fit() -> None:
    X, y = _separable()
    network = MarginClassifier(Network((6,), ReLU(power=2)), "hard-margin").fit(X, y)
    assert network.certificate_.certified
    free = Sum([Linear(), Bias(BiasForm.TWO_SQUARES)])
    assert MarginClassifier(free, "scaled-margin", gamma=1e6).fit(X, y).score(X, y) == 1.0


def test_several_classes_have_one_score_each() -> None:
    X, y = _separable(3)
    model = MarginClassifier(formulation="hard-margin").fit(X, y)
    assert model.decision_function(X).shape == (30, 3)
    assert model.score(X, y) == 1.0


def test_inseparable_data_are_named_with_a_proof() -> None:
    X = [[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]
    with pytest.raises(NotSeparableError):
        MarginClassifier(formulation="hard-margin").fit(X, [0, 1, 0])


def test_unknown_names_are_refused_with_the_nearest() -> None:
    X, y = _separable()
    with pytest.raises(UnknownNameError, match="'hard-margin'"):
        MarginClassifier(formulation="hard-margn").fit(X, y)
    with pytest.raises(UnknownNameError, match="'norm'"):
        MarginClassifier(formulation="hard-margin", parameters={"nrm": 1}).fit(X, y)
    with pytest.raises(UnknownNameError, match="'rho'"):
        MarginClassifier(formulation="hard-margin", rho=3.0).fit(X, y)
    with pytest.raises(ValueError, match="one class"):
        MarginClassifier().fit([[1.0], [2.0]], [1, 1])


def test_the_papers_parameters_are_plain_ones() -> None:
    # How a formulation is solved is the solver's affair, but for the paper's own fields; exponents
    # belong to the blocks of one predictor.
    stated = {
        field.name
        for kind in Formulation.family.classes.values()
        if kind.__module__.startswith("lexmargin.")
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
    }
    assert set(_PLAIN) == stated - {"predictor", "data", "method", "exponents"}
    assert set(_PLAIN) <= set(MarginClassifier().get_params())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    ("formulation", "parameters"),
    [("hard-margin", {}), ("constrained-path", {"rho": 10.0}), ("margin-path", {"rho": 2.0})],
)
def test_coefficients_are_sums_of_samples(classes: int, formulation: str, parameters: dict) -> None:  # type: ignore[type-arg]
    X, y = _separable(classes)
    model = MarginClassifier(formulation=formulation, **parameters).fit(X, y)
    rows = 1 if classes == 2 else classes
    assert model.coef_.shape == (rows, 2)
    assert model.intercept_.shape == (rows,)
    assert model.dual_coef_.shape == (rows, model.support_.size)
    np.testing.assert_allclose(model.dual_coef_ @ X[model.support_], model.coef_, atol=1e-8)
    scores = X @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(scores.squeeze(), model.decision_function(X), atol=1e-12)


def test_a_free_bias_is_the_support_vector_machine() -> None:
    X, y = _separable()
    theirs = SVC(kernel="linear", C=1e6, tol=1e-10).fit(X, y)
    model = MarginClassifier(formulation="w-set").fit(X, y)
    np.testing.assert_allclose(model.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(model.intercept_, theirs.intercept_, atol=1e-6)
    dense = np.zeros(30)
    dense[theirs.support_] = theirs.dual_coef_[0]
    np.testing.assert_allclose(model.dual_coef_[0], dense[model.support_], atol=1e-6)
    assert np.abs(np.delete(dense, model.support_)).max() < 1e-6


def test_networks_have_no_coefficients() -> None:
    X, y = _separable()
    model = MarginClassifier(Network((4,), ReLU(power=2)), "hard-margin").fit(X, y)
    assert not hasattr(model, "coef_")
    assert model.support_.size


def test_parameters_stand_in_a_grid() -> None:
    X, y = _separable()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MarginClassifier()),
        {"marginclassifier__rho": [1.0, 10.0], "marginclassifier__norm": [2, "inf"]},
        cv=2,
    ).fit(X, y)
    assert search.best_score_ == 1.0


def test_named_errors_are_value_errors() -> None:
    assert lm.errors.NotSeparableError is lm.NotSeparableError
    assert {n for n in lm.errors.__all__ if n[0].isupper()} - {"ExitCode"} <= set(lm.__all__)
    for kind in (lm.BadInputError, lm.DataError, lm.NotSeparableError, lm.UnknownNameError):
        assert issubclass(kind, ValueError)


def test_sample_weights_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((20, 2)), rng.integers(0, 3, 20)
    w = rng.integers(0, 4, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weighted = MarginClassifier(rho=5.0).fit(X, y, sample_weight=w)
        repeated = MarginClassifier(rho=5.0).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
        plain = MarginClassifier(rho=5.0).fit(X, y)
    # Inside the ball a common part of the scores of all classes is free.
    found, other, far = (m.coef_ - m.coef_.mean(axis=0) for m in (weighted, repeated, plain))
    np.testing.assert_allclose(found, other, atol=1e-8)
    assert np.abs(far - found).max() > 1e-3
    # Supports are counted among the samples given, of which some weigh nothing.
    assert np.count_nonzero(w) < 20
    np.testing.assert_array_equal(weighted.support_, np.flatnonzero(w))
    assert weighted.dual_coef_.shape == (3, weighted.support_.size)


def test_margins_ask_the_same_of_every_sample_that_weighs_something() -> None:
    X, y = _separable()
    plain = MarginClassifier(formulation="hard-margin").fit(X, y)
    weighted = MarginClassifier(formulation="hard-margin").fit(X, y, np.linspace(0.1, 9.0, 30))
    np.testing.assert_array_equal(plain.coef_, weighted.coef_)
    without = np.ones(30)
    without[plain.support_] = 0.0
    fewer = MarginClassifier(formulation="hard-margin").fit(X, y, without)
    assert np.abs(fewer.coef_ - plain.coef_).max() > 1e-3
    assert not set(fewer.support_) & set(plain.support_)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([-1.0] * 30, "Weight 0 is -1"),
        ([1.0], "shape"),
        ([np.nan] * 30, "nan"),
        ([0.0] * 30, "zero"),
    ],
)
def test_bad_sample_weights_are_named(weights: list[float], said: str) -> None:
    X, y = _separable()
    with pytest.raises(DataError, match=said):
        MarginClassifier().fit(X, y, sample_weight=weights)


def test_sample_weights_go_through_a_pipeline_and_a_grid() -> None:
    X, y = _separable()
    machine = make_pipeline(StandardScaler(), MarginClassifier())
    grid = GridSearchCV(machine, {"marginclassifier__rho": [1.0, 10.0]}, cv=3)
    grid.fit(X, y, marginclassifier__sample_weight=np.linspace(1.0, 2.0, 30))
    assert grid.best_estimator_[-1].problem_.data.weights.max() == 2.0


def test_before_a_fit_there_is_no_certificate() -> None:
    model = lm.MarginClassifier()
    assert not hasattr(model, "certificate_")
    with pytest.raises(NotFittedError):
        _ = model.certificate_


def test_the_parameters_of_a_formulation_alone_are_proposed() -> None:
    model = lm.MarginClassifier(formulation="hard-margin", rho=3.0)
    with pytest.raises(UnknownNameError, match=r"Known: norm\."):
        model.fit([[2.0, 1.0], [-1.0, -2.0]], [1, 0])
