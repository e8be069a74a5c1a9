"""Archives and state files that are damaged or made to harm: named before anything grows."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexmargin.data.dataset import load_npz
from lexmargin.data.state_files import read_blocks, read_state
from lexmargin.errors import DataError


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array)
    return stream.getvalue()


def headed(shape: str, content: bytes = bytes(8), kind: str = "<f8") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def archive(path: Path, members: Mapping[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as written:
        for name, content in members.items():
            written.writestr(f"{name}.npy", content)
    return path


def tensors(path: Path, header: object, content: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


def refused(read: Callable[[Path], Any], path: Path, message: str) -> None:
    """Refused by name, with less memory than a file of any size is granted."""
    tracemalloc.start()
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 2**20 and len(str(caught.value)) < 1100


Y = npy(np.array([1, -1]))


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_packings_that_numpy_does_not_write_are_refused(tmp_path: Path, packing: int) -> None:
    path = archive(tmp_path / "a.npz", {"X": npy(np.eye(2)), "y": Y}, packing)
    refused(load_npz, path, "NumPy does not write")


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        ("(" + "1, " * 80 + ")", "<f8", "cannot be read"),
        ("(True,)", "<f8", "cannot be read"),
        ("(-1,)", "<f8", "cannot be read"),
        ("(1.0,)", "<f8", "cannot be read"),
        ("(1,)*1", "<f8", "cannot be read"),
        (f"({'9' * 4000},)", "<f8", "cannot be read"),
        ("(18446744073709551617,)", "<f8", "cannot be read"),
        ("(1,)", "<f9", "not real numbers"),
        ("(1,)", "|O", "never loaded"),
        ("(1,)", "<M8[s]", "datetime64"),
        ("(1,)", "<U2", "not real numbers"),
        ("(3,)", "<f8", "claims shape"),
    ],
)
def test_headers_are_read_and_never_evaluated(
    tmp_path: Path, shape: str, kind: str, message: str
) -> None:
    path = archive(tmp_path / "a.npz", {"X": headed(shape, kind=kind), "y": Y})
    refused(load_npz, path, message)


def test_the_sum_of_all_arrays_is_limited_as_it_will_be_widened(tmp_path: Path) -> None:
    wide = headed("(20000000, 1)", bytes(20_000_000), "|b1")
    refused(load_npz, archive(tmp_path / "a.npz", {"X": wide, "y": Y}), "sum of its arrays")
    million = npy(np.zeros(10**6))
    many = archive(tmp_path / "b.npz", {f"{k}.weight": million for k in range(20)})
    refused(read_state, many, "sum of its arrays")
    blocks = archive(tmp_path / "c.npz", {f"block_{k}": million for k in range(20)})
    refused(read_blocks, blocks, "sum of its arrays")
    assert len(read_state(archive(tmp_path / "d.npz", {"0.weight": million}))["0.weight"]) == 10**6


def test_names_that_are_damaged_or_doubled_are_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {"X": npy(np.eye(2)), "y": Y, "é": Y})
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xff"))
    refused(load_npz, path, "damaged archive")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as written:
        for _ in range(2):
            written.writestr("X.npy", npy(np.eye(2)))
    refused(load_npz, path, "1 of different names")


@pytest.mark.parametrize("read", [read_state, load_npz])
def test_truth_values_are_no_weights_and_no_samples(tmp_path: Path, read: Any) -> None:
    path = archive(tmp_path / "a.npz", {"X": npy(np.eye(2) > 0), "y": Y})
    refused(read, path, "truth values")


# -- safetensors -----------------------------------------------------------------------------------


def entry(kind: str = "F32", shape: object = (2,), place: object = (0, 8)) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": place}


@pytest.mark.parametrize(
    ("kind", "numbers", "content"),
    [
        ("F64", [1.0, -2.5], struct.pack("<dd", 1.0, -2.5)),
        ("F32", [1.0, -2.5], struct.pack("<ff", 1.0, -2.5)),
        ("F16", [1.0, -2.5], struct.pack("<ee", 1.0, -2.5)),
        ("BF16", [1.0, -2.5], struct.pack("<ff", 1.0, -2.5)[2:4] + struct.pack("<f", -2.5)[2:]),
        ("I8", [1.0, -2.0], struct.pack("<bb", 1, -2)),
        ("U16", [1.0, 40000.0], struct.pack("<HH", 1, 40000)),
    ],
)
def test_tensors_of_every_precision(
    tmp_path: Path, kind: str, numbers: list[float], content: bytes
) -> None:
    header = {"__metadata__": {"a": "b"}, "0.weight": entry(kind, (1, 2), (0, len(content)))}
    found = read_state(tensors(tmp_path / "a.safetensors", header, content))
    assert found["0.weight"].tolist() == [numbers]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' + b"1" * 5000 + b"}", "not JSON"),
        (b'{"a":\xff}', "not JSON"),
        (b"[1, 2]", "no table"),
        (b'{"a": 1, "a": 2}', "not JSON"),
        ({"a": 3}, "needs dtype"),
        ({"a": entry("F4")}, "'F4'"),
        ({"a": entry("C64")}, "'C64'"),
        ({"a": entry(shape=[True, 2])}, "impossible"),
        ({"a": entry(shape=[-1, -2])}, "impossible"),
        ({"a": entry(shape=[1] * 80)}, "impossible"),
        ({"a": entry(place=[8, 0])}, "does not fill"),
        ({"a": entry(place=[0, 9])}, "does not fill"),
        ({"a": entry(shape=[3])}, "does not fill"),
        ({"a": entry(shape=[2**60] * 30)}, "sum of its tensors"),
        ({"a": entry("BOOL", [8])}, "truth values"),
    ],
)
def test_hostile_tensors(tmp_path: Path, header: object, message: str) -> None:
    refused(read_state, tensors(tmp_path / "a.safetensors", header, bytes(8)), message)


def test_tensors_that_share_their_bytes_are_counted_each(tmp_path: Path) -> None:
    header = {f"{k}": entry("U8", [10**6], [0, 10**6]) for k in range(200)}
    refused(read_state, tensors(tmp_path / "a.safetensors", header, bytes(10**6)), "sum of its")


@pytest.mark.parametrize("length", [0, 1, 7, 2**63, 2**64 - 1])
def test_lengths_of_headers_that_lie(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    refused(read_state, path, "impossible length|not JSON")
