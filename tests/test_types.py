"""Scripts of users pass a strict type checker: the calls of the docs, and arguments of any kind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from test_docs import PAGES, blocks

ARGUMENTS = re.compile(
    r"\[(arg-type|attr-defined|call-arg|call-overload|dict-item|index|list-item|operator|union-attr)\]$"
)
"""What a checker says of a call it refuses, and of an answer that is used as another one."""

CALLS = """
import numpy as np
import lexmargin as lm

def told(tick: lm.Tick) -> None:
    print(tick.part, tick.done, tick.total, tick.line)


X = np.array([[1, 2], [3, 4], [-1, -1]])
for data in (
    lm.Dataset(X, [1, 1, -1]),
    lm.Dataset([[1, 0.5], [2, 1], [-1, 0]], np.array([1, 1, -1])),
    lm.Dataset(np.asarray(X, dtype=np.float32), ["a", "a", "b"]),
):
    problem = lm.HardMargin(lm.Linear(), data, norm="inf")
    lm.Lexicographic(lm.Linear(), data, norm=1, levels=2)
    lm.HardMargin(lm.Network([3], lm.ReLU(power=2)), data)
    lm.WSet(lm.Sum([lm.Linear(), lm.Bias("two-squares")]), data)
    lm.ConstrainedPath(lm.Linear(), data, rho=10, loss="logistic")
    lm.RegularizationPath(lm.Linear(), data, strength=0.1, loss=lm.Loss.CROSS_ENTROPY)
    solution = lm.solve(problem, solver="auto", grade="high", seed=1, start=[1.0, 2.0])
    lm.solve(problem, start=solution, progress=True)
    print(solution.certificate.verdict, solution.certificate.multipliers.round(3))
    if solution.judgement is None:
        print(solution.unjudged)
    solution.save("a.json")
    lm.certify(problem, lm.Solution.load("a.json"))
    lm.certify(problem, solution.theta)
    lm.certify(problem, solution.direction)
    lm.certify_linear(X, [1, 1, -1], solution.direction, norm="inf")
    lm.trace(lm.MarginPath(lm.Linear(), data), np.array([1.0, 2.0]))
    path = lm.trace(lm.MarginPath(lm.Linear(), data), [1, 2, 3], progress=told)
    lm.TracedPath.from_json(path.to_json(), lm.MarginPath(lm.Linear(), data))
    lm.descend(lm.Linear(), data, steps=10, start=[0.1, 0.2])
    fitted = lm.MarginClassifier(formulation="hard-margin", norm="inf").fit(X, [1, 1, -1])
    print(fitted.certificate_.verdict.certified, fitted.solution_.certificate.report())
try:
    lm.solve("xor")
except lm.NotSeparableError as error:
    print(error.advice)
"""


def _refused(files: list[Path], folder: Path) -> list[str]:
    # CVXPY exports names by lists that a checker does not read.
    settings = folder / "mypy.ini"
    settings.write_text("[mypy]\n[mypy-cvxpy.*]\nfollow_imports = skip\n", encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", f"--config-file={settings}",
            "--ignore-missing-imports",
            "--no-error-summary", "--cache-dir", str(folder / "cache"), *map(str, files),
        ],
        capture_output=True,
        text=True,
        cwd=folder,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


def test_documented_calls_pass_a_strict_checker(tmp_path: Path) -> None:
    script = tmp_path / "calls.py"
    script.write_text(CALLS, encoding="utf-8")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(CALLS.replace('norm="inf"', 'norm="two"'), encoding="utf-8")
    pages = []
    for page in PAGES:
        body = "\n".join(b.body for b in blocks(page) if b.language == "python" and not b.needs)
        pages.append(tmp_path / f"page_{re.sub('[^a-z]', '_', page.lower())}.py")
        pages[-1].write_text(body, encoding="utf-8")
    for transcript in sorted((Path(__file__).parent / "transcripts").glob("*.py")):
        pages.append(tmp_path / f"page_{transcript.stem}_transcript.py")
        pages[-1].write_text(transcript.read_text(encoding="utf-8"), encoding="utf-8")
    said = _refused([script, wrong, *pages], tmp_path)
    assert [line for line in said if line.startswith("calls.py")] == []
    # The checker looks: a word that is none is refused wherever it stands.
    found = [line for line in said if line.startswith("wrong.py") and ARGUMENTS.search(line)]
    assert len(found) == CALLS.count('norm="inf"')
    refused = [line for line in said if line.startswith("page_") and ARGUMENTS.search(line)]
    assert refused == []
