"""Every code block of the README and of the site runs, and prints what the page says it prints."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import importlib.util
import io
import itertools
import re
import shlex
import sys
import tomllib
import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import lexmargin as lm
from lexmargin.cli import main as cli

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Pages that a program writes are tested where they are written.
MADE = {"benchmarks.md", "keys.md"}
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in (ROOT / "README.md", *DOCS.glob("*.md"), *DOCS.glob("*/*.md"))
    if page.name not in MADE
)
OPTIONAL = ("torch", "jax")
FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
CHECKER = doctest.OutputChecker()


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, the line it starts on."""

    page: str
    language: str
    body: str
    line: int

    @property
    def needs(self) -> str | None:
        """The optional package that the block imports, if any."""
        found = (m for m in OPTIONAL if re.search(rf"^\s*(import|from) {m}\b", self.body, re.M))
        return next(found, None)

    @property
    def file(self) -> str | None:
        """The file that the block is, where its first line says so."""
        named = re.match(r"# file: (\S+)\n", self.body)
        return named[1] if named else None


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, found["info"].strip(), found["body"], text[: found.start()].count("\n") + 2)
        for found in FENCE.finditer(text)
    ]


def same(wanted: str, got: str) -> bool:
    return CHECKER.check_output(wanted, got, FLAGS)


class Reader:
    """Runs the blocks of one page in order, in one namespace and one folder."""

    def __init__(self, page: str) -> None:
        self.page = page
        self.module = types.ModuleType(f"page_{Path(page).stem}")
        self.printed: str | None = None
        self.code = 0

    def run(self, block: Block) -> None:
        where = f"{block.page}:{block.line}"
        if block.file is not None:
            self.printed = None
            target = Path(block.file)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body, encoding="utf-8")
        elif block.language == "python":
            # Leading lines make a traceback name the line of the page.
            source = "\n" * (block.line - 1) + block.body
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(source, str(ROOT / block.page), "exec"), self.module.__dict__)
            self.printed = out.getvalue()
        elif block.language == "text":
            assert self.printed is not None, f"{where}: output without a block that prints it"
            assert same(block.body, self.printed), f"{where}: this was printed\n{self.printed}"
            self.printed = None
        elif block.language == "console":
            self.printed = None
            for command, wanted in commands(block.body):
                self.command(where, command, wanted)
            assert self.code == 0, f"{where}: the last command ended with {self.code}"
        else:
            assert block.language.startswith("{"), f"{where}: {block.language!r} is not run"

    def command(self, where: str, command: str, wanted: str) -> None:
        if command == "echo $?":
            assert wanted.strip() == str(self.code), f"{where}: exit code {self.code}"
            self.code = 0
            return
        assert self.code == 0, f"{where}: the command before {command!r} ended with {self.code}"
        name, *words = shlex.split(command)
        assert name == "lexmargin", f"{where}: {command!r} is not run"
        out = io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(io.StringIO()),
            pytest.raises(SystemExit) as ended,
        ):
            cli.main(words)
        self.code = int(ended.value.code or 0)
        assert same(wanted, out.getvalue()), f"{where}: {command!r} printed\n{out.getvalue()}"


def commands(body: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with the output shown below it."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, wanted = part.partition("\n")
        yield command.strip(), wanted


def read(page: str, chosen: list[Block], folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)
    reader = Reader(page)
    # Dataclasses look their annotations up in the module they say they belong to.
    patch.setitem(sys.modules, reader.module.__name__, reader.module)
    # As in a session, whose current folder is the first place that modules are found in.
    patch.setattr(sys, "path", ["", *sys.path])
    before = set(sys.modules)
    try:
        for block in chosen:
            reader.run(block)
    finally:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]


def without_optional(found: list[Block]) -> list[Block]:
    """The blocks up to the first that imports an optional package, output included."""
    first = next((i for i, block in enumerate(found) if block.needs), len(found))
    return found[:first]


@pytest.mark.parametrize("page", [p for p in PAGES if p != "README.md"])
def test_every_block_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(page, without_optional(blocks(page)), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("page", "module"),
    [(p, m) for p in PAGES for m in OPTIONAL if any(b.needs == m for b in blocks(p))],
)
def test_every_block_of_an_optional_package_runs(
    page: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{page}: {module} is not installed")
    found = blocks(page)
    starts = [i for i, block in enumerate(found) if block.needs] + [len(found)]
    parts = [found[a:b] for a, b in itertools.pairwise(starts)]
    wanted = [block for part in parts if part[0].needs == module for block in part]
    read(page, [*without_optional(found), *wanted], tmp_path, monkeypatch)


def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = blocks("README.md")
    assert {block.language for block in found} <= {"python", "sh"}
    read("README.md", [b for b in found if b.language == "python"], tmp_path, monkeypatch)


# What cannot be run inside a test: it makes environments.
SET_UP = ("conda create", "conda activate", "pip install")


def shell_lines() -> list[str]:
    """The commands of the README's shell blocks, without comments."""
    found = [b.body for b in blocks("README.md") if b.language == "sh"]
    lines = [line.split("  #")[0].strip() for body in found for line in body.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_the_readmes_shell_lines_are_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets exist in the Makefile; options exist in the command line's own help."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    monkeypatch.setenv("COLUMNS", "200")
    for line in shell_lines():
        words = shlex.split(line)
        if words[0] == "make":
            assert set(words[1:]) <= targets, line
        elif words[0] == "lexmargin":
            out = io.StringIO()
            with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
                cli.main([words[1], "--help"])
            assert not ended.value.code, line
            assert all(w in out.getvalue() for w in words if w.startswith("--")), line
        else:
            assert line.startswith(SET_UP), f"{line!r} is never run"


@pytest.mark.long
@pytest.mark.parametrize("line", [c for c in shell_lines() if c.startswith("lexmargin")])
def test_the_readmes_commands_run(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(shlex.split(line)[1:])
    assert not ended.value.code


def test_docstring_examples_run() -> None:
    """Any ``>>>`` in the package is a doctest, and passes."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        if re.search(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.MULTILINE):
            name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
            failed, tried = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
            assert tried and not failed, name


def test_the_reference_names_everything_public() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    named = re.findall(r"^\.\. auto(?:class|function|exception):: (\w+)$", text, re.MULTILINE)
    assert sorted(named) == sorted(lm.__all__)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """``docs/keys.py`` as a module."""
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("keys")


def test_every_key_of_every_file_has_its_line(keys: types.ModuleType) -> None:
    """The page is what the code reads; each file of the shelves uses keys that stand on it."""
    assert (DOCS / "keys.md").read_text(encoding="utf-8") == keys.page(), "python docs/keys.py"
    rows = [key for _, _, found in keys.tables() for key in found]
    named = {key.name for key in rows}
    assert {"members", "label", "outputs", "columns", "norm", "words"} <= named
    # Meanings of keys that are gone are noticed, as are keys without a meaning.
    assert {key.meaning for key in rows} == set(keys.MEANINGS.values())
    with pytest.raises(KeyError):
        keys._meaning(replace(keys.schema(lm.Linear)[0], name="unheard"), "linear")
    for path in sorted((ROOT / "problems").rglob("[!_]*.toml")):
        assert used(tomllib.loads(path.read_text(encoding="utf-8"))) <= named, path


def used(table: dict[str, Any]) -> set[str]:
    """The keys of a table and of the tables in it."""
    found = set(table)
    for value in table.values():
        for inner in value if isinstance(value, list) else [value]:
            found |= used(inner) if isinstance(inner, dict) else set()
    return found


def test_a_wrong_page_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader notices wrong output, a wrong exit code, an unknown language, a failing block."""
    good = Block("p", "python", "print(1 / 4)\n", 1)
    wrong: list[list[Block]] = [
        [good, Block("p", "text", "0.26\n", 4)],
        [Block("p", "text", "0.25\n", 1)],
        [Block("p", "console", "$ lexmargin show no-such-problem\n", 1)],
        [Block("p", "console", "$ lexmargin show linear/l1-axes\nAnother title\n", 1)],
        [Block("p", "console", "$ lexmargin show no-such-problem\n$ echo $?\n1\n", 1)],
        [Block("p", "console", "$ rm -r .\n", 1)],
        [Block("p", "bash", "true\n", 1)],
        [Block("p", "python", "assert False\n", 1)],
    ]
    for chosen in wrong:
        with pytest.raises(AssertionError):
            read("p", chosen, tmp_path, monkeypatch)
    read("p", [good, Block("p", "text", "0.2...\n", 4)], tmp_path, monkeypatch)
