"""A formulation in one file is solved, judged, proved and written down like the paper's own."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
from scipy.optimize import nnls

import lexmargin as lm
from lexmargin.cli.main import main
from lexmargin.compare.executors import Serial
from lexmargin.compare.sources import load_modules, modules_of
from lexmargin.errors import (
    ExpressionError,
    LibraryError,
    ParameterError,
    UnknownNameError,
    UnsupportedError,
)
from lexmargin.formulations import Kkt
from lexmargin.judge import Verdict
from lexmargin.judge.certify import certify_kkt
from lexmargin.judge.prove import prove
from lexmargin.ops.base import FloatArray
from lexmargin.run import conformance
from uneven_margin import Uneven

TWO = lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, 1], one_class=True)
ONE = lm.Dataset([[1.0]], [1], one_class=True)
LINEAR = Uneven(lm.Linear(), TWO, (1.0, 1.0), (1.0, 4.0))
WEIGHTED = Uneven(lm.Linear(), lm.Dataset([[1.0, 1.0]], [1], one_class=True), (1.0, 4.0), (1.0,))
DEEP = Uneven(lm.DiagonalNetwork(2), TWO, (1.0, 1.0, 4.0, 4.0), (1.0, 4.0))
LOG = Uneven(lm.Log(), TWO, (1.0, 3.0), (1.0, 4.0))
R = np.sqrt(2.0)
E = np.e

# Answers in one line each: r_n/x_n; λ = 1/(1 + 1/4); u = 2 v with u v = r/x; z·w = e^r.
TABLE = {
    "levels": (LINEAR, [1.0, 2.0], [[1.0, 0.5], [1.0, 2.5], [1.5, 2.0]], Verdict.GLOBAL),
    "costs": (WEIGHTED, [0.8, 0.2], [[0.5, 0.5], [0.2, 0.8], [0.4, 0.1]], Verdict.GLOBAL),
    "deep": (DEEP, [R, 2.0, R / 2, 1.0], [[1.0, R, 1.0, R]], Verdict.GLOBAL),
    "log": (LOG, [E, E**4 / 2], [[E, E**3], [E / 2, E**4]], Verdict.GLOBAL),
}


@pytest.mark.parametrize("name", TABLE)
def test_it_conforms(name: str) -> None:
    problem, answer, wrong, word = TABLE[name]
    assert conformance.formulation(problem, answer, wrong) == ()
    assert lm.certify(problem, answer).verdict is word
    assert prove(problem, answer).proved
    assert not any(prove(problem, point).proved for point in wrong)


@pytest.mark.parametrize("name", ["levels", "deep", "log"])
def test_solve_finds_and_certifies_it(name: str) -> None:
    problem, answer, _, word = TABLE[name]
    if name == "log":
        # Blocks of one cost each: what its program states.
        problem, answer = replace(problem, costs=(1.0, 1.0)), answer
    solution = lm.solve(problem)
    assert np.allclose(np.abs(np.concatenate(solution.theta)), answer, atol=1e-6)
    assert solution.certificate is not None and solution.certificate.verdict is word
    assert solution.problem == "uneven-costs" and solution.unjudged == ""


def test_with_equal_costs_and_levels_it_is_the_hard_margin() -> None:
    network = lm.Network((3,), lm.ReLU())
    data = lm.Dataset([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]], [1, 1, -1])
    solution = lm.solve(lm.HardMargin(network, data))
    w = np.concatenate([block.ravel() for block in solution.theta])
    own = lm.certify(Uneven(network, data, (1.0,) * w.size, (1.0,) * 3), w)
    assert solution.certificate is not None
    assert own.verdict is solution.certificate.verdict
    # Twice the level at √2 times the point.
    twice = Uneven(network, data, (5.0,) * w.size, (2.0,) * 3)
    assert lm.certify(twice, np.sqrt(2.0) * w).verdict is own.verdict
    assert lm.certify(twice, w).verdict is Verdict.NOT_STATIONARY


def test_random_linear_programs_against_least_distance() -> None:
    """The optimum by Lawson and Hanson's least distance programming, which knows no KKT record."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        count, size = int(rng.integers(1, 6)), int(rng.integers(2, 5))
        toward = rng.standard_normal(size)
        X = rng.standard_normal((count, size))
        X *= np.sign(X @ toward)[:, None]
        costs, wanted = rng.uniform(0.1, 10.0, size), rng.uniform(0.2, 5.0, count)
        G = X / np.sqrt(costs)
        rest = nnls(np.vstack([G.T, wanted]), np.append(np.zeros(size), 1.0))[0]
        r = np.vstack([G.T, wanted]) @ rest - np.append(np.zeros(size), 1.0)
        w = -r[:-1] / r[-1] / np.sqrt(costs)
        data = lm.Dataset(X, [1] * count, one_class=True)
        problem = Uneven(lm.Linear(), data, tuple(costs.tolist()), tuple(wanted.tolist()))
        assert lm.certify(problem, w).verdict is Verdict.GLOBAL
        aside = w * (1.0 + 0.02 * rng.standard_normal(size))
        assert not lm.certify(problem, aside).certified
        feasible = aside * float(np.max(wanted / (X @ aside))) if np.min(X @ aside) > 0 else 2 * w
        assert not lm.certify(problem, feasible).certified


def test_orbits_that_change_the_cost_excuse_nothing() -> None:
    """Hidden units of a linear network can be rotated; here one of them costs four times more."""
    network = lm.Network((2,), lm.Identity())
    problem = Uneven(network, ONE, (1.0, 4.0, 1.0, 4.0), (1.0,))
    dear, cheap = np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0, 0.0])
    assert lm.certify(problem, dear).verdict is Verdict.SADDLE
    assert lm.certify(problem, cheap).verdict is Verdict.STRICT_LOCAL
    assert prove(problem, cheap).proved


def test_a_cost_of_zero_is_judged_by_feasibility() -> None:
    functions = lm.WSet(lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)]), ONE).functions
    costs = np.array([1.0, 0.0, 0.0])
    free = Kkt(functions=functions, point=np.array([0.0, 1.0, 1.0]), costs=costs, level=1.0)
    assert certify_kkt((free,)).verdict is Verdict.GLOBAL
    short = replace(free, point=np.array([0.0, 0.5, 1.0]))
    assert certify_kkt((short,)).verdict is Verdict.NOT_STATIONARY


def test_what_is_held_does_not_move() -> None:
    # f = 1·uv + 3·st: the first product alone is a saddle, unless s and t are held at 0.
    data = lm.Dataset([[1.0, 3.0]], [1], one_class=True)
    functions = lm.HardMargin(lm.DiagonalNetwork(2), data).functions
    point = np.array([1.0, 0.0, 1.0, 0.0])
    whole = Kkt(functions=functions, point=point, costs=np.array([1.0, 2.0, 1.0, 2.0]), level=1.0)
    assert certify_kkt((whole,)).verdict is Verdict.SADDLE
    held = replace(whole, free=np.array([True, False, True, False]))
    # uv ≥ 1 at the least ½(u² + v²): (1, 1) and (-1, -1) alone.
    assert certify_kkt((held,)).verdict is Verdict.STRICT_LOCAL


def test_somebody_must_say_how_long_w_may_be() -> None:
    functions = lm.WSet(lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)]), ONE).functions
    with pytest.raises(ParameterError, match="how long"):
        Kkt(functions=functions, point=np.ones(3))


@dataclass(frozen=True)
class OtherCosts(Uneven):
    """Its KKT data leave the costs out."""

    name: ClassVar[str] = "other costs"

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        (record,) = super().kkt(theta)
        return (replace(record, costs=np.ones(theta.size)),)


@dataclass(frozen=True)
class OtherLevels(Uneven):
    """Its KKT data ask for other margins."""

    name: ClassVar[str] = "other levels"

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        (record,) = super().kkt(theta)
        return (replace(record, required=None),)


class Silent(Uneven):
    """It inherits KKT data and says nothing of its own."""


@dataclass(frozen=True)
class Hidden(Uneven):
    """It computes what its fields do not say, so that no receipt can state it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "costs", tuple(2.0 * c for c in self.costs))

    name: ClassVar[str] = "hidden"

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        return super().kkt(theta)


def test_every_fault_is_named() -> None:
    wrong = OtherCosts(lm.Linear(), WEIGHTED.data, (1.0, 4.0), (1.0,))
    assert any("gradient" in one for one in conformance.formulation(wrong, [0.5, 0.5]))
    assert any("not c w" in one for one in conformance.formulation(wrong, [0.8, 0.2]))
    levels = OtherLevels(lm.Linear(), TWO, (1.0, 1.0), (1.0, 4.0))
    assert any("tight elsewhere" in one for one in conformance.formulation(levels, [1.0, 2.0]))
    silent = Silent(lm.Linear(), TWO, (1.0, 1.0), (1.0, 4.0))
    assert conformance.formulation(silent, [1.0, 2.0]) == ("Silent has no method kkt of its own",)
    hidden = Hidden(lm.Linear(), TWO, (1.0, 1.0), (1.0, 4.0))
    assert any("receipt of the answer" in x for x in conformance.formulation(hidden, [1.0, 2.0]))
    off = conformance.formulation(LINEAR, [1.0, 2.5])
    assert any("the answer is NOT_STATIONARY" in one for one in off)
    taken = conformance.formulation(LINEAR, [1.0, 2.0], [[1.0, 2.0]])
    assert taken == ("wrong point 0 is GLOBAL",)


def test_a_name_belongs_to_one_class() -> None:
    with pytest.raises(ParameterError, match="hard-margin"):

        class Mine(Uneven):
            name: ClassVar[str] = "hard-margin"

            def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
                return super().kkt(theta)


@pytest.mark.parametrize(
    "changes",
    [
        {"costs": np.array([-1.0, 1.0])},
        {"costs": np.ones(3)},
        {"norm": 1.0},
        {"required": np.array([0.0, 1.0])},
        {"level": None},
        {"point": np.ones(3)},
        {"part": 0, "costs": np.array([1.0, 0.0])},
        {"costs": None, "free": np.array([True, False])},
        {"radius": 1.0},
        {"costs": None, "radius": 1.0},
    ],
)
def test_records_that_contradict_themselves_are_refused(changes: dict[str, object]) -> None:
    (record,) = LINEAR.kkt(np.array([1.0, 2.0]))
    with pytest.raises(ParameterError):
        replace(record, **changes)


# -- files and comparisons -------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE)
def test_it_is_written_to_a_file_and_read_back(name: str, tmp_path: Path) -> None:
    problem = TABLE[name][0]
    lm.save(problem, tmp_path / "own.toml", title="an eighth problem", source="closed form")
    found = lm.Library().problem(tmp_path / "own.toml")
    assert found.formulation is Uneven and found.title == "an eighth problem"
    assert lm.load(tmp_path / "own.toml") == problem


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("uneven-costs", "uneven-cost", UnknownNameError, "'uneven-costs'"),
        ("wanted", "want", LibraryError, "'want'.*'wanted'"),
        ("wanted = [1.0, 4.0]\n", "", LibraryError, "'wanted' is missing"),
        ("[1.0, 4.0]", '[1.0, "four"]', ExpressionError, r"wanted\[1\]"),
        ("[1.0, 4.0]", "4.0", LibraryError, "wanted is a decimal"),
        ("[1.0, 4.0]", "[1.0, 4.0]\nrho = 2", LibraryError, "no 'rho'.*costs, wanted"),
        ("[1.0, 4.0]", "[1.0, 4.0]\nnorm = 1", ParameterError, "Euclidean"),
    ],
)
def test_a_wrong_file_of_it_is_named(
    tmp_path: Path, old: str, new: str, error: type[lm.LexmarginError], message: str
) -> None:
    path = tmp_path / "own.toml"
    lm.save(LINEAR, path, title="t")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(error, match=message):
        lm.load(path)


def test_it_is_compared_in_processes_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.toml"
    lm.save(LINEAR, path, title="two levels")
    words = ["compare", "--problems", str(path), "--solvers", "clarabel", "--json"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--out", str(tmp_path / "out"), "--executor", "serial"])
    rows = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert [row["verdict"] for row in rows] == ["GLOBAL"]
    assert rows[0]["objective"] == pytest.approx(0.5 * (1.0 + 4.0), abs=1e-6)


OWN = (Path(__file__).parent / "uneven_margin.py").read_text().replace("uneven-costs", "own-costs")


def imported(path: Path) -> ModuleType:
    """Import a file that lies in no folder of the path, as from the folder of a session."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def test_a_unit_runs_the_file_that_defined_the_class_and_no_other(tmp_path: Path) -> None:
    source = tmp_path / "own_costs.py"
    source.write_text(OWN)
    module = imported(source)
    path = tmp_path / "own.toml"
    lm.save(module.Uneven(lm.Linear(), TWO, (1.0, 1.0), (1.0, 4.0)), path, title="t")
    stated = lm.Library().problem(path)
    (found,) = modules_of(stated.formulation, stated.predictor)
    assert found.name == "own_costs" and Path(found.file) == source.resolve()
    table = lm.compare(str(path), "clarabel", executor=Serial())
    assert [row.verdict for row in table.rows] == [Verdict.GLOBAL]
    # Another file of that name is not run, and a changed one neither.
    decoy = tmp_path / "decoy"
    decoy.mkdir()
    (decoy / "own_costs.py").write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')")
    for file in (decoy / "own_costs.py", tmp_path / "absent.py"):
        del sys.modules["own_costs"]
        with pytest.raises(LibraryError, match="changed"):
            load_modules([replace(found, file=str(file))])
        sys.modules["own_costs"] = module
    assert not (tmp_path / "RAN").exists()
    source.write_text(f"raise ValueError('no')\n{OWN}")
    with pytest.raises(LibraryError, match="own_costs"):
        lm.compare(str(path), "clarabel", executor=Serial())
    del sys.modules["own_costs"]


def test_a_class_that_no_file_defines_is_named_before_any_work(tmp_path: Path) -> None:
    made = type("Main", (Uneven,), {"name": "main-costs", "kkt": Uneven.kkt, "__module__": "here"})
    problem = dataclass(frozen=True)(made)(lm.Linear(), TWO, (1.0, 1.0), (1.0, 4.0))
    lm.save(problem, tmp_path / "own.toml", title="t")
    with pytest.raises(UnsupportedError, match="defined in here"):
        lm.compare(str(tmp_path / "own.toml"), "clarabel")


def test_a_class_without_a_word_is_not_written(tmp_path: Path) -> None:
    silent = Silent(lm.Linear(), TWO, (1.0, 1.0), (1.0, 4.0))
    with pytest.raises(ParameterError, match="Silent cannot be described"):
        lm.save(silent, tmp_path / "own.toml", title="t")
    assert not list(tmp_path.iterdir())
