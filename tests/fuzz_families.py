"""Random input of every kind a user can give; each family makes one case and reads it.

A case may be read or refused by a named error. Anything else that comes out is a fault.
"""

from __future__ import annotations

import inspect
import io
import json
import math
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

import lexmargin as lm
from lexmargin.compare import Serial, Store, read_back
from lexmargin.data.state_files import read_blocks, read_state
from lexmargin.judge.prove import prove
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt

Draw = st.DataObject
Family = Callable[[Draw], object]

LAST: list[object] = []
_FOLDER: Final = Path(tempfile.mkdtemp(prefix="fuzz-"))
_DATA: Final = lm.Dataset([[1.0, 0.5], [0.25, 2.0], [-1.0, -1.5]], [1, 1, -1])
_LINEAR: Final = lm.Linear()
_PROBLEMS: Final = (
    lm.HardMargin(_LINEAR, _DATA),
    lm.HardMargin(_LINEAR, _DATA, 1.0),
    lm.HardMargin(lm.Network((2,), lm.ReLU()), _DATA),
    lm.HardMargin(lm.DiagonalNetwork(2), _DATA),
    lm.MarginPath(lm.Log(), _DATA, 2.0),
    lm.ConstrainedPath(lm.Sum([_LINEAR, lm.Bias()]), _DATA, 3.0),
    lm.WSet(lm.Sum([_LINEAR, lm.Bias()]), _DATA),
)


def mutated(draw: Draw, content: bytes) -> bytes:
    """Return bytes with some of them changed, left out, doubled or put in."""
    raw = bytearray(content)
    for _ in range(draw.draw(st.sampled_from([0, 0, 1, 2, 4]))):
        place = draw.draw(st.integers(0, max(len(raw), 1) - 1))
        kind = draw.draw(st.integers(0, 4))
        if kind == 0 and raw:
            raw[place] = draw.draw(st.integers(0, 255))
        elif kind == 1:
            del raw[place : place + draw.draw(st.integers(1, 40))]
        elif kind == 2:
            raw[place:place] = draw.draw(st.binary(max_size=12))
        elif kind == 3:
            raw[place : place + 4] = draw.draw(
                st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f" * 4, struct.pack("<I", 2**31)])
            )
        else:
            raw = raw[:place]
    return bytes(raw)


def _file(name: str, content: bytes) -> Path:
    path = _FOLDER / name
    path.write_bytes(content)
    return path


# -- archives and state files ----------------------------------------------------------------------

_KINDS = (
    "<f8",
    ">f4",
    "<f2",
    "|b1",
    "|i1",
    "<u8",
    "<c16",
    "<U3",
    "|S2",
    "<M8[s]",
    "|O",
    "|V4",
    "f12",
)
_SHAPES = st.one_of(
    st.lists(st.integers(0, 5), max_size=4).map(lambda n: str(tuple(n))),
    st.lists(st.sampled_from([0, 1, 2**31, 2**63, 10**30, -1]), max_size=70).map(
        lambda n: str(tuple(n))
    ),
    st.text("()0123456789, TrueL.-+*_e'", max_size=20),
)


def _npy(draw: Draw) -> bytes:
    if draw.draw(st.booleans()):
        shape = draw.draw(st.lists(st.integers(0, 4), max_size=3))
        kind = draw.draw(st.sampled_from(_KINDS[:10]))
        array = np.arange(math.prod(shape)).astype(kind).reshape(shape)
        stream = io.BytesIO()
        np.lib.format.write_array(stream, array)
        return stream.getvalue()
    kind, shape = draw.draw(st.sampled_from(_KINDS)), draw.draw(_SHAPES)
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    text = draw.draw(st.one_of(st.just(text), st.text(max_size=30)))
    body = text.encode("utf-8", "replace") + b"\n"
    content = draw.draw(st.binary(max_size=64))
    head = b"\x93NUMPY" + bytes([draw.draw(st.integers(1, 3)), 0]) + struct.pack("<H", len(body))
    return head + body + content


_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_NAMES = ("X", "y", "block_0", "0.weight", "é", "a", "b.pkl")


def _saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array)
    return stream.getvalue()


def npz(draw: Draw) -> object:
    """Archives with odd headers, packings, names, and damaged bytes; and good ones."""
    good = draw.draw(st.booleans())
    members = {"X": _saved(_DATA.X), "y": _saved(_DATA.y), "block_0": _saved(np.ones(2))}
    if not good:
        names = draw.draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=3))
        members |= {name: _npy(draw) for name in names}
    stream = io.BytesIO()
    packing = draw.draw(st.sampled_from(_PACKINGS[:2] if good else _PACKINGS))
    with zipfile.ZipFile(stream, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    path = _file("a.npz", mutated(draw, stream.getvalue()))
    read = draw.draw(st.sampled_from([lm.load_npz, read_blocks, read_state]))
    return read(path)


_WEIGHTS = ("0.weight", "2.weight", "0.bias", "block_0", "block_1", "block_01", "fc²", "w" * 300)


def state(draw: Draw) -> object:
    """NPZ state files for a network of two units."""
    from lexmargin.judge.trained.network_state import network_weights

    arrays: dict[str, Any] = {"0.weight": np.ones((2, 2)), "2.weight": np.ones((1, 2))}
    for name in draw.draw(st.lists(st.sampled_from(_WEIGHTS), unique=True, max_size=2)):
        arrays[name] = draw.draw(_ARRAYS)
    if not draw.draw(st.integers(0, 3)):
        arrays = {f"{k}.weight": arrays[name] for k, name in enumerate(sorted(arrays))}
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return network_weights(_PROBLEMS[2], _file("s.npz", mutated(draw, stream.getvalue())))


_JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=6),
        st.sampled_from(["F32", "BF16", 2**62, -1, "\ud800"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


def safetensors(draw: Draw) -> object:
    """Headers of any JSON, entries of any kind, damaged bytes."""
    kind = st.sampled_from(["F64", "F32", "F16", "BF16", "I64", "BOOL", "C64", "F8_E4M3"])
    size = st.one_of(st.integers(0, 40), st.sampled_from([2**31, 2**62, 2**64]))
    entry = st.fixed_dictionaries(
        {"dtype": kind, "shape": st.lists(size, max_size=3), "data_offsets": st.tuples(size, size)}
    )
    header = draw.draw(st.one_of(_JSON, st.dictionaries(st.text(max_size=4), entry, max_size=3)))
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + draw.draw(st.binary(max_size=64))
    return read_state(_file("a.safetensors", mutated(draw, content)))


# -- θ ---------------------------------------------------------------------------------------------


class Odd:
    """What raises wherever it is touched."""

    def __float__(self) -> float:
        raise RuntimeError("no float")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no array")

    def __len__(self) -> int:
        raise RuntimeError("no length")


_NUMBERS = st.one_of(
    st.floats(), st.integers(-(10**25), 10**25), st.booleans(),
    st.sampled_from([10**400, 1e308, -1e308, 5e-324, 1e-300, 1e154, 1e160, 2**53 + 1]),
)  # fmt: skip
_ARRAYS = st.one_of(
    st.tuples(
        st.lists(st.integers(0, 4), max_size=3),
        st.sampled_from(["f8", "f4", "f2", "i4", "u8", "?", "c16", "U2", "S2", "M8[D]", "m8[s]"]),
        st.integers(-3, 3),
    ).map(lambda t: (np.arange(math.prod(t[0])) + t[2]).astype(t[1]).reshape(t[0])),
    st.lists(st.floats(), min_size=1, max_size=8).map(np.array),
    st.lists(st.floats(-3, 3), min_size=2, max_size=6).map(np.array),
    st.lists(_NUMBERS, max_size=4).map(lambda n: np.array(n, dtype=object)),
    st.just(np.ma.array([1.0, 2.0], mask=[True, False])),
)  # fmt: skip
_THINGS = st.recursive(
    st.one_of(
        _NUMBERS, _ARRAYS, st.none(), st.text(max_size=4), st.binary(max_size=4),
        st.complex_numbers(),
        st.sampled_from([Odd(), Odd, object(), len, range(2), {1, 2}, np.float64, Path("a")]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=2),
    ),
    max_leaves=6,
)  # fmt: skip


def _pair(draw: Draw) -> tuple[Any, Any]:
    problem = draw.draw(st.sampled_from(_PROBLEMS))
    size = problem.functions.size
    point = draw.draw(st.one_of(
        _THINGS,
        st.lists(st.floats(-9, 9), min_size=size, max_size=size),
        st.lists(st.floats(), min_size=size, max_size=size),
        st.lists(
            st.sampled_from([0.0, 1.0, -1.0, 1e308, 5e-324, 1e154, 1e-160, 1e77, 3.0]),
            min_size=size, max_size=size,
        ),
    ))  # fmt: skip
    LAST[:] = [problem, point]
    return problem, point


def theta(draw: Draw) -> object:
    """Points of any kind for problems of several."""
    return lm.certify(*_pair(draw))


def proof(draw: Draw) -> object:
    """A proof asked for at points of any kind."""
    return prove(*_pair(draw))


# -- CSV -------------------------------------------------------------------------------------------

_CELLS = st.one_of(
    st.sampled_from(["1", "-1", "0", "2.5", "1e3", "", "nan", "inf", "1e999", "١٢", "1_0", "1,5",
                     '"', '"a', "#", "2020-01-01", "yes", "½", "0x10", "9" * 400, "é", "\0"]),
    st.text(max_size=5), st.floats().map(repr),
)  # fmt: skip


def csv(draw: Draw) -> object:
    """Tables of odd cells between odd delimiters, in odd encodings, damaged."""
    between = draw.draw(st.sampled_from([",", ";", "\t", "|", " ", "  "]))
    width = draw.draw(st.integers(1, 4))
    cells, spread = (_CELLS, 1) if draw.draw(st.booleans()) else (st.sampled_from("0123"), 0)
    row = st.lists(cells, min_size=max(0, width - spread), max_size=width + spread)
    title = st.sampled_from(["a", "b", "c", "y", "é"] + ["#"] * spread)
    titles = st.lists(title, min_size=width, max_size=width, unique=not spread)
    rows = [draw.draw(titles), *draw.draw(st.lists(row, max_size=6))]
    text = draw.draw(st.sampled_from(["\n", "\r\n", "\r"])).join(between.join(r) for r in rows)
    code = draw.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    content = mutated(draw, text.encode(code, "replace"))
    options = {
        "label": draw.draw(st.sampled_from([None, "y", "a", "zz"])),
        "delimiter": draw.draw(st.sampled_from([None, ",", ";", " ", "", "ab", '"', "\n", "\0"])),
        "comment": draw.draw(st.sampled_from(["#", None, "", "//"])),
        "index": draw.draw(st.sampled_from([None, "a", "q"])),
        "one_class": draw.draw(st.booleans()),
    }
    return lm.load_csv(_file("a.csv", content), **options)


# -- receipts and results --------------------------------------------------------------------------


def _receipts() -> list[dict[str, Any]]:
    found = []
    for problem, point in (
        (_PROBLEMS[0], [1.0, 1.0]),
        (_PROBLEMS[2], [1.0, 0.5, -0.5, 1.0, 1.0, 0.25]),
        (_PROBLEMS[5], [1.0, 1.0, 0.5]),
    ):
        flat = np.array(point)
        found.append(json.loads(receipt(problem, flat, lm.certify(problem, flat)).to_bytes()))
    return found


_RECEIPTS: list[dict[str, Any]] = []
_VALUES = st.one_of(
    _JSON,
    st.sampled_from([0, 1, -1, 2**62, 10**18, 1e308, 5e-324, 1e9, 1e-9, 0.5, "inf", "", [], {},
                     [0], [0, 1], [0, 0], "relu", "leaky-relu", "log", "polynomial", True, None]),
)  # fmt: skip


def changed(draw: Draw, value: Any) -> Any:
    """Return a JSON value with one entry, somewhere inside, replaced, left out or added."""
    if isinstance(value, dict) and value and draw.draw(st.integers(0, 9)):
        name = draw.draw(st.sampled_from(sorted(value)))
        if not draw.draw(st.integers(0, 19)):
            return {key: entry for key, entry in value.items() if key != name}
        return {**value, name: changed(draw, value[name])}
    if isinstance(value, list) and value and draw.draw(st.integers(0, 4)):
        place = draw.draw(st.integers(0, len(value) - 1))
        return [*value[:place], changed(draw, value[place]), *value[place + 1 :]]
    return draw.draw(_VALUES)


def receipts(draw: Draw) -> object:
    """Receipts with changed entries, or damaged bytes."""
    if not _RECEIPTS:
        _RECEIPTS.extend(_receipts())
    content = changed(draw, draw.draw(st.sampled_from(_RECEIPTS)))
    text = json.dumps(content).encode()
    if draw.draw(st.booleans()):
        text = mutated(draw, text)
    LAST[:] = [text]
    return verify_receipt(Receipt.from_bytes(text))


_STORES: dict[str, bytes] = {}


def store(draw: Draw) -> object:
    """Folders of results with changed records, or damaged bytes."""
    folder = _FOLDER / "store"
    if not _STORES:
        lm.compare("linear/norms-two-points-l2", "active-set", executor=Serial(), out=folder)
        _STORES.update({str(p): p.read_bytes() for p in folder.rglob("*.json")})
    for name, content in _STORES.items():
        Path(name).write_bytes(content)
    name = draw.draw(st.sampled_from(sorted(_STORES)))
    content = _STORES[name]
    if draw.draw(st.booleans()):
        content = json.dumps(changed(draw, json.loads(content))).encode()
    else:
        content = mutated(draw, content)
    Path(name).write_bytes(content)
    table = read_back(Store(folder), lm.Library())
    return table.to_json(), table.summaries()


# -- calls from Python -----------------------------------------------------------------------------

_MADE = st.sampled_from([
    _DATA, _LINEAR, *_PROBLEMS, lm.ReLU(), lm.Square(), lm.Tolerances(), lm.Library(),
    lm.AdaptiveGrid(1.0, 2.0), lm.HardMargin, lm.Linear, lm.Dataset, lm.Loss.LOGISTIC, lm.solve,
    "linear/norms-two-points-l2", "xor", "iris", "auto", "active-set", "default", "high", "inf",
    "a.csv", "a.npz", "logistic", "plain", np.eye(2), np.ones(2), [1, -1], [1.0, 2.0], (2,),
    [_LINEAR, lm.Bias()], 1, 2, 3, 0.5, 1e-3,
])  # fmt: skip
_ANY = st.one_of(_MADE, _THINGS)

ENTRIES: Final[Mapping[str, Callable[..., Any]]] = {
    name: getattr(lm, name)
    for name in lm.__all__
    if callable(getattr(lm, name)) and name not in (*lm.errors.__all__, "compare", "Verdict", "Ran",
        "Claim", "Loss", "SeparationKind", "Certificate", "Solution", "Separation", "Coefficient",
        "MarginClassifier", "Descent", "TracedPath", "LimitCertificate", "Table", "Tick", "Part")
}  # fmt: skip


_PLAIN: Final = {"f": np.ones(2), "jacobian": np.eye(2), "theta": np.ones(2), "degree": 1}
_MODEL: Final = {"predictor": _LINEAR, "data": _DATA}
GOOD: Final[Mapping[str, Mapping[str, Any]]] = {
    "AdaptiveGrid": {"first": 1.0, "last": 10.0},
    "Bias": {"form": "plain"},
    "ConstrainedPath": {**_MODEL, "rho": 2.0},
    "ConvolutionalNetwork": {"depth": 2},
    "Dataset": {"X": [[1.0], [2.0]], "y": [1, -1]},
    "DiagonalNetwork": {"depth": 2},
    "HardMargin": {**_MODEL, "norm": 2.0},
    "LeakyReLU": {"slope": 0.1},
    "Lexicographic": {**_MODEL, "levels": 2},
    "Library": {"folders": ()},
    "Linear": {"outputs": 1},
    "Log": {"power": 1.0},
    "MarginPath": {**_MODEL, "rho": 2.0},
    "Member": {"predictor": _LINEAR, "columns": (0,)},
    "Network": {"widths": (2,), "activation": lm.ReLU()},
    "Polynomial": {"exponents": ((1, 0), (0, 2))},
    "ReLU": {"power": 2.0},
    "RegularizationPath": {**_MODEL, "strength": 0.1},
    "ScaledMargin": {"predictor": lm.Sum([_LINEAR, lm.Bias()]), "data": _DATA, "gamma": 2.0},
    "Sum": {"members": [_LINEAR]},
    "Tolerances": {"gap": 1e-3},
    "WSet": {"predictor": lm.Sum([_LINEAR, lm.Bias()]), "data": _DATA},
    "certify": _PLAIN,
    "certify_function": {"f": lambda params, X: X @ params, "params": np.ones(2), "X": _DATA.X,
                         "y": _DATA.y},
    "certify_linear": {"X": _DATA.X, "y": _DATA.y, "theta": np.ones(2), "bias": 0.5},
    "certify_module": {"module": len, "X": _DATA.X, "y": _DATA.y},
    "descend": {**_MODEL, "steps": 20, "time_limit": 0.2},
    "identify": {"direction": np.array([1.0, 1.0]), **_MODEL, "norms": (2.0,), "time_limit": 2.0},
    "load": {"name": "linear/norms-two-points-l2"},
    "load_csv": {"path": "nowhere.csv"},
    "load_dataset": {"name": "iris", "positive": [0]},
    "load_npz": {"path": "nowhere.npz"},
    "load_state": {"module": len, "path": "nowhere.pt"},
    "separability": {"dataset": _DATA},
    "solve": {"problem": _PROBLEMS[0], "solver": "active-set"},
    "trace": {"problem": lm.ConstrainedPath(_LINEAR, _DATA), "rhos": [1.0, 2.0],
              "solver": "newton", "time_limit": 0.2, "margins": False},
    "trained_margins": {"module": len, "X": _DATA.X, "y": _DATA.y},
}  # fmt: skip
"""A call of every entry that is understood."""


def call(draw: Draw) -> object:
    """Any public entry with some arguments replaced by anything, left out, or added."""
    name = draw.draw(st.sampled_from(sorted(ENTRIES)))
    entry = ENTRIES[name]
    known = sorted(inspect.signature(entry).parameters)
    kwargs = dict(GOOD.get(name, {}))
    for key in draw.draw(st.lists(st.sampled_from([*known, *kwargs, "norms"]), max_size=2)):
        kwargs[key] = draw.draw(_ANY)
    if kwargs and not draw.draw(st.integers(0, 9)):
        kwargs.pop(draw.draw(st.sampled_from(sorted(kwargs))))
    args = draw.draw(st.lists(_ANY, max_size=2)) if not draw.draw(st.integers(0, 9)) else []
    LAST[:] = [name, args, kwargs]
    return entry(*args, **kwargs)


def fit(draw: Draw) -> object:
    """The classifier with any parameters, samples and labels."""
    options = {
        key: draw.draw(_ANY)
        for key in draw.draw(st.lists(st.sampled_from(
            ["predictor", "formulation", "parameters", "solver", "grade", "starts", "random_state"]
        ), unique=True, max_size=2))
    }  # fmt: skip
    X = draw.draw(st.one_of(st.just(np.eye(2)), _ANY))
    y = draw.draw(st.one_of(st.just([1, -1]), _ANY))
    LAST[:] = [options, X, y]
    return lm.MarginClassifier(**options).fit(X, y).predict(np.eye(2))


FAMILIES: Final[Mapping[str, tuple[Family, int, tuple[type[Exception], ...]]]] = {
    "npz": (npz, 8000, ()),
    "state": (state, 5000, ()),
    "safetensors": (safetensors, 8000, ()),
    "theta": (theta, 8000, ()),
    "proof": (proof, 2000, ()),
    "csv": (csv, 8000, ()),
    "receipts": (receipts, 5000, ()),
    "store": (store, 3000, ()),
    "call": (call, 10_000, ()),
    # scikit-learn's own checks raise these.
    "fit": (fit, 1000, (ValueError, TypeError)),
}
"""By name: what makes and reads one case, how many cases the long run takes, and foreign errors."""


def clean() -> None:
    """Remove the files of the cases."""
    import shutil

    shutil.rmtree(_FOLDER, ignore_errors=True)


assert os.path.isdir(_FOLDER)
