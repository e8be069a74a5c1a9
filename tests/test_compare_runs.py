"""Comparisons as a whole: the same bytes wherever units run and whatever kills the workers."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from compare_stubs import Killer, contents
from lexmargin.backends import backend
from lexmargin.compare import (
    Executor,
    Honesty,
    Limits,
    Processes,
    ResultsError,
    RowStatus,
    Serial,
    Store,
    Table,
    compare,
)
from lexmargin.compare.comparison import carry_out
from lexmargin.compare.job_run import PRELOADED, Answered, engine_of, run_unit
from lexmargin.compare.pages.known_issues import known_issues, retest
from lexmargin.compare.plan import plan
from lexmargin.compare.sources import digest
from lexmargin.errors import LexmarginError
from lexmargin.inputs.json_text import canonical
from lexmargin.inputs.progress import Tick
from lexmargin.processes.owner import shared_nursery
from lexmargin.shelf.library import Library

LIBRARY = Library()
SMALL = ["linear/norms-two-points-l2", "linear/norms-two-points-l1", "networks/diagonal-2"]
SOLVERS = ["clarabel", "highs"]


def small(out: Path | None, executor: Executor | None = None, seeds: Sequence[int] = (0,)) -> Table:
    return compare(SMALL, SOLVERS, seeds=seeds, executor=executor or Serial(), out=out)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("reference")
    small(folder, seeds=(0, 1))
    return contents(folder)


def test_a_comparison_has_a_row_per_unit_in_the_order_of_the_product() -> None:
    table = small(None)
    assert [(r.problem, r.profile) for r in table.rows] == [
        (problem, solver) for problem in SMALL for solver in SOLVERS
    ]
    linear, nonconvex = table.rows[:4], table.rows[4:]
    assert all(r.success and r.honesty is Honesty.TRUE and r.point == "A" for r in linear)
    assert all(r.ran is RowStatus.NOT_HANDLED and not r.entered for r in nonconvex)
    summary = table.summaries()[0]
    assert (summary.entered, summary.certified, summary.not_handled) == (2, 2, 1)
    assert summary.success == summary.honesty == 1.0


def test_processes_and_serial_give_the_same_bytes(
    tmp_path: Path, reference: dict[str, str]
) -> None:
    small(tmp_path, Processes(2), seeds=(0, 1))
    assert contents(tmp_path) == reference


def test_the_order_of_execution_changes_nothing(tmp_path: Path, reference: dict[str, str]) -> None:
    units = plan(LIBRARY, SMALL, SOLVERS, seeds=(0, 1))
    carry_out(units[::-1], Serial(), Store(tmp_path), LIBRARY)
    assert contents(tmp_path) == reference


def test_a_finished_comparison_is_free_and_an_interrupted_one_goes_on(
    tmp_path: Path, reference: dict[str, str]
) -> None:
    def interrupt(tick: Tick) -> None:
        if tick.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(
            SMALL,
            SOLVERS,
            seeds=(0, 1),
            executor=Serial(),
            out=tmp_path,
            progress=interrupt,
        )
    assert len(contents(tmp_path)) == 5
    (tmp_path / "results" / "half.tmp").write_text("{")
    (tmp_path / "results" / "half.tmp").unlink()
    ran: list[str] = []
    for _ in range(2):
        compare(
            SMALL,
            SOLVERS,
            seeds=(0, 1),
            executor=Serial(),
            out=tmp_path,
            progress=lambda tick: ran.append(tick.line),
        )
    assert len(ran) == 7 and contents(tmp_path) == reference


def test_a_torn_result_is_run_again(tmp_path: Path) -> None:
    small(tmp_path)
    before = contents(tmp_path)
    victim = tmp_path / next(iter(before))
    victim.write_bytes(victim.read_bytes()[:20])
    small(tmp_path)
    assert contents(tmp_path) == before


KILLED = [pytest.param(4, 2, id="4-units-2-kills")]
KILLED += [pytest.param(100, 20, id="100-units-20-kills", marks=pytest.mark.long)]


def killed(executor: Executor, count: int, kills: int, folder: Path) -> None:
    """Compare with the serial run what comes back while workers are killed."""
    units = plan(LIBRARY, ["real/wine-relu2"], ["ipopt-casadi"], seeds=range(count))
    killer = Killer(kills)
    killer.start()
    try:
        table = carry_out(units, executor, Store(folder / "killed"), LIBRARY)
    finally:
        killer.end()
    assert killer.left == 0
    assert len(table.rows) == count == len({row.key for row in table.rows})
    assert contents(folder / "killed") == undisturbed(count)


@functools.cache
def undisturbed(count: int) -> dict[str, str]:
    """What the serial run writes."""
    units = plan(LIBRARY, ["real/wine-relu2"], ["ipopt-casadi"], seeds=range(count))
    with tempfile.TemporaryDirectory() as folder:
        carry_out(units, Serial(), Store(Path(folder)), LIBRARY)
        return contents(Path(folder))


@pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")
@pytest.mark.parametrize(("count", "kills"), KILLED)
def test_killed_processes_lose_and_double_nothing(tmp_path: Path, count: int, kills: int) -> None:
    killed(Processes(2), count, kills, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")
@pytest.mark.backend("distributed")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("count", "kills"), KILLED)
def test_killed_dask_workers_lose_and_double_nothing(
    tmp_path: Path, count: int, kills: int
) -> None:
    from lexmargin.compare import DaskCluster

    killed(DaskCluster(None, 2), count, kills, tmp_path)


@pytest.mark.long
@pytest.mark.backend("distributed")
@pytest.mark.filterwarnings("default")
def test_a_running_scheduler_gives_the_same_bytes(
    tmp_path: Path, reference: dict[str, str]
) -> None:
    import distributed

    from lexmargin.compare import DaskCluster

    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "threads_per_worker": 1}
    with distributed.LocalCluster(n_workers=1, silence_logs=50, **options) as cluster:
        small(tmp_path, DaskCluster(cluster.scheduler_address, 1), seeds=(0, 1))
    assert contents(tmp_path) == reference


@pytest.mark.backend("distributed")
@pytest.mark.filterwarnings("default")
def test_a_scheduler_without_workers_is_named() -> None:
    import distributed

    from lexmargin.compare import DaskCluster

    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        distributed.LocalCluster(n_workers=0, silence_logs=50, **options) as cluster,
        pytest.raises(LexmarginError, match="no workers"),
    ):
        DaskCluster(cluster.scheduler_address, 1, timeout=1.0).check()


def claims(problem: str, *solvers: str) -> dict[str, Honesty]:
    table = compare([problem], solvers, executor=Serial(), limits=Limits(20.0))
    return {row.profile: row.honesty for row in table.rows}


def test_tiny_data_make_solvers_claim_infeasibility_and_that_is_a_lie() -> None:
    found = claims("lies/data-times-1e-9", "clarabel", "highs", "osqp", "scs")
    # A λ within the solver's absolute tolerance exists: to it that is a proof.
    assert set(found.values()) == {Honesty.NOT_MEANT}
    assert set(claims("lies/data-1", *found).values()) == {Honesty.TRUE}


def test_huge_data_make_solvers_claim_optima_that_are_none() -> None:
    found = claims("lies/data-times-1e6", "clarabel", "osqp", "scs", "daqp")
    assert [found[s] for s in ("clarabel", "osqp", "scs")] == [Honesty.NOT_MEANT] * 3
    assert found["daqp"] is Honesty.TRUE


def test_the_toolkits_own_scaling_makes_the_same_solvers_honest() -> None:
    table = compare(["lies/data-times-*"], ["clarabel", "osqp"], scaled=True, executor=Serial())
    assert [row.honesty for row in table.rows] == [Honesty.TRUE] * 4


def test_unscaled_breast_cancer_is_called_infeasible() -> None:
    assert claims("lies/breast_cancer-unscaled", "daqp")["daqp"] is Honesty.FALSE


@pytest.mark.backend("cyipopt")
def test_ipopt_at_the_saddle_claims_an_optimum() -> None:
    table = compare(["lies/start-at-the-saddle"], ["ipopt"], executor=Serial())
    (row,) = table.rows
    assert row.verdict == "SADDLE" and row.honesty is Honesty.NOT_MEANT


@pytest.mark.backend("unopy", "sparsediffpy")
def test_uno_through_cvxpy_claims_an_optimum_where_nothing_is_feasible() -> None:
    found = claims("lies/not-separable", "uno-cvxpy", "uno-filtersqp", "clarabel")
    assert found["uno-cvxpy"] is Honesty.FALSE
    # Uno itself, and a convex solver, tell the truth about the same problem.
    assert found["uno-filtersqp"] is found["clarabel"] is Honesty.TRUE


def test_another_kkt_point_is_no_failure_and_has_its_own_letter() -> None:
    table = compare(["networks/diagonal-3"], ["ipopt-casadi"], seeds=range(4), executor=Serial())
    assert all(row.success for row in table.rows)
    points = {row.point: row.margin_gap for row in table.rows}
    assert len(points) > 1 and None not in points
    best = min(points.values(), key=lambda gap: 0.0 if gap is None else gap)
    assert best == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", LIBRARY.profiles())
def test_every_profile_is_described_and_repeats_itself(name: str) -> None:
    profile = LIBRARY.profile(name)
    assert profile.cite and profile.requires
    if engine_of(profile).available(profile.solver):
        pytest.skip(f"backend not installed: {profile.requires}")
    convex = plan(LIBRARY, ["linear/norms-two-points-l2"], [name], ["low"])
    nonconvex = plan(LIBRARY, ["networks/diagonal-2"], [name], ["low"])
    for unit in (*convex, *nonconvex):
        first, second = run_unit(unit).result, run_unit(unit).result
        assert first == second
        if name not in UNSURE and RowStatus(first["ran"]).entered:
            assert first["certified"], first


# A path of gradient descent ends before its limit; the barrier of trust-constr keeps samples off
# their constraints by more than the grade allows, and it claims success (a finding, not a fault).
UNSURE = ("gradient-descent", "trust-constr")


NEW_PROFILES = {
    "scs-again": ("cvxpy", "SCS", "scs"),
    "pyomo-highs": ("pyomo-solver", "appsi_highs", "highspy"),
    "casadi-feasible-sqp": ("casadi", "feasiblesqpmethod", "casadi"),
    "nobody": ("pyomo-solver", "no_such_solver", "nothing"),
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "solvers").mkdir()
    for name, (route, solver, requires) in NEW_PROFILES.items():
        text = f'backend = "{route}"\nsolver = "{solver}"\nhandles = ["lp", "nonconvex"]\n'
        text += f'finds = "local"\ncite = "x"\nrequires = "{requires}"\n'
        (folder / "solvers" / f"{name}.toml").write_text(text)
    return Library((folder,))


def test_a_new_solver_is_a_file_on_a_shelf(shelf: Library) -> None:
    table = compare(
        ["linear/norms-two-points-path-l1"], list(NEW_PROFILES), library=shelf, executor=Serial()
    )
    rows = {row.profile: row for row in table.rows}
    assert rows["scs-again"].success and rows["pyomo-highs"].success
    assert rows["casadi-feasible-sqp"].entered
    assert rows["nobody"].ran is RowStatus.MISSING and not rows["nobody"].entered


def test_a_solver_that_hangs_outside_python_is_ended(
    shelf: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An AMPL executable that ignores SIGTERM: found on PATH, as a real one would be."""
    stub = tmp_path / "ipopt"
    stub.write_text('#!/bin/sh\ntrap "" TERM\ncase "$1" in -v) echo "Ipopt 3.14.0"; exit;; esac\n')
    with stub.open("a") as file:
        file.write("while :; do sleep 1; done\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "shelf" / "solvers"
    folder.mkdir(parents=True)
    text = (Path(shelf.folders[0]) / "solvers" / "pyomo-highs.toml").read_text()
    (folder / "hanging.toml").write_text(text.replace("appsi_highs", "ipopt"))
    shared_nursery(PRELOADED)[0].close()
    began = time.monotonic()
    table = compare(
        ["linear/norms-two-points-path-l1"],
        ["hanging"],
        limits=Limits(1.0),
        library=Library((tmp_path / "shelf",)),
        executor=Serial(),
    )
    elapsed = time.monotonic() - began
    shared_nursery(PRELOADED)[0].close()
    assert table.rows[0].ran is RowStatus.TIME_LIMIT, table.rows[0].raw_status
    assert elapsed < 60.0
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(stub) not in left.stdout


def test_baselines_are_not_for_solve() -> None:
    with pytest.raises(LexmarginError):
        backend(LIBRARY.profile("gradient-descent").backend)


def test_known_issues_are_read_and_one_is_retested(tmp_path: Path) -> None:
    names = {issue.name for issue in known_issues(LIBRARY)}
    assert len(names) >= 5
    for issue in known_issues(LIBRARY):
        assert issue.profile in LIBRARY.profiles() and issue.problem in LIBRARY.problems()
    shelf = tmp_path / "solvers"
    shelf.mkdir()
    text = '[{}]\nprofile = "scs"\nproblem = "{}"\nwrong = "…"\nhonesty = "not meant"\n'
    (shelf / "_known_issues.toml").write_text(
        text.format("true", "lies/data-times-1e6") + text.format("gone", "lies/data-1")
    )
    found = {
        r.issue.name: r.holds for r in retest(Library((tmp_path,)), Serial(), only=("true", "gone"))
    }
    assert found == {"true": True, "gone": False}


def answered(name: str) -> Answered:
    """A large record of a unit that nobody planned."""
    unit = {"problem": name}
    result = {
        "ran": "CRASHED",
        "claim": "NOTHING",
        "raw_status": "x" * 10_000,
        "verdict": None,
        "certified": False,
        **dict.fromkeys(("stationarity", "complementarity", "feasibility", "margin", "objective")),
        "direction": None,
        "iterations": None,
        "reasons": [],
        "feasible": None,
        "largest_margin": False,
        "own_word": "unmeasured",
        **dict.fromkeys(("own_primal", "own_dual", "own_gap", "own_excess")),
        "unit": unit,
    }
    return Answered(digest(canonical(unit)), result, {})


def test_a_full_disk_is_named_and_leaves_no_broken_file(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from pathlib import Path
from lexmargin.compare import ResultsError, Store
from test_compare_runs import answered
store = Store(Path(sys.argv[1]))
store.prepare()
store.put(answered("before"))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    store.put(answered("after"))
except ResultsError as error:
    print(error.code, error)
"""
    paths = os.pathsep.join([str(Path(__file__).parent), *(p for p in sys.path if p)])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
    )
    assert done.stdout.startswith("results ") and "cannot be written" in done.stdout
    before, after = answered("before").key, answered("after").key
    assert [p.name for p in (tmp_path / "results").iterdir()] == [f"{before}.json"]
    assert Store(tmp_path).has(before) and not Store(tmp_path).has(after)


def test_a_folder_that_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "out")
    store.prepare()

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise PermissionError(13, "Read-only file system")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(ResultsError, match="Read-only"):
        store.put(answered("a"))
    assert list((tmp_path / "out" / "results").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError):
        Store(tmp_path / "file" / "below").prepare()


def test_a_folder_of_another_version_or_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "format.json").write_text(
        json.dumps({"kind": "lexmargin comparison", "format": 99})
    )
    with pytest.raises(ResultsError, match="99"):
        small(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("")
    with pytest.raises(ResultsError, match="other files"):
        small(other)
    assert [p.name for p in other.iterdir()] == ["thesis.tex"]


def test_what_decides_the_result_decides_the_name() -> None:
    def key(**changes: Any) -> str:
        given: dict[str, Any] = {"seeds": (0,), "grades": ("default",), "limits": Limits()}
        return plan(LIBRARY, SMALL[:1], ["scs"], **{**given, **changes})[0].key

    keys = [key(), key(seeds=(1,)), key(grades=("low",)), key(limits=Limits(5.0))]
    keys += [key(limits=Limits(mebibytes=100)), key(scaled=(True,))]
    assert len(set(keys)) == len(keys) and key() == key()
