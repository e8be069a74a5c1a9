"""Kinds of separation against an enumeration of the cone's rays that shares no code with it."""

from __future__ import annotations

import dataclasses
import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexmargin.cli.main import main
from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.errors import UnsupportedError
from lexmargin.separability import (
    Coefficient,
    CoefficientProof,
    Separation,
    SeparationKind,
    separability,
    verify_coefficients,
    verify_separability,
)
from lexmargin.separation.decomposition import RowSpace, decompose
from lexmargin.separation.gordan_program import alternative
from lexmargin.separation.rows import margin_rows

COMPLETE, QUASI, OVERLAP = (
    SeparationKind.COMPLETE,
    SeparationKind.QUASI_COMPLETE,
    SeparationKind.OVERLAP,
)
ZERO, PLUS, MINUS, EITHER = (
    Coefficient.FINITE,
    Coefficient.PLUS,
    Coefficient.MINUS,
    Coefficient.EITHER,
)


def line(x: list[float], labels: str, one: str = "+") -> Dataset:
    return Dataset(np.array(x, float).reshape(-1, 1), [1 if c == one else -1 for c in labels])


# The cases `kinds`, `contradiction`, `overlap-three`, each with a bias.
CASES = {
    "complete": (line([1, 2, 3, 4], "--++"), COMPLETE, (0, 1, 2, 3), (PLUS, MINUS)),
    "quasi-complete": (line([1, 2, 2, 4], "--++"), QUASI, (0, 3), (PLUS, MINUS)),
    "overlap": (line([1, 3, 2, 4], "--++"), OVERLAP, (), (ZERO, ZERO)),
    "contradiction": (line([1, 1, 0, 0], "++-+"), QUASI, (0, 1), (PLUS, ZERO)),
    "overlap-three": (line([0, 1, 2], "-+-"), OVERLAP, (), (ZERO, ZERO)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("as_sparse", [False, True])
def test_known_kinds(name: str, as_sparse: bool) -> None:
    data, kind, strict, coefficients = CASES[name]
    if as_sparse:
        data = Dataset(sparse.csr_array(data.X), data.y)
    found = separability(data, bias=True)
    assert found.kind is kind
    assert found.strict == found.samples == strict
    assert found.coefficients == coefficients
    assert found.undetermined == ()
    assert verify_coefficients(data, found)


def test_the_contradiction_rests_on_the_two_equal_rows() -> None:
    found = separability(CASES["contradiction"][0], bias=True)
    half = Fraction(1, 2)
    assert found.gordan == (0, 0, half, half)


# -- an independent reference ----------------------------------------------------------------------


def kernel(rows: list[list[Fraction]], size: int) -> list[list[Fraction]]:
    """A basis of the null space, by Gauss and Jordan."""
    table, pivots = [list(row) for row in rows], list[int]()
    for column in range(size):
        row = next((r for r in range(len(pivots), len(table)) if table[r][column]), None)
        if row is None:
            continue
        top = len(pivots)
        table[top], table[row] = table[row], table[top]
        table[top] = [v / table[top][column] for v in table[top]]
        for other in range(len(table)):
            if other != top and table[other][column]:
                factor = table[other][column]
                table[other] = [
                    a - factor * b for a, b in zip(table[other], table[top], strict=True)
                ]
        pivots.append(column)
    basis = []
    for free in (c for c in range(size) if c not in pivots):
        vector = [Fraction(int(c == free)) for c in range(size)]
        for r, pivot in enumerate(pivots):
            vector[pivot] = -table[r][free]
        basis.append(vector)
    return basis


def reference(Z: np.ndarray) -> tuple[set[int], list[Coefficient]]:
    """S and the ranges from generators of C: its lineality and the rays on subsets of the rows."""
    rows = [[Fraction(float(v)) for v in row] for row in Z]
    size = Z.shape[1]
    lineality = kernel(rows, size)
    rank = size - len(lineality)
    generators = [*lineality, *([-v for v in w] for w in lineality)]
    for chosen in itertools.combinations(range(len(rows)), max(rank - 1, 0)):
        # A ray lies where the chosen rows vanish, orthogonal to the lineality.
        null = kernel([*(rows[n] for n in chosen), *lineality], size)
        if len(null) != 1:
            continue
        for sign in (1, -1):
            ray = [sign * v for v in null[0]]
            if all(sum(a * b for a, b in zip(row, ray, strict=True)) >= 0 for row in rows):
                generators.append(ray)
    strict = {
        n
        for n, row in enumerate(rows)
        if any(sum(a * b for a, b in zip(row, w, strict=True)) > 0 for w in generators)
    }
    words = {(False, False): ZERO, (True, False): PLUS, (False, True): MINUS, (True, True): EITHER}
    ranges = [
        words[any(w[j] > 0 for w in generators), any(w[j] < 0 for w in generators)]
        for j in range(size)
    ]
    return strict, ranges


def agrees(data: Dataset, bias: bool) -> Separation:
    found = separability(data, bias)
    strict, ranges = reference(margin_rows(Dataset(data.samples, data.y, one_class=True), bias))
    assert set(found.strict) == strict
    assert list(found.coefficients) == ranges
    assert verify_coefficients(data, found)
    return found


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    st.integers(1, 3).flatmap(
        lambda d: st.lists(
            st.tuples(st.lists(st.integers(-2, 2), min_size=d, max_size=d), st.booleans()),
            min_size=1,
            max_size=6,
        )
    ),
    st.booleans(),
)
def test_small_integer_data(samples: list[tuple[list[int], bool]], bias: bool) -> None:
    X = [row for row, _ in samples]
    agrees(Dataset(X, [1 if up else -1 for _, up in samples], one_class=True), bias)


@pytest.mark.parametrize("seed", range(12))
def test_data_made_quasi_complete(seed: int) -> None:
    """A part on which both labels occur at one place, and dummies that only one class has."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, size=(7, 3))
    y = np.where(X @ rng.integers(-1, 2, size=3) + rng.integers(-1, 2, size=7) > 0, 1, -1)
    X, y = np.vstack([X, X[:1]]), np.append(y, -y[0])
    found = agrees(Dataset(X, y), bias=bool(seed % 2))
    assert found.kind is not COMPLETE


@pytest.mark.parametrize("seed", range(4))
def test_three_classes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = Dataset(rng.integers(-2, 3, size=(4, 1)), [0, 1, 2, int(rng.integers(0, 3))])
    found = separability(data, bias=True)
    strict, ranges = reference(margin_rows(data, bias=True))
    assert set(found.strict) == strict and list(found.coefficients) == ranges
    assert verify_coefficients(data, found)
    whole = {n for n in range(4) if {2 * n, 2 * n + 1} <= strict}
    assert set(found.samples) == whole


def test_a_dummy_trap_is_undetermined() -> None:
    """One column per category and a bias: their sum is the bias, whatever the labels."""
    category = np.array([0, 0, 1, 1, 2, 2])
    data = Dataset(np.eye(3)[category], [1, -1, 1, -1, 1, -1])
    found = separability(data, bias=True)
    assert found.kind is OVERLAP
    assert found.undetermined == (0, 1, 2, 3)
    assert set(found.coefficients) == {EITHER}
    assert verify_coefficients(data, found)
    without = separability(data)
    assert without.undetermined == () and set(without.coefficients) == {ZERO}


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(-2, 2), min_size=2, max_size=2), st.booleans()),
        min_size=2,
        max_size=6,
    ),
    st.data(),
)
def test_scales_order_and_labels_change_nothing_else(
    samples: list[tuple[list[int], bool]], data: st.DataObject
) -> None:
    X = np.array([row for row, _ in samples], dtype=float)
    y = np.array([1 if up else -1 for _, up in samples])
    plain = separability(Dataset(X, y, one_class=True))
    order = np.array(data.draw(st.permutations(range(len(y)))))
    powers = data.draw(st.lists(st.integers(-400, 400), min_size=2, max_size=2))
    other = Dataset((X * 2.0 ** np.array(powers))[order], y[order], one_class=True)
    moved = separability(other)
    assert moved.kind is plain.kind
    assert {int(order[n]) for n in moved.strict} == set(plain.strict)
    assert moved.coefficients == plain.coefficients
    assert verify_coefficients(other, moved)
    flipped = separability(Dataset(X, -y, one_class=True))
    turned = {PLUS: MINUS, MINUS: PLUS}
    assert flipped.strict == plain.strict
    assert list(flipped.coefficients) == [turned.get(c, c) for c in plain.coefficients]


@pytest.mark.parametrize(
    ("name", "positive", "kind"),
    [
        ("iris", [1], OVERLAP),
        ("iris", [0], COMPLETE),
        pytest.param("digits", [8], QUASI, marks=pytest.mark.long),
        pytest.param("breast_cancer", [1], COMPLETE, marks=pytest.mark.long),
    ],
)
def test_real_data(name: str, positive: list[int], kind: SeparationKind) -> None:
    data = load_dataset(name, positive)
    found = separability(data, bias=True)
    assert found.kind is kind
    assert verify_coefficients(data, found)
    constant = np.flatnonzero(np.ptp(data.X, axis=0) == 0)
    assert set(constant) <= set(found.undetermined)


# -- proofs that a small change breaks ------------------------------------------------------------


def with_proof(found: Separation, j: int, proof: CoefficientProof) -> Separation:
    changed = dataclasses.replace(found)
    proofs = list(found.coefficient_proofs)
    proofs[j] = proof
    changed.__dict__["coefficient_proofs"] = tuple(proofs)
    return changed


def test_a_wrong_decomposition_is_rejected() -> None:
    data = CASES["quasi-complete"][0]
    found = separability(data, bias=True)
    assert found.gordan is not None
    for w in ((0, 0), (1, -3), (-1, 2), (1, -2, 0)):
        weights = tuple(map(Fraction, w))
        assert not verify_separability(data, dataclasses.replace(found, weights=weights))
    half = Fraction(1, 2)
    for gordan in (
        None,
        (half, 0, half, 0),
        (0, 1, 0, 0),
        (0, half, half + Fraction(1, 10**30), 0),
    ):
        fractions = None if gordan is None else tuple(map(Fraction, gordan))
        assert not verify_separability(data, dataclasses.replace(found, gordan=fractions))
    for strict in ((0,), (0, 1, 3), ()):
        assert not verify_separability(data, dataclasses.replace(found, strict=strict))
    for kind in (COMPLETE, OVERLAP):
        assert not verify_separability(data, dataclasses.replace(found, kind=kind))
    assert not verify_separability(data, dataclasses.replace(found, bias=False))


def test_a_wrong_coefficient_is_rejected() -> None:
    data = CASES["contradiction"][0]
    found = separability(data, bias=True)
    plus, zero = found.coefficient_proofs
    assert plus.bound is not None and plus.above is not None and zero.bound is not None
    assert verify_coefficients(data, with_proof(found, 0, plus))
    small = Fraction(1, 10**30)
    wrong = [
        (0, dataclasses.replace(plus, value=ZERO)),
        (0, dataclasses.replace(plus, value=EITHER)),
        (0, dataclasses.replace(plus, bound=None)),
        (0, dataclasses.replace(plus, bound=tuple(v + small for v in plus.bound))),
        (0, dataclasses.replace(plus, bound=tuple(-v for v in plus.bound))),
        (0, dataclasses.replace(plus, above=tuple(-v for v in plus.above))),
        (0, CoefficientProof(EITHER, plus.above, tuple(-v for v in plus.above))),
        (0, CoefficientProof(ZERO, bound=plus.bound)),
        (1, dataclasses.replace(zero, value=PLUS)),
        (1, dataclasses.replace(zero, bound=(Fraction(0),) * 4)),
        (1, dataclasses.replace(zero, bound=plus.bound)),
    ]
    for j, proof in wrong:
        assert not verify_coefficients(data, with_proof(found, j, proof))


# -- parts -----------------------------------------------------------------------------------------


def test_alternatives_of_large_integers() -> None:
    big = 3**200
    separable = alternative([[big, 1], [-big + 1, 2]])
    assert isinstance(separable, tuple)
    assert big * separable[0] + separable[1] > 0 < (1 - big) * separable[0] + 2 * separable[1]
    gordan = alternative([[big, -1], [-big, 1], [1, 1]])
    assert isinstance(gordan, dict) and gordan.get(2, 0) == 0 and gordan[0] == gordan[1] > 0
    assert alternative([[1, 0], [0, 0]]) == {1: 1}


def test_null_spaces_survive_an_unlucky_prime() -> None:
    prime = 2**61 - 1
    space = RowSpace([[prime, 0, 0], [0, prime, 0], [1, 1, 0]], 3)
    assert space.dimension == 1
    assert [abs(int(row[0])) for row in space.null.tolist()] == [0, 0, 1]
    assert space.coordinates([Fraction(0), Fraction(0), Fraction(1)]) is None


def test_wide_sparse_samples_are_separated_by_a_checked_direction() -> None:
    rng = np.random.default_rng(0)
    X = sparse.random_array((100, 41_000), density=0.002, rng=rng, format="csr")
    data = Dataset(X, np.where(np.arange(100) % 2, 1, -1))
    found = separability(data, bias=True)
    assert found.kind is COMPLETE and found.strict == tuple(range(100))
    rows = margin_rows(data, bias=True)
    assert np.all(rows @ found.witness > 0)
    with pytest.raises(UnsupportedError, match="not decided"):
        _ = found.coefficients
    same = sparse.vstack([X, X[:1]], format="csr")
    with pytest.raises(UnsupportedError, match="too many to be looked at exactly"):
        separability(Dataset(same, np.append(data.y, -data.y[0])))


def test_sparse_rows_are_the_dense_ones() -> None:
    rng = np.random.default_rng(1)
    X = rng.integers(0, 2, size=(9, 4)).astype(float)
    for y in (np.where(np.arange(9) % 2, 1, -1), np.arange(9) % 3):
        for bias in (False, True):
            dense = margin_rows(Dataset(X, y), bias)
            other = margin_rows(Dataset(sparse.csr_array(X), y), bias)
            assert np.array_equal(other.toarray(), dense)
            assert decompose(other).strict == decompose(dense).strict


# -- the command line ------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "quasi.csv"
    file.write_text("dose;died\n1;no\n2;no\n2;yes\n4;yes\n")

    def call(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["separability", *words])
        assert ended.value.code == 0
        return capsys.readouterr().out

    answer = json.loads(call(str(file), "--json"))
    assert answer["kind"] == "quasi-complete"
    assert answer["classes"] == ["no", "yes"]
    assert answer["strict"] == [0, 3] and answer["rest"] == [1, 2]
    assert answer["coefficients"] == ["+inf", "-inf"]
    assert answer["gordan"] == {"1": "1/2", "2": "1/2"}
    assert "quasi-complete" in call(str(file), "--label", "died", "--delimiter", ";")
    assert json.loads(call(str(file), "--no-bias", "--json"))["coefficients"] == ["0"]
    assert json.loads(call("xor", "--json"))["kind"] == "overlap"
    with pytest.raises(SystemExit) as ended:
        main(["separability", "xor", "--label", "y"])
    assert ended.value.code == 2
