"""The documentation site: built without a warning, asks nobody for anything, reads on a phone."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from screens import CHROMIUM, WIDTHS, Browser

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("sphinx", "furo", "myst_parser", "latex2mathml")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
PAGES = (
    "index.html",
    "quickstart.html",
    "certify.html",
    "choose.html",
    "conventions.html",
    "guides/index.html",
    "guides/researcher.html",
    "guides/engineer.html",
    "guides/sklearn.html",
    "guides/teacher.html",
    "keys.html",
    "extend/index.html",
    "extend/predictor.html",
    "extend/formulation.html",
    "extend/bound.html",
    "extend/profile.html",
    "extend/problem.html",
    "api.html",
    "gallery.html",
    "comparisons.html",
    "paper/paper.html",
    "paper/measured.html",
)


def make(out: Path, *options: str) -> Path:
    if MISSING:
        pytest.skip(f"the site needs {', '.join(MISSING)}: pip install 'lexmargin[docs]'")
    built = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "build.py"), "--out", str(out), *options],
        cwd=out,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return out / "html"


PAPER = """# The paper, measured

| statement | finding |
|---|---|
| [A statement](#a-statement-id) | holds |

<a id="a-statement-id"></a>

## A statement

$$
\\gamma^*(\\rho)\\le 1
$$

![A statement](figures/a.png)

Code: [`src/a.py`](index.html#code-a-statement-id); problems:
[`linear/l1-axes`](index.html#problem-linear/l1-axes), [`real/far`](index.html#problem-real/far).
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages, of the gallery one family, and a paper of one statement."""
    paper = tmp_path_factory.mktemp("paper")
    (paper / "figures").mkdir()
    shutil.copy(ROOT / "docs" / "compare-linear.png", paper / "figures" / "a.png")
    (paper / "paper.md").write_text(PAPER, encoding="utf-8")
    (paper / "index.html").write_text("<!doctype html><title>whole</title>", encoding="utf-8")
    out = tmp_path_factory.mktemp("site")
    return make(out, "--paper", str(paper), "--families", "linear")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything, with two statements of the paper measured."""
    paper = tmp_path_factory.mktemp("paper")
    only = ("--only", "bias-literal-square", "--only", "dead-neuron")
    subprocess.run(
        [
            *(sys.executable, "-c", "from lexmargin.cli.main import main; main()"),
            *("paper", "--quick", *only, "--out", str(paper)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return make(tmp_path_factory.mktemp("whole"), "--paper", str(paper))


LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)=["']([^"']+)"""
    r"""|<link\b[^>]*?\bhref=["']([^"']+)|url\(["']?([^"')]+)|@import\s+["']([^"']+)""",
    re.IGNORECASE,
)


def asked_elsewhere(text: str) -> list[str]:
    """What a page or a style sheet would load from another machine."""
    found = ["".join(groups) for groups in LOADS.findall(text)]
    return [name for name in found if re.match(r"(?:\w+:)?//", name)]


def test_every_page_is_there_and_asks_nobody(site: Path) -> None:
    for page in PAGES:
        assert (site / page).is_file(), page
    for file in (*site.rglob("*.html"), *site.rglob("*.css")):
        assert asked_elsewhere(file.read_text(encoding="utf-8")) == [], file.name


@pytest.mark.parametrize(
    "text",
    [
        '<script async src="https://cdn.example/mathjax.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        "@import 'https://fonts.example/css'",
        "background: url(http://example.org/a.png)",
    ],
)
def test_a_page_that_asks_is_noticed(text: str) -> None:
    assert len(asked_elsewhere(text)) == 1


def test_equations_are_mathematics(site: Path) -> None:
    """Written ones and those of docstrings, as MathML: no TeX is left over in the text."""
    for page in ("api.html", "certify.html", "choose.html", "conventions.html"):
        text = (site / page).read_text(encoding="utf-8")
        assert text.count("<math") > 5, page
        assert not re.search(r"\\(?:theta|lambda|gamma|frac|sum|le)\b|:math:", text), page
    reference = (site / "api.html").read_text(encoding="utf-8")
    hard_margin = reference[reference.index('id="lexmargin.HardMargin"') :][:6000]
    assert "<math" in hard_margin and "<mfrac>" in hard_margin and "<mo>&#x02207;" in reference


def test_wide_tables_become_cards(site: Path) -> None:
    """Of three columns and more, every cell but the first says which column it is in."""
    for file in site.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        for table in re.findall(r"<table[^>]*docutils.*?</table>", text, re.DOTALL):
            heads = len(re.findall(r"<th\b", table))
            cells = re.findall(r"<td\b[^>]*>", table)
            assert heads < 3 or all("data-label=" in cell for cell in cells), file.name
            assert heads < 3 or "cards" in table[:200], file.name


def test_nothing_names_a_folder_of_this_machine(site: Path) -> None:
    for file in (*site.rglob("*.html"), *site.rglob("*.svg")):
        text = file.read_text(encoding="utf-8")
        assert str(ROOT) not in text and str(Path.home()) + "/" not in text, file.name


def test_every_problem_of_a_family_has_a_picture(site: Path) -> None:
    shelf = sorted(path.stem for path in (ROOT / "problems" / "linear").glob("*.toml"))
    text = (site / "gallery.html").read_text(encoding="utf-8")
    for name in shelf:
        assert f"linear-{name}.svg" in text and f"linear/{name}" in text
    assert text.count('loading="lazy"') == len(shelf)


def test_the_measured_paper_is_a_page(site: Path) -> None:
    page = (site / "paper" / "paper.html").read_text(encoding="utf-8")
    assert page.count("<h1>The paper, measured") == 1 and 'href="measured.html"' in page
    assert (site / "paper" / "measured.html").is_file()
    target = re.search(r'href="#([\w-]+)">A statement', page)
    assert target and f'id="{target[1]}"' in page
    assert 'href="paper/paper.html"' in (site / "index.html").read_text(encoding="utf-8")
    # Problems of the gallery are linked there, the rest to the page to keep; equations are shown.
    assert 'href="../gallery.html#problem-linear-l1-axes"' in page
    assert 'href="measured.html#problem-real/far"' in page
    assert 'href="measured.html#code-a-statement-id"' in page
    assert "<math" in page and "index.html#" not in page.replace("../index.html#", "")


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """``docs/build.py`` as a module."""
    source = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    assert source is not None and source.loader is not None
    module = importlib.util.module_from_spec(source)
    # It names one thread and no window for its own process.
    for name, value in (("OMP_NUM_THREADS", "1"), ("MPLBACKEND", "Agg")):
        monkeypatch.setenv(name, value)
    source.loader.exec_module(module)
    return module


def test_without_the_command_there_is_no_paper(
    builder: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command, no page; a command that leaves no page is an error; a page is not made twice."""
    codes = iter((2, 0, 1))

    def run(words: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, next(codes))

    monkeypatch.setattr(builder, "ROOT", tmp_path)
    monkeypatch.setattr(builder.subprocess, "run", run)
    assert builder.measured("paper") is None
    with pytest.raises(SystemExit, match="without a page"):
        builder.measured("paper")
    there = tmp_path / "out" / "paper"
    there.mkdir(parents=True)
    (there / "paper.md").touch()
    assert builder.measured("paper") == there
    with pytest.raises(StopIteration):
        next(codes)


def test_links_into_the_checkout_are_named(builder: types.ModuleType) -> None:
    text = "[a](../benchmarks/a.py) [b](https://b.example) [c](#c) ![d](d.png)"
    wanted = "a (`../benchmarks/a.py`) [b](https://b.example) [c](#c) ![d](d.png)"
    assert builder.with_plain_links(text) == wanted


def test_formulas_of_docstrings() -> None:
    if MISSING:
        pytest.skip(f"the site needs {', '.join(MISSING)}: pip install 'lexmargin[docs]'")
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    try:
        formulas = importlib.import_module("formulas")
    finally:
        sys.path.pop(0)
    cases = {
        "``½‖w‖²``": r":math:`\tfrac{1}{2}\|w\|^{2}`",
        "`f_n(w) >= 1`": r":math:`f_{n}(w) \ge  1`",
        "``Σ_k γ^{2/α_k}``": r":math:`\sum _{k} \gamma ^{2/\alpha _{k}}`",
        "``γ*(1)``": r":math:`\gamma ^{*}(1)`",
        "`S_τ = {n : f_n}`": r":math:`S_{\tau } = \{n : f_{n}\}`",
        "``θ̂``": r":math:`\hat{\theta }`",
        "``(N, d)``": "``(N, d)``",
        "`one_class`": "``one_class``",
        '``"linear/*"``': '``"linear/*"``',
        ":class:`Dataset`": ":class:`Dataset`",
        "|gap| of `a|b`": r"\|gap\| of ``a|b``",
    }
    for text, wanted in cases.items():
        assert formulas.with_equations(text) == wanted


@pytest.mark.long
def test_pictures_are_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    """Drawn again, in another process, every picture is the same, bit for bit."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "gallery.py"), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first = whole.parent / "source" / "gallery"
    names = sorted(path.name for path in first.glob("*.svg"))
    shelf = sorted((ROOT / "problems").rglob("*.toml"))
    assert len(names) == len(shelf) + 1
    again = tmp_path / "gallery"
    assert [n for n in names if (first / n).read_bytes() != (again / n).read_bytes()] == []


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to open the site with")
def test_a_browser_finds_no_fault(whole: Path) -> None:
    """At every width, light and dark: no complaint, no request, no scroll, no cell lost."""
    with Browser() as browser:
        for page in PAGES:
            for width in WIDTHS:
                for dark in (False, True):
                    found = browser.look(whole / page, width, dark)
                    assert found.sound, f"{page} at {width}: {found}"
                assert found.cramped == (), f"{page} at {width}"
                assert found.hidden == () or width > 768, f"{page} at {width}"
            if page in ("api.html", "certify.html", "gallery.html"):
                assert browser.run("document.querySelectorAll('math').length") > 10, page


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to open the page with")
def test_the_browser_notices_a_fault(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        '<!doctype html><html><head><title>x</title></head><body style="width:3000px">'
        '<img src="https://example.invalid/a.png"><script>nothing_here()</script>'
        '<div style="overflow:auto;width:300px"><table id="t"><tr><td style="min-width:900px">a'
        '</td><td style="width:9px">a cell so narrow that nobody can read what it '
        "says in ten lines</td></table></div>"
        "</body></html>",
        encoding="utf-8",
    )
    with Browser() as browser:
        found = browser.look(page, 390)
    assert found.faults and found.requests and found.wide > found.window and not found.sound
    assert len(found.hidden) == 1 and len(found.cramped) == 1
