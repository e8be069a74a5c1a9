"""The command line: what its commands have in common.

Results go to stdout, progress to stderr and only on a terminal. Exit codes: 0 answered and
certified, 1 answered and the verdict is negative, 2 bad input or usage, 3 the solver is missing,
failed or ran out of time.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from typing import Annotated, Any, final

import typer
from typer.core import TyperGroup

from lexmargin.cli import compare, machine, paper, paths, problems, separability
from lexmargin.cli.output import (
    Interrupted,
    failed,
    kept_so_far,
    prepare_streams,
    say,
    silence,
)
from lexmargin.errors import ExitCode, LexmarginError, clipped
from lexmargin.version import VERSION

__all__ = ["app", "main"]


@final
class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        with kept_so_far():
            return super().invoke(ctx)


app = typer.Typer(
    name="lexmargin",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_INTERRUPTED = 130
"""128 + SIGINT, as shells report a process that was interrupted."""
_YOUNG_OBJECTS = 100_000
"""Between two collections: importing what a command needs makes about as many."""
_TRACEBACK = "LEXMARGIN_TRACEBACK"
_UNWRITABLE = (errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)


def _show_version(asked: bool) -> None:
    if asked:
        say(f"lexmargin {VERSION}")
        raise typer.Exit


@app.callback()
def lexmargin(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """State max-margin problems, solve them, and judge every answer."""


for room in (problems, compare, separability, paths, paper, machine):
    room.add_commands(app)

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
    as_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        with kept_so_far():
            code = app(args=arguments, prog_name="lexmargin", standalone_mode=False)
        sys.stdout.flush()
        return int(code or ExitCode.CERTIFIED)
    except LexmarginError as error:
        return _show_error(error, as_json)
    except _UsageError as error:
        return _show_usage(error, as_json)
    except Interrupted as error:
        return failed("interrupted", _INTERRUPTED, "Interrupted.", str(error), as_json=as_json)
    except BrokenPipeError:
        # The reader has left.
        silence()
        return ExitCode.CERTIFIED
    except MemoryError:
        problem = "There is not enough memory for this problem."
        return failed("memory", ExitCode.SOLVER, problem, as_json=as_json)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE:
            silence()
            problem = f"Standard output cannot be written: {error.strerror}."
            return failed(
                "output", ExitCode.BAD_INPUT, problem, "Send it elsewhere.", as_json=False
            )
        if os.environ.get(_TRACEBACK):
            raise
        return failed(
            "internal",
            ExitCode.SOLVER,
            f"{type(error).__name__}: {clipped(str(error))}.",
            f"This is a fault of lexmargin; please report it with the traceback that "
            f"{_TRACEBACK}=1 prints.",
            as_json=as_json,
        )


def _show_error(error: LexmarginError, as_json: bool) -> int:
    """Show a named error; with the Gordan vector of inseparable data, where it has one."""
    proof = None
    if getattr(error, "proof", None) is not None:
        from lexmargin.shelf.expected_negative import gordan_report

        proof, text = gordan_report(error)
        if not as_json:
            say(text)
    return failed(
        error.code, error.exit_code, error.problem, error.advice, as_json=as_json, proof=proof
    )


def _show_usage(error: Any, as_json: bool) -> int:
    """Say what is wrong with the arguments; a bare command has printed its help instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return ExitCode.BAD_INPUT
    context = getattr(error, "ctx", None)
    command = "lexmargin" if context is None else context.command_path
    message = str(error.format_message()).rstrip(".")
    problem = message if message.endswith("?") else f"{message}."
    return failed("usage", ExitCode.BAD_INPUT, problem, f"See: {command} --help.", as_json=as_json)


if __name__ == "__main__":
    main()
