"""The notebook of the examples runs in a real kernel, and shows bars, tables and figures."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples" / "notebook.ipynb"


def test_the_notebook_shows_progress_tables_and_figures(tmp_path: Path) -> None:
    book = nbformat.read(NOTEBOOK, as_version=4)
    # With the kernel of this very interpreter.
    NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    shown = [
        "".join(out.get("data", {}).get("text/html", "") for out in cell.outputs) for cell in cells
    ]
    _, solved, traced, compared, judged = shown
    # A bar that has been replaced is one output, and says in the end how far the work came.
    for html, said in ((solved, "starts"), (traced, "points 3 of 3"), (compared, "units ")):
        assert len(re.findall(r"ended after [\d.]+ s</div>", html)) == 1 and said in html
        assert "<progress" not in html and html.count("<table>") == 1
    assert solved.count("<svg") == 1 and traced.count("<svg") == 1 and "support (" in solved
    assert compared.count("<polyline") == 2
    assert not re.search(r"https?:|<script|<link|@import|url\(", "".join(shown))
    word = re.search(r"our verdict</td>|our verdict</th><td[^>]*>(\w+)", solved)
    assert word is not None
    printed = "".join(out.get("text", "") for out in cells[-1].outputs).split("\n")
    assert printed[:2] == [f"read from a file that says {word[1]}", word[1]]
    assert not any(out.output_type == "stream" and out.name == "stderr" for out in cells[0].outputs)
    assert judged == ""
