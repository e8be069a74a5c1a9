"""Problem files: what is asked, of which predictor, on which data, and what the answer is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from lexmargin.errors import LibraryError, ParameterError
from lexmargin.formulations import Formulation
from lexmargin.inputs.codec import Table, Where, schema
from lexmargin.inputs.expressions import Number
from lexmargin.inputs.toml import read_toml
from lexmargin.judge.verdict import Verdict
from lexmargin.predictors import Predictor

__all__ = ["ELSEWHERE", "AnswerSpec", "DataSpec", "KnownPoint", "ProblemFile", "read_problem"]


@final
@dataclass(frozen=True)
class DataSpec:
    """Samples as a file states them: inline, in a CSV or NPZ file, or shipped by scikit-learn.

    ``X`` is a list of N rows of p exact numbers, ``y`` N labels: integers, truth values or words.
    ``weights`` are those of the N samples in a loss, wherever the samples come from.
    ``label``, ``weight``, ``delimiter``, ``comment``, ``index`` and ``decimal`` are those of
    :func:`~lexmargin.data.dataset.load_csv`; an empty ``comment`` says that there are none.
    ``positive`` lists the classes that become +1, ``negative`` those that become -1 (all others
    where it is left out).
    """

    X: tuple[tuple[Number, ...], ...] | None = None
    y: tuple[int | str | bool, ...] | None = None
    weights: tuple[Number, ...] | None = None
    csv: str | None = None
    label: str | None = None
    weight: str | None = None
    delimiter: str | None = None
    comment: str | None = None
    index: str | None = None
    decimal: str | None = None
    npz: str | None = None
    dataset: str | None = None
    positive: tuple[int, ...] | None = None
    negative: tuple[int, ...] | None = None
    standardize: bool = False


@final
@dataclass(frozen=True)
class KnownPoint:
    """A point other than the answer whose nature is known (a saddle, a local minimum, …).

    ``verdict`` is what a certificate may say of it; KKT stands for "stationary, at least".
    """

    theta: tuple[Number, ...]
    verdict: Verdict
    objective: Number | None = None
    multipliers: tuple[Number, ...] | None = None
    note: str = ""


@final
@dataclass(frozen=True)
class AnswerSpec:
    """What is known about the answer.

    ``theta`` is the solution of the program as stated, its blocks flattened in order and joined;
    ``direction`` is θ normalised in the problem's norm, and ``directions`` lists alternatives of
    equal standing (any one of them is right). ``margin`` and ``margins`` belong to the unit
    direction for homogeneous predictors and to the stated scale otherwise. ``multipliers`` are
    those of θ = Σ λ_n ∇f_n(θ), up to one positive factor; ``dual`` is a point of the simplex with
    ‖Σ λ_n z_n‖ in the dual norm equal to the margin, which proves it. ``levels`` are the values of
    a staged program, in order. ``feasible`` is false where no parameters separate the data.
    ``tolerance`` is the relative accuracy of the numbers here where they are decimals.
    """

    direction: tuple[Number, ...] | None = None
    directions: tuple[tuple[Number, ...], ...] | None = None
    theta: tuple[Number, ...] | None = None
    thetas: tuple[tuple[Number, ...], ...] | None = None
    objective: Number | None = None
    margin: Number | None = None
    margins: tuple[Number, ...] | None = None
    multipliers: tuple[Number, ...] | None = None
    multiplier_dimension: int | None = None
    dual: tuple[Number, ...] | None = None
    levels: tuple[Number, ...] | None = None
    unique: bool | None = None
    licq: bool | None = None
    mfcq: bool | None = None
    feasible: bool | None = None
    verdict: Verdict | None = None
    tolerance: float | None = None
    note: str = ""
    points: tuple[KnownPoint, ...] = ()


@final
@dataclass(frozen=True)
class FlowPoint:
    """Where gradient flow of the exponential loss (eq. 4, small steps) is at a time, from start."""

    time: Number
    theta: tuple[Number, ...]


@final
@dataclass(frozen=True)
class ProblemFile:
    """One problem: title, source, formulation and its parameters, predictor, data, answer.

    ``parameters`` are those that the file states, the norm among them. ``start`` is a flat θ from
    which a comparison starts local solvers, instead of a seeded one, and from which gradient flow
    passes through the points of ``flow``.
    """

    path: Path = field(metadata={"internal": True})
    formulation: type[Formulation] = field(metadata={"internal": True})
    parameters: Mapping[str, Any] = field(metadata={"internal": True})
    title: str
    source: str
    predictor: Predictor
    data: DataSpec
    start: tuple[Number, ...] | None = None
    flow: tuple[FlowPoint, ...] = ()
    answer: AnswerSpec | None = None

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.stem

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the file start from."""
        return self.path.parent


ELSEWHERE: Final = ("predictor", "data")
"""Fields of a formulation that have tables of their own."""
_SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "X": ("y",),
    "csv": ("label", "weight", "delimiter", "comment", "index", "decimal", "standardize"),
    "npz": (),
    "dataset": ("positive", "negative", "standardize"),
}


_ONE_SOURCE: Final = (
    "y", "label", "weight", "delimiter", "comment", "index", "decimal", "positive", "negative",
)  # fmt: skip


def read_problem(path: Path) -> ProblemFile:
    """Return the problem in a TOML file, with every parameter inside its domain.

    Raises:
        LibraryError: not readable as a problem: an unknown, missing or useless key, a wrong type.
        UnknownNameError: an unknown formulation, kind of predictor, activation or loss.
        ExpressionError: a string that should be a number and is not.
        ParameterError: a parameter outside its domain.
    """
    where = Where(path)
    raw = read_toml(path)
    table = Table(raw, where)
    formulation: type[Formulation] = table.class_of(Formulation.family, "formulation")
    table.claim_class(ProblemFile)
    table.claim_class(formulation, ELSEWHERE)
    if not any(one.name == "norm" for one in schema(formulation)):
        table.claim("norm")
        if raw.get("norm", 2) != 2:
            raise ParameterError(
                f"{where}: {formulation.name} is stated for the Euclidean norm only.",
                "Leave norm out, or write norm = 2.",
            )
    table.check()
    # What a classifier takes for left out, a file says.
    asked = [name for name, _ in formulation.traits.defaults]
    parameters = table.values(formulation, ELSEWHERE, asked)
    problem = ProblemFile(path, formulation, parameters, **table.values(ProblemFile))
    _check_data(problem.data, where.at("data"))
    return problem


def _check_data(spec: DataSpec, where: Where) -> None:
    given = [source for source in _SOURCES if getattr(spec, source) is not None]
    if len(given) != 1:
        raise LibraryError(
            f"{where}: {len(given)} sources of samples.",
            "Give exactly one of X (with y), csv, npz, dataset.",
        )
    allowed = _SOURCES[given[0]]
    for name in _ONE_SOURCE:
        if getattr(spec, name) is not None and name not in allowed:
            raise LibraryError(f"{where}: {given[0]} has no use for {name!r}.", "Remove the key.")
    if spec.standardize and "standardize" not in allowed:
        raise LibraryError(f"{where}: {given[0]} has no use for 'standardize'.", "Remove the key.")
    if spec.weight is not None and spec.weights is not None:
        raise LibraryError(f"{where}: 'weight' and 'weights'.", "Give a column or a list.")
    if given == ["X"] and spec.y is None:
        raise LibraryError(f"{where}: 'y' is missing.", "Add one label per row of X.")
    if spec.negative is not None and spec.positive is None:
        raise LibraryError(f"{where}: 'negative' without 'positive'.", "Add positive = [...].")
