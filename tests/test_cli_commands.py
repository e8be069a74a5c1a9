"""What holds for every command, as tables over all of them: widths, errors, colours, Ctrl-C."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.rich_utils

from lexmargin import doctor
from lexmargin.cli.main import app, main
from lexmargin.cli.output import table
from lexmargin.ipopt_build import Ipopt
from lexmargin.shelf.library import Library
from lexmargin.version import VERSION

PROBLEM = "linear/norms-two-points-l2"
COMPARE = ("compare", "--problems", PROBLEM, "--executor", "serial", "--solvers")

# A run of every command that ends at once, and how it is refused: words, and the error's code.
RUNS: dict[str, list[str]] = {
    "list": ["list"],
    "show": ["show", "relu/symmetric-leaky-0-1"],
    "solve": ["solve", "networks/diagonal-2", "--starts", "1"],
    "certify": ["certify", "relu/xor"],
    "verify": ["verify", "receipt.json"],
    "compare": [*COMPARE, "svc,piqp", "--out", "results"],
    "report": ["report", "results"],
    "separability": ["separability", "wide.csv"],
    "trace": ["trace", "paths/log-predictor-margin", "--points", "3"],
    "descend": ["descend", "networks/diagonal-2", "--steps", "5"],
    "paper": ["paper", "--quick", "--only", "example-2"],
    "optimizers": ["optimizers", "--quick", "--only", "boosting-shrinkage"],
    "doctor": ["doctor"],
    "install-ipopt": ["install-ipopt"],
}
REFUSED: dict[str, tuple[list[str], str]] = {
    "list": (["list", "--library", "nowhere"], "library"),
    "show": (["show", "nope"], "unknown-name"),
    "solve": (["solve", PROBLEM, "--solver", "nope"], "unknown-name"),
    "certify": (["certify", PROBLEM, "--theta", "nowhere.npz"], "data"),
    "verify": (["verify", "nowhere.json"], "receipt"),
    "compare": ([*COMPARE, "nope"], "unknown-name"),
    "report": (["report", "nowhere"], "results"),
    "separability": (["separability", "nowhere.csv"], "data"),
    "trace": (["trace", "paths/l1-constrained-10", "--points", "0"], "parameter"),
    "descend": (["descend", PROBLEM, "--flow", "1", "--rate", "1"], "bad-input"),
    "paper": (["paper", "--only", "nope"], "unknown-name"),
    "optimizers": (["optimizers", "--only", "nope"], "unknown-name"),
    "doctor": (["doctor", "--library", "nowhere"], "library"),
    "install-ipopt": (["install-ipopt"], "missing-backend"),
}
# What is interrupted, and what is said to be kept.
WORK: dict[str, tuple[str, str]] = {
    "list": ("lexmargin.shelf.library:Library.titles", "Nothing was written."),
    "show": ("lexmargin.shelf.build:build", "Nothing was written."),
    "solve": ("lexmargin.solve:solve", "--time-limit SECONDS"),
    "certify": ("lexmargin.judge:certify", "Nothing was written."),
    "verify": ("lexmargin.judge.receipts.verify:verify_file", "Nothing was written."),
    "compare": ("lexmargin.compare:compare", "Kept: 0 units in results; the same command"),
    "report": ("lexmargin.compare:read_back", "Nothing was written."),
    "separability": ("lexmargin.separability:separability", "Nothing was written."),
    "trace": ("lexmargin.paths:trace", "--time-limit SECONDS"),
    "descend": ("lexmargin.paths:descend", "--time-limit SECONDS"),
    "paper": ("lexmargin.paper:measure_all", "Kept: 0 statements in out/paper/records/quick;"),
    "optimizers": (
        "lexmargin.paper:measure_all",
        "Kept: 0 statements in out/optimizers/records/quick;",
    ),
    "doctor": ("lexmargin.doctor:examine", "Nothing was written."),
    "install-ipopt": ("lexmargin.ipopt_build:install_ipopt", "The same command"),
}
# Statements take long to measure; their table is tested as it is made.
SLOW = ("optimizers", "paper")
QUICK = [name for name in RUNS if name not in SLOW]

COLOUR = re.compile(r"\x1b\[[\d;]*m")
LONG_NAME = "a-column-whose-name-is-longer-than-a-narrow-terminal-is-wide-by-a-word"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the commands read; doctor and install-ipopt answer at once."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{k},{k * k},{1 if k > 2 else -1}" for k in range(6)]
    (tmp_path / "wide.csv").write_text("\n".join([f"a,{LONG_NAME},y", *rows]))

    def solved(problem: Any, profile: str, **_: Any) -> Any:
        return answer

    from lexmargin.solve import solve

    answer = solve(PROBLEM)
    monkeypatch.setattr(doctor, "solve", solved)
    made = Ipopt("1.7.0", "/a/long/path/" + "of-a-library/" * 8 + "libipopt.so.3", built=True)
    build = importlib.import_module("lexmargin.ipopt_build")
    monkeypatch.setattr(build, "install_ipopt", lambda said: made)
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def prepared(capsys: pytest.CaptureFixture[str], name: str) -> list[str]:
    """The words of a run, after what it needs is there."""
    if name == "verify":
        call(capsys, "certify", PROBLEM, "--receipt", "receipt.json")
    if name == "report":
        call(capsys, *COMPARE, "svc", "--out", "results")
    return RUNS[name]


def test_the_tables_hold_every_command() -> None:
    known = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    assert known == set(RUNS) == set(REFUSED) == set(WORK)


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "--version") == (0, f"lexmargin {VERSION}\n", "")


# -- widths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUICK)
def test_what_is_printed_fits_and_is_whole(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    words = prepared(capsys, name)
    code, free, _ = call(capsys, *words)
    for columns in (60, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        again, out, _ = call(capsys, *words)
        assert again == code and out
        assert max(map(len, out.splitlines())) <= columns
        assert "…" not in out or "…" in free
        # Tables are drawn anew, or with fewer digits; seconds are never the same.
        if name not in ("trace", "compare", "report", "solve", "descend"):
            assert "".join(out.split()) == "".join(free.split())


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("columns", [60, 80])
def test_help_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(typer.rich_utils, "MAX_WIDTH", None)
    code, out, _ = call(capsys, name, "--help")
    assert code == 0 and max(map(len, out.splitlines())) <= columns
    assert "--json" in out


def test_a_table_that_does_not_fit_is_said_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    head, row = ("name", "first", LONG_NAME), ("one", "0.5", "a-value")
    monkeypatch.setenv("COLUMNS", "60")
    lines = table(head, [row]).splitlines()
    assert max(map(len, lines)) <= 60
    said = "".join("".join(lines).split())
    assert said == "".join(f"one: first 0.5, {LONG_NAME} a-value".split())
    monkeypatch.setenv("COLUMNS", "120")
    assert [line.split() for line in table(head, [row]).splitlines()] == [list(head), list(row)]


def test_the_table_of_statements_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    head = ("statement", "in the paper", "literally", "corrected", "seconds")
    rows = [
        ("theorem-4-third-level", "Theorem 4, third level", "refuted", "holds", f"{k}.5")
        for k in (1, 200)
    ]
    for columns in (60, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = table(head, rows, numbers=("seconds",)).splitlines()
        assert max(map(len, lines)) <= columns
        assert "200.5" in lines[-1] or "200.5" in lines[-2]


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
def test_an_error_is_json_where_json_is_asked_for(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    words, code = REFUSED[name]
    if name == "install-ipopt":
        _no_compiler(monkeypatch)
    ended, out, err = call(capsys, *words, "--json")
    assert out.count("\n") == 1 and err.startswith(f"error ({code}): ")
    error = json.loads(out)["error"]
    assert error.keys() == {"code", "problem", "advice", "exit_code"}
    assert error["code"] == code and error["exit_code"] == ended > 1
    assert error["problem"].split()[0] in err
    plain, out, _ = call(capsys, *words)
    assert plain == ended and not out


def _no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    build = importlib.import_module("lexmargin.ipopt_build")
    monkeypatch.setattr(build, "_probed", lambda said, built: None)
    monkeypatch.setenv("CC", "no-such-compiler")


@pytest.mark.parametrize("name", RUNS)
def test_wrong_usage_is_json_too(capsys: pytest.CaptureFixture[str], name: str) -> None:
    ended, out, _ = call(capsys, name, "--no-such-option", "--json")
    assert ended == 2 and json.loads(out)["error"]["code"] == "usage"


def test_json_that_cannot_be_written_leaves_the_sentence() -> None:
    command = f'"{sys.executable}" -m lexmargin.cli.main show nope --json >/dev/full'
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error (unknown-name)") and done.stderr.count("\n") == 1


# -- Ctrl-C ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORK)
def test_an_interrupt_says_what_is_kept(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupts: None,
    name: str,
) -> None:
    place, kept = WORK[name]
    words = prepared(capsys, name)
    home, _, path = place.partition(":")
    owner: Any = importlib.import_module(home)
    *outer, attribute = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    monkeypatch.setattr(owner, attribute, _interrupted)
    code, out, err = call(capsys, *words)
    assert code == 130 and not out
    assert err.startswith("error (interrupted): Interrupted. ") and err.count("\n") == 1
    assert kept in err
    code, out, _ = call(capsys, *words, "--json")
    assert code == 130 and kept in json.loads(out)["error"]["advice"]


@pytest.mark.parametrize("reached", [0, 2])
def test_an_interrupted_path_keeps_its_points(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    interrupts: None,
    reached: int,
) -> None:
    follower = importlib.import_module("lexmargin.paths.follower").Follower
    point = follower.point
    seen: list[float] = []

    def at(self: Any, rho: float, best: Any) -> Any:
        if len(seen) == reached:
            signal.raise_signal(signal.SIGINT)
        seen.append(rho)
        return point(self, rho, best)

    monkeypatch.setattr(follower, "point", at)
    words = ("trace", "paths/l1-constrained-10", "--from", "1", "--to", "4", "--points", "3")
    code, out, err = call(capsys, *words, "--json")
    assert code == 3 and len(json.loads(out)) == reached
    assert f"Kept: {reached} of 3 points; it was interrupted" in err
    assert all(row["verdict"] == "GLOBAL" for row in json.loads(out))


def test_a_mistyped_command_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "slove", PROBLEM)
    assert code == 2 and "?." not in err and "Did you mean 'solve'? See: lexmargin --help." in err


def _interrupted(*_: Any, **__: Any) -> None:
    signal.raise_signal(signal.SIGINT)


def test_an_interrupted_comparison_without_a_folder_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, interrupts: None
) -> None:
    monkeypatch.setattr(importlib.import_module("lexmargin.compare"), "compare", _interrupted)
    assert "Nothing was kept; --out FOLDER keeps" in call(capsys, *COMPARE, "svc")[2]


def test_an_interrupted_comparison_counts_what_it_keeps(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupts: None,
) -> None:
    store = importlib.import_module("lexmargin.compare.store").Store
    put: Callable[..., None] = store.put

    def once(self: Any, answered: Any) -> None:
        if self.count():
            signal.raise_signal(signal.SIGINT)
        put(self, answered)

    monkeypatch.setattr(store, "put", once)
    code, _, err = call(capsys, *COMPARE, "svc,linear-svc", "--out", "results")
    assert code == 130 and "Kept: 1 units in results; the same command goes on" in err
    monkeypatch.setattr(store, "put", put)
    assert call(capsys, *COMPARE, "svc,linear-svc", "--out", "results")[0] == 0
    assert store(Path("results")).count() == 2


# -- colours ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", *RUNS])
def test_no_color_is_obeyed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(typer.rich_utils, "FORCE_TERMINAL", True)
    monkeypatch.setattr(typer.rich_utils, "COLOR_SYSTEM", "standard")
    monkeypatch.delenv("NO_COLOR", raising=False)
    words = [name] * bool(name)
    _, out, _ = call(capsys, *words, "--help")
    assert _colours(out), "the test would see none"
    monkeypatch.setenv("NO_COLOR", "1")
    _, out, _ = call(capsys, *words, "--help")
    assert not _colours(out)


def _colours(text: str) -> set[int]:
    codes = {int(n) for found in COLOUR.findall(text) for n in re.findall(r"\d+", found)}
    return {n for n in codes if 30 <= n <= 49 or 90 <= n <= 107}


@pytest.mark.parametrize("name", ["verify", "report", "compare", "doctor", "list"])
def test_results_have_no_escapes(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    _, out, _ = call(capsys, *prepared(capsys, name))
    assert out and "\x1b" not in out


# -- completion ------------------------------------------------------------------------------------

# The words before the cursor, and what may follow.
COMPLETED: dict[str, list[str]] = {
    "lexmargin des": ["descend"],
    "lexmargin solve relu/xor-w": ["relu/xor-width-3"],
    "lexmargin certify relu/xor-w": ["relu/xor-width-3"],
    "lexmargin solve relu/xor --solver ipopt-": ["ipopt-casadi", "ipopt-cvxpy", "ipopt-lbfgs"],
    "lexmargin trace x --grade h": ["high"],
    "lexmargin solve relu/xor --time": ["--time-limit"],
}
SHELLS = ("bash", "zsh", "fish")


@pytest.mark.parametrize("line", COMPLETED)
@pytest.mark.parametrize("shell", SHELLS)
def test_words_are_completed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, shell: str, line: str
) -> None:
    monkeypatch.setenv("_LEXMARGIN_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    code, out, _ = call(capsys)
    assert code == 0
    assert all(word in out for word in COMPLETED[line])
    others = {*Library().problems(), *Library().profiles(), "default"} - set(COMPLETED[line])
    assert not [word for word in others if f"\n{word}\n" in f"\n{out}"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_that_is_here_completes(tmp_path: Path, shell: str) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    command = tmp_path / "lexmargin"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lexmargin.cli.main "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    asked = {**environment, "_LEXMARGIN_COMPLETE": f"source_{shell}"}
    script = subprocess.run([command], env=asked, capture_output=True, text=True, check=True).stdout
    line = "lexmargin solve relu/xor-w"
    ask = {
        "bash": "COMP_WORDS=(lexmargin solve relu/xor-w); COMP_CWORD=2; "
        '_lexmargin_completion lexmargin; echo "${COMPREPLY[@]}"',
        "fish": f"complete --do-complete '{line}'",
        "zsh": "whence -w _lexmargin_completion",
    }[shell]
    done = subprocess.run(
        [found, "-c", f"{script}\n{ask}"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said = "function" if shell == "zsh" else "relu/xor-width-3"
    assert said in done.stdout
