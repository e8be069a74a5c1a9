"""Run a comparison, or read one back."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from lexmargin.compare.contender import Contender
from lexmargin.compare.executors import Executor, Processes
from lexmargin.compare.job_run import Answered
from lexmargin.compare.jobs import Limits, Unit
from lexmargin.compare.pages.table import Table, table_of
from lexmargin.compare.plan import Problem, Solver, plan
from lexmargin.compare.sources import Source, file_source, object_source
from lexmargin.compare.store import Memory, Results, Store
from lexmargin.errors import LexmarginError
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.expressions import Number
from lexmargin.inputs.kinds import checked
from lexmargin.inputs.progress import Part, Progress, Tick, telling
from lexmargin.shelf.collection import collection
from lexmargin.shelf.library import Library
from lexmargin.shelf.problems import AnswerSpec

__all__ = ["carry_out", "compare", "machine", "read_back"]


@checked
def compare(
    problems: Sequence[Problem] | Problem,
    solvers: Sequence[Solver] | Solver = ("all",),
    grades: Sequence[str] | str = ("default",),
    seeds: Sequence[int] | int = (0,),
    *,
    limits: Limits | None = None,
    scaled: bool | Sequence[bool] = False,
    executor: Executor | None = None,
    out: Path | str | None = None,
    library: Library | None = None,
    progress: Progress | bool | None = None,
) -> Table:
    """Run problems × entrants × grades × seeds and judge every answer.

    Args:
        problems: formulations, names, files, folders of files, or globs over names
            (``"linear/*"``); one of these, or a list. So are solvers, grades and seeds.
        solvers: profiles, globs, the groups "convex", "nonconvex", "baselines", "all", or models
            of one's own (:func:`~lexmargin.compare.contender.contender`).
        grades: "default", "low", "mid", "high".
        seeds: of every random choice.
        limits: seconds and MiB of each unit.
        scaled: let the toolkit measure margins in a power of two, as :func:`lexmargin.solve`
            does; by default solvers are shown the numbers as they are, and nothing is polished.
            ``(False, True)`` runs both, side by side.
        executor: where units run; two local processes by default.
        out: the folder of results; what is there already is not run again. None keeps them in
            memory alone.
        library: the shelves; the shipped one if None.
        progress: True for a bar; or a function that is called with a :class:`Tick` after each unit.

    Returns:
        One row per unit, in the order of the product.

    Raises:
        UnknownNameError, ParameterError, LibraryError: bad input; named before any work starts.
        UnsupportedError: an object that cannot be sent to another process.
        ResultsError: a folder that cannot be used or written.
    """
    shelves = library or Library()
    units = plan(
        shelves, _listed(problems), _listed(solvers), _listed(grades), _listed(seeds), limits,
        scaled=_listed(scaled),
    )  # fmt: skip
    chosen = executor or Processes(min(2, os.cpu_count() or 1))
    kept = Memory() if out is None else Store(Path(out))
    with telling(progress) as told:
        return carry_out(units, chosen, kept, shelves, told)


def _listed(given: Any) -> Sequence[Any]:
    alone = isinstance(given, (str, Path, Formulation, Contender)) or not isinstance(
        given, Sequence
    )
    return [given] if alone else given


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
    store.write_comparison([unit.key for unit in units], machine())
    names = {unit.key: str(unit) for unit in units}
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


def machine() -> dict[str, str]:
    """Return where this process runs: what times depend on, beside the versions."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": str(os.cpu_count() or 1),
        "python": platform.python_version(),
    }


def _processor() -> str:
    """Return the model of the processor, as far as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def read_back(store: Results, library: Library) -> Table:
    """Return the table of the latest comparison in a results folder.

    Raises:
        ResultsError: there is none, it is unfinished, or it is of another version.
    """
    keys, where = store.comparison()
    answers = [store.get(key) for key in keys]
    return table_of(answers, known_answers(answers, library), where)


def known_answers(answers: Sequence[Answered], library: Library) -> dict[str, AnswerSpec]:
    """Return what is known of the problems behind answers, as far as they are still the same."""
    digests = {a.result["unit"]["problem"]: a.result["unit"]["problem_digest"] for a in answers}
    found: dict[str, AnswerSpec] = {}
    for name, digest in digests.items():
        try:
            source, answer = _known(name, library)
        except LexmarginError:
            continue
        if answer is not None and source.digest == digest:
            found[name] = answer
    return found


def _known(name: str, library: Library) -> tuple[Source, AnswerSpec | None]:
    case = collection().get(name)
    if case is None:
        stated = library.problem(name)
        return file_source(name, stated), stated.answer
    margin = None if case.margin is None else Number(case.margin)
    answer = AnswerSpec(margin=margin, feasible=False if case.theta is None else None)
    return object_source(name, case.problem), answer
