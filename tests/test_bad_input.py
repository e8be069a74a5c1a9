"""Bad input: a named error, one sentence, exit 2, no traceback, nothing written, at once."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.cli import main as cli
from lexmargin.errors import LexmarginError, NotSeparableError
from lexmargin.inputs.limits import PARAMETER_BLOCKS, PARAMETERS

LINEAR = 'kind = "linear"'
SAMPLES = "X = [[1, 0], [0, 2]]\ny = [1, 1]"
GOOD = "linear/norms-two-points-l2"


def problem_text(
    formulation: str = "hard-margin",
    extra: str = "",
    predictor: str = LINEAR,
    data: str = SAMPLES,
) -> str:
    return (
        f'title = "t"\nsource = "s"\nformulation = "{formulation}"\n{extra}\n'
        f"[predictor]\n{predictor}\n[data]\n{data}\n"
    )


def huge_npz(path: Path) -> None:
    """An archive whose headers claim 2 GB in a file of a few hundred bytes."""
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (268435456,), }"
    text = text.ljust(117) + b"\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(80)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("X.npy", "y.npy", "block_0.npy"):
            archive.writestr(name, member)


def call(capsys: pytest.CaptureFixture[str], words: list[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    captured = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return int(ended.value.code), captured.out, captured.err


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


FILES: Mapping[str, tuple[str, str]] = {
    "nan": (problem_text(data="X = [[nan, 0], [0, 2]]\ny = [1, -1]"), "expression"),
    "plus-inf": (problem_text(data="X = [[inf, 0], [0, 2]]\ny = [1, -1]"), "expression"),
    "minus-inf": (problem_text(data="X = [[-inf, 0], [0, 2]]\ny = [1, -1]"), "expression"),
    "nan-as-text": (problem_text(data='X = [["nan", 0], [0, 2]]\ny = [1, -1]'), "expression"),
    "too-large": (problem_text(data="X = [[1e400, 0], [0, 2]]\ny = [1, 1]"), "expression"),
    "tower": (problem_text(data='X = [["9^9^9^9", 0], [0, 2]]\ny = [1, 1]'), "expression"),
    "division": (problem_text(data='X = [["1/0", 0], [0, 2]]\ny = [1, 1]'), "expression"),
    "code": (
        problem_text(data="X = [[\"__import__('pathlib').Path('HACKED').touch()\", 0]]\ny = [1]"),
        "expression",
    ),
    "code-in-norm": (problem_text(extra="norm = \"exec('1')\""), "expression"),
    "ragged": (problem_text(data="X = [[1, 0], [0]]\ny = [1, -1]"), "data"),
    "label-count": (problem_text(data="X = [[1, 0], [0, 1]]\ny = [1]"), "data"),
    "label-values": (problem_text(data="X = [[1, 0], [0, 1]]\ny = [1, 0.5]"), "data"),
    "label-kinds": (problem_text(data='X = [[1, 0], [0, 1]]\ny = [1, "a"]'), "data"),
    "no-samples": (problem_text(data="X = []\ny = []"), "data"),
    "no-features": (problem_text(data="X = [[], []]\ny = [1, 1]"), "data"),
    "one-class": (problem_text(data='csv = "one-class.csv"'), "data"),
    "missing-csv": (problem_text(data='csv = "nowhere.csv"'), "data"),
    "folder-as-csv": (problem_text(data='csv = "."'), "data"),
    "csv-as-npz": (problem_text(data='npz = "one-class.csv"'), "data"),
    "npz-of-2-gigabytes": (problem_text(data='npz = "huge.npz"'), "data"),
    "unknown-dataset": (problem_text(data='dataset = "brest_cancer"'), "unknown-name"),
    "two-sources": (problem_text(data=SAMPLES + '\ncsv = "one-class.csv"'), "library"),
    "unknown-key": (problem_text(extra="nrom = 2"), "library"),
    "unknown-key-below": (problem_text(predictor=LINEAR + "\nwidth = 3"), "library"),
    "unknown-kind": (problem_text(predictor='kind = "lniear"'), "unknown-name"),
    "unknown-formulation": (problem_text("hard-margn"), "unknown-name"),
    "missing-key": ('title = "t"\n', "library"),
    "wrong-type": (problem_text(data="X = 3\ny = [1]"), "library"),
    "negative-rho": (problem_text("margin-path", "rho = -1"), "parameter"),
    "zero-rho": (problem_text("margin-path", "rho = 0"), "parameter"),
    "negative-gamma": (problem_text("margin-path", "gamma = -2"), "parameter"),
    "norm-below-1": (problem_text(extra="norm = 0.5"), "parameter"),
    "negative-norm": (problem_text(extra="norm = -1"), "parameter"),
    "no-width": (problem_text(predictor='kind = "network"\nwidths = [0]'), "parameter"),
    "no-depth": (problem_text(predictor='kind = "diagonal"\ndepth = 0'), "parameter"),
    "too-wide": (problem_text(predictor='kind = "network"\nwidths = [1000000000]'), "parameter"),
    "too-deep": (problem_text(predictor='kind = "diagonal"\ndepth = 1000000'), "parameter"),
    "empty": ("", "library"),
    "broken": ("title = [1,\n", "library"),
}


@pytest.mark.parametrize("command", ["solve", "show", "certify"])
@pytest.mark.parametrize("name", FILES)
def test_bad_files(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    command: str,
) -> None:
    text, code = FILES[name]
    monkeypatch.chdir(tmp_path)
    huge_npz(tmp_path / "huge.npz")
    (tmp_path / "one-class.csv").write_text("a,b,y\n1,2,1\n3,4,1\n")
    (tmp_path / "bad.toml").write_text(text)
    before = snapshot(tmp_path)
    status, out, err = call(capsys, [command, "bad.toml", "--json"])
    assert status == 2, err
    assert err.startswith(f"error ({code}): ") and err.count("\n") == 1, err
    assert "Traceback" not in err and len(err) < 600
    assert json.loads(out)["error"]["code"] == code
    assert snapshot(tmp_path) == before


WORDS: Mapping[str, tuple[list[str], str]] = {
    "unknown-problem": (["solve", "norms-two-pints-l2"], "unknown-name"),
    "ambiguous-nothing": (["solve", ""], "unknown-name"),
    "null-byte": (["solve", "a\0b.toml"], "library"),
    "missing-file": (["solve", "nowhere.toml"], "library"),
    "folder": (["solve", "./"], "library"),
    "binary": (["solve", "binary.toml"], "library"),
    "unknown-solver": (["solve", GOOD, "--solver", "clarable"], "unknown-name"),
    "unknown-grade": (["solve", GOOD, "--grade", "hihg"], "unknown-name"),
    "certify-unknown-grade": (["certify", GOOD, "--grade", "hihg"], "unknown-name"),
    "no-starts": (["solve", GOOD, "--starts", "0"], "parameter"),
    "negative-seed": (["solve", GOOD, "--seed", "-1"], "parameter"),
    "no-time": (["solve", GOOD, "--time-limit", "0"], "parameter"),
    "negative-time": (["solve", GOOD, "--time-limit", "-1"], "parameter"),
    "nan-time": (["solve", GOOD, "--time-limit", "nan"], "parameter"),
    "shelf-missing": (["list", "--library", "nowhere"], "library"),
    "shelf-empty": (["solve", GOOD, "--library", "."], "library"),
    "theta-missing": (["certify", GOOD, "--theta", "nowhere.npz"], "data"),
    "theta-folder": (["certify", GOOD, "--theta", "."], "data"),
    "theta-huge": (["certify", GOOD, "--theta", "huge.npz"], "data"),
    "theta-not-npz": (["certify", GOOD, "--theta", "binary.toml"], "data"),
    "no-stored-answer": (["certify", "iris-0"], "library"),
    "nonconvex-for-cvxpy": (["solve", "networks/diagonal-2", "--solver", "scs"], "unsupported"),
    "cone-for-qp-solver": (
        ["solve", "linear/norms-two-points-l3", "--solver", "osqp"],
        "unsupported",
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_bad_words(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    words, code = WORDS[name]
    monkeypatch.chdir(tmp_path)
    huge_npz(tmp_path / "huge.npz")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00\x01")
    before = snapshot(tmp_path)
    status, out, err = call(capsys, [*words, "--json"])
    assert status == 2, err
    assert err.startswith(f"error ({code}): ") and err.count("\n") == 1, err
    assert json.loads(out)["error"]["code"] == code
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (["solve", "norms-two-pints-l2"], "norms-two-points-l2"),
        (["solve", GOOD, "--solver", "clarable"], "clarabel"),
        (["solve", GOOD, "--grade", "hihg"], "high"),
    ],
)
def test_the_nearest_name_is_offered(
    capsys: pytest.CaptureFixture[str], wrong: list[str], right: str
) -> None:
    assert repr(right) in call(capsys, wrong)[2]


@pytest.mark.parametrize(
    ("predictor", "limit"),
    [
        (f'kind = "diagonal"\ndepth = {PARAMETER_BLOCKS + 1}', PARAMETER_BLOCKS),
        (f'kind = "network"\nwidths = [{PARAMETERS // 3 + 1}]', PARAMETERS),
    ],
)
def test_sizes_are_refused_before_they_are_made(tmp_path: Path, predictor: str, limit: int) -> None:
    file = tmp_path / "large.toml"
    file.write_text(problem_text(predictor=predictor))
    with pytest.raises(LexmarginError, match=str(limit)):
        lm.load(file)


INSEPARABLE: Mapping[str, tuple[list[list[float]], list[int]]] = {
    "opposite": ([[1.0, 0.0], [-1.0, 0.0]], [1, 1]),
    "origin": ([[0.0, 0.0], [1.0, 1.0]], [1, 1]),
    "xor": ([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]], [1, 1, -1, -1]),
    "triangle": ([[0.1, 0.3], [-0.7, 0.2], [0.4, -0.9], [5.0, 5.0]], [1, 1, 1, 1]),
    "badly-scaled": ([[1e-9, 1e9], [-1e-9, 3e8], [0.0, -1e9], [1e-9, 0.0]], [1, 1, 1, 1]),
}


def gordan_sum(
    rows: list[list[float]], labels: list[int], gordan: Mapping[int, Fraction]
) -> list[Fraction]:
    """``Σ λ_n y_n x_n`` in rationals: exactly zero proves that nothing separates."""
    return [
        sum((gordan[n] * labels[n] * Fraction(rows[n][j]) for n in gordan), Fraction(0))
        for j in range(len(rows[0]))
    ]


@pytest.mark.parametrize(
    "statement",
    [
        ("hard-margin", ""),
        ("margin-path", "rho = 2"),
        ("lexicographic", "norm = 1"),
        ("lexicographic", ""),
        ("scaled-margin", "gamma = 2"),
        ("w-set", ""),
    ],
)
@pytest.mark.parametrize("name", INSEPARABLE)
def test_inseparable_data_come_with_their_proof(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
    statement: tuple[str, str],
) -> None:
    rows, labels = INSEPARABLE[name]
    file = tmp_path / "inseparable.toml"
    file.write_text(problem_text(*statement, data=f"X = {rows}\ny = {labels}"))
    status, out, err = call(capsys, ["solve", str(file), "--json"])
    assert status == 1
    assert err.startswith("error (not-separable): ") and err.count("\n") == 1
    answer: dict[str, Any] = json.loads(out)
    assert answer["verdict"] == "NOT_SEPARATING" and answer["error"]["code"] == "not-separable"
    gordan = {int(n): Fraction(value) for n, value in answer["gordan"].items()}
    assert gordan and all(value > 0 for value in gordan.values())
    assert gordan_sum(rows, labels, gordan) == [0, 0]
    status, text, _ = call(capsys, ["solve", str(file)])
    assert status == 1 and "Gordan" in text
    assert all(str(value) in text for value in gordan.values())


def test_a_wrong_proof_would_be_seen() -> None:
    rows, labels = INSEPARABLE["xor"]
    right = {n: Fraction(1, 4) for n in range(4)}
    assert gordan_sum(rows, labels, right) == [0, 0]
    assert gordan_sum(rows, labels, right | {0: Fraction(26, 100)}) != [0, 0]


@pytest.mark.parametrize("solver", ["clarabel", "highs", "osqp", "scs"])
def test_no_solver_talks_a_separator_into_existence(solver: str) -> None:
    rows, labels = INSEPARABLE["triangle"]
    data = lm.Dataset(rows, labels, one_class=True)
    with pytest.raises(NotSeparableError) as caught:
        lm.solve(lm.HardMargin(lm.Linear(), data), solver)
    assert caught.value.proof is not None


@pytest.mark.parametrize(
    ("predictor", "scale"),
    [(LINEAR, scale) for scale in (5e-324, 1e-300, 1e-160, 1e160, 1e300)]
    + [('kind = "diagonal"\ndepth = 2', scale) for scale in (1e-300, 1e-160, 1e140, 1e160)],
)
def test_extreme_scales_end_in_an_exit_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, scale: float, predictor: str
) -> None:
    """Past what doubles hold, an honest failure is right; a traceback or a false word is not."""
    file = tmp_path / "extreme.toml"
    file.write_text(
        problem_text(predictor=predictor, data=f"X = [[{scale}, 0], [0, {scale}]]\ny = [1, 1]")
    )
    status, out, err = call(capsys, ["solve", str(file), "--json"])
    assert status in (0, 1, 2, 3) and "internal" not in err
    if status == 0:
        direction = np.array(json.loads(out)["direction"])
        if predictor == LINEAR:
            assert direction == pytest.approx([0.5**0.5, 0.5**0.5], abs=1e-6)


MIXED = lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)])
POINTS = lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, -1])
ODD = (0, -1, float("nan"), True, "3", None, 1j, [2])


@pytest.mark.parametrize("bad", ODD)
def test_numbers_that_are_none_are_named(bad: Any) -> None:
    """The same errors for users of the library: γ <= 0, starts < 1, text, None, lists, …."""
    linear = lm.Linear()
    statements: list[Any] = [
        lambda: lm.ScaledMargin(MIXED, POINTS, gamma=bad),
        lambda: lm.MarginPath(linear, POINTS, rho=bad),
        lambda: lm.ConstrainedPath(linear, POINTS, rho=bad),
        lambda: lm.RegularizationPath(linear, POINTS, strength=bad),
        lambda: lm.RegularizationPath(linear, POINTS, strength=1.0, power=bad),
        lambda: lm.WSet(MIXED, POINTS, levels=bad),
        lambda: lm.Network((bad,)),
        lambda: lm.DiagonalNetwork(bad),
        lambda: lm.Linear(bad),
        lambda: lm.ReLU(bad),
        lambda: lm.Log(bad),
        lambda: lm.trace(lm.ConstrainedPath(linear, POINTS), [bad, 1e9]),
    ]
    if bad is not None:
        statements += [
            lambda: lm.MarginPath(linear, POINTS, gamma=bad),
            lambda: lm.Lexicographic(linear, POINTS, levels=bad),
            lambda: lm.solve(lm.HardMargin(linear, POINTS), starts=bad),
            lambda: lm.solve(lm.HardMargin(linear, POINTS), time_limit=bad),
            lambda: lm.trace(lm.ConstrainedPath(linear, POINTS), [1.0], time_limit=bad),
            lambda: lm.descend(linear, POINTS, time_limit=bad),
        ]
    for number, statement in enumerate(statements):
        with pytest.raises(LexmarginError):
            pytest.fail(f"statement {number} returned {statement()!r}")


@pytest.mark.parametrize("grid", [[], [2.0, 1.0], [1.0, 1.0], [0.0, 1.0], ["a"], None, 3.0, [[1]]])
def test_grids_that_are_none_are_named(grid: Any) -> None:
    with pytest.raises(LexmarginError):
        lm.trace(lm.ConstrainedPath(lm.Linear(), POINTS), grid)


def test_numpy_numbers_are_numbers() -> None:
    """What an array yields is as good as a literal."""
    two, whole = np.float32(2.0), np.int64(2)
    path = lm.MarginPath(lm.Linear(), POINTS, rho=two)
    assert lm.solve(path, starts=whole, start=[1, -1]).margin == pytest.approx(2 / 5**0.5, rel=1e-9)
    assert lm.Network((whole,)).widths == (2,) and type(lm.DiagonalNetwork(whole).depth) is int


@pytest.mark.parametrize("norm", [1.0, 2.0, float("inf")])
def test_inseparable_scores_of_any_kind_come_with_their_proof(norm: float) -> None:
    """Log predictors and several classes: a Gordan vector too. Losses need no separator."""
    rows, labels = INSEPARABLE["xor"]
    data = lm.Dataset(rows, labels)
    three = lm.Dataset([[1.0], [2.0], [3.0]], [0, 1, 2])
    bias = lm.Sum([lm.Linear(), lm.Bias()])
    for problem in (
        lm.Lexicographic(lm.Linear(), data, norm=norm),
        lm.MarginPath(lm.Log(), data, norm=norm),
        lm.HardMargin(lm.Linear(3), three, norm=norm),
        lm.WSet(bias, data),
        lm.ScaledMargin(bias, data, gamma=2.0),
        lm.MarginPath(bias, data, norm=norm),
    ):
        with pytest.raises(NotSeparableError) as caught:
            lm.solve(problem)
        assert caught.value.proof is not None, problem


def test_nothing_bad_gets_past_python(tmp_path: Path) -> None:
    """The same errors for users of the library."""
    problem = lm.load(GOOD)
    for arguments in (
        {"starts": 0},
        {"workers": 0},
        {"workers": "2"},
        {"time_limit": 0.0},
        {"time_limit": float("nan")},
        {"seed": -1},
        {"seed": None},
        {"grade": "hihg"},
        {"grade": None},
        {"solver": "clarable"},
        {"solver": 3},
        {"start": np.array([np.nan, 1.0])},
        {"start": np.ones(5)},
        {"start": "a"},
    ):
        with pytest.raises(LexmarginError):
            lm.solve(problem, **arguments)


@pytest.mark.parametrize("value", [1e308, 1e154, 1e-154, 5e-324])
def test_scales_whose_products_are_no_doubles_are_named(value: float) -> None:
    """A path at ρ = 1e308 used to run for minutes before it overflowed."""
    linear = lm.Linear()
    for make in (
        lambda: lm.MarginPath(linear, POINTS, rho=value),
        lambda: lm.MarginPath(linear, POINTS, gamma=value),
        lambda: lm.ConstrainedPath(linear, POINTS, rho=value),
        lambda: lm.RegularizationPath(linear, POINTS, strength=max(value, 1e101)),
        lambda: lm.ScaledMargin(MIXED, POINTS, gamma=value),
        lambda: lm.trace(lm.ConstrainedPath(linear, POINTS), [value]),
        lambda: lm.trace(lm.ConstrainedPath(lm.DiagonalNetwork(5), POINTS), [1e80]),
    ):
        with pytest.raises(LexmarginError, match=r"1e-(100|300) to|size of"):
            make()
    assert lm.ConstrainedPath(linear, POINTS, rho=1e100).rho == 1e100
