"""One reader and writer of predictors and problems: forms by hand, and the way back from each."""

from __future__ import annotations

import copy
import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lexmargin as lm
from lexmargin.errors import LexmarginError, LibraryError, ParameterError, ReceiptError
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.codec import Where, fields_written, read_as, written
from lexmargin.inputs.toml import read_toml, to_toml
from lexmargin.judge.receipts.receipt_problem import predictor_from_json, problem_from_json
from lexmargin.predictors import Activation, Predictor

TWO = lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, -1])

# The form of receipts since their first version, and of files: written by hand.
FORMS: dict[str, tuple[Predictor, str, str]] = {
    "linear": (lm.Linear(3), '{"kind":"linear","outputs":3}', 'kind = "linear"\noutputs = 3\n'),
    "network": (
        lm.Network((2, 1), lm.ReLU(2)),
        '{"activation":{"kind":"relu","power":2.0},"kind":"network","outputs":1,"widths":[2,1]}',
        'kind = "network"\nwidths = [2, 1]\nactivation = "relu"\npower = 2.0\noutputs = 1\n'
        'bias = "none"\n',
    ),
    "leaky": (
        lm.Network((1,), lm.LeakyReLU(0.25)),
        '{"activation":{"kind":"leaky-relu","slope":0.25},"kind":"network","outputs":1,"widths":[1]}',
        'kind = "network"\nwidths = [1]\nactivation = "leaky-relu"\nslope = 0.25\noutputs = 1\n'
        'bias = "none"\n',
    ),
    "square": (
        lm.Network((1,), lm.Square()),
        '{"activation":{"kind":"square"},"kind":"network","outputs":1,"widths":[1]}',
        'kind = "network"\nwidths = [1]\nactivation = "square"\noutputs = 1\nbias = "none"\n',
    ),
    "biased": (
        lm.Network((1,), lm.Square(), 1, "first"),
        '{"activation":{"kind":"square"},"bias":"first","kind":"network","outputs":1,"widths":[1]}',
        'kind = "network"\nwidths = [1]\nactivation = "square"\noutputs = 1\nbias = "first"\n',
    ),
    "residual": (
        lm.Residual(2, 3, lm.Square()),
        '{"activation":{"kind":"square"},"branches":3,"kind":"residual","outputs":1,"width":2}',
        'kind = "residual"\nwidth = 2\nbranches = 3\nactivation = "square"\noutputs = 1\n',
    ),
    "leading": (
        lm.Leading(lm.DiagonalNetwork(2)),
        '{"kind":"leading","predictor":{"depth":2,"kind":"diagonal"}}',
        'kind = "leading"\n\n[predictor]\nkind = "diagonal"\ndepth = 2\n',
    ),
    "diagonal": (
        lm.DiagonalNetwork(2),
        '{"depth":2,"kind":"diagonal"}',
        'kind = "diagonal"\ndepth = 2\n',
    ),
    "convolution": (
        lm.ConvolutionalNetwork(3),
        '{"depth":3,"kind":"convolution"}',
        'kind = "convolution"\ndepth = 3\n',
    ),
    "polynomial": (
        lm.Polynomial(((4, 0), (1, 3))),
        '{"exponents":[[4,0],[1,3]],"kind":"polynomial"}',
        'kind = "polynomial"\nexponents = [[4, 0], [1, 3]]\n',
    ),
    "bias": (
        lm.Bias("plain"),
        '{"form":"plain","kind":"bias"}',
        'kind = "bias"\nform = "plain"\noutputs = 1\n',
    ),
    "biases": (
        lm.Bias("square", 2),
        '{"form":"square","kind":"bias","outputs":2}',
        'kind = "bias"\nform = "square"\noutputs = 2\n',
    ),
    "log": (
        lm.Log(1.5, 3),
        '{"kind":"log","power":1.5,"shift":3.0}',
        'kind = "log"\npower = 1.5\nshift = 3.0\n',
    ),
    "sum": (
        lm.Sum([lm.Member(lm.Linear(), (0, 2)), lm.Bias("two-squares")]),
        '{"kind":"sum","members":['
        '{"columns":[0,2],"predictor":{"kind":"linear","outputs":1}},'
        '{"columns":null,"predictor":{"form":"two-squares","kind":"bias"}}]}',
        'kind = "sum"\nmembers = [{kind = "linear", outputs = 1, columns = [0, 2]}, '
        '{kind = "bias", form = "two-squares", outputs = 1}]\n',
    ),
}


def read_file_form(text: str) -> Predictor:
    table = tomllib.loads(text)
    return read_as(Predictor, table, Where("here", "predictor"))  # type: ignore[type-abstract]


@pytest.mark.parametrize("name", FORMS)
def test_both_forms_are_as_they_were_agreed(name: str) -> None:
    predictor, receipt, file = FORMS[name]
    exact = json.dumps(written(predictor, exact=True), sort_keys=True, separators=(",", ":"))
    assert exact == receipt and predictor_from_json(json.loads(receipt)) == predictor
    assert to_toml(written(predictor, exact=False)) == file and read_file_form(file) == predictor


def test_every_class_has_a_form_by_hand() -> None:
    assert {type(one[0]) for one in FORMS.values()} == {
        cls for cls in Predictor.family.classes.values() if cls.__module__.startswith("lexmargin")
    }
    used = {one[0].activation.kind for one in FORMS.values() if isinstance(one[0], lm.Network)}
    assert used | {"identity"} == set(Activation.family.classes)


PARAMETERS: dict[str, tuple[Formulation, dict[str, Any]]] = {
    "hard-margin": (lm.HardMargin(lm.Linear(), TWO, norm=1), {}),
    "margin-path": (lm.MarginPath(lm.Linear(), TWO, 2), {"rho": 2.0, "gamma": None}),
    "constrained-path": (
        lm.ConstrainedPath(lm.Linear(), TWO, 3, loss="logistic"),
        {"rho": 3.0, "loss": "logistic"},
    ),
    "regularization-path": (
        lm.RegularizationPath(lm.Linear(), TWO, 0.5),
        {"strength": 0.5, "power": 2.0, "loss": "exponential"},
    ),
    "scaled-margin": (lm.ScaledMargin(lm.Linear(), TWO, 7), {"gamma": 7.0}),
    "w-set": (lm.WSet(lm.Linear(), TWO), {"levels": 1}),
    "lexicographic": (lm.Lexicographic(lm.Linear(), TWO, levels=2), {"levels": 2}),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_of_receipts_are_as_they_were_agreed(name: str, tmp_path: Path) -> None:
    problem, wanted = PARAMETERS[name]
    stated = fields_written(problem, exact=True, skipped=("predictor", "data", "norm"))
    assert stated == wanted and Formulation.family.word(type(problem)) == name
    norm = problem.norm_p
    assert problem_from_json(name, norm, wanted, problem.predictor, TWO) == problem
    for key in wanted:
        less = {k: v for k, v in wanted.items() if k != key}
        with pytest.raises(ReceiptError, match=f"'{key}' is missing"):
            problem_from_json(name, norm, less, problem.predictor, TWO)
    with pytest.raises(ReceiptError, match="colour"):
        problem_from_json(name, norm, {**wanted, "colour": 1}, problem.predictor, TWO)
    lm.save(problem, tmp_path / "a.toml", title='a "title" \\ with\nall \x7f of it ü')
    assert lm.load(tmp_path / "a.toml") == problem
    assert lm.Library().problem(tmp_path / "a.toml").title.startswith('a "title" \\ with\nall \x7f')


# -- at random -------------------------------------------------------------------------------------

SIZES = st.integers(1, 9)
POWERS = st.floats(1.0, 1e300)
ACTIVATIONS = st.one_of(
    st.builds(lm.Identity),
    st.builds(lm.Square),
    st.builds(lm.ReLU, POWERS),
    st.builds(lm.LeakyReLU, st.floats(0.0, 1.0, exclude_max=True)),
)
PLAIN = st.one_of(
    st.builds(lm.Linear),
    st.builds(lm.Network, st.lists(SIZES, max_size=3), ACTIVATIONS),
    st.builds(lm.DiagonalNetwork, SIZES),
    st.builds(lm.ConvolutionalNetwork, SIZES),
    st.builds(lm.Bias, st.sampled_from(["plain", "square", "two-squares", "signed-square"])),
    st.builds(lambda rows: lm.Polynomial(rows), st.just(((1, 2), (0, 3)))),
)
COLUMNS = st.none() | st.lists(st.integers(0, 9), max_size=3)


def sums(inner: st.SearchStrategy[Predictor]) -> st.SearchStrategy[Predictor]:
    return st.lists(st.builds(lm.Member, inner, COLUMNS), min_size=1, max_size=3).map(lm.Sum)


ANY = st.recursive(PLAIN, sums, max_leaves=5) | st.builds(
    lm.Log, POWERS, st.floats(allow_nan=False, allow_infinity=False)
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(ANY)
def test_any_predictor_comes_back_from_both_forms(predictor: Predictor) -> None:
    exact = json.loads(json.dumps(written(predictor, exact=True)))
    assert predictor_from_json(exact) == predictor
    assert read_file_form(to_toml(written(predictor, exact=False))) == predictor
    # Python's own reader sees the same numbers.
    file = written(predictor, exact=False)
    assert tomllib.loads(to_toml(file)) == json.loads(json.dumps(file))


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_every_double_of_the_samples_comes_back(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float]
) -> None:
    path = tmp_path_factory.mktemp("codec") / "a.toml"
    data = lm.Dataset([numbers], [1], one_class=True)
    lm.save(lm.HardMargin(lm.Linear(), data), path, title="t")
    assert lm.load(path).data == data


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(value, dict | list):
        return [here]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [here, *(p for k, v in inner for p in places(v, (*here, k)))]


WRONG = (None, True, -1, 2.5, 10**10, "", "linear", [], [[]], {}, {"kind": "linear"}, math.nan)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(ANY, st.data())
def test_receipts_have_one_form_each(predictor: Predictor, data: st.DataObject) -> None:
    """Whatever is changed is refused by name, or states another predictor in its one form."""
    exact = written(predictor, exact=True)
    changed = copy.deepcopy(exact)
    *way, last = data.draw(st.sampled_from([p for p in places(exact) if p]))
    spot: Any = changed
    for key in way:
        spot = spot[key]
    match data.draw(st.sampled_from(["drop", "change", "add"])):
        case "drop":
            del spot[last]
        case "change":
            spot[last] = data.draw(st.sampled_from(WRONG))
        case "add" if isinstance(spot, dict):
            spot["colour"] = 1
        case _:
            spot.append(spot[0])
    try:
        found = predictor_from_json(changed)
    except ReceiptError:
        return
    assert json.dumps(written(found, exact=True)) == json.dumps(numbers(changed))
    assert (found == predictor) == (numbers(changed) == exact)


def numbers(value: Any) -> Any:
    """Write whole numbers where doubles belong as doubles."""
    if isinstance(value, dict):
        return {
            k: float(v) if k in ("power", "slope", "shift") and type(v) is int else numbers(v)
            for k, v in value.items()
        }
    return [numbers(v) for v in value] if isinstance(value, list) else value


def test_nesting_ends_before_the_stack_does() -> None:
    nested: Any = {"kind": "linear", "outputs": 1}
    for _ in range(3000):
        nested = {"kind": "sum", "members": [{"predictor": nested, "columns": None}]}
    with pytest.raises(ReceiptError, match="nested too deeply"):
        predictor_from_json(nested)


def test_what_no_memory_holds_is_refused_before_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    problem = lm.HardMargin(lm.Network((1,)), TWO)
    for wide in ('kind = "diagonal"\ndepth = 1000000000', 'kind = "network"\nwidths = [10000000]'):
        lm.save(problem, path, title="t")
        kind, _, data = path.read_text().partition("[predictor]")
        path.write_text(f"{kind}[predictor]\n{wide}\n[data]{data.partition('[data]')[2]}")
        with pytest.raises(ParameterError, match="parameter"):
            lm.load(path)


def test_files_that_would_be_too_large_or_nowhere_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = lm.HardMargin(lm.Linear(), TWO)
    with pytest.raises(LibraryError):
        lm.save(problem, tmp_path / "absent" / "a.toml", title="t")
    monkeypatch.setattr("lexmargin.shelf.build.TOML_BYTES", 100)
    with pytest.raises(LibraryError, match=r"numpy\.savez"):
        lm.save(problem, tmp_path / "a.toml", title="t")
    assert not list(tmp_path.iterdir())


def test_what_a_file_cannot_hold_is_named() -> None:
    member = lm.Member(lm.Linear())
    object.__setattr__(member, "columns", np.arange(2).reshape(1, 2))
    with pytest.raises(LexmarginError, match="No file holds"):
        written(member, exact=False)


@dataclass(frozen=True)
class Optional:
    """A field that may be None, and is 1 where nobody says so."""

    rate: float | None = 1.0


def test_none_is_not_written_where_it_would_be_read_as_another_value() -> None:
    assert written(Optional(), exact=False) == {"rate": 1.0}
    assert written(Optional(None), exact=True) == {"rate": None}
    with pytest.raises(ParameterError, match="No file holds None"):
        written(Optional(None), exact=False)


def test_read_toml_keeps_decimals(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(to_toml({"a": 0.1, "b": [5e-324, 1.7976931348623157e308], "t": {"c": "x"}}))
    found = read_toml(path)
    assert [float(v) for v in found["b"]] == [5e-324, 1.7976931348623157e308]  # type: ignore[attr-defined]
    assert str(found["a"]) == "0.1" and found["t"] == {"c": "x"}
