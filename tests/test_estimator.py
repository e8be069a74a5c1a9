"""MarginClassifier is a scikit-learn classifier: every check it yields, no expected failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lexmargin.errors import NotSeparableError, UnknownNameError
from lexmargin.estimator import MarginClassifier
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
        ("lexicographic", {"norm": "inf"}),
    ],
)
def test_every_formulation_fits_separable_data(formulation: str, parameters: dict) -> None:  # type: ignore[type-arg]
    X, y = _separable()
    model = MarginClassifier(formulation=formulation, parameters=parameters).fit(X, y)
    assert list(model.classes_) == ["ant", "bee"]
    assert (model.predict(X) == y).all()
    assert model.certificate_.certified


def test_a_network_and_a_free_bias_fit() -> None:
    X, y = _separable()
    network = MarginClassifier(Network((6,), ReLU(power=2)), "hard-margin").fit(X, y)
    assert network.certificate_.certified
    free = Sum([Linear(), Bias(BiasForm.TWO_SQUARES)])
    assert MarginClassifier(free, "scaled-margin", {"gamma": 1e6}).fit(X, y).score(X, y) == 1.0


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
    with pytest.raises(ValueError, match="one class"):
        MarginClassifier().fit([[1.0], [2.0]], [1, 1])
