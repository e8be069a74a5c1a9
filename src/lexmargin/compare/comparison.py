"""Run a comparison, or read one back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from lexmargin.compare.executors import Executor, Processes
from lexmargin.compare.job_run import Answered
from lexmargin.compare.jobs import Limits, Unit, problem_digest
from lexmargin.compare.pages.table import Table, table_of
from lexmargin.compare.plan import plan
from lexmargin.compare.store import Memory, Results, Store
from lexmargin.errors import LexmarginError
from lexmargin.inputs.kinds import checked
from lexmargin.inputs.progress import Part, Progress, Tick, telling
from lexmargin.separation.gordan import separability_of_rows
from lexmargin.shelf.build import build
from lexmargin.shelf.library import Library
from lexmargin.shelf.problems import ProblemFile

__all__ = ["carry_out", "compare", "read_back"]


@checked
def compare(
    problems: Sequence[str] | str,
    solvers: Sequence[str] | str = ("all",),
    grades: Sequence[str] | str = ("default",),
    seeds: Sequence[int] | int = (0,),
    *,
    limits: Limits | None = None,
    scaled: bool = False,
    executor: Executor | None = None,
    out: Path | str | None = None,
    library: Library | None = None,
    progress: Progress | bool | None = None,
) -> Table:
    """Run problems × solver profiles × grades × seeds and judge every answer.

    Args:
        problems: names, files, or globs over names (``"linear/*"``); one of these, or a list. So
            are solvers, grades and seeds.
        solvers: profiles, globs, or the groups "convex", "nonconvex", "baselines", "all".
        grades: "default", "low", "mid", "high".
        seeds: of every random choice.
        limits: seconds and MiB of each unit.
        scaled: let the toolkit measure margins in a power of two, as :func:`lexmargin.solve`
            does; by default solvers are shown the numbers as they are, and nothing is polished.
        executor: where units run; two local processes by default.
        out: the folder of results; what is there already is not run again. None keeps them in
            memory alone.
        library: the shelves; the shipped one if None.
        progress: True for a bar; or a function that is called with a :class:`Tick` after each unit.

    Returns:
        One row per unit, in the order of the product.

    Raises:
        UnknownNameError, ParameterError, LibraryError: bad input; named before any work starts.
        ResultsError: a folder that cannot be used or written.
    """
    shelves = library or Library()
    units = plan(
        shelves, _listed(problems), _listed(solvers), _listed(grades),
        [seeds] if isinstance(seeds, int) else seeds, limits, scaled=scaled,
    )  # fmt: skip
    chosen = executor or Processes(min(2, os.cpu_count() or 1))
    kept = Memory() if out is None else Store(Path(out))
    with telling(progress) as told:
        return carry_out(units, chosen, kept, shelves, told)


def _listed(words: Sequence[str] | str) -> Sequence[str]:
    return [words] if isinstance(words, str) else words


def carry_out(
    units: Sequence[Unit],
    chosen: Executor,
    store: Results,
    library: Library,
    progress: Progress | None = None,
) -> Table:
    """Run what is not in the store yet, write each answer as it comes, return the whole table."""
    store.prepare()
    left = [unit for unit in units if not store.has(unit.key)]
    if left:
        chosen.check()
    store.write_comparison([unit.key for unit in units])
    names = {unit.key: f"{unit.problem} {unit.profile} {unit.grade.name}" for unit in units}
    done = len(units) - len(left)
    if left:
        # Closed at once, also by an error here: an executor ends its workers when it is closed.
        with closing(chosen.run(left)) as answers:  # type: ignore[type-var]
            for answered in answers:
                store.put(answered)
                done += 1
                if progress is not None:
                    progress(Tick(Part.UNITS, done, len(units), names[answered.key]))
    return read_back(store, library)


def read_back(store: Results, library: Library) -> Table:
    """Return the table of the latest comparison in a results folder.

    Raises:
        ResultsError: there is none, it is unfinished, or it is of another version.
    """
    answers = [store.get(key) for key in store.comparison()]
    problems = stated_problems(answers, library)
    proofs = _proofs(answers, problems)
    return table_of(answers, problems, proofs)


def stated_problems(answers: Sequence[Answered], library: Library) -> dict[str, ProblemFile]:
    """Return the problem files behind answers, as far as they are still the same."""
    found: dict[str, ProblemFile] = {}
    for answered in answers:
        unit = answered.result["unit"]
        name = unit["problem"]
        if name in found:
            continue
        try:
            stated = library.problem(name)
            same = problem_digest(stated) == unit["problem_digest"]
        except LexmarginError:
            continue
        if same:
            found[name] = stated
    return found


def _proofs(answers: Sequence[Answered], problems: Mapping[str, ProblemFile]) -> dict[str, bool]:
    """Return the exact verdict on separability where somebody claims infeasibility."""
    disputed = {a.result["unit"]["problem"] for a in answers if a.result["claim"] == "INFEASIBLE"}
    proofs: dict[str, bool] = {}
    for name in sorted(disputed & set(problems)):
        functions = build(problems[name]).functions
        linear = functions.linear
        if linear:
            rows = functions.jacobian(np.zeros(functions.size))
            proofs[name] = separability_of_rows(rows).separable
    return proofs
