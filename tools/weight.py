"""What a plain install weighs: size and use of every package, and what is imported when.

``make weight`` makes an environment with nothing but the package, and writes the tables of
``docs/install.md`` anew.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "install.md"
ROUNDS = 3
SMALL = 1.0
"""Megabytes below which packages are added up."""

USES = {
    "casadi": "Ipopt, and derivatives of the problems it is given",
    "cloudpickle": "one's own models on their way to a process of their own",
    "clarabel": "cones; the convex subproblems of ReLU networks",
    "cvxpy": "convex problems, one's own among them; brings SCS and OSQP",
    "daqp": "quadratic programs of the active-set method",
    "highspy": "linear programs, levels, rows generated as they are needed",
    "lexmargin": "the toolkit, its problems and its profiles",
    "numpy": "arrays",
    "pyomo": "models of one's own; `.nl` files; the way to cyipopt and SCIP",
    "python-flint": "proofs in rationals and in balls",
    "rich": "tables and bars on a terminal",
    "scikit-learn": "the estimator's contract, the data sets it ships, SVC as a baseline",
    "scipy": "sparse rows, factorisations, minimisers",
    "typer": "the command line",
}

ACTIONS = {
    "`import lexmargin`": "import lexmargin",
    "`lexmargin list`": "from lexmargin.cli.main import main; main(['list'])",
    "`certify`": "import lexmargin as lm; lm.certify(lm.load('norms-two-points-l2'), [2.0, 1.0])",
    "`solve`, linear": "import lexmargin as lm; lm.solve('norms-two-points-l2')",
    "`solve`, network": "import lexmargin as lm; lm.solve('diagonal-2', starts=1)",
    "`solve`, Clarabel": "import lexmargin as lm; lm.solve('norms-two-points-l2', 'clarabel')",
    "estimator": "import lexmargin as lm; lm.MarginClassifier().fit([[1.0], [-1.0]], [1, -1])",
}


@dataclass(frozen=True)
class Package:
    """A distribution of the environment."""

    name: str
    version: str
    megabytes: float
    modules: frozenset[str]
    needs: frozenset[str]


def packages(python: str) -> dict[str, Package]:
    """Return what an environment holds, by canonical name, without its tools."""
    asked = "import sysconfig; print(sysconfig.get_path('platlib'))"
    folder = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
    found = {}
    for one in importlib.metadata.distributions(path=[folder.stdout.strip()]):
        files = [Path(str(one.locate_file(file))) for file in one.files or ()]
        size = sum(file.stat().st_size for file in files if file.is_file())
        wanted = [Requirement(line) for line in one.requires or ()]
        needs = {w.name for w in wanted if w.marker is None or w.marker.evaluate({"extra": ""})}
        roots = {file.parts[0].partition(".")[0] for file in one.files or ()}
        name = canonicalize_name(one.metadata["Name"])
        found[name] = Package(
            name,
            one.version,
            size / 1e6,
            frozenset(roots),
            frozenset(canonicalize_name(need) for need in needs),
        )
    return {name: p for name, p in found.items() if name not in ("pip", "setuptools", "wheel")}


def weights(known: Mapping[str, Package]) -> str:
    """Return the table of sizes: what is asked for, and what that asks for."""
    asked = {"lexmargin", *known["lexmargin"].needs}
    whole = sum(package.megabytes for package in known.values())
    lines = [
        f"{len(known)} packages, {whole:.0f} MB:",
        "",
        "| package | MB | asked for by | for |",
        "|---|---:|---|---|",
    ]
    small = []
    for package in sorted(known.values(), key=lambda p: -p.megabytes):
        by = sorted(p.name for p in known.values() if package.name in p.needs and p is not package)
        use = USES.get(package.name, "")
        if package.name not in asked and package.megabytes < SMALL:
            small.append(package)
            continue
        lines.append(
            f"| {package.name} {package.version} | {package.megabytes:.1f} | "
            f"{', '.join(by) or '–'} | {use} |"
        )
    rest = sum(package.megabytes for package in small)
    lines.append(f"| {len(small)} others, below {SMALL:.0f} MB each | {rest:.1f} | | |")
    return "\n".join(lines)


# Processor time, which other work on the machine does not lengthen, as `-X importtime` would.
PROBE = """
import collections, importlib.machinery, json, sys, time

spent, inside = collections.Counter(), []

class Loader:
    def __init__(self, loader, name):
        self.loader, self.root = loader, name.partition('.')[0]

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def timed(self, work, *given):
        inside.append(0.0)
        begun = time.process_time()
        try:
            return work(*given)
        finally:
            whole = time.process_time() - begun
            spent[self.root] += whole - inside.pop()
            if inside:
                inside[-1] += whole

    def create_module(self, spec):
        return self.timed(self.loader.create_module, spec)

    def exec_module(self, module):
        return self.timed(self.loader.exec_module, module)

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = Loader(spec.loader, name)
        return spec

sys.meta_path.insert(2, Finder)
try:
    exec(sys.argv[1])
except SystemExit:
    pass
print(json.dumps(spent), file=sys.stderr)
"""


def imported(python: str, code: str) -> dict[str, float]:
    """Return the milliseconds of processor that the modules of each package took."""
    done = subprocess.run([python, "-c", PROBE, code], capture_output=True, text=True, check=True)
    spent: dict[str, float] = json.loads(done.stderr.splitlines()[-1])
    return {module: 1000 * seconds for module, seconds in spent.items()}


def import_costs(python: str, known: Mapping[str, Package]) -> str:
    """Return the table of import times: a blank cell is a package that is not loaded."""
    homes = {module: p.name for p in known.values() for module in p.modules}
    columns: dict[str, dict[str, float]] = {}
    for action, code in ACTIONS.items():
        sums: list[dict[str, float]] = []
        for _ in range(ROUNDS):
            times: dict[str, float] = {}
            for module, spent in imported(python, code).items():
                home = homes.get(module, homes.get(module.lstrip("_"), "Python itself"))
                times[home] = times.get(home, 0.0) + spent
            sums.append(times)
        names = {name for times in sums for name in times}
        columns[action] = {name: min(times.get(name, 0.0) for times in sums) for name in names}
    rows = sorted(
        {name for column in columns.values() for name in column},
        key=lambda name: -max(column.get(name, 0.0) for column in columns.values()),
    )
    shown = [name for name in rows if any(column.get(name, 0) >= 5 for column in columns.values())]
    lines = ["| package | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name in shown:
        cells = (f"{c[name]:.0f}" if c.get(name, 0.0) >= 0.5 else "" for c in columns.values())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    totals = (f"{sum(column.values()):.0f}" for column in columns.values())
    lines.append(f"| all | {' | '.join(totals)} |")
    never = sorted(set(known["lexmargin"].needs) - set(rows))
    lines += ["", f"Loaded by none of these: {', '.join(never) or 'none'}."]
    return "\n".join(lines)


def written(page: str, name: str, table: str) -> str:
    """Return the page with one of its tables replaced."""
    begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{table}\n{end}{after}"


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description="Weigh a plain install.")
    parser.add_argument("python", help="the Python of an environment with nothing but lexmargin")
    python = parser.parse_args().python
    known = packages(python)
    missing = {"lexmargin", *known["lexmargin"].needs} - set(USES)
    if missing:
        sys.exit(f"weight: what are these for? {', '.join(sorted(missing))}")
    page = PAGE.read_text(encoding="utf-8")
    page = written(page, "weights", weights(known))
    page = written(page, "imports", import_costs(python, known))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
