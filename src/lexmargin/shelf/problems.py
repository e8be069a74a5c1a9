"""Problem files: what is asked, of which predictor, on which data, and what the answer is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, final

from lexmargin.errors import LibraryError, ParameterError
from lexmargin.formulations import FormulationName
from lexmargin.formulations.base import formulations
from lexmargin.formulations.fields import has_norm, parameters
from lexmargin.judge.verdict import Verdict
from lexmargin.predictors.bias import BiasForm
from lexmargin.shelf.expressions import Number
from lexmargin.shelf.reading import Where, read_as, read_toml

__all__ = [
    "ActivationName",
    "AnswerSpec",
    "DataSpec",
    "KnownPoint",
    "LexicographicMethod",
    "LossName",
    "PredictorKind",
    "PredictorSpec",
    "ProblemFile",
    "read_problem",
]


class PredictorKind(StrEnum):
    """The families of predictors."""

    LINEAR = "linear"
    NETWORK = "network"
    DIAGONAL = "diagonal"
    CONVOLUTION = "convolution"
    POLYNOMIAL = "polynomial"
    BIAS = "bias"
    LOG = "log"
    SUM = "sum"


class ActivationName(StrEnum):
    """Activations of a network."""

    IDENTITY = "identity"
    RELU = "relu"
    LEAKY_RELU = "leaky-relu"
    SQUARE = "square"


class LossName(StrEnum):
    """Losses of the constrained and the regularization path."""

    EXPONENTIAL = "exponential"
    LOGISTIC = "logistic"


class LexicographicMethod(StrEnum):
    """Algorithms for the lexicographic max margin."""

    AUTO = "auto"
    SATURATION = "saturation"
    ORDERED_SUMS = "ordered-sums"


@final
@dataclass(frozen=True)
class PredictorSpec:
    """A predictor as a file states it: its kind and that kind's own parameters."""

    kind: PredictorKind
    widths: tuple[int, ...] | None = None
    activation: ActivationName | None = None
    power: float | None = None
    slope: float | None = None
    shift: float | None = None
    depth: int | None = None
    exponents: tuple[tuple[int, ...], ...] | None = None
    outputs: int | None = None
    form: BiasForm | None = None
    columns: tuple[int, ...] | None = None
    members: tuple[PredictorSpec, ...] | None = None


@final
@dataclass(frozen=True)
class DataSpec:
    """Samples as a file states them: inline, in a CSV or NPZ file, or shipped by scikit-learn.

    ``X`` is a list of N rows of p exact numbers, ``y`` N labels: integers, truth values or words.
    ``label``, ``delimiter``, ``comment``, ``index`` and ``decimal`` are those of
    :func:`~lexmargin.data.dataset.load_csv`; an empty ``comment`` says that there are none.
    ``positive`` lists the classes that become +1, ``negative`` those that become -1 (all others
    where it is left out).
    """

    X: tuple[tuple[Number, ...], ...] | None = None
    y: tuple[int | str | bool, ...] | None = None
    csv: str | None = None
    label: str | None = None
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

    ``start`` is a flat θ from which a comparison starts local solvers, instead of a seeded one,
    and from which gradient flow passes through the points of ``flow``.
    """

    path: Path = field(metadata={"internal": True})
    title: str
    source: str
    formulation: FormulationName
    predictor: PredictorSpec
    data: DataSpec
    norm: float = 2.0
    rho: float | None = None
    gamma: float | None = None
    strength: float | None = None
    power: float | None = None
    loss: LossName | None = None
    levels: int | None = None
    method: LexicographicMethod | None = None
    start: tuple[Number, ...] | None = None
    flow: tuple[FlowPoint, ...] = ()
    answer: AnswerSpec | None = None

    def parameters(self) -> dict[str, float | int | str]:
        """Return the parameters that the file gives, and the norm where the program has one."""
        given: dict[str, float | int | str] = {}
        stated = formulations()[self.formulation.value]
        if has_norm(stated):
            given["norm"] = self.norm
        for one in parameters(stated):
            value = getattr(self, one.name)
            if value is not None:
                given[one.name] = value
        return given

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the file start from."""
        return self.path.parent


# The keys of each kind of predictor: a key that the kind, or the formulation, has no use for is a
# mistake, and is named as one.
_KEYS: Final[dict[PredictorKind, tuple[str, ...]]] = {
    PredictorKind.LINEAR: ("outputs",),
    PredictorKind.NETWORK: ("widths", "activation", "power", "slope", "outputs"),
    PredictorKind.DIAGONAL: ("depth",),
    PredictorKind.CONVOLUTION: ("depth",),
    PredictorKind.POLYNOMIAL: ("exponents",),
    PredictorKind.BIAS: ("form", "outputs"),
    PredictorKind.LOG: ("power", "shift"),
    PredictorKind.SUM: ("members",),
}
_REQUIRED: Final[dict[PredictorKind, str]] = {
    PredictorKind.NETWORK: "widths",
    PredictorKind.DIAGONAL: "depth",
    PredictorKind.CONVOLUTION: "depth",
    PredictorKind.POLYNOMIAL: "exponents",
    PredictorKind.SUM: "members",
}
_SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "X": ("y",),
    "csv": ("label", "delimiter", "comment", "index", "decimal", "standardize"),
    "npz": (),
    "dataset": ("positive", "negative", "standardize"),
}


_ONE_SOURCE: Final = (
    "y", "label", "delimiter", "comment", "index", "decimal", "positive", "negative",
)  # fmt: skip


def read_problem(path: Path) -> ProblemFile:
    """Return the problem in a TOML file, with every parameter inside its domain.

    Raises:
        LibraryError: not readable as a problem: an unknown, missing or useless key, a wrong type.
        UnknownNameError: an unknown formulation, kind of predictor, activation or loss.
        ExpressionError: a string that should be a number and is not.
        ParameterError: a parameter outside its domain.
    """
    problem = read_as(ProblemFile, read_toml(path), Where(path), path=path)
    where = Where(path)
    _check_parameters(problem, where)
    _check_predictor(problem.predictor, where.at("predictor"), member=False)
    _check_data(problem.data, where.at("data"))
    return problem


def _check_parameters(problem: ProblemFile, where: Where) -> None:
    stated = formulations()[problem.formulation.value]
    allowed = tuple(one.name for one in parameters(stated))
    every = {one.name for kind in formulations().values() for one in parameters(kind)}
    for name in sorted(every):
        if getattr(problem, name, None) is not None and name not in allowed:
            raise LibraryError(
                f"{where}: {problem.formulation} has no parameter {name!r}.",
                f"It takes: {', '.join(('norm', *allowed))}.",
            )
    asked = dict(stated.traits.defaults)
    for one in parameters(stated):
        if (one.needed or one.name in asked) and getattr(problem, one.name) is None:
            raise LibraryError(
                f"{where}: {problem.formulation} needs {one.name!r}.", f"Add {one.name} = …."
            )
    if not problem.norm >= 1:
        raise ParameterError(f"{where}: norm is {problem.norm:g}.", 'Use p >= 1 or "inf".')
    if not has_norm(stated) and problem.norm != 2:
        raise ParameterError(
            f"{where}: {problem.formulation} is stated for the Euclidean norm only.",
            "Leave norm out, or write norm = 2.",
        )
    for name in ("rho", "gamma", "strength", "power"):
        value: float | None = getattr(problem, name)
        if value is not None and not 0 < value < math.inf:
            raise ParameterError(f"{where}: {name} is {value:g}.", "Use a positive finite number.")
    if problem.levels is not None and problem.levels < 1:
        raise ParameterError(f"{where}: levels is {problem.levels}.", "Use at least 1.")


def _check_predictor(spec: PredictorSpec, where: Where, member: bool) -> None:
    allowed = _KEYS[spec.kind]
    for name in sorted({key for keys in _KEYS.values() for key in keys}):
        if getattr(spec, name) is not None and name not in allowed:
            raise LibraryError(
                f"{where}: a {spec.kind} predictor has no {name!r}.",
                f"It takes: {', '.join(allowed)}." if allowed else "It takes no parameters.",
            )
    required = _REQUIRED.get(spec.kind)
    if required is not None and getattr(spec, required) is None:
        raise LibraryError(f"{where}: {required!r} is missing.", f"Add {required} = ….")
    if spec.columns is not None and not member:
        raise LibraryError(f"{where}: only members of a sum have columns.", "Remove the key.")
    sizes = (*(spec.widths or ()), *(v for v in (spec.depth, spec.outputs) if v is not None))
    if any(size < 1 for size in sizes):
        raise ParameterError(f"{where}: widths, depth and outputs are sizes.", "Use 1 or more.")
    if any(e < 0 for row in spec.exponents or () for e in row):
        raise ParameterError(f"{where}: a negative exponent.", "Use 0 or more.")
    if len({len(row) for row in spec.exponents or ()}) > 1:
        raise ParameterError(f"{where}: ragged exponents.", "Give every monomial all exponents.")
    if any(c < 0 for c in spec.columns or ()):
        raise ParameterError(f"{where}: a negative column.", "Columns of X count from 0.")
    if spec.power is not None and not 0 < spec.power < math.inf:
        raise ParameterError(f"{where}: power is {spec.power:g}.", "Use a positive number.")
    if spec.slope is not None and not 0 <= spec.slope < 1:
        raise ParameterError(f"{where}: slope is {spec.slope:g}.", "Use a slope in [0, 1).")
    if spec.kind is PredictorKind.NETWORK:
        _check_activation(spec, where)
    for index, part in enumerate(spec.members or ()):
        _check_predictor(part, where.at("members").item(index), member=True)


def _check_activation(spec: PredictorSpec, where: Where) -> None:
    owner = {"power": ActivationName.RELU, "slope": ActivationName.LEAKY_RELU}
    for name, activation in owner.items():
        if getattr(spec, name) is not None and spec.activation is not activation:
            raise LibraryError(
                f"{where}: {name} belongs to the activation {str(activation)!r}.",
                f'Write activation = "{activation}", or remove {name}.',
            )


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
    if given == ["X"] and spec.y is None:
        raise LibraryError(f"{where}: 'y' is missing.", "Add one label per row of X.")
    if spec.negative is not None and spec.positive is None:
        raise LibraryError(f"{where}: 'negative' without 'positive'.", "Add positive = [...].")
