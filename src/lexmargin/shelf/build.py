"""From a problem file to the formulation it states."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar, assert_never

import numpy as np

from lexmargin.data.csv_text import COMMENT
from lexmargin.data.dataset import Dataset, load_csv, load_dataset, load_npz
from lexmargin.errors import LibraryError, ParameterError
from lexmargin.formulations import Formulation
from lexmargin.formulations.base import formulations
from lexmargin.inputs.kinds import checked
from lexmargin.inputs.limits import PARAMETER_BLOCKS, PARAMETERS
from lexmargin.ops.base import FloatArray
from lexmargin.predictors import (
    Activation,
    Bias,
    BiasForm,
    ConvolutionalNetwork,
    DiagonalNetwork,
    Identity,
    LeakyReLU,
    Linear,
    Log,
    Member,
    Network,
    Polynomial,
    Predictor,
    ReLU,
    Square,
    Sum,
)
from lexmargin.shelf.expressions import Number
from lexmargin.shelf.library import Library
from lexmargin.shelf.problems import (
    ActivationName,
    DataSpec,
    PredictorKind,
    PredictorSpec,
    ProblemFile,
)

__all__ = ["build", "build_data", "build_predictor", "load", "stated", "stored_theta"]


_T = TypeVar("_T")


@checked
def load(name: str | Path, library: Library | None = None) -> Formulation:
    """Return the problem of that name, or in that file, as a formulation.

    Args:
        name: a name on a shelf, the last part of one, or the path of a TOML file.
        library: the shelves; the shipped one where left out.

    Raises:
        UnknownNameError, LibraryError, ParameterError, ExpressionError: as for reading.
        DataError, DegreeError: samples or a predictor that the formulation cannot use.
    """
    return build((library or Library()).problem(name))


def stated(problem: Formulation | str | Path, library: Library) -> Formulation:
    """Return a problem, loaded where its name or its file was given."""
    return problem if isinstance(problem, Formulation) else load(problem, library)


def build(problem: ProblemFile) -> Formulation:
    """Return the formulation that a problem file states; its answer plays no part.

    Raises:
        DataError, DegreeError, ShapeError, ParameterError: from the parts that refuse.
    """
    predictor = build_predictor(problem.predictor)
    data = build_data(problem.data, problem.folder, problem.title)
    formulation: Any = formulations()[problem.formulation.value]
    _check_size(predictor, data)
    result: Formulation = formulation(predictor, data, **problem.parameters())
    return result


def _check_size(predictor: Predictor, data: Dataset) -> None:
    """Refuse what no memory holds before anything of that size is made."""
    if predictor.block_count > PARAMETER_BLOCKS:
        raise ParameterError(
            f"The predictor has {predictor.block_count} parameter blocks.",
            f"Use at most {PARAMETER_BLOCKS}.",
        )
    count = sum(math.prod(shape) for shape in predictor.shapes(data.n_features))
    if count > PARAMETERS:
        raise ParameterError(f"The predictor has {count} parameters.", f"Use at most {PARAMETERS}.")


def build_predictor(spec: PredictorSpec) -> Predictor:
    """Return the predictor of a specification; keys it leaves out take the class's defaults.

    Raises:
        LibraryError: a key that the kind needs is missing.
        ParameterError: a parameter outside its domain.
    """
    outputs = 1 if spec.outputs is None else spec.outputs
    match spec.kind:
        case PredictorKind.LINEAR:
            return Linear(outputs)
        case PredictorKind.NETWORK:
            return Network(_needed(spec.widths, "widths"), _activation(spec), outputs)
        case PredictorKind.DIAGONAL:
            return DiagonalNetwork(_needed(spec.depth, "depth"))
        case PredictorKind.CONVOLUTION:
            return ConvolutionalNetwork(_needed(spec.depth, "depth"))
        case PredictorKind.POLYNOMIAL:
            return Polynomial(_needed(spec.exponents, "exponents"))
        case PredictorKind.BIAS:
            return Bias(spec.form or BiasForm.SIGNED_SQUARE, outputs)
        case PredictorKind.LOG:
            return Log(1.0 if spec.power is None else spec.power, spec.shift or 0.0)
        case PredictorKind.SUM:
            members = _needed(spec.members, "members")
            return Sum([Member(build_predictor(part), part.columns) for part in members])
        case _:
            assert_never(spec.kind)


def _needed(value: _T | None, key: str) -> _T:
    if value is None:
        raise LibraryError(f"The predictor needs {key!r}.", f"Add {key} = ….")
    return value


def _activation(spec: PredictorSpec) -> Activation:
    match spec.activation:
        case None | ActivationName.IDENTITY:
            return Identity()
        case ActivationName.RELU:
            return ReLU() if spec.power is None else ReLU(spec.power)
        case ActivationName.LEAKY_RELU:
            return LeakyReLU() if spec.slope is None else LeakyReLU(spec.slope)
        case ActivationName.SQUARE:
            return Square()
        case _:
            assert_never(spec.activation)


def build_data(spec: DataSpec, folder: Path, name: str = "") -> Dataset:
    """Return the samples of a specification; relative paths start from ``folder``.

    Inline samples may be of one class: they are the z_n = y_n x_n of a known answer.

    Raises:
        DataError: samples or labels that cannot be used.
    """
    if spec.csv is not None:
        return load_csv(
            folder / spec.csv,
            spec.label,
            delimiter=spec.delimiter,
            comment=COMMENT if spec.comment is None else spec.comment or None,
            index=spec.index,
            decimal=spec.decimal,
            standardize=spec.standardize,
        )
    if spec.npz is not None:
        return load_npz(folder / spec.npz)
    if spec.dataset is not None:
        return load_dataset(
            spec.dataset,
            positive=spec.positive,
            negative=spec.negative,
            standardize=spec.standardize,
        )
    X = [[entry.value for entry in row] for row in spec.X or ()]
    return Dataset(X, spec.y or (), name=name, one_class=True)


def stored_theta(problem: ProblemFile, formulation: Formulation) -> FloatArray:
    """Return the stored answer of a problem file as a flat ``(d,)`` point of its formulation.

    Raises:
        LibraryError: the file stores no point.
    """
    answer = problem.answer
    points: tuple[tuple[Number, ...] | None, ...] = ()
    if answer is not None:
        points = (
            answer.theta,
            *(answer.thetas or ()),
            answer.direction,
            *(answer.directions or ()),
        )
    for point in points:
        if point is not None:
            flat = np.array([number.value for number in point])
            formulation.functions.blocks(flat)
            return flat
    raise LibraryError("This problem file stores no answer to judge.", "Give --theta FILE.npz.")
