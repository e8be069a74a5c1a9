"""What the command line writes: nothing that a terminal obeys, and a word where it cannot write."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.cli.main import main
from lexmargin.cli.output import printable
from lexmargin.errors import LexmarginError, clipped, nearest, shown

GOOD = "linear/norms-two-points-l2"
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\r\x08\x7f"


def call(capsys: pytest.CaptureFixture[str], words: list[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def harmless(text: str) -> bool:
    kinds = {unicodedata.category(c) for c in text.replace("\n", "").replace("\t", "")}
    return not kinds & {"Cc", "Cs", "Zl", "Zp"} and "\u202e" not in text


def problem(title: str = "t", extra: str = "") -> str:
    return (
        f'title = "{title}"\nsource = "s"\nformulation = "hard-margin"\n{extra}\n'
        '[predictor]\nkind = "linear"\n[data]\nX = [[1, 0], [0, 2]]\ny = [1, 1]\n'
    )


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" for c in text)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    found = printable(text)
    assert harmless(found) and printable(found) == found
    assert json.loads(printable(json.dumps([text], ensure_ascii=False))) == [text]
    plain = "".join(c for c in text if c in "\n\t" or unicodedata.category(c)[0] in "LNPS")
    assert printable(plain) == plain


def test_a_title_is_shown_and_never_sent(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shelf = tmp_path / "shelf" / "problems"
    shelf.mkdir(parents=True)
    (shelf / "evil.toml").write_text(problem(escaped(EVIL) + "\\nverdict GLOBAL"))
    (tmp_path / "key.toml").write_text(problem(extra=f'"{escaped(EVIL)}" = 1'))
    (tmp_path / "evil.csv").write_text(f"{EVIL[:8]},y\n1,1\nx,0\n")
    (tmp_path / "csv.toml").write_text(
        problem().split("X =")[0].replace("[data]", '[data]\ncsv = "evil.csv"')
    )
    for words in (
        ["list", "--library", "shelf"],
        ["list", "--library", "shelf", "--json"],
        ["show", "evil", "--library", "shelf"],
        ["show", "evil", "--library", "shelf", "--json"],
        ["solve", "key.toml"],
        ["solve", "csv.toml"],
        ["solve", EVIL],
        ["solve", GOOD, "--solver", EVIL],
        ["solve", GOOD, f"--{EVIL}"],
        ["verify", EVIL],
    ):
        _, out, err = call(capsys, words)
        assert out or err, words
        assert harmless(out) and harmless(err), words
        assert not any(line.startswith("verdict") for line in out.splitlines()), words
        if words[-1] == "--json":
            # JSON says the same as ever, written otherwise.
            answer = json.loads(out)
            listed = answer.get("problems", [answer])
            assert any(entry["title"].startswith(EVIL) for entry in listed), words


@pytest.mark.parametrize(
    "text",
    [
        problem(extra=f"{'k' * 20_000} = 1"),
        problem(extra=f'norm = "{"9+" * 10_000}9"'),
        problem(extra=f'loss = "{"x" * 20_000}"'),
        problem().replace('"linear"', f'"{"l" * 20_000}"'),
        "x" * 20_000,
        f'a = "{"b" * 20_000}',
        f"a = {'9' * 20_000}",
    ],
)
def test_errors_do_not_repeat_the_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    file = tmp_path / "long.toml"
    file.write_text(text)
    code, out, err = call(capsys, ["show", str(file)])
    assert code == 2 and not out
    assert err.startswith("error (") and "internal" not in err and len(err) < 1200, err[:300]


def test_messages_are_short_whatever_is_in_them() -> None:
    assert len(clipped("a" * 10_000)) < 510 and clipped("abc") == "abc"
    assert clipped("ab" * 300, 10) == "ababa … babab"
    assert len(str(LexmarginError("a" * 10_000, "b" * 10_000))) < 1020
    for value in (10**6000, "a" * 10_000, list(range(10_000)), {1: {2: {3: {4: {5: {6: {}}}}}}}):
        assert len(shown(value)) < 220
    assert "'abcd'" in nearest("abcx" + "y" * 0, ["abcd", "q" * 100_000])
    assert len(nearest("a" * 10_000, [f"{k}" * 50 for k in range(40_000)])) > 0


@pytest.mark.parametrize(
    ("words", "stream", "code", "said"),
    [
        (["certify", GOOD, "--json"], ">&-", 2, "error (output): Standard output cannot"),
        (["certify", GOOD], ">/dev/full", 2, "error (output): Standard output cannot"),
        (["--help"], ">/dev/full", 2, "error (output): Standard output cannot"),
        (["certify", GOOD, "--json"], ">/dev/null 2>&- <&-", 0, ""),
        (["certify", "nope"], ">&- 2>/dev/full", 2, ""),
    ],
)
def test_streams_that_are_closed_or_full_are_named(
    words: list[str], stream: str, code: int, said: str
) -> None:
    command = f'"{sys.executable}" -m lexmargin.cli.main {" ".join(words)} {stream}'
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(said) and done.stderr.count("\n") == bool(said), done.stderr


def test_a_receipt_is_not_written_into_a_closed_stdout(tmp_path: Path) -> None:
    """The first file opened would get the number 1, and results would go into it."""
    receipt = tmp_path / "receipt.json"
    command = f'"{sys.executable}" -m lexmargin.cli.main certify {GOOD} --receipt "{receipt}" >&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert json.loads(receipt.read_bytes())["claims"]["verdict"] == "GLOBAL"


def test_every_line_goes_through_the_one_place() -> None:
    import lexmargin

    files = [f for f in Path(lexmargin.__file__).parent.glob("cli/*.py") if f.name != "output.py"]
    assert files
    for file in files:
        text = file.read_text("utf-8")
        assert "typer.echo" not in text and "print(" not in text, file.name
