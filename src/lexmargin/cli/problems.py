"""The commands list, show, solve, certify, verify; everything heavy is imported when they run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lexmargin.cli.options import (
    UNKEPT,
    Grade,
    Json,
    Problem,
    Seed,
    Shelves,
    Solver,
    TimeLimit,
    library_of,
)
from lexmargin.cli.output import emit, kept_so_far, printed, say
from lexmargin.errors import ExitCode, ParameterError

if TYPE_CHECKING:
    from lexmargin.solution import Solution

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Add list, show, solve, certify and verify to the command line."""
    app.command("list")(list_shelves)
    for command in (show, solve, certify, verify):
        app.command()(command)


@contextlib.contextmanager
def _printing_to_stderr(verbose: bool) -> Iterator[None]:
    """Send to stderr what a talking solver prints, from Python or from C: stdout is for results."""
    if not verbose:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        # C libraries keep a buffer of their own for descriptor 1.
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


def list_shelves(library: Shelves = None, as_json: Json = False) -> None:
    """List the problems and solver profiles on the shelves."""
    shelves = library_of(library)
    problems = shelves.titles()
    profiles = {name: shelves.profile(name) for name in shelves.profiles()}
    if as_json:
        listed = [{"name": name, "title": title} for name, title in problems.items()]
        solvers = [
            {"name": name, "backend": p.backend.value, "solver": p.solver, "finds": p.finds.value}
            for name, p in profiles.items()
        ]
        emit({"problems": listed, "solvers": solvers})
        return
    width = max((len(name) for name in (*problems, *profiles)), default=0)
    lines = ["problems"]
    lines += [f"  {name:<{width}}  {' '.join(title.split())}" for name, title in problems.items()]
    lines.append("solvers")
    for name, p in profiles.items():
        handled = ", ".join(sorted(h.value for h in p.handles))
        lines.append(f"  {name:<{width}}  {p.solver} through {p.backend.value} ({handled})")
    say("\n".join(lines))


def show(problem: Problem, library: Shelves = None, as_json: Json = False) -> None:
    """Show a problem as mathematics, its source, and which route solves it."""
    from lexmargin.inputs.codec import fields_written
    from lexmargin.shelf.build import build

    found = library_of(library).problem(problem)
    stated = build(found)
    answer = {} if found.answer is None else fields_written(found.answer, exact=False)
    if as_json:
        emit(
            {
                "problem": stated.word,
                "title": found.title,
                "source": found.source,
                "mathematics": str(stated.program()),
                "route": stated.explain(),
                "samples": stated.data.n_samples,
                "features": stated.data.n_features,
                "answer": answer,
            }
        )
        return
    say(" ".join(found.title.split()))
    if found.source:
        say(f"source: {found.source}")
    say(f"\n{stated.program()}\n")
    say(f"data: {stated.data.n_samples} samples, {stated.data.n_features} features")
    say(f"route: {stated.explain()}")
    for name, value in answer.items():
        say(f"known {name}: {value}")


def solve(
    problem: Problem,
    solver: Solver = "auto",
    grade: Grade = "default",
    starts: Annotated[
        int | None, typer.Option(help="Starts of a nonconvex problem; 12 for small ones.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Starts at a time, each in its process.")] = 1,
    seed: Seed = 0,
    time_limit: TimeLimit = None,
    polish: Annotated[bool, typer.Option(help="Newton steps on the KKT system.")] = True,
    verbose: Annotated[bool, typer.Option(help="Let the solver print (to stderr).")] = False,
    library: Shelves = None,
    as_json: Json = False,
) -> None:
    """Solve a problem and judge the answer."""
    from lexmargin.errors import NotSeparableError
    from lexmargin.shelf.build import build
    from lexmargin.shelf.expected_negative import (
        gordan_report,
        reproduced_error,
        reproduced_negative,
    )
    from lexmargin.solve import solve as run

    shelves = library_of(library)
    found = shelves.problem(problem)
    stated = build(found)
    try:
        with _printing_to_stderr(verbose), kept_so_far(lambda: UNKEPT):
            solution = run(
                stated,
                solver,
                grade,
                starts=starts,
                seed=seed,
                time_limit=time_limit,
                library=shelves,
                polish=polish,
                workers=workers,
                verbose=verbose,
                progress=not verbose,
            )
    except NotSeparableError as error:
        said = reproduced_error(found, error)
        if said is None:
            raise
        answer, text = gordan_report(error, said)
        if as_json:
            emit(answer)
        else:
            say(text)
        raise typer.Exit(ExitCode.CERTIFIED) from error
    solution = solution.named(found.name)
    said = reproduced_negative(found, stated, solution)
    if as_json:
        found = printed(solution.to_json())
        emit(found if said is None else {**found, "reproduced": said})
    else:
        say(solution.report() if said is None else f"{solution.report()}\n\n{said}")
    raise typer.Exit(_exit_code(solution) if said is None else ExitCode.CERTIFIED)


def _exit_code(solution: Solution) -> ExitCode:
    """0 certified, 1 a negative verdict, 3 nothing to judge, or a run that did not end."""
    from lexmargin.solution import Ran

    if solution.judgement is not None and solution.judgement.certified:
        return ExitCode.CERTIFIED
    judged = solution.judgement is not None and solution.ran is Ran.FINISHED
    return ExitCode.NEGATIVE if judged else ExitCode.SOLVER


def certify(
    problem: Problem,
    theta: Annotated[
        Path | None,
        typer.Option(help="NPZ with block_0, block_1, …; the problem's stored answer if left out."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="State dict of a trained network: safetensors, or NPZ by name."),
    ] = None,
    grade: Grade = "default",
    receipt: Annotated[
        Path | None, typer.Option(help="Write a receipt that `verify` can check again.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Prove it in rational or interval arithmetic.")
    ] = False,
    library: Shelves = None,
    as_json: Json = False,
) -> None:
    """Judge a direction without any solver."""
    from lexmargin.data.state_files import read_blocks
    from lexmargin.judge import Tolerances
    from lexmargin.judge import certify as judge
    from lexmargin.shelf.build import build, stored_theta
    from lexmargin.shelf.library import grade as named_grade

    found = library_of(library).problem(problem)
    stated = build(found)
    if weights is not None and theta is not None:
        raise ParameterError("Both --theta and --weights name a point.", "Give one of them.")
    if weights is not None:
        from lexmargin.judge.trained.network_state import network_weights

        point: Any = network_weights(stated, weights)
    else:
        point = stored_theta(found, stated) if theta is None else read_blocks(theta)
    certificate = judge(stated, point, tolerances=Tolerances.at(named_grade(grade).verified))
    proof = None
    if exact:
        from lexmargin.judge.prove import prove

        proof = prove(stated, point)
    if receipt is not None:
        from lexmargin.judge.receipts.receipt import receipt as written
        from lexmargin.judge.receipts.receipt import write_receipt

        write_receipt(written(stated, point, certificate), receipt)
    if as_json:
        extra = {} if proof is None else {"exact": proof.to_json()}
        emit({**certificate.to_json(), **extra})
    else:
        say(certificate.report())
        if proof is not None:
            say(proof.report())
    good = certificate.certified and (proof is None or proof.proved)
    raise typer.Exit(ExitCode.CERTIFIED if good else ExitCode.NEGATIVE)


def verify(
    receipt: Annotated[Path, typer.Argument(help="A receipt written by `certify --receipt`.")],
    data: Annotated[
        Path | None, typer.Option(help="CSV or NPZ with the samples, if not in the receipt.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a receipt again, with NumPy and python-flint only."""
    from lexmargin.data.dataset import load_csv, load_npz
    from lexmargin.judge.receipts.verify import verify_file

    samples = None
    if data is not None:
        read = load_npz if data.suffix == ".npz" else load_csv
        samples = read(data, one_class=True)
    found = verify_file(receipt, samples)
    if as_json:
        emit(found.to_json())
    else:
        say(found.report())
    raise typer.Exit(ExitCode.CERTIFIED if found.verdict.certified else ExitCode.NEGATIVE)
