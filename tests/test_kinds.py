"""What is of another kind than belongs there is named at every entry, by one mechanism."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin import judge
from lexmargin.errors import DataError, LexmarginError, ShapeError
from lexmargin.inputs.kinds import Exponent, KindError, checked, checked_class, described
from lexmargin.judge.prove import prove
from lexmargin.judge.receipts.receipt import read_receipt, receipt, write_receipt
from lexmargin.judge.receipts.verify import verify_file, verify_receipt

DATA = lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, -1])
LINEAR = lm.Linear()
PROBLEM = lm.HardMargin(LINEAR, DATA)
PATH = lm.ConstrainedPath(LINEAR, DATA)
ONES = np.ones(2)

# Words of the toolkit, what it returns and what it raises: nobody makes these by hand.
RETURNED = {
    "Certificate",
    "Coefficient",
    "Descent",
    "Identified",
    "LimitCertificate",
    "Separation",
    "Solution",
    "Table",
    "Tick",
    "TracedPath",
    *lm.errors.__all__,
}
# A constructor of scikit-learn checks nothing; `fit` does.
LATER = {"MarginClassifier"}


def test_every_public_entry_is_checked() -> None:
    for name in lm.__all__:
        entry = getattr(lm, name)
        if name in RETURNED | LATER or (isinstance(entry, type) and issubclass(entry, Enum)):
            continue
        function = entry.__init__ if isinstance(entry, type) else entry
        assert hasattr(function, "__wrapped__"), name
        signature = inspect.signature(entry)
        assert "args" not in signature.parameters, name
    for function in (prove, receipt, write_receipt, read_receipt, verify_file, verify_receipt,
                     judge.curves, judge.module_receipt):  # fmt: skip
        assert hasattr(function, "__wrapped__"), function


CALLS: Mapping[str, tuple[Callable[[], object], str]] = {
    "swapped": (lambda: lm.HardMargin(DATA, LINEAR), "predictor.*swap the two"),
    "class": (lambda: lm.HardMargin(lm.Linear, DATA), r"class Linear. Make one of it: Linear\("),
    "tuple": (lambda: lm.HardMargin(LINEAR, ([[1.0]], [1])), r"Give lexmargin.Dataset\(X, y\)"),
    "list": (lambda: lm.separability([[1.0]]), r"Give lexmargin.Dataset\(X, y\)"),
    "array": (lambda: lm.HardMargin(LINEAR, np.eye(2)), "data must be a Dataset, not a ndarray"),
    "name of data": (lambda: lm.HardMargin(LINEAR, "iris"), "load_dataset"),
    "name of predictor": (lambda: lm.HardMargin("linear", DATA), "a predictor such as"),
    "name for a judge": (lambda: lm.certify("relu/xor", ONES), "Load it"),
    "class for a judge": (lambda: lm.certify(lm.HardMargin, ONES), r"HardMargin\(…\)"),
    "data for a problem": (lambda: lm.solve(DATA), "problem must be a Formulation.*not a Dataset"),
    "class for a problem": (lambda: lm.solve(lm.HardMargin), "the class HardMargin"),
    "nothing": (lambda: lm.solve(), "solve needs problem"),
    "None": (lambda: lm.solve(None), "not None"),
    "unknown word": (lambda: lm.solve(PROBLEM, sovler="scs"), "Did you mean 'solver'"),
    "too many": (lambda: lm.load("xor", None, 3), "3 arguments in order and takes 2"),
    "twice": (lambda: lm.solve(PROBLEM, problem=PROBLEM), "problem twice"),
    "solver": (lambda: lm.solve(PROBLEM, 3), "solver must be text, not 3"),
    "grade": (lambda: lm.solve(PROBLEM, grade=None), "grade must be text"),
    "library": (lambda: lm.solve(PROBLEM, library="shelf"), "library must be a Library or None"),
    "polish": (lambda: lm.solve(PROBLEM, polish="no"), "polish must be True or False, not 'no'"),
    "progress": (lambda: lm.solve(PROBLEM, progress=3), "progress must be a function"),
    "progress of a model": (lambda: lm.solve(PROBLEM, progress=LINEAR), "a function of 1 argument"),
    "progress that a model would fit": (
        lambda: lm.descend(LINEAR, DATA, progress=LINEAR), "a function of 1 argument"),
    "progress of a class": (lambda: lm.solve(PROBLEM, progress=str), "not the class str"),
    "long number": (lambda: lm.solve(PROBLEM, seed=10**5000), "seed must be a whole number"),
    "one_class": (lambda: lm.Dataset(np.eye(2), [1, 1], one_class="no"), "not 'no'"),
    "one_class in order": (lambda: lm.Dataset(np.eye(2), [1, 1], "", True), "takes 3"),
    "name": (lambda: lm.Dataset(np.eye(2), [1, -1], 3), "name must be text"),
    "widths": (lambda: lm.Network(8), "widths must be a list"),
    "widths of text": (lambda: lm.Network("88"), "widths must be a list"),
    "activation": (lambda: lm.Network((8,), "relu"), "an Activation, not 'relu'"),
    "activation class": (lambda: lm.Network((8,), lm.ReLU), r"Make one of it: ReLU\("),
    "slope": (lambda: lm.LeakyReLU("0.1"), "slope must be a number"),
    "slope of truth": (lambda: lm.LeakyReLU(True), "slope must be a number"),
    "power": (lambda: lm.ReLU(10**400), "power must be a number"),
    "shift": (lambda: lm.Log(1.0, None), "shift must be a number"),
    "members": (lambda: lm.Sum(LINEAR), "members must be a list"),
    "member class": (lambda: lm.Sum([lm.Linear]), "Predictor or a Member in every place"),
    "columns": (lambda: lm.Member(LINEAR, 3), "columns must be a list"),
    "exponents": (lambda: lm.Polynomial([1, 2]), "exponents must be a list with a list"),
    "form": (lambda: lm.Bias("squared"), "one of 'signed-square'"),
    "norm": (lambda: lm.HardMargin(LINEAR, DATA, "2"), "a number or 'inf', not '2'"),
    "norm of a list": (lambda: lm.HardMargin(LINEAR, DATA, [2]), "norm must be a number"),
    "loss": (lambda: lm.ConstrainedPath(LINEAR, DATA, loss="logit"), "one of 'exponential'"),
    "rho": (lambda: lm.ConstrainedPath(LINEAR, DATA, rho="1e3"), "rho must be a number"),
    "date": (lambda: lm.MarginPath(LINEAR, DATA, rho=np.timedelta64(3)), "rho must be a number"),
    "grid": (lambda: lm.trace(PATH, 3.0), "a list with a number in every place or an AdaptiveGrid"),
    "grid end": (lambda: lm.AdaptiveGrid("1", 2), "first must be a number"),
    "tolerance": (lambda: lm.Tolerances(gap="small"), "gap must be a number"),
    "descend a problem": (lambda: lm.descend(PROBLEM), "predictor must be a Predictor"),
    "optimizer": (lambda: lm.descend(LINEAR, DATA, optimizer=0.1), "optimizer must be an O"),
    "monitors": (lambda: lm.descend(LINEAR, DATA, monitors=[1]), "a table of names"),
    "compare a number": (lambda: lm.compare(7), "problems must be"),
    "shelf": (lambda: lm.Library("problems"), "folders must be a list"),
    "path": (lambda: lm.load_csv(3), "path must be text or a path, not 3"),
    "bytes": (lambda: lm.load_npz(b"a.npz"), "path must be text or a path"),
    "label": (lambda: lm.load_csv("a.csv", 2), "label must be text or None"),
    "limit": (lambda: lm.load_dataset("iris", limit=True), "limit must be a whole number"),
    "degree": (lambda: lm.certify(f=ONES, jacobian=np.eye(2), theta=ONES, degree=[1]), "degree"),
    "receipt": (lambda: receipt(PROBLEM, ONES, "KKT"), "certificate must be a Certificate"),
    "receipt path": (lambda: write_receipt("a.json", PROBLEM), "found must be a Receipt"),
    "prove": (lambda: prove(DATA, ONES), "problem must be a Formulation"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_calls_that_do_not_fit_are_named(name: str) -> None:
    call, message = CALLS[name]
    with pytest.raises(LexmarginError, match=message) as caught:
        call()
    assert len(str(caught.value)) < 500


def test_a_kind_error_is_a_type_error_too() -> None:
    with pytest.raises(TypeError):
        lm.Network(8)


def test_where_the_intention_is_plain_it_is_done(tmp_path: Path) -> None:
    name = "linear/norms-two-points-l2"
    expected = lm.solve(lm.load(name)).theta[0]
    assert np.array_equal(lm.solve(name).theta[0], expected)
    file = tmp_path / "own.toml"
    file.write_bytes(lm.Library().problem_paths()[name].read_bytes())
    assert np.array_equal(lm.solve(file).theta[0], expected)
    (tmp_path / "shelf" / "problems").mkdir(parents=True)
    file.rename(tmp_path / "shelf" / "problems" / "mine.toml")
    shelves = lm.Library([tmp_path / "shelf"])
    assert np.array_equal(lm.solve("mine", library=shelves).theta[0], expected)
    with pytest.raises(LexmarginError, match="Did you mean"):
        lm.solve("linear/norms-two-pints-l2")


GOOD: Sequence[Callable[[], object]] = (
    lambda: lm.HardMargin(LINEAR, DATA, "inf"),
    lambda: lm.HardMargin(LINEAR, DATA, np.float32(3.0)),
    lambda: lm.Network([np.int64(3)], lm.ReLU(np.int32(2))),
    lambda: lm.Network(np.array([3, 2]), outputs=np.uint8(1)),
    lambda: lm.Network(()),
    lambda: lm.Bias("plain"),
    lambda: lm.Sum((LINEAR, lm.Member(LINEAR, range(2)))),
    lambda: lm.Dataset(np.eye(2), [1, 1], one_class=np.True_),
    lambda: lm.ConstrainedPath(LINEAR, DATA, loss=lm.Loss.LOGISTIC),
    lambda: lm.ConstrainedPath(predictor=LINEAR, data=DATA, loss="logistic", rho=2),
    lambda: lm.certify(PROBLEM, theta=[1, -1]),
    lambda: lm.certify(PROBLEM, [np.array([1.0, -1.0])]),
    lambda: lm.Library((".",) if Path("problems").is_dir() else ()),
)


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_what_fits_is_taken(number: int) -> None:
    GOOD[number]()


@pytest.mark.parametrize(
    ("theta", "error", "message"),
    [
        (ONES * 1j, DataError, "complex numbers"),
        ([1j, 2], DataError, "complex numbers"),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), DataError, "masked"),
        ([1.0, np.ma.masked], DataError, "block|read as an array|NaN"),
        (ONES > 0, DataError, "truth values"),
        ([True, False], DataError, "truth values"),
        ([[True, False]], DataError, "truth values"),
        (["1", "2"], DataError, "text"),
        ([b"1", b"2"], DataError, "bytes"),
        (np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"), DataError, "dates"),
        ([np.timedelta64(1, "s"), np.timedelta64(2, "s")], DataError, "spans of time"),
        (np.zeros(2, dtype=[("a", float)]), DataError, "records"),
        (np.array([1.0, True], dtype=object), DataError, "holds True"),
        (np.array([1, 10**400], dtype=object), DataError, "no float64 number"),
        ("xy", ShapeError, "θ is 'xy'"),
        (3.0, ShapeError, "θ is 3.0"),
        ({"a": 1.0}, ShapeError, "θ is"),
        (iter([1.0, 2.0]), ShapeError, "θ is"),
        ([[1.0], [2.0, 3.0]], ShapeError, "blocks of shapes"),
        ([[[1.0], 2.0]], DataError, "ragged"),
        (np.ones(3), ShapeError, "2 parameters"),
        ([1.0, np.inf], DataError, "infinite"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*converting a masked element to nan")
def test_a_point_is_never_made_by_dropping_something(
    theta: Any, error: type[LexmarginError], message: str
) -> None:
    with pytest.raises(error, match=message):
        lm.certify(PROBLEM, theta)
    with pytest.raises(LexmarginError):
        lm.solve(PROBLEM, start=theta)


@pytest.mark.parametrize("X", [np.eye(2) > 0, np.eye(2) * 1j, [["1", "0"], ["0", "1"]],
                               np.ma.array(np.eye(2), mask=np.eye(2)),
                               np.array([["2020-01-01"], ["2020-01-02"]], dtype="M8[D]"),
                               np.array([[1], [2]], dtype="m8[s]")])  # fmt: skip
def test_samples_are_never_made_by_dropping_something(X: Any) -> None:
    for take in (
        lambda: lm.Dataset(X, [1, -1]),
        lambda: lm.certify_linear(X, [1, -1], np.ones(2)),
        lambda: lm.certify(f=ONES, jacobian=X, theta=ONES, degree=1),
    ):
        with pytest.raises(LexmarginError):
            take()


# -- the mechanism ---------------------------------------------------------------------------------


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __float__(self) -> float:
        raise RuntimeError("no")


@checked
def judged(
    a: int, b: float = 1.0, *, c: bool = False, d: Sequence[str] = (), p: Exponent = 2.0,
    loss: lm.Loss | None = None, open_to_all: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    return a, b, c, d, p, loss, open_to_all


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}), ((1.0,), {}), ((True,), {}), (("1",), {}), ((2**64,), {}), ((1, 2, 3), {}),
        ((1,), {"b": 1j}), ((1,), {"b": "1"}), ((1,), {"b": ONES}), ((1,), {"b": Odd()}),
        ((1,), {"c": 1}), ((1,), {"c": None}), ((1,), {"d": "ab"}), ((1,), {"d": [1]}),
        ((1,), {"d": {"a": 1}}), ((1,), {"p": "2"}), ((1,), {"p": "INF"}), ((1,), {"loss": "x"}),
        ((1,), {"e": 1}), ((1,), {"a": 1}), ((Odd(),), {}), ((int,), {}), ((1,), {"d": Odd()}),
        ((1,), {"d": np.array(3.0)}),
    ],
)  # fmt: skip
def test_the_mechanism_refuses(args: Any, kwargs: Any) -> None:
    with pytest.raises(KindError) as caught:
        judged(*args, **kwargs)
    assert len(str(caught.value)) < 500


def test_the_mechanism_passes_on_what_fits() -> None:
    odd = Odd()
    found = judged(np.int8(1), 2, c=np.True_, d=["a"], p="inf", loss="logistic", open_to_all=odd)
    assert found == (1, 2, True, ["a"], "inf", "logistic", odd)
    assert judged(a=1, b=float("nan"), p=float("inf"))[0] == 1
    assert described(odd) == "an Odd" and described(Odd) == "the class Odd"
    assert inspect.signature(judged).parameters["b"].default == 1.0


def test_a_class_written_by_hand_is_checked_as_well() -> None:
    @checked_class
    class Own:
        def __init__(self, count: int, *, name: str = "") -> None:
            self.count = count

    assert Own(3).count == 3
    for call in (lambda: Own("3"), lambda: Own(), lambda: Own(3, name=4), lambda: Own(3, "a")):  # type: ignore[arg-type, call-arg, misc]
        with pytest.raises(KindError, match="Own"):
            call()
