"""Receipts of every formulation: accepted as written, rejected when changed or not earned."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import ReceiptError, RejectedReceiptError
from lexmargin.formulations.base import Formulation
from lexmargin.judge import Verdict
from lexmargin.judge.receipts.receipt import Receipt, receipt, write_receipt
from lexmargin.judge.receipts.receipt_format import digest, encoded
from lexmargin.judge.receipts.verify import verify_receipt
from test_receipts import SOLVERS, tampered

R = math.sqrt
INF = math.inf
ONE = lm.Dataset([[1.0]], [1], one_class=True)
SHALLOW_DEEP = lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)])
TWO_THREE = lm.Sum([lm.DiagonalNetwork(2), lm.DiagonalNetwork(3)])
FREE_BIAS = lm.Sum([lm.Linear(), lm.Bias("signed-square")])
BIAS = lm.Dataset([[3.0, 0.0], [1.0, 1.0]], [1, -1])
CURVED = lm.Polynomial([[2], [1]])


def points(X: Any) -> lm.Dataset:
    return lm.Dataset(np.array(X, float), [1] * len(X), one_class=True)


def unit(*numbers: float) -> np.ndarray:
    values = np.array(numbers, float)
    return values / np.linalg.norm(values)


AXES = points([[1, 0], [0, 1 / 8]])
HALF = points([[1, 0], [0, 0.5]])
PEAK = points([[-1, 2]])
LADDER = points([[1, 1, 1], [2, 3, 3], [4, 5, 6]])

# (problem, θ, verdict); answers from cases.md, or one line of algebra away.
CASES: dict[str, tuple[Formulation, Any, Verdict]] = {
    "constrained": (lm.ConstrainedPath(lm.Log(), AXES, 20.0), unit(1, 2), Verdict.GLOBAL),
    "constrained-l1": (
        lm.ConstrainedPath(lm.Linear(), HALF, 10.0, 1.0),
        [(1 + 2 * math.log(2) / 10) / 3, (2 - 2 * math.log(2) / 10) / 3],
        Verdict.GLOBAL,
    ),
    "constrained-logistic": (
        lm.ConstrainedPath(lm.Linear(), points([[0.5, 1.5], [1.5, 0.5]]), 2.0, 2.0, "logistic"),
        unit(1, 1),
        Verdict.GLOBAL,
    ),
    "constrained-deep": (
        lm.ConstrainedPath(lm.DiagonalNetwork(2), ONE, 3.0),
        unit(1, 1),
        Verdict.KKT,
    ),
    "constrained-wrong": (
        lm.ConstrainedPath(lm.Log(), AXES, 20.0),
        unit(1, 2.001),
        Verdict.NOT_STATIONARY,
    ),
    "regularization": (
        lm.RegularizationPath(lm.Linear(), ONE, math.exp(-2.0) / 4.0),
        [2.0],
        Verdict.GLOBAL,
    ),
    "regularization-deep": (
        lm.RegularizationPath(lm.DiagonalNetwork(2), ONE, math.exp(-2.0) / 2.0),
        [R(2.0), R(2.0)],
        Verdict.KKT,
    ),
    "scaled": (
        lm.ScaledMargin(SHALLOW_DEEP, ONE, 10.0),
        [0.1, R(0.9), R(0.9)],
        Verdict.GLOBAL,
    ),
    "scaled-bias": (
        lm.ScaledMargin(FREE_BIAS, BIAS, 10.0),
        [0.77, -0.46, -R(1.31)],
        Verdict.GLOBAL,
    ),
    "scaled-wrong": (
        lm.ScaledMargin(SHALLOW_DEEP, ONE, 10.0),
        [0.2, R(0.8), R(0.8)],
        Verdict.NOT_STATIONARY,
    ),
    "scaled-saddle": (
        lm.ScaledMargin(TWO_THREE, points([[1, 2]]), 10.0),
        [1, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        Verdict.SADDLE,
    ),
    "scaled-infeasible": (
        lm.ScaledMargin(SHALLOW_DEEP, ONE, 10.0),
        [0.05, R(0.9), R(0.9)],
        Verdict.NOT_STATIONARY,
    ),
    "w-set": (lm.WSet(FREE_BIAS, BIAS), [0.8, -0.4, -R(1.4)], Verdict.GLOBAL),
    "w-set-later": (
        lm.WSet(lm.Sum([lm.Linear(), lm.Bias("two-squares")]), BIAS, 2),
        [0.8, -0.4, 0.0, R(1.4)],
        Verdict.GLOBAL,
    ),
    "w-set-zero": (lm.WSet(SHALLOW_DEEP, ONE), [0.0, 3.0, 0.5], Verdict.GLOBAL),
    # With w_1 = 0 the second level is min u² + v² s.t. uv ≥ 1, of which (1, 1) is a strict minimum.
    "w-set-second": (lm.WSet(SHALLOW_DEEP, ONE, 2), [0.0, 1.0, 1.0], Verdict.GLOBAL),
    "margin-sum": (
        lm.MarginPath(TWO_THREE, ONE, R(6.7)),
        [0, 0, *unit(1, 1, 1)],
        Verdict.STRICT_LOCAL,
    ),
    "margin-saddle": (
        lm.MarginPath(TWO_THREE, points([[1, 2]]), 1.0),
        unit(1, 0, 1, 0, 0, 0, 0, 0, 0, 0),
        Verdict.SADDLE,
    ),
    "min-norm": (
        lm.MarginPath(SHALLOW_DEEP, ONE, 10.0, gamma=50.5),
        [0.1, R(49.5) / 10, R(49.5) / 10],
        Verdict.GLOBAL,
    ),
    "margin-log": (lm.MarginPath(lm.Log(), AXES, 100.0), unit(1, 8), Verdict.GLOBAL),
    "margin-wrong": (lm.MarginPath(lm.Log(), AXES, 100.0), unit(1, 7.9), Verdict.NOT_STATIONARY),
    "outside-the-ball": (
        lm.MarginPath(SHALLOW_DEEP, ONE, 2.0),
        [1.0, 1.0, 1.0],
        Verdict.NOT_STATIONARY,
    ),
    "fritz-john": (lm.MarginPath(CURVED, PEAK, 1.0, gamma=1.0), [1.0], Verdict.FRITZ_JOHN),
    "stationary-level": (lm.MarginPath(CURVED, PEAK, 1.0), [1.0], Verdict.KKT),
    "not-separating": (
        lm.ScaledMargin(SHALLOW_DEEP, ONE, 10.0),
        [-3, 1, 1],
        Verdict.NOT_SEPARATING,
    ),
    "levels-l1": (lm.Lexicographic(lm.Linear(), LADDER, 1.0), [0, 0, 1], Verdict.GLOBAL),
    "levels-linf": (
        lm.Lexicographic(lm.Linear(), points([[1, 0], [3, 1]]), INF),
        [1, 1],
        Verdict.GLOBAL,
    ),
    "levels-l2": (
        lm.Lexicographic(lm.Linear(), points([[1, 0], [0, 2], [5, 5]])),
        [2, 1],
        Verdict.GLOBAL,
    ),
    "levels-wrong": (lm.Lexicographic(lm.Linear(), LADDER, 1.0), [0, 1, 0], Verdict.UNDECIDED),
}


def made(name: str) -> Receipt:
    stated, theta, _ = CASES[name]
    point = np.array(theta, float)
    return receipt(stated, point, lm.certify(stated, point))


def again(content: dict[str, Any]) -> None:
    verify_receipt(Receipt.from_bytes(json.dumps(content).encode()))


@pytest.mark.parametrize("name", CASES)
def test_untouched_receipt_is_accepted(name: str) -> None:
    stated, theta, wanted = CASES[name]
    assert lm.certify(stated, np.array(theta, float)).verdict is wanted
    found = made(name)
    assert found.verdict is wanted
    accepted = verify_receipt(Receipt.from_bytes(found.to_bytes()))
    assert accepted.verdict is wanted
    assert wanted.value in accepted.report()
    json.dumps(accepted.to_json(), allow_nan=False)


def reject_many(count: int) -> None:
    rng = random.Random(1)
    contents = [dict(made(name).content) for name in CASES]
    for _ in range(count):
        content, where = tampered(rng.choice(contents), rng)
        with pytest.raises(ReceiptError):
            again(content)
            pytest.fail(f"accepted with another {where}")
    for content in contents:
        again(content)


def test_every_changed_field_is_rejected() -> None:
    reject_many(300)


@pytest.mark.long
def test_a_thousand_changed_fields_are_rejected() -> None:
    reject_many(1000)


def put(*path: Any) -> Any:
    def change(content: dict[str, Any]) -> None:
        place: Any = content
        for key in path[:-2]:
            place = place[key]
        place[path[-2]] = path[-1]

    return change


def moved(content: dict[str, Any]) -> None:
    stored = content["theta"]
    theta = np.frombuffer(base64.b64decode(stored), dtype="<f8").copy()
    theta[0] += 1e-3
    content["theta"] = encoded(theta)
    content["theta_sha256"] = hashlib.sha256(theta.tobytes()).hexdigest()


# Changed by somebody who also made the hashes fit.
FORGERIES: list[tuple[str, Any]] = [
    *(
        (name, moved)
        for name in CASES
        if "wrong" not in name
        and name not in ("w-set-zero",)
        and CASES[name][2] not in (Verdict.NOT_STATIONARY, Verdict.NOT_SEPARATING)
    ),
    ("constrained", put("parameters", "rho", 21.0)),
    ("constrained", put("parameters", "loss", "logistic")),
    ("constrained", put("evidence", "multipliers", "values", 0, 0.3)),
    ("constrained", put("claims", "angle", 0.1)),
    ("constrained", put("claims", "gap", 0.1)),
    ("constrained", put("formulation", "margin-path")),
    ("constrained-wrong", put("claims", "verdict", "GLOBAL")),
    ("constrained-deep", put("claims", "verdict", "GLOBAL")),
    ("regularization", put("parameters", "strength", 0.1)),
    ("regularization", put("parameters", "power", 3.0)),
    ("scaled", put("parameters", "gamma", 10.1)),
    ("scaled", put("claims", "verdict", "STRICT_LOCAL")),
    ("scaled", put("claims", "curvature", 2.0)),
    ("scaled", put("claims", "feasibility", 0.1)),
    ("scaled", put("evidence", "multipliers", "values", 0, 0.3)),
    ("scaled-wrong", put("claims", "verdict", "KKT")),
    ("scaled-wrong", put("evidence", "refutation", None)),
    ("scaled-infeasible", put("claims", "verdict", "KKT")),
    ("scaled-saddle", put("evidence", "ascent", None)),
    ("scaled-saddle", put("evidence", "ascent", "direction", encoded(np.eye(10)[0]))),
    ("scaled-saddle", put("claims", "verdict", "STRICT_LOCAL")),
    ("w-set", put("parameters", "levels", 2)),
    ("w-set-later", put("claims", "levels", [0.8, 1.3])),
    ("w-set", put("claims", "levels", [0.7])),
    ("w-set", put("claims", "levels", None)),
    ("w-set", put("evidence", "support", [0])),
    ("margin-sum", put("parameters", "rho", 2.5)),
    ("margin-sum", put("claims", "verdict", "GLOBAL")),
    ("min-norm", put("parameters", "gamma", 50.4)),
    ("fritz-john", put("evidence", "singular", None)),
    ("stationary-level", put("evidence", "singular", None)),
    ("levels-l1", put("evidence", "levels", [])),
    ("levels-l1", put("evidence", "levels", 1, "n", [0])),
    ("levels-l1", put("claims", "levels", [1.0, 3.0, 7.0])),
    ("levels-l1", put("claims", "levels", [1.0, 3.0])),
    ("levels-l1", put("claims", "levels_gap", 0.5)),
    ("levels-l1", put("parameters", "levels", 2)),
    ("levels-linf", put("norm", 1)),
    ("levels-wrong", put("claims", "verdict", "GLOBAL")),
    ("levels-l2", put("evidence", "support", [0, 1, 2])),
    ("scaled-bias", put("evidence", "support", [0])),
]


@pytest.mark.parametrize("index", range(len(FORGERIES)))
def test_forged_hashes_do_not_help(index: int) -> None:
    name, change = FORGERIES[index]
    content = copy.deepcopy(dict(made(name).content))
    before = json.dumps(content)
    change(content)
    assert json.dumps(content) != before
    del content["digest"]
    content["digest"] = digest(content)
    with pytest.raises(ReceiptError):
        again(content)


@pytest.mark.parametrize(
    ("name", "path", "match"),
    [
        ("constrained", ("parameters", "rho", -1.0), "rho"),
        ("constrained", ("parameters", {}), "rho"),
        ("constrained", ("parameters", "loss", "hinge"), "loss"),
        ("scaled", ("parameters", "levels", 1), "levels"),
        ("scaled", ("norm", 1), "norm"),
        ("w-set", ("parameters", "levels", 9), "levels"),
        ("levels-l1", ("evidence", "levels", 3), "levels"),
    ],
)
def test_wrong_parameters_are_bad_input(name: str, path: Any, match: str) -> None:
    content = copy.deepcopy(dict(made(name).content))
    put(*path)(content)
    with pytest.raises(ReceiptError, match=match) as caught:
        again(content)
    assert not isinstance(caught.value, RejectedReceiptError)


def test_verification_needs_no_solver(tmp_path: Path) -> None:
    paths = []
    for name in CASES:
        paths.append(tmp_path / f"{name}.json")
        write_receipt(made(name), paths[-1])
    code = f"""
import importlib.abc, sys
class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {set(SOLVERS)!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Nothing())
from lexmargin.judge.receipts.verify import verify_file
for path in {[str(p) for p in paths]!r}:
    verify_file(path)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
