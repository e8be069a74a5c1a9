"""Labelled samples: generous input, strict content, named errors.

``Dataset`` is what every formulation and certificate reads: ``X`` (N, p) and ``y`` (N,) of
``math.md`` §1, checked once and frozen.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from lexmargin.data.csv_text import COMMENT, read_csv
from lexmargin.data.labels import Label, coded_labels
from lexmargin.data.samples import (
    arrays_of,
    contradiction,
    dense_samples,
    is_sparse,
    sample_weights,
    sparse_samples,
)
from lexmargin.data.state_files import read_npz
from lexmargin.errors import (
    DataError,
    ParameterError,
    UnknownNameError,
    UnsupportedError,
    nearest,
)
from lexmargin.inputs.arrays import array_of
from lexmargin.inputs.kinds import checked, checked_class

__all__ = ["SHIPPED", "Dataset", "load_csv", "load_dataset", "load_npz"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SHIPPED = ("breast_cancer", "digits", "iris", "wine")
"""Data sets inside scikit-learn: no download."""


@final
@checked_class
@dataclass(frozen=True, init=False, eq=False, repr=False)
class Dataset:
    """N labelled samples of p features: the (x_n, y_n) of eq. 1.

    Args:
        X: (N, p) finite real numbers: lists, arrays, integers, data frames; a scipy sparse matrix
            or array stays sparse.
        y: (N,) labels: integers, truth values or words (also categories of a data frame). Of two
            classes the second in ascending order is +1; more are numbered 0..C-1 in that order.
        name: shown in reports; not part of equality.
        one_class: accept samples of one class only. Margin functions ``f_n = y_n F(x_n)`` of a
            predictor without bias see only ``z_n = y_n x_n``, so the rows of Z with ``y = +1``
            are honest data there. Off by default, because a file with one class is
            usually a mistake. Not stored, and not part of equality.
        weights: (N,) numbers w_n > 0 of the samples in a loss, ``L = Σ_n w_n ℓ_n`` (the paths of
            eq. 4, 5 and §2.2); None for 1. A whole number is a sample that occurs so often. Margin
            problems ask what every sample has, and ignore them.

    Attributes:
        samples: float64, read-only: C-contiguous without negative zeros, or CSR without stored
            zeros, columns in order.
        y: int64, read-only: -1/+1 for two classes, else 0..C-1.
        classes: the labels as they were given, ascending: (negative, positive), or the C classes.
            Not part of equality.
        weights: float64, read-only, or None.

    Raises:
        DataError: NaN, ±inf, ragged or non-numeric rows, a wrong number of labels, no samples, no
            features, one class only, labels that are missing, fractional or of mixed kinds,
            different rows that become equal when integers beyond 2^53 are rounded, a wrong number
            of weights, or weights that are no numbers from 1e-100 to 1e100.
    """

    samples: Any
    y: IntArray
    name: str
    classes: tuple[Label, ...]
    weights: FloatArray | None

    def __init__(
        self,
        X: Any,
        y: npt.ArrayLike,
        name: str = "",
        *,
        one_class: bool = False,
        weights: npt.ArrayLike | None = None,
    ) -> None:
        samples = sparse_samples(X) if is_sparse(X) else dense_samples(X)
        labels, classes = _labels(y, samples.shape[0], one_class)
        found = None if weights is None else sample_weights(weights, labels.size)
        for array in (labels, *arrays_of(samples), *(() if found is None else (found,))):
            array.setflags(write=False)
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "y", labels)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "weights", found)

    @property
    def X(self) -> FloatArray:
        """The samples as a dense array (N, p).

        Raises:
            UnsupportedError: they are sparse, and what asks for them cannot read that.
        """
        if self.is_sparse:
            raise UnsupportedError(
                "These samples are sparse, and what was asked for needs dense ones.",
                "Sparse samples serve the hard margin, the margin path and the W-set of a linear "
                "predictor, with the solver 'active-set' (a convex one for the first two); else "
                "give X.toarray().",
            )
        dense: FloatArray = self.samples
        return dense

    @property
    def is_sparse(self) -> bool:
        """Whether the samples are CSR."""
        return not isinstance(self.samples, np.ndarray)

    @property
    def n_samples(self) -> int:
        """N, the number of rows of X."""
        return int(self.samples.shape[0])

    @property
    def n_features(self) -> int:
        """p, the number of columns of X."""
        return int(self.samples.shape[1])

    @property
    def n_classes(self) -> int:
        """C: 2 for labels -1/+1 (also when only one of them occurs), else the highest label + 1."""
        return 2 if self.is_binary else int(self.y.max()) + 1

    @functools.cached_property
    def is_binary(self) -> bool:
        """Whether the labels are -1/+1."""
        # Three classes or more always contain the label 0, two never do.
        return not bool(np.any(self.y == 0))

    @property
    def signed(self) -> IntArray:
        """The labels y in {-1, +1}.

        Raises:
            ParameterError: three classes or more.
        """
        if not self.is_binary:
            raise ParameterError(
                f"The data have {self.n_classes} classes, so there are no labels -1/+1.",
                "Pick the positive classes (positive = [...]) or use a multi-class predictor.",
            )
        return self.y

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 over the shape and the bytes of X, y and weights (little-endian), in hexadecimal.

        Of sparse samples the values, columns and row ends are read in turn: they are not equal to
        dense ones with the same entries.
        """
        kind = "lexmargin-sparse-data" if self.is_sparse else "lexmargin-data"
        digest = hashlib.sha256(f"{kind} {self.n_samples} {self.n_features}\n".encode())
        own = () if self.weights is None else (self.weights,)
        for array in (*arrays_of(self.samples), self.y, *own):
            form = "<f8" if array.dtype.kind == "f" else "<i8"
            digest.update(array.astype(form, copy=False).tobytes())
        return digest.hexdigest()

    @functools.cached_property
    def contradiction(self) -> tuple[int, int] | None:
        """Two equal rows with different labels, which no predictor separates; None without any.

        For every predictor ``F`` the two rows have ``f_m = -f_n`` for the scores of their labels.
        """
        return contradiction(self.samples, self.y)

    def standardized(self) -> Dataset:
        """Return the data with every column less its mean, over its standard deviation.

        No column is dropped; constant columns become zeros.

        Raises:
            UnsupportedError: sparse samples, which would become dense.
        """
        return _rebuild(_standardized(self.X), self.y, self.name, self.classes, self.weights)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dataset):
            return NotImplemented
        return self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        title = f"{self.name!r}, " if self.name else ""
        return (
            f"Dataset({title}{self.n_samples} samples, {self.n_features} features, "
            f"{self.n_classes} classes, {'' if self.weights is None else 'weighted, '}"
            f"sha256 {self.fingerprint[:12]})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickled arrays are writable again; going through the constructor freezes them.
        return _rebuild, (self.samples, self.y, self.name, self.classes, self.weights)

    def weighted(self, weights: npt.ArrayLike | None) -> Dataset:
        """Return the same samples with other weights, or with none; raises as the class does."""
        return _rebuild(self.samples, self.y, self.name, self.classes, weights)


@checked
def load_dataset(
    name: str,
    positive: int | Sequence[int] | None = None,
    negative: int | Sequence[int] | None = None,
    standardize: bool = False,
    limit: int | None = None,
) -> Dataset:
    """Load one of the data sets shipped inside scikit-learn (:data:`SHIPPED`).

    Args:
        name: "breast_cancer", "digits", "iris" or "wine".
        positive: class or classes that become +1; without it the classes stay as they are
            (breast_cancer: 0 → -1, 1 → +1).
        negative: class or classes that become -1, all others are left out; by default the rest.
        standardize: subtract the mean of every column and divide by its standard deviation
            (over the samples kept). No column is dropped; constant columns become zeros.
        limit: keep at most this many samples, in file order, taken in turn from every label so
            that a file sorted by class keeps all its classes.

    Raises:
        UnknownNameError: no such data set.
        ParameterError: classes that do not exist or overlap, a limit below 2.
        DataError: the choice leaves one class only.
    """
    if name not in SHIPPED:
        raise UnknownNameError(f"There is no data set {name!r}.", nearest(name, SHIPPED))
    X, y = _shipped(name)
    classes = sorted({int(label) for label in y})
    if positive is not None:
        plus = _classes(positive, classes, "positive")
        minus = (
            [c for c in classes if c not in plus]
            if negative is None
            else _classes(negative, classes, "negative")
        )
        both = sorted(set(plus) & set(minus))
        if both:
            raise ParameterError(
                f"Classes {both} are both positive and negative.", "List every class once."
            )
        keep = np.isin(y, plus + minus)
        X, y = X[keep], np.where(np.isin(y[keep], plus), 1, -1).astype(np.int64)
    elif negative is not None:
        raise ParameterError(
            "Negative classes were given without positive ones.", "Give positive = [...] too."
        )
    if limit is not None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 2:
            raise ParameterError(
                f"limit = {limit!r} is no number of samples.", "Give an integer of at least 2."
            )
        kept = _in_turn(y, limit)
        X, y = X[kept], y[kept]
    if standardize:
        X = _standardized(X)
    return Dataset(X, y, name)


@checked
def load_csv(
    path: str | Path,
    label: str | None = None,
    *,
    weight: str | None = None,
    delimiter: str | None = None,
    comment: str | None = COMMENT,
    index: str | None = None,
    decimal: str | None = None,
    standardize: bool = False,
    one_class: bool = False,
) -> Dataset:
    """Load a CSV file with a header line; errors name line and column.

    Args:
        path: the file, UTF-8.
        label: the name of the label column; the last column by default. Labels are integers or
            words, as for :class:`Dataset`.
        weight: the name of a column of weights of the samples in a loss.
        delimiter: what stands between cells, " " for runs of spaces. None: a comma, semicolon,
            tab, bar or spaces, told from the header and the first sample.
        comment: what a line begins with that is skipped; None for no comments.
        index: the name of a column of row names, which is left out. A first column without a name
            is one by itself ("Unnamed: 0" too), and so is a first cell beyond the header's.
        decimal: the decimal mark, "." or ",". None: a point, or a comma where it can be nothing
            else: another delimiter, no point in any number, and not only numbers such as 1,234.
        standardize: as for :func:`load_dataset`.
        one_class: see :class:`Dataset`.

    Raises:
        DataError: missing, empty or unreadable file, no header, missing values (with all their
            lines), a cell that is not a finite number, a line of another length, and everything
            :class:`Dataset` refuses.
        ParameterError: a delimiter, a comment or a decimal mark that is none.
    """
    X, y, weights = read_csv(
        path, label, weight=weight, delimiter=delimiter, comment=comment, index=index,
        decimal=decimal,
    )  # fmt: skip
    data = Dataset(X, y, Path(path).stem, one_class=one_class, weights=weights)
    return data.standardized() if standardize else data


@checked
def load_npz(path: str | Path, *, one_class: bool = False) -> Dataset:
    """Load the arrays ``X``, ``y`` and ``weights``, if any, of an NPZ archive, nothing unpickled.

    Args:
        path: a file written by ``numpy.savez(path, X=X, y=y)`` or ``savez_compressed``.
        one_class: see :class:`Dataset`.

    Raises:
        DataError: missing or empty file, not an archive, an array missing, object arrays, sizes
            that contradict the file, and everything :class:`Dataset` refuses.
    """
    return Dataset(**read_npz(path), name=Path(path).stem, one_class=one_class)


# -- checks of Dataset -----------------------------------------------------------------------------


def _rebuild(
    X: Any,
    y: IntArray,
    name: str,
    classes: tuple[Label, ...],
    weights: npt.ArrayLike | None,
) -> Dataset:
    data = Dataset(X, y, name, one_class=True, weights=weights)
    object.__setattr__(data, "classes", classes)
    return data


def _labels(
    y: npt.ArrayLike, n_samples: int, one_class: bool
) -> tuple[IntArray, tuple[Label, ...]]:
    array = array_of(y, "y")
    if array.ndim != 1:
        raise DataError(
            f"y has {array.ndim} dimension(s), not 1.", "Give one label per row: y.ravel()."
        )
    if array.shape[0] != n_samples:
        raise DataError(
            f"y has {array.shape[0]} labels for {n_samples} samples.", "Give one label per row."
        )
    return coded_labels(array, y, one_class=one_class)


# -- the shipped data sets -------------------------------------------------------------------------


def _shipped(name: str) -> tuple[FloatArray, IntArray]:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    return np.asarray(bunch.data, dtype=np.float64), np.asarray(bunch.target, dtype=np.int64)


def _classes(wanted: int | Sequence[int], known: list[int], what: str) -> list[int]:
    listed = [wanted] if isinstance(wanted, (int, np.integer)) else list(wanted)
    unknown = [c for c in listed if isinstance(c, bool) or c not in known]
    if unknown or not listed:
        raise ParameterError(
            f"{what} = {wanted!r} names no classes of these data.",
            f"Choose among {', '.join(map(str, known))}.",
        )
    return [int(c) for c in listed]


def _in_turn(y: IntArray, limit: int) -> IntArray:
    turn = np.empty(y.shape[0], dtype=np.int64)
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        turn[members] = np.arange(members.size)
    return np.sort(np.lexsort((y, turn))[:limit])


def _standardized(X: FloatArray) -> FloatArray:
    constant = np.ptp(X, axis=0) == 0
    centred = X - X.mean(axis=0)
    deviation = np.where(constant, 1.0, centred.std(axis=0))
    return np.where(constant, 0.0, centred / deviation)
