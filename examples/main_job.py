"""The main job on real data: solve two max-margin problems and judge both answers.

(a) the linear hard margin on standardised breast_cancer, through CVXPY;
(b) a two-layer relu² network on wine, class 0 against the rest, through Pyomo and Ipopt.

Writes a margin figure (PNG, SVG) and a JSON result of each into ``out/``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import lexmargin as lm
from lexmargin.errors import MissingBackendError
from lexmargin.formulations import Formulation
from lexmargin.plots import margin_figure, save

JOBS = {
    "breast_cancer": ("real/breast_cancer", "clarabel", "Linear hard margin, breast_cancer"),
    "wine_relu2": ("real/wine-relu2", "ipopt", "Two-layer relu² network, wine"),
}


def say(line: str) -> None:
    """Tell a terminal what is going on."""
    if sys.stderr.isatty():
        print(f"… {line}", file=sys.stderr)


def _solved(problem: Formulation, solver: str) -> lm.Solution:
    """Solve with the named profile; Ipopt through CasADi alone where cyipopt was not built."""
    try:
        return lm.solve(problem, solver, starts=1, seed=0, progress=say)
    except MissingBackendError as error:
        print(f"{error}\nGoing on with ipopt-casadi: the same Ipopt through CasADi's plug-in.")
        return lm.solve(problem, "ipopt-casadi", starts=1, seed=0, progress=say)


def main() -> int:
    """Run both jobs; return 0 when both answers are certified."""
    out = Path("out")
    failures = 0
    for number, (name, (problem_name, solver, title)) in enumerate(JOBS.items(), start=1):
        print(f"[{number}/{len(JOBS)}] {title}", flush=True)
        began = time.monotonic()
        problem = lm.load(problem_name)
        print(f"\n{problem.program()}\nroute: {problem.explain()}\n", flush=True)
        solution = _solved(problem, solver)
        print(solution.report())
        if solution.judgement is None:
            failures += 1
            continue
        failures += not solution.certificate.certified
        out.mkdir(exist_ok=True)
        solution.save(out / f"{name}.json")
        paths = save(margin_figure(solution.margins, solution.certificate, title), out, name)
        written = ", ".join(str(path) for path in (*paths, out / f"{name}.json"))
        print(f"\nwrote {written} after {time.monotonic() - began:.1f} s\n", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
