"""The command line: exit codes, JSON and nothing but JSON, one sentence for every failure."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest

from lexmargin import doctor
from lexmargin.cli import main as cli
from lexmargin.errors import ExitCode, MissingBackendError
from lexmargin.shelf.build import load
from lexmargin.shelf.library import Library
from lexmargin.solution import Claim, Ran, Solution
from lexmargin.solve import solve

PROBLEM = "linear/norms-two-points-l2"
PROFILES = Library().profiles()
ALWAYS_HERE = ("clarabel", "highs", "ipopt", "ipopt-casadi", "osqp", "scs")
COMMANDS = ("list", "show", "solve", "certify", "doctor")

solving = importlib.import_module("lexmargin.solve")

SOLUTION_KEYS = {
    "problem",
    "solver",
    "ran",
    "claim",
    "raw_status",
    "theta",
    "direction",
    "objective",
    "margin",
    "margins",
    "multipliers",
    "certificate",
    "times",
}
CERTIFICATE_KEYS = {
    "verdict",
    "stationarity",
    "complementarity",
    "feasibility",
    "support",
    "multiplier_dimension",
    "licq",
    "mfcq",
    "curvature",
    "gap",
}


@final
@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=_no_constant)


def _no_constant(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def call(capsys: pytest.CaptureFixture[str], *words: str) -> Outcome:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    captured = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return Outcome(int(ended.value.code), captured.out, captured.err)


def shell(words: Sequence[str], **environment: str) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "lexmargin.cli.main", *words],
        capture_output=True,
        env=os.environ | environment,
        check=False,
        timeout=120,
    )
    return Outcome(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


def test_list_names_every_problem_and_profile(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = call(capsys, "list", "--json")
    assert outcome.code == 0 and not outcome.err
    assert outcome.json.keys() == {"problems", "solvers"}
    assert [entry["name"] for entry in outcome.json["problems"]] == list(Library().problems())
    assert [entry["name"] for entry in outcome.json["solvers"]] == list(PROFILES)
    text = call(capsys, "list")
    assert text.code == 0
    assert all(name in text.out for name in (*Library().problems(), *PROFILES))


def test_show_prints_mathematics_and_route(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = call(capsys, "show", PROBLEM, "--json")
    assert outcome.code == 0
    assert outcome.json.keys() >= {"problem", "title", "source", "mathematics", "route", "answer"}
    assert "minimize" in outcome.json["mathematics"] and "-> active-set" in outcome.json["route"]
    text = call(capsys, "show", PROBLEM)
    assert text.code == 0
    assert outcome.json["mathematics"] in text.out and outcome.json["title"] in text.out


@pytest.mark.parametrize("name", Library().problems())
def test_every_problem_shows(capsys: pytest.CaptureFixture[str], name: str) -> None:
    outcome = call(capsys, "show", name, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["title"]


def test_solve_prints_the_object_of_the_design(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = call(capsys, "solve", PROBLEM, "--json")
    assert outcome.code == 0 and not outcome.err
    answer = outcome.json
    assert answer.keys() >= SOLUTION_KEYS
    assert answer["certificate"].keys() >= CERTIFICATE_KEYS
    assert answer["certificate"]["licq"].keys() >= {"holds", "rank", "count", "sigma_min"}
    assert answer["times"].keys() == {"build", "solve", "certify"}
    # (2, 1)/√5 for z = (1, 0), (0, 2): margin 2/√5, and w = (1, 1/2).
    assert answer["direction"] == pytest.approx([2 / 5**0.5, 1 / 5**0.5], abs=1e-7)
    assert answer["margin"] == pytest.approx(2 / 5**0.5, abs=1e-7)
    assert answer["objective"] == pytest.approx(0.625, abs=1e-7)
    assert np.allclose(answer["theta"], [[1.0, 0.5]], atol=1e-7)
    assert answer["certificate"]["verdict"] == "GLOBAL"


def test_solve_reports_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = call(capsys, "solve", PROBLEM)
    assert outcome.code == 0
    for word in ("GLOBAL", "active-set", "stationarity", "LICQ", "our verdict", "its claim"):
        assert word in outcome.out


def test_a_problem_is_found_by_its_last_name(capsys: pytest.CaptureFixture[str]) -> None:
    short = PROBLEM.rpartition("/")[2]
    assert (
        call(capsys, "show", short, "--json").json == call(capsys, "show", PROBLEM, "--json").json
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_stdout_holds_json_and_nothing_else(profile: str) -> None:
    """Solvers print banners from C: only another process sees the bytes of descriptor 1."""
    outcome = shell(["solve", PROBLEM, "--solver", profile, "--json"])
    assert "Traceback" not in outcome.err
    if outcome.out:
        assert outcome.out.count("\n") == 1 and outcome.out.startswith("{")
        assert outcome.json["solver"] == profile
    if profile in ALWAYS_HERE:
        assert outcome.code == 0 and outcome.out and not outcome.err, outcome.err


@pytest.mark.parametrize("profile", ["clarabel", "ipopt"])
def test_a_talking_solver_talks_to_stderr(profile: str) -> None:
    outcome = shell(["solve", PROBLEM, "--solver", profile, "--json", "--verbose"])
    assert outcome.code == 0, outcome.err
    assert outcome.json["solver"] == profile
    assert outcome.out.count("\n") == 1


def test_doctor_judges_every_profile(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = call(capsys, "doctor", "--json")
    assert [finding["profile"] for finding in outcome.json] == list(PROFILES)
    assert all(f.keys() == {"profile", "solver", "works", "reason"} for f in outcome.json)
    working = {f["profile"] for f in outcome.json if f["works"]}
    assert outcome.code == (0 if {"clarabel", "ipopt"} <= working else 3)
    assert "clarabel" in working


def test_doctor_outlives_a_solver_that_raises(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(problem: Any, solver: str, **rest: Any) -> Solution:
        raise ValueError("a fault of the solver's package")

    monkeypatch.setattr(doctor, "solve", failing)
    outcome = call(capsys, "doctor", "--json")
    assert outcome.code == 3
    assert [finding["profile"] for finding in outcome.json] == list(PROFILES)
    assert all("a fault of the solver's package" in f["reason"] for f in outcome.json)


@pytest.mark.parametrize("broken", ["clarabel", "ipopt"])
def test_doctor_says_when_a_required_solver_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def failing(problem: Any, solver: str, **rest: Any) -> Solution:
        if solver == broken:
            raise MissingBackendError("It is not here.", "Install it.")
        return solve(problem, solver, **rest)

    monkeypatch.setattr(doctor, "solve", failing)
    outcome = call(capsys, "doctor", "--json")
    assert outcome.code == 3
    found = {finding["profile"]: finding for finding in outcome.json}
    assert not found[broken]["works"] and "It is not here." in found[broken]["reason"]
    text = call(capsys, "doctor")
    assert text.code == 3 and "fails" in text.out


def test_certify_prints_the_certificate_alone(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = call(capsys, "certify", PROBLEM, "--json")
    assert outcome.code == 0
    assert outcome.json.keys() >= CERTIFICATE_KEYS
    assert outcome.json["verdict"] == "GLOBAL"
    assert "verdict" in call(capsys, "certify", PROBLEM).out


@pytest.mark.parametrize(
    ("theta", "code", "verdict"),
    [
        ((2.0, 1.0), 0, "GLOBAL"),
        ((2e-9, 1e-9), 0, "GLOBAL"),
        ((2.0, 1.0 + 1e-5), 1, "NOT_STATIONARY"),
        ((1.0, 1.0), 1, "NOT_STATIONARY"),
        ((-2.0, 1.0), 1, "NOT_SEPARATING"),
    ],
)
def test_certify_judges_a_file(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    theta: tuple[float, float],
    code: int,
    verdict: str,
) -> None:
    file = tmp_path / "theta.npz"
    np.savez(file, block_0=np.array(theta))
    outcome = call(capsys, "certify", PROBLEM, "--theta", str(file), "--json")
    assert (outcome.code, outcome.json["verdict"]) == (code, verdict)


@pytest.mark.parametrize(
    "blocks",
    [
        {"block_0": np.ones(3)},
        {"block_0": np.ones(2), "block_1": np.ones(2)},
        {"block_0": np.array([1.0, np.nan])},
        {"block_1": np.ones(2)},
        {"theta": np.ones(2)},
        {"block_0": np.array(["a", "b"])},
        {"block_0": np.array([{}, {}], dtype=object)},
    ],
)
def test_certify_refuses_unfitting_blocks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, blocks: dict[str, Any]
) -> None:
    file = tmp_path / "theta.npz"
    np.savez(file, **blocks)
    outcome = call(capsys, "certify", PROBLEM, "--theta", str(file), "--json")
    assert outcome.code == 2
    assert outcome.err.startswith("error (") and outcome.err.count("\n") == 1
    assert not outcome.out


@pytest.fixture
def solved() -> Solution:
    return solve(load(PROBLEM))


@pytest.mark.parametrize(
    ("ran", "judged", "certified", "code"),
    [
        (Ran.FINISHED, True, True, ExitCode.CERTIFIED),
        (Ran.TIME_LIMIT, True, True, ExitCode.CERTIFIED),
        (Ran.FINISHED, True, False, ExitCode.NEGATIVE),
        (Ran.TIME_LIMIT, True, False, ExitCode.SOLVER),
        (Ran.ITERATION_LIMIT, True, False, ExitCode.SOLVER),
        (Ran.NUMERICAL, True, False, ExitCode.SOLVER),
        (Ran.CRASHED, False, False, ExitCode.SOLVER),
        (Ran.FINISHED, False, False, ExitCode.SOLVER),
    ],
)
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_exit_codes_of_solve(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    solved: Solution,
    ran: Ran,
    judged: bool,
    certified: bool,
    code: ExitCode,
    words: list[str],
) -> None:
    from lexmargin.judge import certify

    problem = load(PROBLEM)
    theta = np.array([2.0, 1.0 if certified else 1.5])
    certificate = certify(problem, theta) if judged else None
    answer = replace(
        solved,
        ran=ran,
        claim=Claim.OPTIMAL,
        judgement=certificate,
        objective=float("nan"),
        margins=np.array([np.inf, 1.0]),
    )
    monkeypatch.setattr(solving, "solve", lambda *_, **__: answer)
    outcome = call(capsys, "solve", PROBLEM, *words)
    assert outcome.code == code
    if words:
        assert outcome.json["objective"] is None
        assert outcome.json["margins"] == [None, 1.0]
        assert outcome.json["ran"] == ran.value
    else:
        assert ran.value in outcome.out


def test_a_missing_solver_is_exit_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(profile: Any) -> None:
        raise MissingBackendError(f"The solver {profile.name!r} is not here.", "Install it.")

    monkeypatch.setattr(solving, "require", missing)
    outcome = call(capsys, "solve", PROBLEM, "--json")
    assert outcome.code == 3
    assert (
        outcome.err == "error (missing-backend): The solver 'active-set' is not here. Install it.\n"
    )
    assert not outcome.out


@pytest.mark.parametrize(
    ("failure", "code", "word"),
    [
        (RuntimeError("a fault"), 3, "internal"),
        (MemoryError(), 3, "memory"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_no_failure_prints_a_traceback(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    code: int,
    word: str,
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(solving, "solve", failing)
    monkeypatch.delenv("LEXMARGIN_TRACEBACK", raising=False)
    outcome = call(capsys, "solve", PROBLEM, "--json")
    assert outcome.code == code
    assert word in outcome.err and outcome.err.count("\n") <= 1
    assert "Traceback" not in outcome.err and not outcome.out


def test_a_fault_of_ours_can_be_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(solving, "solve", failing)
    monkeypatch.setenv("LEXMARGIN_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="a fault"):
        cli.main(["solve", PROBLEM])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(capsys: pytest.CaptureFixture[str], command: str) -> None:
    outcome = call(capsys, command, "--help")
    assert outcome.code == 0 and not outcome.err
    assert "--json" in outcome.out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = call(capsys, "--help")
    assert outcome.code == 0
    assert all(command in outcome.out for command in COMMANDS)
    assert call(capsys).code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["nope"],
        ["solve"],
        ["solve", PROBLEM, "--nope"],
        ["solve", PROBLEM, "--starts", "many"],
        ["solve", PROBLEM, "--time-limit", "soon"],
        ["solve", PROBLEM, "second"],
        ["certify"],
        ["show"],
    ],
)
def test_wrong_usage_is_one_sentence(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    outcome = call(capsys, *words)
    assert outcome.code == 2
    assert outcome.err.startswith("error (usage): ") and outcome.err.count("\n") == 1
    assert outcome.err.endswith("--help.\n")
    assert not outcome.out


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_goes_to_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    outcome = call(capsys, "solve", PROBLEM, "--json")
    assert outcome.code == 0 and outcome.json
    if terminal:
        # A bar of plain characters, which is gone in the end.
        assert "starts 0 of 1: " in outcome.err and "\x1b" not in outcome.err
        assert outcome.err.endswith(" \r") and not outcome.err.split("\r")[-2].strip()
    else:
        assert not outcome.err


def test_an_extra_shelf_is_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "problems").mkdir()
    (tmp_path / "problems" / "mine.toml").write_text(
        'title = "Mine"\nsource = "here"\nformulation = "hard-margin"\n'
        '[predictor]\nkind = "linear"\n[data]\nX = [[3, 4]]\ny = [1]\n'
    )
    outcome = call(capsys, "solve", "mine", "--library", str(tmp_path), "--json")
    assert outcome.code == 0
    assert outcome.json["direction"] == pytest.approx([0.6, 0.8], abs=1e-7)
    assert outcome.json["margin"] == pytest.approx(5.0, abs=1e-6)


def test_a_reader_that_leaves_is_no_failure() -> None:
    """``lexmargin list | head -1``."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "lexmargin.cli.main", "list"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(write)
    assert done.returncode in (0, 1)
    assert not done.stderr


def test_output_is_utf8_whatever_the_locale() -> None:
    outcome = shell(["show", PROBLEM], LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert outcome.code == 0, outcome.err
    assert "‖" in outcome.out or "∈" in outcome.out
