"""Build the documentation site: ``make docs`` writes it to ``out/docs/html``.

Pages that are made and not written are staged beside the written ones: the gallery of
``problems/``, the measured statements (``lexmargin paper``, ``lexmargin optimizers``), the
comparison reports.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BOOKS = {"paper": "The paper, measured", "optimizers": "Optimizers and their margins"}

# One thread per process, as everywhere else here; no window.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MPLBACKEND"] = "Agg"

MADE = ("paper/paper", "optimizers/optimizers", "comparisons", "benchmarks")
COMPARISONS = {
    "compare-collection.html": "Every convex solver on the collection, raw and scaled",
    "compare-linear.html": "Nine solvers on the linear problems",
    "compare-networks.html": "Nonconvex solvers on the networks",
}


def say(text: str) -> None:
    print(f"docs: {text}", flush=True)


def measured(book: str) -> Path | None:
    """Return the folder of measured statements; measure them quickly where there is none yet."""
    folders = (ROOT / "docs" / book, ROOT / "out" / book)
    for folder in folders:
        if (folder / f"{book}.md").is_file():
            return folder
    lexmargin = [sys.executable, "-c", "from lexmargin.cli.main import main; main()"]
    asked = subprocess.run(
        [*lexmargin, book, "--help"], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    if asked.returncode:
        say(f"this lexmargin has no command `{book}`; the site is built without that page")
        return None
    out = folders[-1]
    say(f"measuring statements (lexmargin {book} --quick)")
    made = subprocess.run(
        [*lexmargin, book, "--quick", "--out", str(out)], stdin=subprocess.DEVNULL, check=False
    )
    if not (out / f"{book}.md").is_file():
        sys.exit(f"docs: `lexmargin {book} --quick` ended with {made.returncode}, without a page.")
    return out


def stage_book(source: Path, book: str, folder: Path) -> None:
    """Copy measured statements: their Markdown as a page, their own HTML page as it is."""
    unused = shutil.ignore_patterns("*.html", "*.pdf", "*.svg", "records")
    shutil.copytree(folder, source / book, ignore=unused)
    text = (folder / f"{book}.md").read_text(encoding="utf-8")
    title = re.search(r"^# .*$", text, re.MULTILINE)
    page = text[title.end() :] if title else text
    # Anchors in HTML are unknown to Sphinx's cross-references; its own targets are not.
    page = re.sub(r'^<a id="([\w.-]+)"></a>$', r"(\1)=", page, flags=re.MULTILINE)
    page = linked(page, (source / "gallery.md").read_text(encoding="utf-8"))
    whole = ""
    if (folder / "index.html").is_file():
        extra = source / "_extra" / book
        extra.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "index.html", extra / "measured.html")
        whole = '<a href="measured.html">The same as one page to keep</a>.\n'
    (source / book / f"{book}.md").write_text(
        f"# {BOOKS[book]}\n\n{whole}\n{page.lstrip()}", encoding="utf-8"
    )


def linked(page: str, gallery: str) -> str:
    """Send the links of the measured paper to the gallery, and to the one page to keep."""

    def there(link: re.Match[str]) -> str:
        label = link["anchor"].replace("/", "-")
        if f"({label})=" in gallery:
            return f"[`{link['text']}`](#{label})"
        return f'<a href="measured.html#{link["anchor"]}"><code>{link["text"]}</code></a>'

    return re.sub(r"\[`(?P<text>[^`]+)`\]\(index\.html#(?P<anchor>[^)]+)\)", there, page)


def stage_comparisons(source: Path) -> None:
    """Copy the reports of ``lexmargin compare`` and link those that are there."""
    there = {name: title for name, title in COMPARISONS.items() if (DOCS / name).is_file()}
    known = [*there, *sorted(p.name for p in DOCS.glob("compare-*.html") if p.name not in there)]
    if not known:
        return
    extra = source / "_extra" / "reports"
    extra.mkdir(parents=True)
    lines = ["# Comparisons of solvers", ""]
    lines += ["Reports of `lexmargin compare`, each one page that needs nothing else.", ""]
    for name in known:
        shutil.copy(DOCS / name, extra / name)
        lines += ["", f'<a href="reports/{name}">{COMPARISONS.get(name, name)}</a>', ""]
        citation = (DOCS / name).with_suffix(".cff")
        if citation.is_file():
            shutil.copy(citation, extra / citation.name)
            lines += [f'<a href="reports/{citation.name}">A file to cite it by</a>', ""]
        picture = (DOCS / name).with_suffix(".png")
        if picture.is_file():
            shutil.copy(picture, source / picture.name)
            lines.append(f"![{COMPARISONS.get(name, name)}]({picture.name})")
    (source / "comparisons.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def with_plain_links(text: str) -> str:
    """Name the files that a page of the checkout links to; the site does not hold them."""
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#)([^)\s]+)\)", r"\1 (`\2`)", text)


def stage(source: Path, families: Sequence[str]) -> None:
    """Put everything Sphinx reads into one folder."""
    shutil.rmtree(source, ignore_errors=True)
    skipped = shutil.ignore_patterns(
        "compare-*", *BOOKS, "__pycache__", "build.py", "gallery.py", "keys.py"
    )
    shutil.copytree(DOCS, source, ignore=skipped)
    sys.path.insert(0, str(DOCS))
    import gallery

    count = gallery.write(source, families)
    say(f"drew {count} problems")
    stage_comparisons(source)
    measured = source / "benchmarks.md"
    if measured.is_file():
        text = measured.read_text(encoding="utf-8")
        measured.write_text(with_plain_links(text), encoding="utf-8")


def stage_index(source: Path) -> None:
    """List in the table of contents those made pages that are there."""
    made = [name for name in MADE if (source / f"{name}.md").is_file()]
    if made:
        toctree = ["", "```{toctree}", ":hidden:", ":caption: Measured", "", *made, "```", ""]
        with (source / "index.md").open("a", encoding="utf-8") as index:
            index.write("\n".join(toctree))


def build(out: Path, families: Sequence[str], books: Mapping[str, Path]) -> int:
    """Build the site into ``out/html``, measured statements with it; warnings are errors."""
    from sphinx.cmd.build import main as sphinx

    source = out / "source"
    stage(source, families)
    for book, folder in books.items():
        stage_book(source, book, folder)
    stage_index(source)
    shutil.rmtree(out / "html", ignore_errors=True)
    flags = ["-W", "--keep-going", "-q", "-E", "-b", "html", "-d", str(out / "doctrees")]
    code: int = sphinx([*flags, str(source), str(out / "html")])
    if code == 0:
        say(f"the site is {out / 'html' / 'index.html'}")
    return code


def main() -> int:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "docs", help="where to")
    parser.add_argument("--families", nargs="*", default=(), help="only these of the gallery")
    for book in BOOKS:
        parser.add_argument(f"--{book}", type=Path, help=f"folder that `lexmargin {book}` wrote")
    parser.add_argument("--no-books", action="store_true", help="leave measured statements out")
    asked = parser.parse_args()
    given = {book: getattr(asked, book) for book in BOOKS}
    # One that is named stands alone: the others are not measured for it.
    if not asked.no_books and not any(given.values()):
        given = {book: measured(book) for book in BOOKS}
    books = {book: folder for book, folder in given.items() if folder is not None}
    return build(asked.out.resolve(), asked.families, books)


if __name__ == "__main__":
    sys.exit(main())
