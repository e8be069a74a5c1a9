"""What users come for, done from the docs alone, with the wheel, in an empty folder."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lexmargin as lm
from process_stubs import fresh

ROOT = Path(__file__).resolve().parent.parent
TRANSCRIPTS = Path(__file__).parent / "transcripts"
TASKS = {path.stem: path.with_suffix(".txt") for path in sorted(TRANSCRIPTS.glob("*.py"))}
OPTIONAL = {
    "pandas": r"import pandas|to_frame|as_frame",
    "nbclient": "from nbclient",
    "matplotlib": r"lexmargin\.plots",
}
"""What no plain install has, and how a transcript asks for it; this environment's is used."""

NUMBER = re.compile(r"-?\d+\.\d+")


def same(wanted: str, got: str) -> bool:
    """Compare words exactly, and numbers with a point within one and a half of their last digit."""
    texts = [[line.split() for line in text.splitlines() if line.strip()] for text in (wanted, got)]
    one, other = ("\n".join(" ".join(words) for words in text) for text in texts)
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(
        abs(float(a) - float(b)) <= 1.5 * 10.0 ** -len(a.partition(".")[2]) for a, b in pairs
    )


def source(task: str) -> str:
    return (TRANSCRIPTS / f"{task}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_done_with_the_wheel(task: str, installed: Path, tmp_path: Path) -> None:
    for package, asked in OPTIONAL.items():
        if re.search(asked, source(task)) and importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    done = fresh(
        TRANSCRIPTS / f"{task}.py", folder=tmp_path, changes={"PYTHONPATH": str(installed)}
    )
    assert done.returncode == 0, done.stderr
    wanted = TASKS[task].read_text(encoding="utf-8")
    assert same(wanted, done.stdout), f"this was printed\n{done.stdout}{done.stderr}"
    # Jupyter's kernel speaks of its sockets.
    assert [line for line in done.stderr.splitlines() if "[IPKernelApp]" not in line] == []


def test_there_are_twelve_tasks_and_each_prints_something() -> None:
    assert len(TASKS) == 12
    for path in TASKS.values():
        assert path.read_text(encoding="utf-8").strip(), path


@pytest.mark.parametrize(
    ("got", "right"),
    [
        ("a [ 0.50 GLOBAL]", True),
        ("a [ 0.51 GLOBAL]\n", True),
        ("a   [ 0.499999 GLOBAL]", True),
        ("a [ 0.52 GLOBAL]", False),
        ("a [ -0.50 GLOBAL]", False),
        ("a [ 0.50 KKT]", False),
        ("a [ 0.50 GLOBAL]\nb", False),
        ("a\n[ 0.50 GLOBAL]", False),
    ],
)
def test_a_wrong_word_or_a_wrong_number_is_noticed(got: str, right: bool) -> None:
    assert same("a [ 0.50 GLOBAL]\n", got) is right


# -- from the docs alone ---------------------------------------------------------------------------

RESULTS = (
    lm.Certificate, lm.Dataset, lm.HardMargin, lm.MarginClassifier, lm.Separation, lm.Solution,
    lm.Table, lm.TracedPath,
)  # fmt: skip
"""Classes of what users are handed."""


def ours() -> set[str]:
    """Names of what is public, and of what objects of it have."""
    fields = {name for cls in RESULTS for name in getattr(cls, "__dataclass_fields__", ())}
    found = {name for cls in RESULTS for name in dir(cls) if not name.startswith("_")}
    return {*lm.__all__, *fields, *found}


def used(task: str) -> Iterator[str]:
    """Yield the names of this toolkit that a transcript uses, keywords of its calls included."""
    known = ours()
    for node in ast.walk(ast.parse(source(task))):
        if isinstance(node, ast.Attribute) and node.attr in known:
            yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("lm."):
            yield from (keyword.arg for keyword in node.keywords if keyword.arg)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lexmargin"):
            yield from (alias.name for alias in node.names)


def told(pages: list[str]) -> set[str]:
    """Words of these pages; and those of the reference, where one of them is it."""
    text = "".join((ROOT / "docs" / f"{page}.md").read_text("utf-8") for page in pages)
    if "api" in pages:
        text += "".join(inspect.getdoc(getattr(lm, name)) or "" for name in lm.__all__)
    return set(re.findall(r"\w+", text))


def unheard(task: str) -> set[str]:
    """Names that a transcript uses and that none of its pages has."""
    head = re.search(r"^Pages: ([\w/, ]+)\.$", source(task), re.MULTILINE)
    assert head is not None, f"{task} does not say from which pages it is"
    return set(used(task)) - told(head[1].split(", "))


@pytest.mark.parametrize("task", TASKS)
def test_a_task_uses_what_its_pages_name(task: str) -> None:
    assert unheard(task) == set()


def test_what_no_page_names_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    task = "margins_plotted"
    text = source(task)
    for other in ("lm.Dataset.unheard", "lm.solve(0, unheard=1)", "lm.Log()"):
        monkeypatch.setattr(
            sys.modules[__name__], "source", lambda _, text=text, other=other: f"{text}\n{other}\n"
        )
        assert bool(unheard(task)) is (other != "lm.Dataset.unheard"), other
