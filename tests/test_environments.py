"""The same bytes under other seeds of hashes, threads, locales, time zones, homes and paths."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from process_stubs import fresh

LONG = pytest.mark.long

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
COMMA = ("de_DE.utf8", "de_DE.UTF-8", "fr_FR.utf8", "fr_FR.UTF-8")

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "hash seed 0": {"PYTHONHASHSEED": "0"},
    "hash seed 1": {"PYTHONHASHSEED": "1"},
    "one thread": dict.fromkeys(THREADS, "1"),
    "two threads": dict.fromkeys(THREADS, "2"),
    "locale C": {"LC_ALL": "C", "LANG": "C"},
    "time zone": {"TZ": "Pacific/Kiritimati"},
    "no home": {"HOME": "/nonexistent", "XDG_CACHE_HOME": "", "MPLCONFIGDIR": ""},
    "home read-only": {"HOME": "/proc", "XDG_CACHE_HOME": "", "MPLCONFIGDIR": ""},
}

ANSWERS = """
import json, os, sys
from pathlib import Path
import lexmargin as lm
from lexmargin.compare import Serial, Store, compare
LOCALE = os.environ.get("COMMA")
if LOCALE:
    import locale
    locale.setlocale(locale.LC_ALL, LOCALE)
    assert locale.localeconv()["decimal_point"] == ","
found = {}
for name in sys.argv[1:]:
    problem = lm.load(name)
    solution = lm.solve(problem, starts=2, time_limit=None)
    answer = solution.to_json()
    for key in ("times", "phases"):
        answer.pop(key, None)
    found[name] = answer
Path("points.csv").write_text("x,z,y\\n1.5,0,1\\n0,2.25,1\\n-1,-1,-1\\n")
Path("own.toml").write_text(
    'title = "ö"\\nsource = "own"\\nformulation = "hard-margin"\\n[predictor]\\nkind = "linear"\\n'
    '[data]\\ncsv = "points.csv"\\nlabel = "y"\\n', encoding="utf-8"
)
own = lm.solve(lm.load("own.toml")).to_json()
own.pop("times")
found["own"] = own
print(json.dumps(found, sort_keys=True, default=str))
"""

QUICK = ["linear/norms-two-points-l1"]
MANY = [*QUICK, "linear/norms-two-points-l2", "networks/diagonal-2", "networks/diagonal-3", "xor"]


@functools.cache
def plain(problems: tuple[str, ...]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return answers(list(problems), Path(folder), {})


def answers(problems: list[str], folder: Path, changes: Mapping[str, str]) -> str:
    done = fresh(ANSWERS, *problems, folder=folder, changes=changes)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("name", ["hash seed 1"])
def test_the_environment_changes_nothing(tmp_path: Path, name: str) -> None:
    assert answers(QUICK, tmp_path, ENVIRONMENTS[name]) == plain(tuple(QUICK))


@LONG
@pytest.mark.parametrize("name", list(ENVIRONMENTS))
def test_no_environment_changes_anything(tmp_path: Path, name: str) -> None:
    assert answers(MANY, tmp_path, ENVIRONMENTS[name]) == plain(tuple(MANY))


def comma_locale(folder: Path) -> dict[str, str]:
    """Return the variables of a locale with a decimal comma: the system's, or one made here."""
    known = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout
    there = [name for name in COMMA if name in known.split()]
    if there:
        return {"LC_ALL": there[0], "COMMA": there[0]}
    made = folder / "locales" / "de_DE.UTF-8"
    made.parent.mkdir()
    words = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(made)]
    if shutil.which(words[0]) is None or subprocess.run(words, check=False).returncode > 1:
        return {}
    return {"LC_ALL": made.name, "COMMA": made.name, "LOCPATH": str(made.parent)}


@LONG
def test_a_comma_locale_changes_nothing(tmp_path: Path) -> None:
    changes = comma_locale(tmp_path)
    if not changes:
        pytest.skip("this system has no locale with a decimal comma and cannot make one")
    assert answers(MANY, tmp_path, changes) == plain(tuple(MANY))


@LONG
@pytest.mark.parametrize("problems", [QUICK, MANY], ids=["one", "many"])
def test_a_path_of_spaces_and_letters_of_all_kinds_changes_nothing(
    tmp_path: Path, problems: list[str]
) -> None:
    folder = tmp_path / "Größe und Maß, 空 間 'x' \"y\""
    folder.mkdir()
    changes = {"TMPDIR": str(folder), "HOME": str(folder)}
    assert answers(problems, folder, changes) == plain(tuple(problems))
    assert sys.getfilesystemencoding()
