"""The commands doctor and install-ipopt: what works on this machine, and how more does."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lexmargin.cli.options import Json, Shelves, library_of
from lexmargin.cli.output import emit, kept_so_far, note, say
from lexmargin.errors import ExitCode, SolverFailedError

__all__ = ["add_commands"]

_LAST_LINES = 12
"""Of what the build said; the error of a compiler stands there."""


def add_commands(app: typer.Typer) -> None:
    """Add doctor and install-ipopt to the command line."""
    app.command()(doctor)
    app.command("install-ipopt")(build_ipopt)


def doctor(library: Shelves = None, as_json: Json = False) -> None:
    """Solve a two-variable problem with every profile and say which ones really work here.

    The exit code is 0 where every profile that comes with lexmargin works.
    """
    from lexmargin.doctor import examine, healthy, summary

    findings = examine(library_of(library), progress=True)
    if as_json:
        emit([finding.to_json() for finding in findings])
    else:
        width = max(len(f.profile) for f in findings) + 2
        lines = [f"{f.profile:<{width}}{f.state.value:<8}{f.reason}" for f in findings]
        say("\n".join([*lines, "", summary(findings)]))
    raise typer.Exit(ExitCode.CERTIFIED if healthy(findings) else ExitCode.SOLVER)


def build_ipopt(
    verbose: Annotated[bool, typer.Option(help="Print what pip says (to stderr).")] = False,
    as_json: Json = False,
) -> None:
    """Build cyipopt against the Ipopt that CasADi carries; needs a C compiler.

    Nonconvex problems are solved without it, by the same Ipopt through CasADi.
    """
    from lexmargin.ipopt_build import install_ipopt

    heard: list[str] = []

    def hear(text: str) -> None:
        heard.extend(text.splitlines())
        if verbose:
            note(text)

    if sys.stderr.isatty():
        note("… building cyipopt")
    try:
        with kept_so_far(lambda: "The same command builds it again."):
            found = install_ipopt(hear)
    except SolverFailedError:
        if not verbose:
            note("\n".join(heard[-_LAST_LINES:]))
        raise
    if as_json:
        emit(found.to_json())
    else:
        say(str(found))
