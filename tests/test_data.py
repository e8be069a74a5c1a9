"""Datasets: generous input, strict content, and a named error for every bad input."""

from __future__ import annotations

import dataclasses
import io
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexmargin.data.dataset import SHIPPED, Dataset, load_csv, load_dataset, load_npz
from lexmargin.data.state_files import read_blocks
from lexmargin.errors import DataError, ParameterError, UnknownNameError

X = [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("y", "expected", "classes"),
    [
        ([1, -1, 1], [1, -1, 1], 2),
        ([0, 1, 0], [-1, 1, -1], 2),
        ([0, 1, 2], [0, 1, 2], 3),
        ([1.0, -1.0, 1.0], [1, -1, 1], 2),
        (np.array([True, False, True]), [1, -1, 1], 2),
        (np.array([2, 1, 0], dtype=np.uint8), [2, 1, 0], 3),
        ((1, 0, 1), [1, -1, 1], 2),
    ],
)
def test_labels(y: Any, expected: list[int], classes: int) -> None:
    data = Dataset(X, y)
    assert data.y.dtype == np.int64
    assert data.y.tolist() == expected
    assert data.n_classes == classes
    assert data.is_binary == (classes == 2)
    if classes == 2:
        assert data.signed.tolist() == expected
    else:
        with pytest.raises(ParameterError, match="3 classes"):
            _ = data.signed


@pytest.mark.parametrize(
    "given",
    [
        X,
        tuple(map(tuple, X)),
        np.array(X),
        np.asfortranarray(np.array(X, dtype=np.float32)),
        np.array(X, dtype=np.float64)[:, ::-1][:, ::-1],
        [[Fraction(1), 2], [Decimal(3), 4], [5, 6]],
        np.array(X, dtype=object),
    ],
)
def test_samples_become_frozen_contiguous_float64(given: Any) -> None:
    data = Dataset(given, [1, -1, 1])
    assert data.X.dtype == np.float64
    assert data.X.flags.c_contiguous
    assert (data.n_samples, data.n_features) == (3, 2)
    assert data.X.tolist() == X
    for array in (data.X, data.y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_callers_arrays_are_copied_and_stay_writable() -> None:
    samples, labels = np.array(X, dtype=np.float64), np.array([1, -1, 1])
    data = Dataset(samples, labels)
    samples[0, 0], labels[0] = 99.0, -1
    assert data.X[0, 0] == 1.0
    assert data.y[0] == 1


def test_equality_is_content() -> None:
    a = Dataset(X, [1, 0, 1], name="a")
    b = Dataset(np.array(X, dtype=float), [1, -1, 1], name="b")
    assert a == b
    assert hash(a) == hash(b)
    assert len({a, b}) == 1
    assert a.fingerprint == b.fingerprint
    assert len(a.fingerprint) == 64
    assert a != "a"
    changed = np.array(X, dtype=float)
    changed[0, 0] = np.nextafter(1.0, 2.0)
    assert Dataset(changed, [1, -1, 1]) != a
    assert Dataset(X, [1, -1, -1]) != a
    # The same bytes in another shape are other data.
    assert Dataset([[1.0], [2.0]], [1, -1]) != Dataset([[1.0, 2.0]], [1], one_class=True)


def test_negative_zero_is_zero() -> None:
    assert Dataset([[0.0], [1.0]], [1, -1]) == Dataset([[-0.0], [1.0]], [1, -1])
    assert Dataset([[0.0], [-0.0]], [1, -1]).contradiction == (0, 1)


def test_it_is_final_frozen_and_survives_pickling() -> None:
    data = Dataset([[1, 0], [0, 2]], [1, 1], name="z", one_class=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "other"  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(data))
    assert again == data
    assert again.name == "z"
    assert not again.X.flags.writeable
    assert "2 samples" in repr(data)


@pytest.mark.parametrize(("y", "sign"), [([1, 1], 1), ([-1, -1], -1), ([0, 0], -1)])
def test_one_class_when_asked_for(y: list[int], sign: int) -> None:
    rows = [[1, 0], [0, 2]]
    data = Dataset(rows, y, one_class=True)
    assert data.signed.tolist() == [sign, sign]
    assert data.n_classes == 2
    with pytest.raises(DataError, match="one_class=True"):
        Dataset(rows, y)


ONE_TWO = [1, -1]
BAD: dict[str, tuple[Any, Any, str]] = {
    "nan": ([[1, float("nan")], [2, 3]], ONE_TWO, "nan at row 0, column 1"),
    "inf": ([[1, 2], [float("inf"), 3]], ONE_TWO, "inf at row 1, column 0"),
    "minus inf": ([[1, 2], [-float("inf"), 3]], ONE_TWO, "-inf at row 1"),
    "ragged": ([[1, 2], [3]], ONE_TWO, "ragged"),
    "strings": ([["1/3", "2"], ["1", "2"]], ONE_TWO, "problem file"),
    "mixed": ([[1, "a"], [2, 3]], ONE_TWO, "not real numbers"),
    "complex": ([[1j], [2]], ONE_TWO, "not real numbers"),
    "none": ([[None], [2]], ONE_TWO, "not a real number"),
    "object strings": (np.array([["1"], [2]], dtype=object), ONE_TWO, "not a real number"),
    "too big": ([[10**400], [2]], ONE_TWO, "1.7e308"),
    "times": (np.array([["2020-01-01"], ["2021-01-01"]], dtype="M8[D]"), ONE_TWO, "datetime"),
    "1-d": ([1.0, 2.0], ONE_TWO, "reshape"),
    "3-d": (np.ones((2, 2, 2)), ONE_TWO, "3 dimension"),
    "scalar": (3.0, ONE_TWO, "0 dimension"),
    "empty": ([], [], "no samples"),
    "no rows": (np.zeros((0, 3)), [], "no samples"),
    "no features": (np.zeros((2, 0)), ONE_TWO, "no features"),
    "masked": (np.ma.masked_equal([[1, 2], [3, 4]], 4), ONE_TWO, "masked"),
    "few labels": ([[1], [2]], [1], "1 labels for 2 samples"),
    "many labels": ([[1], [2]], [1, -1, 1], "3 labels for 2 samples"),
    "no labels": ([[1], [2]], [], "0 labels"),
    "2-d labels": ([[1], [2]], [[1], [-1]], "ravel"),
    "one class": ([[1], [2]], [1, 1], "one class only"),
    "one class 2": ([[1], [2]], [7, 7], "one class only"),
    "half labels": ([[1], [2]], [0.5, 1], "not an integer"),
    "nan label": ([[1], [2]], [float("nan"), 1], "row 0 is missing"),
    "no label": ([[1], [2], [3]], ["a", None, "b"], "row 1 is missing"),
    "mixed labels": ([[1], [2]], ["a", 1], "different kinds"),
    "mixed objects": ([[1], [2]], np.array([1, "a"], dtype=object), "different kinds"),
    "dates": ([[1], [2]], np.array(["2020", "2021"], dtype="M8[Y]"), "name no classes"),
    "inf label": ([[1], [2]], [float("inf"), 1], "not an integer"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case: str) -> None:
    samples, labels, message = BAD[case]
    with pytest.raises(DataError, match=message) as caught:
        Dataset(samples, labels)
    assert caught.value.advice or "ragged" in message


def test_equal_rows_with_equal_labels_are_fine() -> None:
    assert Dataset([[1], [1], [2]], [1, 1, -1]).n_samples == 3


def test_labels_outside_one_class_are_refused_there_too() -> None:
    for labels in ([2, 2], ["a", "a"]):
        with pytest.raises(DataError, match="neither the negative nor the"):
            Dataset([[1], [2]], labels, one_class=True)


# -- shipped data sets -----------------------------------------------------------------------------

SIZES = {
    "breast_cancer": (569, 30, 2),
    "digits": (1797, 64, 10),
    "iris": (150, 4, 3),
    "wine": (178, 13, 3),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped(name: str) -> None:
    data = load_dataset(name)
    assert (data.n_samples, data.n_features, data.n_classes) == SIZES[name]
    assert data.name == name


def test_positive_and_negative_classes() -> None:
    whole = load_dataset("wine")
    one = load_dataset("wine", positive=1)
    assert one.signed.tolist() == np.where(whole.y == 1, 1, -1).tolist()
    pair = load_dataset("wine", positive=[0], negative=[2])
    assert pair.n_samples == int(np.sum(whole.y != 1))
    assert np.array_equal(pair.X, whole.X[whole.y != 1])
    flipped = load_dataset("breast_cancer", positive=[0])
    assert flipped.signed.tolist() == (-load_dataset("breast_cancer").y).tolist()


def test_standardized_columns() -> None:
    raw, data = load_dataset("digits", positive=[8]), load_dataset("digits", [8], standardize=True)
    constant = np.ptp(raw.X, axis=0) == 0
    assert constant.any()
    assert data.n_features == 64
    assert np.all(data.X[:, constant] == 0)
    assert np.allclose(data.X.mean(axis=0), 0, atol=1e-12)
    assert np.allclose(data.X[:, ~constant].std(axis=0), 1, atol=1e-12)


def test_limit_keeps_every_class() -> None:
    data = load_dataset("iris", limit=10)
    assert data.n_samples == 10
    assert np.bincount(data.y).tolist() == [4, 3, 3]
    whole = load_dataset("iris")
    assert np.array_equal(data.X[:4], whole.X[:4])
    assert load_dataset("iris", limit=10**6) == whole


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "irsi"}, UnknownNameError, "'iris'"),
        ({"name": "../iris"}, UnknownNameError, "iris"),
        ({"name": "iris", "positive": [3]}, ParameterError, "0, 1, 2"),
        ({"name": "iris", "positive": []}, ParameterError, "0, 1, 2"),
        ({"name": "iris", "positive": True}, ParameterError, "positive must be"),
        ({"name": "iris", "negative": [1]}, ParameterError, "positive"),
        ({"name": "iris", "positive": [0], "negative": [0]}, ParameterError, "both"),
        ({"name": "iris", "positive": [0, 1, 2]}, DataError, "one class"),
        ({"name": "iris", "limit": 1}, ParameterError, "limit"),
        ({"name": "iris", "limit": 2.5}, ParameterError, "limit"),
    ],
)
def test_bad_choices(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_dataset(**arguments)


# -- files that are none ---------------------------------------------------------------------------


@pytest.mark.parametrize("load", [load_csv, load_npz])
def test_paths_that_are_no_files(tmp_path: Path, load: Any) -> None:
    (tmp_path / "empty").touch()
    for path, message in [
        (tmp_path, "is a folder"),
        (tmp_path / "missing", "There is no file"),
        (tmp_path / "empty", "is empty"),
        (Path("/dev/null"), "not a regular file"),
        (tmp_path / "nul\0byte", "file|read"),
        (tmp_path / ("x" * 5000), "file|read"),
    ]:
        with pytest.raises(DataError, match=message):
            load(path)


# -- NPZ -------------------------------------------------------------------------------------------


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    return stream.getvalue()


def claimed(
    header: str, content: bytes = b"", version: int = 1, length: int | None = None
) -> bytes:
    text = header.encode() + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + content


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<i4", "|u1"])
def test_npz(tmp_path: Path, save: Any, dtype: str) -> None:
    file = tmp_path / "points.npz"
    samples = np.asfortranarray(np.array(X, dtype=dtype))
    save(file, X=samples, y=np.array([1, 0, 1]), other=np.array("ignored"))
    data = load_npz(file)
    assert data == Dataset(X, [1, 0, 1])
    assert data.name == "points"


def test_npz_with_many_zeros_is_not_mistaken_for_a_bomb(tmp_path: Path) -> None:
    samples = np.zeros((1000, 500))
    samples[0] = 1
    np.savez_compressed(tmp_path / "z.npz", X=samples, y=np.arange(1000) == 0)
    assert load_npz(tmp_path / "z.npz").n_samples == 1000


GOOD_Y = npy(np.array([1, -1]))
HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (268435456, 1), }"
PICKLE = npy(np.array([[object], [1]], dtype=object))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"X.npy": GOOD_Y}, "no array 'y'"),
        ({"y.npy": GOOD_Y}, "no array 'X'"),
        ({"X.npy": PICKLE, "y.npy": GOOD_Y}, "never loaded"),
        ({"X.npy": npy(np.array([["a"], ["b"]])), "y.npy": GOOD_Y}, "not real numbers"),
        ({"X.npy": npy(np.array([[1j], [2]])), "y.npy": GOOD_Y}, "not real numbers"),
        ({"X.npy": claimed(HUGE, b"0" * 16), "y.npy": GOOD_Y}, "claims shape"),
        ({"X.npy": claimed(HUGE, length=2**31, version=2), "y.npy": GOOD_Y}, "2147483648 bytes"),
        ({"X.npy": claimed(HUGE, length=60_000), "y.npy": GOOD_Y}, "60000 bytes"),
        ({"X.npy": claimed(HUGE, length=9_000), "y.npy": GOOD_Y}, "cannot be read"),
        ({"X.npy": claimed(HUGE.replace("268435456, 1", "-1, -2"), b"0" * 16)}, "claims shape|'y'"),
        ({"X.npy": claimed("[" * 9000), "y.npy": GOOD_Y}, "cannot be read"),
        ({"X.npy": claimed("__import__('os')"), "y.npy": GOOD_Y}, "cannot be read"),
        ({"X.npy": claimed(HUGE, version=3), "y.npy": GOOD_Y}, "NPY format"),
        ({"X.npy": b"\x93NUM", "y.npy": GOOD_Y}, "NPY format"),
        ({"X.npy": b"", "y.npy": GOOD_Y}, "NPY format"),
        ({"X.npy": npy(np.array([[np.nan], [1]])), "y.npy": GOOD_Y}, "nan"),
        ({"X.npy": GOOD_Y, "y.npy": GOOD_Y}, "reshape"),
    ],
)
def test_bad_npz(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    file = tmp_path / "bad.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        load_npz(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


@pytest.mark.parametrize("size", [200 * 2**20, 2**31])
def test_a_directory_entry_that_lies_about_the_size(tmp_path: Path, size: int) -> None:
    file = tmp_path / "lie.npz"
    header = HUGE.replace("268435456", str((size - 128) // 8))
    text = header.ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + text.encode()
    assert len(content) == 128
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", content)
        archive.writestr("y.npy", GOOD_Y)
    raw = bytearray(file.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = struct.pack("<I", size)
    file.write_bytes(raw)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"claims|cut short|damaged"):
        load_npz(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_truncated_and_corrupted_archives(tmp_path: Path, keep: float) -> None:
    file = tmp_path / "cut.npz"
    rng = np.random.default_rng(0)
    np.savez_compressed(file, X=rng.normal(size=(50, 3)), y=np.arange(50) % 2)
    raw = file.read_bytes()
    file.write_bytes(raw[: int(keep * len(raw))])
    with pytest.raises(DataError):
        load_npz(file)
    broken = bytearray(raw)
    broken[200] ^= 0xFF
    file.write_bytes(broken)
    with pytest.raises(DataError):
        load_npz(file)


@pytest.mark.parametrize("content", [b"not a zip", npy(np.ones((2, 2))), b"PK\x03\x04"])
def test_not_an_archive(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.npz"
    file.write_bytes(content)
    with pytest.raises(DataError, match="not an NPZ archive"):
        load_npz(file)


def test_blocks_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    file = tmp_path / "theta.npz"
    blocks = [np.full((k + 1, 2), float(k)) for k in range(12)]
    np.savez(file, **{f"block_{k}": blocks[k] for k in reversed(range(12))})
    read = read_blocks(file)
    assert len(read) == 12
    for block, expected in zip(read, blocks, strict=True):
        assert np.array_equal(block, expected)
        assert block.flags.writeable


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"theta": np.ones(2)}, "no array 'block_0'"),
        ({"block_1": np.ones(2)}, "no array 'block_0'"),
        ({"block_0": np.ones(2), "block_2": np.ones(2)}, "no array 'block_1'"),
        ({"block_0": np.array([1.0, np.nan])}, "block_0 holds NaN"),
        ({"block_0": np.array(["a"])}, "not real numbers"),
    ],
)
def test_bad_blocks(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "theta.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_blocks(tmp_path / "theta.npz")


def test_importing_data_loads_no_heavy_package() -> None:
    code = (
        "import sys, lexmargin.data.dataset\n"
        "print(sorted({'sklearn', 'scipy', 'pandas', 'flint', 'highspy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
