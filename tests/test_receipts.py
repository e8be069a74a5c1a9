"""Receipts: accepted as written, rejected whenever anything in them was changed."""

from __future__ import annotations

import base64
import copy
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from examples_of_predictors import PREDICTORS
from lexmargin.cli.main import main
from lexmargin.errors import ReceiptError, RejectedReceiptError
from lexmargin.inputs.codec import written
from lexmargin.inputs.json_text import canonical
from lexmargin.judge import Tolerances, Verdict
from lexmargin.judge.receipts.receipt import Receipt, read_receipt, receipt, write_receipt
from lexmargin.judge.receipts.receipt_format import (
    decoded,
    digest,
    encoded,
)
from lexmargin.judge.receipts.receipt_problem import predictor_from_json
from lexmargin.judge.receipts.verify import verify_file, verify_receipt
from lexmargin.linalg.nonnegative import nonnegative

SOLVERS = ("scipy", "cvxpy", "pyomo", "casadi", "cyipopt", "sklearn", "torch")
XOR = [[1, 1], [-1, -1], [1, -1], [-1, 1]]
SIGNS = [1, 1, -1, -1]


def problem(predictor: Any, Z: Any, y: Any = None, norm: float = 2.0) -> lm.HardMargin:
    labels = np.ones(len(Z), int) if y is None else np.array(y)
    return lm.HardMargin(predictor, lm.Dataset(np.array(Z, float), labels, one_class=True), norm)


def bisector(angle: float) -> np.ndarray:
    return np.array([np.cos(np.deg2rad(angle / 2)), np.sin(np.deg2rad(angle / 2))])


def obtuse(angle: float) -> list[list[float]]:
    return [[1.0, 0.0], [np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))]]


AXES = [[1.0, 0.0], [0.0, 2.0]]
PAIR = [[1.0, 0.6], [0.6, 1.0]]
RELU = lm.Network((2,), lm.ReLU())
IDENTITY = lm.Network((2,), lm.Identity())

# (problem, θ, verdict); the answers are those of cases.md, or follow from them in one line.
CASES: dict[str, tuple[lm.HardMargin, Any, Verdict]] = {
    "linear": (problem(lm.Linear(), AXES), [2, 1], Verdict.GLOBAL),
    "l1": (problem(lm.Linear(), AXES, norm=1.0), [2, 1], Verdict.GLOBAL),
    "linf": (problem(lm.Linear(), AXES, norm=np.inf), [1, 0.75], Verdict.GLOBAL),
    "not-separating": (problem(lm.Linear(), AXES), [1, -1], Verdict.NOT_SEPARATING),
    "not-stationary": (problem(lm.Linear(), AXES), [1, 1], Verdict.NOT_STATIONARY),
    "saddle": (problem(lm.DiagonalNetwork(2), [[1, 2]]), [1, 0, 1, 0], Verdict.SADDLE),
    "strict-local": (
        problem(lm.DiagonalNetwork(3), PAIR),
        [0.625 ** (1 / 3)] * 6,
        Verdict.STRICT_LOCAL,
    ),
    "vertices": (problem(lm.DiagonalNetwork(3), PAIR), [0, 1, 0, 1, 0, 1], Verdict.GLOBAL),
    "identity": (problem(IDENTITY, np.eye(2)), [1, 1, 0, 0, 2**0.5, 0], Verdict.GLOBAL),
    "xor": (
        problem(lm.Network((4,), lm.ReLU()), XOR, SIGNS),
        np.concatenate([np.ravel(XOR) / 2**0.5, SIGNS]),
        Verdict.GLOBAL,
    ),
    "dead-neuron": (
        problem(RELU, obtuse(150)),
        np.concatenate([bisector(150), [0, 0, 1, 0]]),
        Verdict.SADDLE,
    ),
    "multi-class": (
        lm.HardMargin(
            lm.Linear(outputs=3), lm.Dataset([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], [0, 1, 2])
        ),
        [2, -1, -1, 2, -1, -1],
        Verdict.GLOBAL,
    ),
}


def made(name: str) -> Receipt:
    stated, theta, _ = CASES[name]
    return receipt(stated, np.array(theta, float), lm.certify(stated, np.array(theta, float)))


def again(content: dict[str, Any]) -> None:
    verify_receipt(Receipt.from_bytes(json.dumps(content).encode()))


@pytest.mark.parametrize("name", CASES)
def test_untouched_receipt_is_accepted(name: str) -> None:
    found = made(name)
    wanted = CASES[name][2]
    assert found.verdict is wanted
    accepted = verify_receipt(Receipt.from_bytes(found.to_bytes()))
    assert accepted.verdict is wanted
    assert wanted.value in accepted.report()
    json.dumps(accepted.to_json(), allow_nan=False)


# -- tampering -------------------------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        return [leaf for key in value for leaf in leaves(value[key], (*path, key))]
    if isinstance(value, list) and value:
        return [leaf for i in range(len(value)) for leaf in leaves(value[i], (*path, i))]
    return [path]


def changed(value: Any, rng: random.Random) -> Any:
    """Return another value of the same kind, often a very near one."""
    if isinstance(value, bool):
        return not value
    if value is None:
        return 0.5
    if isinstance(value, int):
        return value + rng.choice([-1, 1, 7])
    if isinstance(value, float):
        near = float(np.nextafter(value, rng.choice([-np.inf, np.inf])))
        return rng.choice(
            [near, value * 1.001 + 1e-9, -value if value else 1.0, 0.0 if value else 1.0]
        )
    if isinstance(value, str):
        place = rng.randrange(len(value))
        other = "A" if value[place] != "A" else "B"
        return value[:place] + other + value[place + 1 :]
    return [0] if isinstance(value, list) else {"more": 1}


def tampered(content: dict[str, Any], rng: random.Random) -> tuple[dict[str, Any], str]:
    copied = copy.deepcopy(content)
    path = rng.choice(leaves(copied))
    place = copied
    for key in path[:-1]:
        place = place[key]
    action = rng.random()
    if action < 0.1 and isinstance(place, dict):
        del place[path[-1]]
    elif action < 0.15 and isinstance(place, list):
        place.append(place[path[-1]])
    else:
        place[path[-1]] = changed(place[path[-1]], rng)
    return copied, ".".join(map(str, path))


def reject_many(count: int) -> None:
    rng = random.Random(0)
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


def forged(name: str, change: Any) -> dict[str, Any]:
    """A receipt changed by somebody who also made the hashes fit."""
    content = copy.deepcopy(dict(made(name).content))
    change(content)
    del content["digest"]
    content["digest"] = digest(content)
    return content


def replaced_theta(content: dict[str, Any]) -> None:
    import hashlib

    theta = decoded(content["theta"], (2,), "theta") + np.array([1e-3, 0.0])
    content["theta"] = encoded(theta)
    content["theta_sha256"] = hashlib.sha256(theta.tobytes()).hexdigest()


def replaced_data(content: dict[str, Any]) -> None:
    X = decoded(content["data"]["X"], (2, 2), "X") * 1.001
    content["data"]["X"] = encoded(X)
    content["data"]["sha256"] = lm.Dataset(X, [1, 1], one_class=True).fingerprint


def put(*path: Any) -> Any:
    def change(content: dict[str, Any]) -> None:
        place: Any = content
        for key in path[:-2]:
            place = place[key]
        place[path[-2]] = path[-1]

    return change


FORGERIES = [
    ("linear", replaced_theta),
    ("linear", replaced_data),
    ("not-stationary", put("claims", "verdict", "KKT")),
    ("not-stationary", put("evidence", "refutation", None)),
    ("not-separating", put("claims", "verdict", "UNDECIDED")),
    ("strict-local", put("claims", "verdict", "GLOBAL")),
    ("saddle", put("claims", "verdict", "STRICT_LOCAL")),
    ("saddle", put("evidence", "ascent", None)),
    ("linear", put("claims", "verdict", "KKT")),
    ("linear", put("evidence", "multipliers", "values", 0, 0.3)),
    ("linear", put("evidence", "support", [0])),
    ("linear", put("evidence", "tau", 0.5)),
    ("linear", put("tolerances", "stationarity", 0.5)),
    ("not-stationary", put("tolerances", "stationarity", 0.9)),
    ("xor", put("tolerances", "kink", 1e-300)),
    ("linear", put("norm", 1)),
    ("linear", put("predictor", {"kind": "diagonal", "depth": 2})),
    ("saddle", put("predictor", "depth", 3)),
    *(
        ("linear", put("claims", claim, 0.5))
        for claim in (
            "margin",
            "stationarity",
            "complementarity",
            "euler",
            "bound",
            "gap",
            "degree",
        )
    ),
    ("linear", put("claims", "licq", False)),
    ("linear", put("claims", "independent", False)),
    ("linear", put("claims", "rank", 1)),
    ("linear", put("claims", "sigma_min", 0.9)),
    ("strict-local", put("claims", "curvature", 5.0)),
    ("strict-local", put("claims", "radius", 1e-30)),
    ("strict-local", put("claims", "radius", None)),
    ("saddle", put("claims", "rate", 5.0)),
    ("saddle", put("evidence", "ascent", "held", [])),
    ("saddle", put("evidence", "ascent", "order", 1)),
    ("saddle", put("evidence", "ascent", "direction", encoded(np.array([0.0, 1.0, 0.0, -1.0])))),
    ("saddle", put("evidence", "ascent", "direction", encoded(np.array([0.0, 0.6, 0.0, -0.8])))),
    ("linear", put("claims", "reason", "because I say so")),
]


@pytest.mark.parametrize("index", range(len(FORGERIES)))
def test_forged_hashes_do_not_help(index: int) -> None:
    name, change = FORGERIES[index]
    content = forged(name, change)
    with pytest.raises(ReceiptError):
        again(content)


def test_the_rejected_field_is_named() -> None:
    content = forged("linear", put("claims", "margin", 0.5))
    with pytest.raises(RejectedReceiptError, match=r"claims\.margin") as caught:
        again(content)
    assert caught.value.field == "claims.margin"
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (put("theta_sha256", "0" * 64), "theta_sha256"),
        (put("data", "sha256", "0" * 64), "data.sha256"),
        (put("evidence", "tau", 0.5), "evidence.tau"),
        (put("tolerances", "stationarity", 0.5), "tolerances.stationarity"),
        (put("tolerances", "kink", 1e-12), "tolerances.kink"),
        (put("claims", "gap", 0.5), "claims.gap"),
        (put("digest", "0" * 64), "digest"),
    ],
)
def test_each_check_stands_on_its_own(change: Any, field: str) -> None:
    content = forged("linear", change)
    if field == "digest":
        content["digest"] = "0" * 64
    with pytest.raises(RejectedReceiptError) as caught:
        again(content)
    assert caught.value.field == field


@pytest.mark.parametrize("value", [[0.5], {"margin": 0.5}, "0.5"])
@pytest.mark.parametrize("claim", ["margin", "gap", "rank"])
def test_claims_are_numbers(claim: str, value: Any) -> None:
    with pytest.raises(
        ReceiptError, match=rf"claims\.{claim} is .*, not a (whole )?number"
    ) as caught:
        again(forged("linear", put("claims", claim, value)))
    assert not isinstance(caught.value, RejectedReceiptError)


@pytest.mark.parametrize("value", [-0.4, 0.0])
@pytest.mark.parametrize("place", ["multipliers", "bound", "refutation", "singular"])
def test_weights_are_positive(place: str, value: float) -> None:
    with pytest.raises(ReceiptError, match="one positive number"):
        again(forged("linear", put("evidence", place, {"n": [0], "values": [value]})))


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"format": NaN}',
        b'{"format": 1, "format": 1}',
        b"[" * 100_000,
        b'{"format": "lexmargin-receipt-1"}',
        b'{"format": 1e999}',
    ],
)
def test_broken_files_are_bad_input(content: bytes) -> None:
    with pytest.raises(ReceiptError) as caught:
        Receipt.from_bytes(content)
    assert caught.value.exit_code == 2


def test_unknown_keys_are_errors() -> None:
    content = dict(made("linear").content) | {"remark": "hello"}
    with pytest.raises(ReceiptError, match="remark"):
        again(content)


@pytest.mark.parametrize("text", ["AAAA", "!" * 12, base64.b64encode(b"1234567").decode()])
def test_damaged_arrays_are_errors(text: str) -> None:
    with pytest.raises(ReceiptError):
        decoded(text, (1,), "theta")


def test_arrays_survive_exactly() -> None:
    values = np.array([0.1, -0.0, 5e-324, 1.7976931348623157e308])
    assert decoded(encoded(values), (4,), "x").tobytes() == values.tobytes()
    assert canonical({"b": 1, "a": 0.1}) == b'{"a":0.1,"b":1}'


@pytest.mark.parametrize("name", PREDICTORS)
def test_predictors_survive(name: str) -> None:
    predictor = PREDICTORS[name][0]
    stated = json.loads(json.dumps(written(predictor, exact=True)))
    assert predictor_from_json(stated) == predictor
    with pytest.raises(ReceiptError):
        predictor_from_json(stated | {"color": 1})


def test_data_may_stay_outside(tmp_path: Path) -> None:
    stated = CASES["linear"][0]
    theta = np.array([2.0, 1.0])
    outside = receipt(stated, theta, lm.certify(stated, theta), embed=False)
    path = tmp_path / "receipt.json"
    write_receipt(outside, path)
    with pytest.raises(ReceiptError, match="--data"):
        verify_file(path)
    assert verify_file(path, stated.data).verdict is Verdict.GLOBAL
    other = lm.Dataset(stated.data.X * 2.0, stated.data.y, one_class=True)
    with pytest.raises(RejectedReceiptError, match="data"):
        verify_file(path, other)
    assert read_receipt(path).problem is None


def test_a_weaker_grade_is_stated() -> None:
    stated = CASES["linear"][0]
    theta = np.array([2.0, 1.001])
    loose = lm.certify(stated, theta, tolerances=Tolerances.at(1e-2))
    assert loose.certified
    assert verify_receipt(receipt(stated, theta, loose)).verdict is loose.verdict
    assert lm.certify(stated, theta).verdict is Verdict.NOT_STATIONARY


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "receipt.json"
    assert run(["certify", "norms-two-points-l2", "--receipt", str(path)]) == 0
    assert run(["verify", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert shown["accepted"] and shown["claims"]["verdict"] == "GLOBAL"
    content = json.loads(path.read_text())
    content["claims"]["margin"] += 1e-3
    path.write_text(json.dumps(content))
    assert run(["verify", str(path)]) == 1
    assert "claims.margin" in capsys.readouterr().err
    path.write_text("{")
    assert run(["verify", str(path)]) == 2
    assert run(["verify", str(tmp_path / "absent.json")]) == 2


def run(words: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return int(caught.value.code or 0)


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
from lexmargin.linalg.nonnegative import nonnegative
from lexmargin.judge.receipts.verify import verify_file
for path in {[str(p) for p in paths]!r}:
    verify_file(path)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nonnegative_least_squares() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        A, b = rng.standard_normal((5, 8)), rng.standard_normal(5)
        mu = nonnegative(A, b)
        gradient = A.T @ (A @ mu - b)
        assert np.all(mu >= 0.0)
        assert np.all(gradient > -1e-9)
        assert abs(float(mu @ gradient)) < 1e-9
    assert nonnegative(np.zeros((3, 0)), np.ones(3)).shape == (0,)
