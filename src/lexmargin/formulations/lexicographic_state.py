"""What the stages of a lexicographic solve have settled so far (Definition 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.errors import SolverFailedError, UnsupportedError
from lexmargin.formulations.base import MARGIN, StageAnswer
from lexmargin.formulations.levels import Level, Proof
from lexmargin.linalg.faces import RESOLUTION, BoolArray, Face
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["Record", "SaturationState", "SumsState", "saturation_state", "sums_state"]


@final
@dataclass(frozen=True, eq=False)
class Record:
    """The answers of all stages, and what is known about the problem.

    Attributes:
        answers, margins: per stage, the answer and the margins measured at it, in ``unit``.
        unit: a power of two in units of f_n.
        scale: what tolerances are measured in, in ``unit``.
        count, wanted: N, and how many smallest margins are to be settled.
        face: the whole ball, where the f_n are linear and the ball is polyhedral.
        single_point: level 1 is shown to have one solution.
        concave: every f_n is concave.
    """

    answers: tuple[StageAnswer, ...]
    margins: tuple[FloatArray, ...]
    unit: float
    scale: float
    count: int
    wanted: int
    face: Face | None
    single_point: bool
    concave: bool


@final
@dataclass(frozen=True, eq=False)
class SaturationState:
    """How many stages were answered, the floors they leave (NaN: free), the levels, the end."""

    stage: int
    values: FloatArray
    levels: tuple[Level, ...]
    scale: float
    done: bool


@final
@dataclass(frozen=True, eq=False)
class SumsState:
    """k of the stages answered, all sums to keep, k of the next stage, and the end."""

    stages: tuple[int, ...]
    held: tuple[int, ...]
    following: int
    done: bool


def saturation_state(record: Record) -> SaturationState:
    """Return what the levels so far have fixed: positive multipliers, then constant margins."""
    values = np.full(record.count, np.nan)
    levels: list[Level] = []
    face, done = record.face, False
    scale, unit = record.scale, record.unit
    for stage, (answer, margins) in enumerate(zip(record.answers, record.margins, strict=True)):
        free = np.isnan(values)
        value = float(margins[free].min())
        weights = _shares(answer, free)
        tight = free & (weights > RESOLUTION.interior_multiplier)
        values[tight] = value
        settled: IntArray = np.zeros(0, dtype=np.int64)
        dimension: int | None = None
        if face is not None:
            face = _smaller(face, answer, np.flatnonzero(tight))
            rest = np.flatnonzero(np.isnan(values)).astype(np.int64)
            floor = RESOLUTION.constant * scale * unit
            settled = rest[face.constant(rest, floor)]
            values[settled] = margins[settled]
            dimension = face.dimension
        elif stage == 0 and record.single_point:
            settled = np.flatnonzero(np.isnan(values)).astype(np.int64)
            values[settled], dimension = margins[settled], 0
        equal = margins[settled] <= value + RESOLUTION.interior_multiplier * scale
        members = np.concatenate([np.flatnonzero(tight), settled[equal]])
        levels.append(
            Level(
                value * unit,
                tuple(sorted(int(n) for n in members)),
                tuple(sorted(int(n) for n in settled[~equal])),
                dimension,
                Proof.DUAL,
                weights,
            )
        )
        counted = np.count_nonzero(values <= value + RESOLUTION.interior_multiplier * scale)
        done = not bool(np.any(np.isnan(values))) or int(counted) >= record.wanted
    return SaturationState(len(record.answers), values, tuple(levels), scale, done)


def _shares(answer: StageAnswer, free: BoolArray) -> FloatArray:
    found = answer.multipliers.get(MARGIN)
    if found is None or not np.all(np.isfinite(found)):
        raise SolverFailedError(
            "The solver gave no multipliers, so no sample can be fixed at this level.",
            "Use a solver with dual values, or method = 'ordered-sums'.",
        )
    weights = np.where(free, np.maximum(found, 0.0), 0.0)
    total = float(weights.sum())
    if not total > 0.5:
        raise UnsupportedError(
            "No sample has a positive multiplier: none is shown to be tight in all optima.",
            "Use method = 'ordered-sums'.",
        )
    return np.asarray(weights / total)


def _smaller(face: Face, answer: StageAnswer, tight: IntArray) -> Face:
    found = np.asarray(answer.multipliers[MARGIN], dtype=np.float64)
    active = face.exposed(found @ face.rows[:, : face.theta().size], RESOLUTION.exposed)
    return face.cut(face.rows[tight], active)


def _split(answer: StageAnswer) -> tuple[IntArray, IntArray] | None:
    """Samples counted in full and in part by the multipliers of a stage, None without them."""
    found = answer.multipliers.get(MARGIN)
    if found is None or not np.all(np.isfinite(found)):
        return None
    small = RESOLUTION.exposed
    full = np.flatnonzero(found >= 1.0 - small).astype(np.int64)
    partial = np.flatnonzero((found > small) & (found < 1.0 - small)).astype(np.int64)
    return full, partial


def sums_state(record: Record) -> SumsState:
    """Return what the stages so far have settled (concave f_n; else one sum per stage).

    At the optima of stage k with multipliers y, 0 <= y_n <= 1, the samples with
    0 < y_n < 1 have one margin u_k, and ``Σ_{y_n = 1} f_n + (k - |y = 1|) u_k`` is constant.
    Coefficients are the counted ones, not the solver's y: its rounding must not pass for an
    equality. Where the q smallest margins belong to samples that are tied at u_k or constant, no
    point has larger sums up to q, so these stages are skipped and the q-th sum is kept.
    """
    held: list[int] = []
    stages: list[int] = []
    face, done, k = record.face, record.single_point and bool(record.answers), 1
    scale, unit = record.scale, record.unit
    every = np.arange(record.count, dtype=np.int64)
    for answer, margins in zip(record.answers, record.margins, strict=True):
        names = [*(f"{MARGIN}_{h}" for h in held), MARGIN]
        stages.append(k)
        held.append(k)
        split = _split(answer) if record.concave else None
        settled = np.zeros(every.size, dtype=bool)
        if split is not None:
            full, partial = split
            # A multiplier that is noise would join samples that are not tied.
            if partial.size and np.ptp(margins[partial]) <= RESOLUTION.exposed * scale:
                k = max(k, full.size + partial.size)
            counts_fit = full.size == stages[-1] or (partial.size > 0 and full.size < stages[-1])
            found = [answer.multipliers.get(name) for name in names]
            if face is not None and counts_fit and all(y is not None for y in found):
                rows = face.rows
                equalities = rows[partial[1:]] - rows[partial[:1]]
                total = rows[full].sum(axis=0)
                if partial.size:
                    total = total + (stages[-1] - full.size) * rows[partial[0]]
                pull = np.sum([np.asarray(y) for y in found], axis=0)
                active = face.exposed(pull @ rows[:, : face.theta().size], RESOLUTION.exposed)
                floor = RESOLUTION.constant * scale * unit
                face = face.cut(np.vstack([equalities, total[None, :]]), active, floor)
                settled = face.constant(every, floor)
                done = done or bool(np.all(settled))
        order = np.argsort(margins, kind="stable")
        leading = int(np.argmin(np.append(settled[order], False)))
        k = max(k, leading)
        if k > stages[-1]:
            held.append(k)
        k += 1
    return SumsState(tuple(stages), tuple(held), k, done)
