"""From a problem file to the formulation it states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lexmargin.data.csv_text import COMMENT
from lexmargin.data.dataset import Dataset, load_csv, load_dataset, load_npz
from lexmargin.errors import LibraryError
from lexmargin.formulations import Formulation
from lexmargin.inputs.codec import fields_written, written
from lexmargin.inputs.files import write_file
from lexmargin.inputs.kinds import checked
from lexmargin.inputs.limits import TOML_BYTES
from lexmargin.inputs.toml import to_toml
from lexmargin.ops.base import FloatArray
from lexmargin.shelf.library import Library
from lexmargin.shelf.problems import ELSEWHERE, AnswerSpec, DataSpec, ProblemFile

__all__ = ["build", "build_data", "load", "save", "stated", "stored_theta"]


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


@checked
def save(problem: Formulation, path: str | Path, *, title: str, source: str = "") -> None:
    """Replace a file by a problem, samples included; :func:`load` returns an equal one.

    Args:
        problem: of any class that files know by a word.
        path: of the TOML file.
        title, source: what is asked, and where it comes from.

    Raises:
        ParameterError: a class without a word of its own, or a field that no file holds.
        UnsupportedError: sparse samples.
        LibraryError: too many samples for a TOML file, or a path that cannot be written.
    """
    data = problem.data
    weights = {} if data.weights is None else {"weights": data.weights.tolist()}
    text = to_toml(
        {
            "title": title,
            "source": source,
            "formulation": Formulation.family.word(type(problem)),
            **fields_written(problem, exact=False, skipped=ELSEWHERE),
            "predictor": written(problem.predictor, exact=False),
            "data": {"X": data.X.tolist(), "y": data.y.tolist(), **weights},
        }
    )
    if len(text.encode()) > TOML_BYTES:
        raise LibraryError(
            f"{data.X.size} numbers are too many for a TOML file.",
            "Save X and y with numpy.savez, and name that file under [data] as npz.",
        )
    write_file(path, text, LibraryError)


def stated(problem: Formulation | str | Path, library: Library) -> Formulation:
    """Return a problem, loaded where its name or its file was given."""
    return problem if isinstance(problem, Formulation) else load(problem, library)


def build(problem: ProblemFile) -> Formulation:
    """Return the formulation that a problem file states; its answer plays no part.

    Raises:
        DataError, DegreeError, ShapeError, ParameterError: from the parts that refuse.
    """
    data = build_data(problem.data, problem.folder, problem.title)
    problem.predictor.check_size(data.n_features)
    formulation: Any = problem.formulation
    result: Formulation = formulation(problem.predictor, data, **problem.parameters)
    return result


def build_data(spec: DataSpec, folder: Path, name: str = "") -> Dataset:
    """Return the samples of a specification, with their weights; paths start from ``folder``.

    Inline samples may be of one class: they are the z_n = y_n x_n of a known answer.

    Raises:
        DataError: samples or labels that cannot be used.
    """
    data = _samples(spec, folder, name)
    if spec.weights is None:
        return data
    return data.weighted([entry.value for entry in spec.weights])


def _samples(spec: DataSpec, folder: Path, name: str) -> Dataset:
    if spec.csv is not None:
        return load_csv(
            folder / spec.csv,
            spec.label,
            weight=spec.weight,
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
    answer = problem.answer or AnswerSpec()
    several = answer.thetas or (), answer.directions or ()
    for point in (answer.theta, *several[0], answer.direction, *several[1]):
        if point is not None:
            flat = np.array([number.value for number in point])
            formulation.functions.blocks(flat)
            return flat
    raise LibraryError("This problem file stores no answer to judge.", "Give --theta FILE.npz.")
