"""The optimization path (eq. 4): an optimizer's steps and gradient flow, in the log domain."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.errors import LexmarginError, ParameterError
from lexmargin.formulations.start import random_theta
from lexmargin.inputs.checks import positive, whole
from lexmargin.inputs.kinds import checked
from lexmargin.inputs.stored import StoredAlone
from lexmargin.linalg.norms import vector_norm
from lexmargin.losses import Loss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.optimizers.base import Advance, LossOracle, Optimizer, Point
from lexmargin.optimizers.steepest import GradientDescent
from lexmargin.outputs.progress import Part, Progress, Tick, telling
from lexmargin.paths.flow import GradientFlow, integrate
from lexmargin.paths.records import Monitor, Recorder, Records
from lexmargin.polish.polish import Polished, polish
from lexmargin.predictors.base import Predictor
from lexmargin.run.limited import Ended, limited, within_limit
from lexmargin.run.stages import Start
from lexmargin.solution import Ran

__all__ = ["Descent", "EndReason", "descend"]

_VISIBLE: Final = 1e12
"""-log L up to which the weights e^{-f} are known to 1e-4; rounding is 2.2e-16 of f."""


class EndReason(StrEnum):
    """Why a path ended."""

    STEPS = "steps"
    """Every step that was asked for was made."""
    TIME = "time"
    """Gradient flow reached its time."""
    UNDERFLOW = "underflow"
    """Steps are below the rounding of θ: nothing moves any more. Constant steps end like this,
    because they are proportional to L; loss-normalised steps and line searches go on."""
    STATIONARY = "stationary"
    """The gradient is exactly zero."""
    NO_DECREASE = "no-decrease"
    """No step along the gradient lowers log L in double precision."""
    RESOLUTION = "resolution"
    """The margins are so large that their own rounding moves the loss weights e^{-f}: a further
    step would follow the rounding, and the direction with it."""
    DIVERGED = "diverged"
    """The loss is no longer a finite number: the steps are too long, or θ left the range."""
    INTEGRATOR = "integrator"
    """The integrator of the flow gave up."""
    TIME_LIMIT = "time-limit"
    """The time limit in seconds was used up."""
    INTERRUPTED = "interrupted"
    """Ctrl-C."""


@final
@dataclass(frozen=True, eq=False)
class Descent(StoredAlone):
    """An optimization path: its records, and where and why it ended.

    A file holds what the run said of itself, and no verdict: ``certify`` judges its directions.

    Attributes:
        records: what was written down, the last point included.
        theta: θ at the end, one array per block.
        direction: ``θ/‖θ‖``, flat.
        reason: why it ended.
        steps: steps of descent, or of the integrator.
        seconds: wall time.
        seed: of the start, which was read only if none was given, and of batches.
        loss: the loss.
        polished: the KKT point near the last direction, if asked for and possible.
        polish_problem: why there is none, or why it did not converge.
    """

    records: Records
    theta: tuple[FloatArray, ...]
    direction: FloatArray
    reason: EndReason
    steps: int
    seconds: float
    seed: int
    loss: Loss
    polished: Polished | None = None
    polish_problem: str = ""


@checked
def descend(
    predictor: Predictor,
    data: Dataset,
    *,
    loss: Loss = Loss.EXPONENTIAL,
    start: Start | None = None,
    seed: int = 0,
    steps: int = 10_000,
    optimizer: Optimizer | None = None,
    flow: GradientFlow | None = None,
    record: int | Sequence[float] = 10,
    monitors: Mapping[str, Monitor] | None = None,
    time_limit: float | None = None,
    polish: bool = True,
    progress: Progress | bool | None = None,
) -> Descent:
    """Follow ``θ(t) = θ(t-1) - η_t ∇L(θ(t-1))`` (eq. 4), another optimizer, or gradient flow.

    Args:
        predictor, data: define ``f_n``.
        loss: L.
        start: θ(0), flat or as blocks; by default normal, scaled by fan-in, from ``seed``.
        seed: of the random start, and of an optimizer's batches.
        steps: how many steps of the optimizer.
        optimizer: who moves θ: by default :class:`GradientDescent` with a line search.
        flow: follow gradient flow instead of steps.
        record: records per decade of steps or of times, or the very steps or times.
        monitors: functions of the flat θ to be recorded, by name.
        time_limit: seconds of wall time, the polish included; the path so far is returned.
        polish: end with Newton steps on the KKT conditions
            (:func:`~lexmargin.polish.polish.polish`).
        progress: True for a bar; or a function that is called with a :class:`Tick` at every record,
            which names the step or the time, ``log L`` and the angle of Remark 2.

    Returns:
        The path. Ctrl-C ends it early and returns it too.

    Raises:
        ParameterError: unusable numbers, or a start where the loss is not finite.
        ShapeError: a start that does not fit the predictor.

    Source: Nacson et al. (2019), eq. 4, Remark 2, Definition 4; Lyu & Li (2020).
    """
    began = time.perf_counter()
    limit = math.inf if time_limit is None else positive(time_limit, "time_limit", infinite=True)
    deadline = began + limit
    steps, seed = whole(steps, "steps", 0), whole(seed, "seed", 0)
    if flow is not None and optimizer is not None:
        raise ParameterError(
            "Both an optimizer and a gradient flow were given.", "Choose one of the two."
        )
    functions = MarginFunctions(predictor, data)
    oracle = LossOracle(functions, Loss(loss))
    theta = _start(functions, start, seed)
    last_at = float(steps) if flow is None else flow.time
    with telling(progress) as told, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        run = _Run(oracle, Recorder(functions, monitors or {}), deadline, told, last_at)
        point = oracle.at(theta)
        if not math.isfinite(point.log_loss):
            raise ParameterError(
                "The loss is not finite at the start.", "Start where every f_n is a finite number."
            )
        if flow is None:
            at = [k for k in schedule(record, steps, 1.0) if k == int(k)]
            mover = optimizer or GradientDescent()
            epoch = mover.epoch(data.n_samples)
            reason = run.descend(point, mover.begin(oracle, seed), epoch, steps, at)
        else:
            reason = run.flow(point, flow, schedule(record, flow.time, 1e-2))
        if run.recorder.last != run.at:
            run.recorder.record(run.at, run.point)
    last = run.point.theta
    left = deadline - time.perf_counter()
    polished, problem = _polished(functions, last, left) if polish else (None, "")
    return Descent(
        records=run.recorder.records(),
        theta=tuple(block.copy() for block in functions.blocks(last)),
        direction=last / (vector_norm(last, 2.0) or 1.0),
        reason=reason,
        steps=run.steps,
        seconds=time.perf_counter() - began,
        seed=seed,
        loss=oracle.loss,
        polished=polished,
        polish_problem=problem,
    )


@final
class _Run:
    """The state of a path under way: always a consistent point, whatever interrupts it."""

    def __init__(
        self,
        oracle: LossOracle,
        recorder: Recorder,
        deadline: float,
        progress: Progress | None,
        total: float,
    ) -> None:
        self.oracle = oracle
        self.recorder = recorder
        self.steps = 0
        self.at = 0.0
        self.point: Point
        self._deadline = deadline
        self._progress = progress
        self._total = total

    def _record(self, at: float, point: Point) -> None:
        row = self.recorder.record(at, point)
        if self._progress is not None:
            line = f"log L {row['log_loss']:.6g}, angle {row['angle']:.2e}"
            self._progress(Tick(Part.STEPS, at, self._total, line))

    def descend(
        self, point: Point, advance: Advance, epoch: int, steps: int, at: Sequence[float]
    ) -> EndReason:
        """Make the steps; return why they ended."""
        self.point = point
        wanted = [*at, math.inf]
        due = still = 0
        try:
            while True:
                if self.steps >= wanted[due]:
                    self._record(self.steps, self.point)
                    due += 1
                if self.steps >= steps:
                    return EndReason.STEPS
                if time.perf_counter() > self._deadline:
                    return EndReason.TIME_LIMIT
                following = advance(self.point)
                if following is None:
                    return self._stuck(EndReason.NO_DECREASE)
                still = still + 1 if (following.theta == self.point.theta).all() else 0
                if still == epoch:
                    return self._stuck(EndReason.UNDERFLOW)
                if not math.isfinite(following.log_loss):
                    return EndReason.DIVERGED
                if following.log_loss < -_VISIBLE:
                    return EndReason.RESOLUTION
                self.point, self.steps = following, self.steps + 1
                self.at = float(self.steps)
        except KeyboardInterrupt:
            self.at = float(self.steps)
            return EndReason.INTERRUPTED

    def _stuck(self, reason: EndReason) -> EndReason:
        return reason if np.any(self.point.descent) else EndReason.STATIONARY

    def flow(self, point: Point, flow: GradientFlow, at: Sequence[float]) -> EndReason:
        """Integrate the flow; return why it ended."""
        self.point = point
        wanted = [*at, math.inf]
        due = 0
        try:
            if wanted[0] == 0.0:
                self._record(0.0, point)
                due = 1
            if not np.any(point.descent):
                return EndReason.STATIONARY
            for state in integrate(flow, self.oracle, point.theta):
                if state.failed:
                    return EndReason.INTEGRATOR
                while wanted[due] <= state.time:
                    between = self.oracle.at(state.at(wanted[due]))
                    self.point, self.at = between, wanted[due]
                    self._record(self.at, between)
                    due += 1
                reached = self.oracle.at(state.theta)
                if not math.isfinite(reached.log_loss):
                    return EndReason.DIVERGED
                if reached.log_loss < -_VISIBLE:
                    return EndReason.RESOLUTION
                self.point, self.at, self.steps = reached, state.time, self.steps + 1
                if time.perf_counter() > self._deadline:
                    return EndReason.TIME_LIMIT
            return EndReason.TIME
        except KeyboardInterrupt:
            return EndReason.INTERRUPTED


def schedule(record: int | Sequence[float], last: float, first: float) -> list[float]:
    """Return the steps or times to record: 0, then ``record`` per decade from ``first``, and last.

    Raises:
        ParameterError: fewer than one per decade, or numbers that do not lie in [0, last].
    """
    if isinstance(record, Iterable):
        wanted = sorted({0.0 if r == 0 else positive(r, "every record") for r in record})
        if any(r > last for r in wanted):
            raise ParameterError(
                f"A record was asked for outside of [0, {last:g}].", "Record within the path."
            )
        return wanted
    record = whole(record, "record")
    decades = math.log10(last / first) if last > first else 0.0
    count = max(1, math.ceil(decades * record))
    grid = first * 10.0 ** (np.arange(count + 1) * decades / count)
    if first >= 1.0:
        grid = np.rint(grid)
    return sorted({0.0, float(last), *(float(g) for g in grid if g < last)})


def _start(functions: MarginFunctions, start: Start | None, seed: int) -> FloatArray:
    if start is None:
        return random_theta(functions, np.random.default_rng(seed))
    return functions.point(start)


def _polished(
    functions: MarginFunctions, theta: FloatArray, seconds: float
) -> tuple[Polished | None, str]:
    try:
        found = _polish_within(functions, theta, seconds)
    except (LexmarginError, Ended) as error:
        return None, str(error)
    return found, found.reason


def _polish_within(functions: MarginFunctions, theta: FloatArray, seconds: float) -> Polished:
    """Polish, in a child that is ended where there is a limit: its steps have no clock."""
    if math.isinf(seconds) or within_limit():
        return polish(functions, theta)
    if seconds <= 0.0:
        raise Ended(Ran.TIME_LIMIT, "no time was left")
    found: Polished = limited(_polish_here, (functions, theta), seconds, None, _forget)
    return found


def _polish_here(
    functions: MarginFunctions, theta: FloatArray, progress: object, keep: object
) -> Polished:
    return polish(functions, theta)


def _forget(found: object) -> None:
    return
