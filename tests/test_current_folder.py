"""Nothing of the folder that a command is started in is ever run: decoys for every import."""

from __future__ import annotations

import ast
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lexmargin
from process_stubs import fresh, paths

SOURCE = Path(lexmargin.__file__).parent
TRACE = "RAN.txt"
SCRIPT = Path(sys.executable).with_name("lexmargin")
SOUGHT_BY_OTHERS = {"cupy", "cplex", "gurobipy", "mosek", "mpi4py", "numba", "uvloop", "xpress"}
"""What the modelling systems and dask import where it is installed, as a decoy would be."""
LONG = pytest.mark.long

EASY = "linear/norms-two-points-l2"
NONCONVEX = "networks/diagonal-2"
LIMITED = ["--time-limit", "60"]
COMPARED = [
    "compare",
    "--problems",
    EASY,
    "--solvers",
    "clarabel",
    "--out",
    "results",
    "--executor",
]
DEFAULT = [["solve", NONCONVEX, "--starts", "2", *LIMITED], [*COMPARED, "processes"]]
COMMANDS = [
    ["list"],
    ["show", EASY],
    ["solve", EASY],
    ["solve", NONCONVEX, "--starts", "2", "--workers", "2"],
    ["solve", NONCONVEX, "--solver", "ipopt"],
    ["certify", EASY, "--receipt", "receipt.json", "--exact"],
    ["trace", "linear/norms-two-points-path-l1"],
    ["descend", EASY],
    ["doctor"],
    ["paper", "--quick", "--only", "dead-neuron"],
    [*COMPARED, "serial"],
]


@functools.cache
def imported() -> frozenset[str]:
    """Every package that a module of ours imports, here or when it is needed, and ours."""
    found = {"lexmargin", "sitecustomize", "usercustomize", "_multiprocessing", "pickle", "socket"}
    found |= SOUGHT_BY_OTHERS
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return frozenset(found)


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder where everything that could be found by name leaves a trace when it runs."""
    trace = tmp_path / TRACE
    for name in imported():
        decoy = f"open({str(trace)!r}, 'a').write({name!r})\nraise SystemExit(77)\n"
        (tmp_path / f"{name}.py").write_text(decoy, encoding="utf-8")
    for name in ("ipopt", "scip", "python", "python3", "sh", "gdb"):
        decoy_program = tmp_path / name
        decoy_program.write_text(f"#!/bin/sh\necho {name} >> {TRACE}\n", encoding="utf-8")
        decoy_program.chmod(0o755)
    (tmp_path / "ipopt.opt").write_text("max_iter 0\n", encoding="utf-8")
    return tmp_path


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as users do, by its script, where it is installed beside Python."""
    if SCRIPT.is_file():
        return fresh(SCRIPT, *words, folder=folder, flags=())
    return fresh("from lexmargin.cli.main import main; main()", *words, folder=folder)


def test_a_decoy_runs_where_nothing_keeps_it_from_running(trap: Path) -> None:
    fresh("import flint", folder=trap, flags=())
    assert (trap / TRACE).read_text(encoding="utf-8")


@pytest.mark.parametrize("words", DEFAULT, ids=" ".join)
def test_no_decoy_runs(trap: Path, words: list[str]) -> None:
    done = run(words, trap)
    assert not (trap / TRACE).exists(), (trap / TRACE).read_text(encoding="utf-8")
    assert done.returncode == 0, done.stderr


@LONG
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_decoy_runs_in_any_command(trap: Path, words: list[str]) -> None:
    test_no_decoy_runs(trap, words)


@LONG
def test_no_decoy_runs_in_what_reads_back(trap: Path) -> None:
    for words in (COMMANDS[5], ["verify", "receipt.json"], COMMANDS[-1], ["report", "results"]):
        test_no_decoy_runs(trap, words)


@LONG
@pytest.mark.backend("distributed")
def test_no_decoy_runs_on_a_local_dask_cluster(trap: Path) -> None:
    test_no_decoy_runs(trap, [*COMPARED, "dask"])


@LONG
def test_options_of_ipopt_are_those_of_the_profile(tmp_path: Path) -> None:
    (tmp_path / "ipopt.opt").write_text("max_iter 0\n", encoding="utf-8")
    words = ["solve", NONCONVEX, "--starts", "1", "--json", "--solver", "ipopt-casadi"]
    done = run(words, tmp_path)
    assert json.loads(done.stdout)["ran"] == "FINISHED"


def test_an_executable_of_the_current_folder_is_no_solver(
    trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lexmargin.backends import BackendName, backend

    monkeypatch.chdir(trap)
    monkeypatch.setenv("PATH", os.defpath)
    assert backend(BackendName.PYOMO_SOLVER).available("ipopt")
    monkeypatch.setenv("PATH", str(trap))
    assert not backend(BackendName.PYOMO_SOLVER).available("ipopt")


@LONG
def test_the_python_path_is_kept_and_an_interactive_session_finds_its_modules(
    tmp_path: Path,
) -> None:
    """A problem of a module on PYTHONPATH, or beside a session, reaches the child, fork or not."""
    module = "import lexmargin as lm\nclass Mine(lm.HardMargin):\n    pass\n"
    code = (
        "import mine, threading, lexmargin as lm\n"
        "data = lm.Dataset([[1, 0], [0, 2]], [1, 1], one_class=True)\n"
        "problem = mine.Mine(lm.predictors.Linear(), data)\n"
        "ran = [lm.solve(problem, 'clarabel', time_limit=60.0).ran.value]\n"
        "gone = threading.Event()\n"
        "threading.Thread(target=gone.wait).start()\n"
        "ran.append(lm.solve(problem, 'clarabel', time_limit=60.0).ran.value)\n"
        "gone.set()\n"
        "print(*ran)\n"
    )
    for name in ("path", "session", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "path" / "mine.py").write_text(module, encoding="utf-8")
    (tmp_path / "session" / "mine.py").write_text(module, encoding="utf-8")
    given = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "path"), paths()])}
    beside = fresh(code, folder=tmp_path / "elsewhere", changes=given)
    session = fresh(code, folder=tmp_path / "session", flags=())
    assert beside.stdout.split() == session.stdout.split() == 2 * ["FINISHED"], session.stderr


UNGUARDED = """
import lexmargin as lm
from lexmargin.compare import DaskCluster, Processes
print("once")
executor = {executor}
table = lm.compare(["linear/norms-two-points-l2"], ["clarabel", "highs"], executor=executor)
print([row.success for row in table.rows])
"""


@pytest.mark.parametrize(
    "executor",
    [
        pytest.param("None", marks=LONG),
        "Processes(2)",
        pytest.param("DaskCluster(None, 2)", marks=[LONG, pytest.mark.backend("distributed")]),
    ],
)
def test_a_script_compares_without_a_guard(tmp_path: Path, executor: str) -> None:
    """No child imports the script again."""
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED.format(executor=executor), encoding="utf-8")
    done = fresh(script, folder=tmp_path, flags=())
    assert done.stdout == "once\n[True, True]\n", done.stderr
    assert sys.executable and done.stderr == ""
