"""Sparse matrices that are none: what scipy lets anybody change is checked where we take it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import lexmargin as lm
from lexmargin.data.samples import sparse_samples, stored_samples
from lexmargin.errors import DataError, LexmarginError

DENSE = np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0], [-1.0, 0.0, 0.5], [0.0, -2.0, 1.0]])
Y = [1, 1, -1, -1]
FORMATS = ("csr", "csc", "coo", "bsr", "lil", "dok", "dia")


def takers() -> dict[str, Callable[[Any], object]]:
    """Every entry that takes sparse samples."""
    fitted = lm.MarginClassifier(formulation="hard-margin").fit(sparse.csr_array(DENSE), Y)
    return {
        "Dataset": lambda X: lm.Dataset(X, Y),
        "certify_linear": lambda X: lm.certify_linear(X, Y, np.ones(3)),
        "fit": lambda X: lm.MarginClassifier(formulation="hard-margin").fit(X, Y),
        "predict": fitted.predict,
    }


@pytest.mark.parametrize("build", ["array", "matrix"])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read_as_its_entries(kind: str, build: str) -> None:
    X = getattr(sparse, f"{kind}_{build}")(DENSE)
    assert np.array_equal(sparse_samples(X).toarray(), DENSE)
    assert np.array_equal(stored_samples(X).toarray(), DENSE)
    assert lm.Dataset(X, Y) == lm.Dataset(sparse.csr_array(DENSE), Y)


def csr(**changes: Any) -> Any:
    X = sparse.csr_array(DENSE)
    for name, value in changes.items():
        setattr(X, name, value)
    return X


def changed(kind: str, **changes: Any) -> Any:
    X = getattr(sparse, f"{kind}_array")(DENSE)
    for name, value in changes.items():
        setattr(X, name, value)
    return X


def poked(kind: str, name: str, place: Any, value: Any) -> Any:
    X = getattr(sparse, f"{kind}_array")(DENSE)
    getattr(X, name)[place] = value
    return X


def claims_order() -> Any:
    """Columns out of order, and a flag that says otherwise."""
    X = sparse.csr_array((np.array([2.0, 1.0]), np.array([2, 0]), np.array([0, 2])), shape=(1, 3))
    X.has_canonical_format = True
    X.has_sorted_indices = True
    return X


DAMAGE: dict[str, Callable[[], Any]] = {
    "index too large": lambda: poked("csr", "indices", 0, 10**8),
    "index too small": lambda: poked("csr", "indices", 0, -1),
    "index at the end": lambda: poked("csr", "indices", 0, 3),
    "csc index": lambda: poked("csc", "indices", 0, 10**8),
    "bsr index": lambda: poked("bsr", "indices", 0, 10**8),
    "coo row": lambda: poked("coo", "row", 0, 10**8),
    "coo column": lambda: poked("coo", "col", 0, -5),
    "row ends fall": lambda: poked("csr", "indptr", 1, 5),
    "row ends run out": lambda: poked("csr", "indptr", -1, 10**8),
    "row ends begin late": lambda: poked("csr", "indptr", 0, 1),
    "row ends below zero": lambda: poked("csr", "indptr", 1, -1),
    "too few row ends": lambda: csr(indptr=np.array([0, 6])),
    "too many row ends": lambda: csr(indptr=np.array([0, 1, 2, 3, 4, 5, 6])),
    "row ends that are no array": lambda: csr(indptr=[0, 2, 3, 5, 7]),
    "row ends that are floats": lambda: csr(indptr=np.array([0.0, 2, 3, 5, 7])),
    "fewer entries than indices": lambda: csr(data=np.ones(2)),
    "entries in two dimensions": lambda: csr(data=np.ones((7, 1))),
    "entries that are text": lambda: csr(data=np.array(["a"] * 7)),
    "entries that are complex": lambda: csr(data=np.ones(7) * 1j),
    "entries that are truth values": lambda: csr(data=np.ones(7, bool)),
    "entries that are objects": lambda: csr(data=np.ones(7, object)),
    "entries that are none": lambda: csr(data=None),
    "indices that are none": lambda: csr(indices=None),
    "another shape": lambda: csr(_shape=(4, 2)),
    "a shape of text": lambda: csr(_shape=("4", 3)),
    "no shape": lambda: csr(_shape=None),
    "coo of other lengths": lambda: changed("coo", data=np.ones(3)),
    "lil of other lengths": lambda: poked("lil", "rows", 0, [0, 1, 2, 3, 4, 5]),
    "lil beyond": lambda: poked("lil", "rows", 1, [77]),
    "dia of other offsets": lambda: changed("dia", offsets=np.array([0])),
    "NaN": lambda: poked("csr", "data", 0, np.nan),
    "infinity": lambda: poked("coo", "data", 0, np.inf),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_wherever_it_is_taken(name: str) -> None:
    for taker, take in takers().items():
        with pytest.raises((LexmarginError, ValueError)) as caught:
            pytest.fail(f"{taker} took it: {take(DAMAGE[name]())!r}")
        # scikit-learn's own checks come first in its estimator, and raise ValueError.
        assert taker in ("fit", "predict") or isinstance(caught.value, LexmarginError), taker


def test_order_is_looked_at_and_not_believed() -> None:
    assert np.array_equal(stored_samples(claims_order()).indices, [0, 2])
    good = sparse.csr_array(DENSE)
    assert stored_samples(good) is good
    doubled = sparse.csr_array((np.ones(2), np.array([1, 1]), np.array([0, 2])), shape=(1, 3))
    doubled.has_canonical_format = True
    assert stored_samples(doubled).toarray().tolist() == [[0.0, 2.0, 0.0]]
    trailing = csr(data=np.ones(9), indices=np.append(good.indices, [0, 10**8]))
    assert np.array_equal(stored_samples(trailing).toarray(), DENSE != 0)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=st.data())
def test_any_arrays_are_a_matrix_or_an_error(data: st.DataObject) -> None:
    """Random arrays in a CSR, CSC or COO matrix: what is taken has the entries it says."""
    kind = data.draw(st.sampled_from(["csr", "csc", "coo"]))
    whole = st.lists(st.integers(-1, 4), min_size=0, max_size=8)
    X = getattr(sparse, f"{kind}_array")(DENSE)
    numbers = np.array(data.draw(st.lists(st.integers(-3, 3), max_size=8)), dtype=float)
    first, second = (np.array(data.draw(whole), dtype=np.int32) for _ in range(2))
    if kind == "coo":
        X.data, X.coords = numbers, (first, second)
    else:
        X.data, X.indices, X.indptr = numbers, first, np.sort(second)
    try:
        found = sparse_samples(X)
    except DataError:
        return
    expected = np.zeros((4, 3))
    if kind == "coo":
        for value, i, j in zip(numbers, first, second, strict=True):
            expected[i, j] += value
    else:
        ends = np.sort(second)
        for major in range(ends.size - 1):
            for place in range(ends[major], ends[major + 1]):
                i, j = (major, first[place]) if kind == "csr" else (first[place], major)
                expected[i, j] += numbers[place]
    assert np.array_equal(found.toarray(), expected)


def test_what_is_in_the_dataset_cannot_be_reached_from_what_was_given() -> None:
    X = sparse.csr_array(DENSE)
    kept = lm.Dataset(X, Y)
    X.indices[0] = 10**8
    assert np.array_equal(kept.samples.toarray(), DENSE)
