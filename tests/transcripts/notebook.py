"""A notebook with progress and HTML, run in a kernel.

Pages: quickstart, guides/teacher, guides/researcher.
"""

import re

import nbformat
from nbclient import NotebookClient

CELLS = (
    """
import lexmargin as lm
data = lm.load_dataset("iris", positive=0, standardize=True)
problem = lm.HardMargin(lm.Linear(), data)
problem
""",
    "lm.solve(problem, progress=True)",
    "lm.trace(lm.ConstrainedPath(lm.Linear(), data), [1, 10, 100], progress=True)",
)
book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
NotebookClient(book, timeout=300, kernel_name="python3").execute()
for cell in book.cells:
    html = "".join(out.get("data", {}).get("text/html", "") for out in cell.outputs)
    bars = len(re.findall(r"ended after [0-9.]+ s", html))
    print(html.count("<table>"), "table", html.count("<svg"), "figure", bars, "bar")
    print(*re.findall(r"points 3 of 3|GLOBAL|minimize", html)[:1])
print(any("https:" in str(cell.outputs) for cell in book.cells))
