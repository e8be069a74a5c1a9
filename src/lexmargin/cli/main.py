"""The command line: list, show, solve, certify, verify, separability, doctor (design.md §7).

Results go to stdout, progress to stderr and only on a terminal. Exit codes: 0 answered and
certified, 1 answered and the verdict is negative, 2 bad input or usage, 3 the solver is missing,
failed or ran out of time.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lexmargin.cli.compare import add_commands
from lexmargin.cli.options import Json, Problem, Seed, Shelves, library_of
from lexmargin.cli.output import emit, note, prepare_streams, say, silence
from lexmargin.cli.paper import add_commands as add_paper_command
from lexmargin.cli.paths import add_commands as add_path_commands
from lexmargin.cli.separability import add_commands as add_data_commands
from lexmargin.errors import ExitCode, LexmarginError, ParameterError, clipped

if TYPE_CHECKING:
    from lexmargin.solution import Solution

__all__ = ["app", "main"]

app = typer.Typer(
    name="lexmargin",
    help="State max-margin problems, solve them, and judge every answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_INTERRUPTED = 130
"""128 + SIGINT, as shells report a process that was interrupted."""
_YOUNG_OBJECTS = 100_000
"""Between two collections: importing what a command needs makes about as many."""
_TRACEBACK = "LEXMARGIN_TRACEBACK"
_UNWRITABLE = (errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)


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


@app.command("list")
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
    say("problems")
    for name, title in problems.items():
        say(f"  {name:<{width}}  {' '.join(title.split())}")
    say("solvers")
    for name, p in profiles.items():
        handled = ", ".join(sorted(h.value for h in p.handles))
        say(f"  {name:<{width}}  {p.solver} through {p.backend.value} ({handled})")


@app.command()
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


@app.command()
def solve(
    problem: Problem,
    solver: Annotated[str, typer.Option(help="A solver profile, or auto.")] = "auto",
    grade: Annotated[str, typer.Option(help="default, low, mid or high.")] = "default",
    starts: Annotated[
        int | None, typer.Option(help="Starts of a nonconvex problem; 12 for small ones.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Starts at a time, each in its process.")] = 1,
    seed: Seed = 0,
    time_limit: Annotated[float | None, typer.Option(help="Seconds for all starts.")] = None,
    polish: Annotated[bool, typer.Option(help="Newton steps on the KKT system.")] = True,
    verbose: Annotated[bool, typer.Option(help="Let the solver print (to stderr).")] = False,
    library: Shelves = None,
    as_json: Json = False,
) -> None:
    """Solve a problem and judge the answer."""
    from lexmargin.errors import NotSeparableError
    from lexmargin.shelf.build import build
    from lexmargin.shelf.expected_negative import reproduced_error, reproduced_negative
    from lexmargin.solve import solve as run

    shelves = library_of(library)
    found = shelves.problem(problem)
    stated = build(found)
    try:
        with _printing_to_stderr(verbose):
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
        _show_gordan(error, as_json, said)
        raise typer.Exit(ExitCode.CERTIFIED) from error
    solution = solution.named(found.name)
    said = reproduced_negative(found, stated, solution)
    if as_json:
        emit(solution.to_json() if said is None else {**solution.to_json(), "reproduced": said})
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


@app.command()
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
    grade: Annotated[str, typer.Option(help="default, low, mid or high.")] = "default",
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


@app.command()
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


@app.command()
def doctor(library: Shelves = None, as_json: Json = False) -> None:
    """Solve a two-variable problem with every profile and say which ones really work here."""
    from lexmargin.doctor import examine

    findings = examine(library_of(library), progress=True)
    if as_json:
        emit([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            say(str(finding))
    required = [f for f in findings if f.profile in ("clarabel", "ipopt")]
    raise typer.Exit(ExitCode.CERTIFIED if all(f.works for f in required) else ExitCode.SOLVER)


add_commands(app)
add_data_commands(app)
add_paper_command(app)
add_path_commands(app)

# Typer brings its own copy of click in some versions, so its base class is reached through a leaf.
_UsageError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every failure is one sentence and an exit code, never a traceback.

    Args:
        arguments: the words after ``lexmargin``; those of the process if None.

    Raises:
        SystemExit: always, with the exit code.
    """
    prepare_streams()
    # Most commands end before any garbage is worth collecting: modules are none.
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
    sys.exit(_code_of(arguments))


def _code_of(arguments: list[str] | None) -> int:
    try:
        code = app(args=arguments, prog_name="lexmargin", standalone_mode=False)
        sys.stdout.flush()
        return int(code or ExitCode.CERTIFIED)
    except LexmarginError as error:
        _say_error(error.code, str(error))
        _say_proof(error, arguments)
        return error.exit_code
    except _UsageError as error:
        _say_usage(error)
        return ExitCode.BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        note("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has left.
        silence()
        return ExitCode.CERTIFIED
    except MemoryError:
        _say_error("memory", "There is not enough memory for this problem.")
        return ExitCode.SOLVER
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE:
            silence()
            _say_error(
                "output", f"Standard output cannot be written: {error.strerror}. Send it elsewhere."
            )
            return ExitCode.BAD_INPUT
        if os.environ.get(_TRACEBACK):
            raise
        _say_error(
            "internal",
            f"{type(error).__name__}: {clipped(str(error))}. This is a fault of lexmargin; please "
            f"report it with the traceback that {_TRACEBACK}=1 prints.",
        )
        return ExitCode.SOLVER


def _say_error(code: str, sentence: str) -> None:
    note(f"error ({code}): {' '.join(sentence.split())}")


def _say_usage(error: Any) -> None:
    """Say what is wrong with the arguments; a bare command has printed its help instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return
    context = getattr(error, "ctx", None)
    command = "lexmargin" if context is None else context.command_path
    _say_error("usage", f"{error.format_message().rstrip('.')}. See: {command} --help.")


def _say_proof(error: LexmarginError, arguments: list[str] | None) -> None:
    """Print the Gordan vector of inseparable data: as JSON where it was asked for."""
    if getattr(error, "proof", None) is not None:
        given = sys.argv[1:] if arguments is None else arguments
        _show_gordan(error, "--json" in given)


def _show_gordan(error: LexmarginError, as_json: bool, said: str | None = None) -> None:
    from lexmargin.shelf.expected_negative import gordan_report

    answer, text = gordan_report(error, said)
    if as_json:
        emit(answer)
    else:
        say(text)


if __name__ == "__main__":
    main()
