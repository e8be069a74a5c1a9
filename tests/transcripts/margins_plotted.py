"""The margins of an answer as a figure, in files.

Pages: guides/teacher, quickstart.
"""

from pathlib import Path

import lexmargin as lm
from lexmargin.plots import margin_figure

data = lm.load_dataset("wine", positive=0, standardize=True)
answer = lm.solve(lm.HardMargin(lm.Linear(), data))
values = data.y * (data.X @ answer.direction)
figure = margin_figure(values, answer.certificate, "wine, class 0")
figure.savefig("margins.svg")
figure.savefig("margins.png")
print(answer.certificate.verdict, "in", len(figure.axes), "panels")
print(sorted(path.name for path in Path().iterdir()))
print(Path("margins.png").read_bytes()[1:4], "<svg" in Path("margins.svg").read_text("utf-8"))
