"""lexmargin compare and report: rows on stdout, files on request, bad input named first."""

from __future__ import annotations

import csv
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from lexmargin.cli.main import main

TWO = ["--problems", "linear/norms-two-points-l2", "--solvers", "clarabel,osqp"]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def compare(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    return run(capsys, "compare", "--executor", "serial", *words)


def test_json_is_a_list_of_rows(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = compare(capsys, *TWO, "--grades", "low,high", "--json")
    rows: list[dict[str, Any]] = json.loads(out)
    assert code == 0 and len(rows) == 4
    assert {row["profile"] for row in rows} == {"clarabel", "osqp"}
    for row in rows:
        assert row["success"] and row["honesty"] == "true" and row["verdict"] == "GLOBAL"
        assert row["margin_gap"] == pytest.approx(0.0, abs=1e-2)
        assert row["ran"] == "FINISHED" and row["solve"] > 0 and row["peak_mebibytes"] > 0


def test_report_shows_again_what_compare_has_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _, first, _ = compare(capsys, *TWO, "--out", str(out), "--json")
    table, page = tmp_path / "rows.csv", tmp_path / "page.html"
    code, again, _ = run(
        capsys, "report", str(out), "--json", "--csv", str(table), "--html", str(page)
    )
    assert code == 0 and json.loads(again) == json.loads(first)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["profile"] for row in rows] == ["clarabel", "osqp"]
    assert "½" in page.read_text() or "‖" in page.read_text()
    _, text, _ = run(capsys, "report", str(out))
    assert "success" in text and "honesty" in text and "clarabel" in text


def test_raw_and_scaled_side_by_side_of_the_collection_with_a_file_to_cite(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cite = tmp_path / "cite.cff"
    words = ["--problems", "collection/iris-0-raw-free", "--solvers", "daqp,face", "--both"]
    code, out, _ = compare(capsys, *words, "--cite", str(cite), "--json")
    rows = json.loads(out)
    assert code == 0 and [row["scaled"] for row in rows] == [False, True] * 2
    assert [row["success"] for row in rows] == [True, True, False, False]
    assert all(row["failure"].startswith("does not handle it: The face") for row in rows[2:])
    assert cite.read_text().startswith("cff-version: 1.2.0\n") and "daqp" in cite.read_text()
    _, text, _ = compare(capsys, *words)
    assert "face does not handle it: The face method answers lexicographic" in text
    assert "default, scaled" in text and "not meant" in text


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


BAD = {
    "unknown profile": (["--problems", "xor", "--solvers", "clarabell"], "clarabel"),
    "unknown problem": (["--problems", "linear/norms-two-point-l2"], "norms-two-points-l2"),
    "empty glob": (["--problems", "lineer/*"], "matches"),
    "empty solver glob": (["--problems", "xor", "--solvers", "zz*"], "matches"),
    "time limit 0": ([*TWO, "--time-limit", "0"], "time limit"),
    "time limit nan": ([*TWO, "--time-limit", "nan"], "time limit"),
    "memory limit": ([*TWO, "--memory-limit", "0"], "memory limit"),
    "seed": ([*TWO, "--seeds", "one"], "seeds"),
    "negative seed": ([*TWO, "--seeds", "-1"], "seed"),
    "no seed": ([*TWO, "--seeds", ","], "seeds"),
    "grade": ([*TWO, "--grades", "hihg"], "high"),
    "executor": ([*TWO, "--executor", "dusk"], "dask"),
    "scheduler without dask": ([*TWO, "--scheduler", "tcp://127.0.0.1:1"], "dask"),
    "page nowhere": ([*TWO, "--html", "/no/such/folder/page.html"], "folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_before_any_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    words, said = BAD[name]
    code, out, err = compare(capsys, *words, "--out", str(tmp_path / "out"))
    assert code == 2 and out == "" and said in err and "Traceback" not in err
    assert not (tmp_path / "out").exists()


@pytest.mark.backend("distributed")
@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_does_not_answer_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lexmargin.compare.executors import DaskCluster

    monkeypatch.setattr(DaskCluster, "check", patient(1.0))
    code, _, err = run(
        capsys,
        *["compare", *TWO, "--executor", "dask"],
        *["--scheduler", f"tcp://127.0.0.1:{free_port()}", "--out", str(tmp_path / "out")],
    )
    assert code == 3 and "scheduler" in err and "answers" in err
    assert not list((tmp_path / "out").glob("results/*"))


def patient(seconds: float) -> Any:
    """The check with another patience: what is tested is the sentence, not the wait."""
    from dataclasses import replace

    from lexmargin.compare.executors import DaskCluster

    check = DaskCluster.check
    return lambda self: check(replace(self, timeout=seconds))


@pytest.mark.parametrize("marked", [True, False])
def test_a_folder_of_something_else_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, marked: bool
) -> None:
    text = json.dumps({"kind": "lexmargin comparison", "format": 0})
    (tmp_path / ("format.json" if marked else "notes.txt")).write_text(text)
    code, _, err = compare(capsys, *TWO, "--out", str(tmp_path))
    assert code == 2 and "results" in err
    code, _, err = run(capsys, "report", str(tmp_path))
    assert code == 2 and "results" in err


def test_a_library_adds_problems_and_profiles(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from lexmargin.shelf.library import shipped_shelf

    shelf = shipped_shelf()
    (tmp_path / "solvers").mkdir()
    text = (shelf / "solvers" / "osqp.toml").read_text()
    (tmp_path / "solvers" / "mine.toml").write_text(text)
    words = ["--problems", TWO[1], "--solvers", "mine", "--library", str(tmp_path), "--json"]
    code, out, _ = compare(capsys, *words)
    assert code == 0 and json.loads(out)[0]["success"]
