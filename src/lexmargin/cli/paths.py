"""The commands trace and descend; everything heavy is imported when they run."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

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
from lexmargin.cli.output import columns, emit, kept_so_far, note, printed, say, table
from lexmargin.errors import BadInputError, ExitCode, ParameterError

if TYPE_CHECKING:
    from lexmargin.data.dataset import Dataset
    from lexmargin.optimizers import Optimizer, Step
    from lexmargin.paths import Descent, Identified, TracedPath
    from lexmargin.predictors.base import Predictor

__all__ = ["add_commands"]


_DECAY: Final = 0.5
"""Lengths fall like 1/√t: they vanish, and their sum does not end."""
_MOMENTUM: Final = 0.9
"""Of Signum: what Bernstein et al. (2018) propose."""


class Rule(StrEnum):
    """How long the steps of steepest descent are."""

    LINE_SEARCH = "line-search"
    CONSTANT = "constant"
    LOSS_NORMALIZED = "loss-normalized"
    NORMALIZED = "normalized"


class Method(StrEnum):
    """Who moves θ."""

    GRADIENT_DESCENT = "gradient-descent"
    SIGN_DESCENT = "sign-descent"
    COORDINATE_DESCENT = "coordinate-descent"
    SIGNUM = "signum"
    ADAM = "adam"
    RMSPROP = "rmsprop"
    ADABOOST = "adaboost"


def add_commands(app: typer.Typer) -> None:
    """Add trace and descend to the command line."""
    app.command()(trace)
    app.command()(descend)


def trace(
    problem: Problem,
    first: Annotated[float, typer.Option("--from", help="First ρ (strength: the largest).")] = 0.1,
    last: Annotated[float, typer.Option("--to", help="Last ρ (strength: the smallest).")] = 1e4,
    points: Annotated[int, typer.Option(help="Values in between, in equal ratios.")] = 40,
    adaptive: Annotated[
        float | None,
        typer.Option(
            help="Choose the values along the way, so that the path is straight between them up to "
            "this part of its direction's length; in place of --points."
        ),
    ] = None,
    solver: Solver = "auto",
    grade: Grade = "default",
    seed: Seed = 0,
    time_limit: TimeLimit = None,
    library: Shelves = None,
    as_json: Json = False,
) -> None:
    """Follow a path over the norm ρ, every point judged."""
    from lexmargin.paths import AdaptiveGrid
    from lexmargin.paths import trace as run
    from lexmargin.shelf.build import load

    shelves = library_of(library)
    grid = _grid(first, last, points) if adaptive is None else AdaptiveGrid(first, last, adaptive)
    with kept_so_far(lambda: UNKEPT):
        traced = run(
            load(problem, shelves),
            grid,
            solver=solver,
            grade=grade,
            seed=seed,
            time_limit=time_limit,
            library=shelves,
            progress=True,
        )
    if as_json:
        emit(printed(traced.to_json()["points"]))
    else:
        say(_table(traced))
    if traced.missing:
        count = len(traced.points)
        note(f"Kept: {count} of {count + len(traced.missing)} points; {traced.end.sentence}.")
        raise typer.Exit(ExitCode.SOLVER)
    raise typer.Exit(ExitCode.CERTIFIED if traced.certified else ExitCode.NEGATIVE)


def _grid(first: float, last: float, points: int) -> list[float]:
    bad = [x for x in (first, last) if not (math.isfinite(x) and x > 0)]
    if bad:
        raise ParameterError(f"The grid has a value of {bad[0]:g}.", "Give finite numbers > 0.")
    if points < 1:
        raise ParameterError(f"points is {points}.", "Give at least 1.")
    if points == 1:
        return [first]
    if first == last:
        raise ParameterError(f"{points} points from {first:g} to {last:g}.", "Give two ends.")
    ratio = (last / first) ** (1.0 / (points - 1))
    return [*(first * ratio**k for k in range(points - 1)), last]


def _written(number: float, form: str) -> str:
    return "–" if math.isnan(number) else format(number, form)


_FULL, _SHORT = (6, 7, 9, 4), (5, 5, 5, 3)
"""Digits of ρ, margin, objective and slack; the short ones where the full ones do not fit."""
_FULL_WIDTH = 90
"""Columns of the longest full row."""


def _table(traced: TracedPath) -> str:
    digits = _FULL if (columns() or _FULL_WIDTH) >= _FULL_WIDTH else _SHORT
    rows = []
    for point in traced.points:
        residual = point.certificate.stationarity
        measured = point.mismatch if math.isnan(residual) else residual
        numbers = (point.rho, point.margin, point.objective, point.slack(traced.margin_slack))
        words = point.certificate.verdict.value
        rows.append(
            (
                *(_written(x, f".{d}g") for x, d in zip(numbers, digits, strict=True)),
                _written(measured, ".1e"),
                words if point.certified else f"{words} (not certified)",
            )
        )
    head = ("rho", "margin", "objective", "slack", "residual", "verdict")
    lines = [f"{traced.problem}, {traced.solver}", table(head, rows, numbers=head[:-1])]
    from lexmargin.paths import Shown

    only = sum(point.shown in (Shown.STATIONARY, Shown.LOCAL) for point in traced.points)
    if only:
        lines.append(
            f"{only} of {len(traced.points)} points are shown to be stationary, not the best: "
            "another branch may be better"
        )
    for jump in traced.jumps():
        lines.append(
            f"jump between {jump.above:.6g} and {jump.below:.6g}, distance {jump.distance:.4g}: "
            "no minimiser lies between its ends"
        )
    for name, held in (
        ("Assumption 1 (log L* decreases in ρ)", traced.assumption_1),
        ("Assumption 2 (γ* increases in ρ)", traced.assumption_2),
    ):
        if held is not None:
            lines.append(f"{name}: {'holds' if held else 'fails'} on this grid")
    return "\n".join(lines)


def descend(
    problem: Problem,
    steps: Annotated[int, typer.Option(help="Steps of the optimizer.")] = 10_000,
    optimizer: Annotated[
        Method, typer.Option(help="Who moves the parameters.")
    ] = Method.GRADIENT_DESCENT,
    rule: Annotated[
        Rule | None,
        typer.Option(
            help="How long steps of steepest descent are; line-search, or normalized with momentum."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Step of the other rules, 1 if left out; of adam and rmsprop, .01; shrinkage of "
            "adaboost, 1."
        ),
    ] = None,
    flow: Annotated[
        float | None, typer.Option(help="Follow gradient flow to this time instead.")
    ] = None,
    loss: Annotated[str, typer.Option(help="exponential, logistic or cross-entropy.")] = "",
    norms: Annotated[
        str, typer.Option(help="Also say which of these norms the path belongs to, as 1,2,inf.")
    ] = "",
    polish: Annotated[bool, typer.Option(help="End with Newton steps on the KKT system.")] = True,
    seed: Seed = 0,
    time_limit: TimeLimit = None,
    library: Shelves = None,
    as_json: Json = False,
) -> None:
    """Follow an optimizer in the log domain, and judge where it leads."""
    from lexmargin.formulations import HardMargin
    from lexmargin.judge import certify
    from lexmargin.losses import Loss
    from lexmargin.paths import GradientFlow
    from lexmargin.paths import descend as run
    from lexmargin.shelf.build import load

    stated = load(problem, library_of(library))
    chosen: Any = loss or getattr(stated, "loss", Loss.EXPONENTIAL)
    if flow is not None and rate is not None:
        raise BadInputError("Both --flow and --rate were given.", "Gradient flow has no steps.")
    with kept_so_far(lambda: UNKEPT):
        path = run(
            stated.predictor,
            stated.data,
            loss=chosen,
            seed=seed,
            steps=steps,
            optimizer=None if flow is not None else _optimizer(optimizer, rule, rate),
            flow=None if flow is None else GradientFlow(flow),
            time_limit=time_limit,
            polish=polish,
            progress=True,
        )
    certificate = None
    if stated.functions.homogeneity.degree is not None:
        done = path.polished is not None and path.polished.converged
        point = path.polished.theta if done and path.polished is not None else path.direction
        certificate = certify(HardMargin(stated.predictor, stated.data), point)
    found = _identified(path, stated.predictor, stated.data, norms)
    if as_json:
        judged = None if certificate is None else certificate.to_json()
        named = None if found is None else printed(found.to_json())
        emit(
            {
                "problem": str(stated.name),
                **printed(path.to_json()),
                "certificate": judged,
                "identified": named,
            }
        )
    else:
        say(_descent(path))
        if certificate is not None:
            say(f"\n{certificate.report()}")
        if found is not None:
            say(f"\n{'belongs to':<16}{found}")
    if certificate is None:
        raise typer.Exit(ExitCode.CERTIFIED)
    raise typer.Exit(ExitCode.CERTIFIED if certificate.certified else ExitCode.NEGATIVE)


def _optimizer(method: Method, rule: Rule | None, rate: float | None) -> Optimizer:
    from lexmargin.optimizers import AdaBoost, Adam, NormalizedStep, RMSProp, SteepestDescent

    if method in (Method.ADAM, Method.RMSPROP, Method.ADABOOST):
        if rule is not None:
            raise BadInputError(f"{method} has steps of its own.", "Leave --rule out.")
        if method is Method.ADABOOST:
            return AdaBoost(1.0 if rate is None else rate)
        kind = Adam if method is Method.ADAM else RMSProp
        return kind() if rate is None else kind(NormalizedStep(rate, _DECAY))
    if method is Method.SIGNUM:
        return SteepestDescent(math.inf, _step(rule or Rule.NORMALIZED, rate), _MOMENTUM)
    norms = {Method.SIGN_DESCENT: math.inf, Method.COORDINATE_DESCENT: 1.0}
    return SteepestDescent(norms.get(method, 2.0), _step(rule or Rule.LINE_SEARCH, rate))


def _identified(
    path: Descent, predictor: Predictor, data: Dataset, norms: str
) -> Identified | None:
    from lexmargin.paths import identify

    if not norms:
        return None
    words = [word.strip() for word in norms.split(",")]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise BadInputError(f"{norms!r} are no norms.", "Join numbers: --norms 1,2,inf.") from None
    return identify(path, predictor, data, norms=numbers)


def _step(rule: Rule, rate: float | None) -> Step:
    from lexmargin.optimizers import ConstantStep, LineSearch, LossNormalizedStep, NormalizedStep

    if rule is Rule.LINE_SEARCH:
        if rate is not None:
            raise BadInputError("A line search takes no --rate.", "Choose another --rule.")
        return LineSearch()
    length = 1.0 if rate is None else rate
    if rule is Rule.NORMALIZED:
        return NormalizedStep(length, _DECAY)
    return ConstantStep(length) if rule is Rule.CONSTANT else LossNormalizedStep(length)


def _descent(path: Descent) -> str:
    lines = [
        f"{'ended by':<16}{path.reason.value}, {path.steps} steps, {path.seconds:.2f} s",
        f"{'direction':<16}{[round(float(x), 9) for x in path.direction[:12]]}"
        f"{' …' if path.direction.size > 12 else ''}",
    ]
    if path.polished is not None:
        moved, residual = path.polished.moved, path.polished.residual
        lines.append(f"{'polished':<16}moved {moved:.1e}, residual {residual:.1e}")
    if path.polish_problem:
        lines.append(f"{'not polished':<16}{path.polish_problem}")
    return "\n".join(lines)
