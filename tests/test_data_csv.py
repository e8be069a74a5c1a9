"""CSV as people export it, and labels as people name them."""

from __future__ import annotations

import csv
import io
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexmargin import load
from lexmargin.data.dataset import Dataset, load_csv
from lexmargin.errors import DataError, ParameterError, UnsupportedError

# -- CSV -------------------------------------------------------------------------------------------


def test_csv(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text("\ufeffa, y ,b\n1,-1,2\n\n3e0,1,-4.5\n", encoding="utf-8")
    data = load_csv(file, "y")
    assert data.X.tolist() == [[1, 2], [3, -4.5]]
    assert data.y.tolist() == [-1, 1]
    assert data.name == "points"
    file.write_text("a,b\n1,0\n2,1\n3,1\n")
    assert load_csv(str(file)).y.tolist() == [-1, 1, 1]
    file.write_text("a,b\n1,1\n2,1\n")
    assert load_csv(file, one_class=True).n_samples == 2
    with pytest.raises(DataError, match="one class"):
        load_csv(file)


@pytest.mark.parametrize(
    ("text", "label", "message"),
    [
        (b"", None, "is empty"),
        (b"a,y\n", None, "no samples"),
        (b"a,y\n1,1\n2,x\n", None, "line 3, column 'y': 'x' .* different kinds"),
        (b"a,y\n1,1\n,-1\n", None, "line 3, column 'a': ''"),
        (b"a,y\nnan,1\n2,-1\n", None, "line 2, column 'a': 'nan'"),
        (b"a,y\n1,1\ninf,-1\n", None, "line 3, column 'a': 'inf'"),
        (b"a,y\n1,1\n1e999,-1\n", None, "line 3, column 'a'"),
        (b"a,y\n1_0,1\n2,-1\n", None, "line 2, column 'a'"),
        (b"a,y\n1/3,1\n2,-1\n", None, "line 2, column 'a'"),
        (b"a,y\n1,0.5\n2,-1\n", None, "line 2, column 'y': the label '0.5'"),
        (b"a,y\n1,1\n2,-1,3\n", None, "line 3: 3 cells under a header of 2"),
        (b"a,y\n1,1\n2\n", None, "line 3: 1 cells"),
        (b"1,2\n3,1\n", None, "numbers instead of column names"),
        (b"a:y\n1:1\n", None, "1 column"),
        (b"#a,y\n1,1\n2,0\n", None, "does not begin with a comment sign"),
        ("a,y\n\u0661,1\n2,0\n".encode(), None, "line 2, column 'a'"),
        (b"a,y\n1,\n2,0\n", None, "line 2, column 'y': '' is a missing value"),
        (b"a,,y\n1,1,1\n2,0,0\n", None, "column 2 of the header has no name"),
        (b"a,y,\n1,1,\n2,0,3\n", None, "line 3: 3 cells under a header of 2"),
        (b"a;b,c;y\n1;2,3;1\n4;5.6;0\n", None, "'2,3' is not a finite number"),
        (b"a,y\nr1,1,1\nr1,2,0\n", None, "no row name of its own"),
        (b"a,y\n1,1e999\n2,0\n", None, "column 'y': the label '1e999'"),
        (b"a,a\n1,1\n", None, "two columns are named 'a'"),
        (b"a,\n1,1\n", None, "1 column"),
        (b"a,label\n1,1\n", "labl", "Did you mean 'label'"),
        (b"a,y\n\xff\xfe,1\n", None, "not UTF-8"),
        (b'a,y\n"1,1\n', None, "line"),
        (b"a,y\n1\x00,1\n", None, "line 2"),
        (b"a,y\n" + b"1" * 200_000 + b",1\n", None, "line 2"),
        (b"t,y\n9007199254740993,0\n9007199254740992,1\n", None, "Rows 0 and 1"),
    ],
)
def test_bad_csv(tmp_path: Path, text: bytes, label: str | None, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(text)
    with pytest.raises(DataError, match=message):
        load_csv(file, label)


# -- exports of other programs ---------------------------------------------------------------------

FRAME = pd.DataFrame(
    {"age": [31, 44, 27], "dose, mg": [0.5, 1.25, 2.0], "died": ["no", "yes", "no"]}
)


def _r_table(separator: str) -> str:
    """What R's write.table writes: row names without a title, all text in quotes."""
    lines = [separator.join(f'"{name}"' for name in FRAME.columns)]
    for number, row in enumerate(FRAME.itertuples(index=False), 1):
        lines.append(separator.join([f'"{number}"', str(row[0]), str(row[1]), f'"{row[2]}"']))
    return "\n".join(lines) + "\n"


EXPORTS = {
    "pandas": FRAME.to_csv(),
    "pandas twice": pd.read_csv(io.StringIO(FRAME.to_csv())).to_csv(index=False),
    "without index": FRAME.to_csv(index=False),
    "semicolons": FRAME.to_csv(sep=";", index=False),
    "tabs": FRAME.to_csv(sep="\t"),
    "bars": FRAME.to_csv(sep="|", index=False),
    "spaces": FRAME.to_csv(sep=" ", index=False),
    "columns of spaces": 'age  "dose, mg"   died \n31  0.5  no\n 44 1.25   yes\n27 2.0 no\n',
    "quoted": FRAME.to_csv(index=False, quoting=csv.QUOTE_ALL),
    "write.csv": _r_table(",").replace('"age"', '"","age"', 1),
    "write.table": _r_table(" "),
    "write.table with commas": _r_table(","),
    "comments": "# made by hand\n\n" + FRAME.to_csv(index=False) + '# the end, "really\n',
    "returns": FRAME.to_csv(index=False, lineterminator="\r\n"),
    "delimiters at the end": FRAME.to_csv(index=False).replace("\n", ",\n"),
    "rows of delimiters": FRAME.to_csv(index=False, sep=";") + ";;\n;;\n",
    "sep": "sep=|\n" + FRAME.to_csv(index=False, sep="|"),
    "mark": "\ufeff" + FRAME.to_csv(index=False),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_the_same_frame_comes_back_from_every_export(tmp_path: Path, name: str) -> None:
    file = tmp_path / "export.csv"
    file.write_bytes(EXPORTS[name].encode())
    expected = Dataset(FRAME[["age", "dose, mg"]], [-1, 1, -1])
    for label in (None, "died"):
        data = load_csv(file, label)
        assert data == expected
        assert data.classes == ("no", "yes")


def test_what_is_given_is_not_guessed(tmp_path: Path) -> None:
    file = tmp_path / "given.csv"
    file.write_text("// note\nid;a,b;y\nu1;1;0\nu2;3;1\n")
    found = load_csv(file, "y", delimiter=";", comment="//", index="id")
    assert found.X.tolist() == [[1], [3]]
    file.write_text("#a,y\n1,0\n2,1\n")
    assert load_csv(file, comment=None).X.tolist() == [[1], [2]]
    file.write_text("a;b,y\n1;2,3\n4;5,6\n")
    with pytest.raises(DataError, match="may be ',' or ';'"):
        load_csv(file)
    for wrong in ({"delimiter": ";;"}, {"delimiter": '"'}, {"comment": " "}):
        with pytest.raises(ParameterError):
            load_csv(file, **wrong)  # type: ignore[arg-type]
    for wrong in ({"index": "a"}, {"index": "c"}):
        file.write_text("a,y\n1,0\n2,1\n")
        with pytest.raises(DataError, match=r"no feature is left|no index column"):
            load_csv(file, **wrong)  # type: ignore[arg-type]


def test_decimal_commas_are_read_where_they_can_be_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "europe.csv"
    file.write_text("a;b;y\n1,5;2;0\n-0,25;3e2;1\n,5;1,5E-1;1\n")
    assert load_csv(file).X.tolist() == [[1.5, 2.0], [-0.25, 300.0], [0.5, 0.15]]
    file.write_text("a\tb\ty\n1,234\t2\t0\n1,2\t3\t1,0\n")
    data = load_csv(file)
    assert data.X.tolist() == [[1.234, 2.0], [1.2, 3.0]]
    assert data.classes == (0, 1)
    # Words keep their commas.
    file.write_text("a;y\n1,5;no, thanks\n2,5;yes\n")
    assert load_csv(file).classes == ("no, thanks", "yes")


@pytest.mark.parametrize(
    ("text", "decimal", "message"),
    [
        # A thousand and more, or a decimal: nothing in the file says which.
        ("a;b;y\n1,234;2;0\n7,500;3;1\n", None, "line 2, column 'a': '1,234' may be"),
        ("a;b;y\n1,5;2.5;0\n2;3;1\n", None, "line 2, column 'a': '1,5' is not"),
        ("a;b;y\n1,234.5;2;0\n2;3;1\n", None, "line 2, column 'a': '1,234.5' is not"),
        ("a;b;y\n1.234,5;2;0\n2;3;1\n", ",", "line 2, column 'a': '1.234,5' is not"),
        ("a;b;y\n1.5;2;0\n2;3;1\n", ",", "line 2, column 'a': '1.5' is not"),
        ("a;b;y\n1,5;2;0\n2;3;1\n", ".", "line 2, column 'a': '1,5' is not"),
        ("a;b;y\n1,2,3;2;0\n2;3;1\n", None, "line 2, column 'a': '1,2,3' is not"),
        ('a,b,y\n"1,5",2,0\n2,3,1\n', None, "line 2, column 'a': '1,5' is not"),
    ],
)
def test_commas_that_may_be_something_else_are_refused(
    tmp_path: Path, text: str, decimal: str | None, message: str
) -> None:
    file = tmp_path / "points.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        load_csv(file, decimal=decimal)


def test_the_decimal_mark_can_be_named(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text("a;b;y\n1,234;2;0\n7,500;3;1\n")
    assert load_csv(file, decimal=",").X.tolist() == [[1.234, 2.0], [7.5, 3.0]]
    file.write_text('a,b,y\n"1,5",2,0\n2,3,1\n')
    assert load_csv(file, decimal=",").X.tolist() == [[1.5, 2.0], [2.0, 3.0]]
    with pytest.raises(ParameterError, match="decimal mark"):
        load_csv(file, decimal=";")
    (tmp_path / "p.toml").write_text(
        'title = "t"\nsource = "s"\nformulation = "constrained-path"\nrho = 1\n[predictor]\n'
        'kind = "linear"\n[data]\ncsv = "points.csv"\ndecimal = ","\n'
    )
    problem = load(tmp_path / "p.toml")
    assert problem.data.X.tolist() == [[1.5, 2.0], [2.0, 3.0]]


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.lists(st.floats(-1e12, 1e12).filter(lambda x: x != int(x)), min_size=2, max_size=9))
def test_what_pandas_writes_with_commas_is_read_bit_for_bit(values: list[float]) -> None:
    frame = pd.DataFrame({"a": values, "b": 1, "y": np.arange(len(values)) % 2})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frame.csv"
        frame.to_csv(file, sep=";", decimal=",", index=False)
        read = load_csv(file, decimal=",")
    assert read.X[:, 0].tolist() == values


def test_missing_values_are_named_with_all_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "holes.csv"
    file.write_text("a,b,y\n1,2,0\nNA,?,1\n3,4,1\n\n#N/A,5,0\n6,7,null\n")
    with pytest.raises(DataError) as caught:
        load_csv(file)
    message = str(caught.value)
    assert (
        "line 3, column 'a': 'NA' is a missing value (4 in all, in 3 line(s): 3, 6, 7)" in message
    )
    assert "dropna" in message


def test_a_row_of_row_names_is_no_feature(tmp_path: Path) -> None:
    """A file sorted by class would be separable by the row number alone."""
    file = tmp_path / "sorted.csv"
    pd.DataFrame({"x": [1, 3, 2, 4], "y": [0, 0, 1, 1]}).to_csv(file)
    assert load_csv(file).n_features == 1


def test_standardized_columns_keep_the_labels(tmp_path: Path) -> None:
    file = tmp_path / "scaled.csv"
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(5, [1, 100, 0], size=(20, 3)), columns=list("abc"))
    frame["kind"] = np.where(rng.random(20) < 0.5, "u", "v")
    frame.to_csv(file, index=False)
    raw, data = load_csv(file), load_csv(file, standardize=True)
    assert data.classes == ("u", "v") and np.array_equal(data.y, raw.y)
    deviation = np.where(np.ptp(raw.X, axis=0) == 0, 1, raw.X.std(axis=0))
    assert np.allclose(data.X, (raw.X - raw.X.mean(axis=0)) / deviation, atol=1e-12)
    with pytest.raises(UnsupportedError):
        Dataset(sparse.csr_array(raw.X), raw.y).standardized()


CELL = st.floats(allow_nan=False, allow_infinity=False).map(repr)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(CELL, CELL), min_size=2, max_size=8),
    st.sampled_from([",", ";", "\t", "|", " "]),
    st.sampled_from(["minimal", "all"]),
)
def test_what_csv_writes_is_read_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], mark: str, quoting: str
) -> None:
    file = tmp_path_factory.mktemp("csv") / "any.csv"
    with file.open("w", newline="") as stream:
        style = csv.QUOTE_ALL if quoting == "all" else csv.QUOTE_MINIMAL
        writer = csv.writer(stream, delimiter=mark, quoting=style)
        writer.writerow(["a", "b", "class"])
        writer.writerows([*row, "even" if n % 2 else "odd"] for n, row in enumerate(rows))
    data = load_csv(file)
    assert data.X.tolist() == [[float(a) + 0.0, float(b) + 0.0] for a, b in rows]
    assert data.classes == ("even", "odd")


# -- labels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "codes", "classes"),
    [
        ([1, 2, 1], [-1, 1, -1], (1, 2)),
        ([7, -3, 7], [1, -1, 1], (-3, 7)),
        (["sick", "healthy", "sick"], [1, -1, 1], ("healthy", "sick")),
        ([b"b", b"a", b"a"], [1, -1, -1], ("a", "b")),
        ([True, False, True], [1, -1, 1], (False, True)),
        (np.array([True, False, True], dtype=object), [1, -1, 1], (False, True)),
        (pd.Series(["u", "v", "u"], dtype="category"), [-1, 1, -1], ("u", "v")),
        (pd.Series(["u", "v", "u"]), [-1, 1, -1], ("u", "v")),
        (pd.Series([2, 5, 2], dtype="Int64"), [-1, 1, -1], (2, 5)),
        ([0, 1, 3], [0, 1, 2], (0, 1, 3)),
        ([-1, 0, 1], [0, 1, 2], (-1, 0, 1)),
        (["c", "a", "b"], [2, 0, 1], ("a", "b", "c")),
        ([2.0, 1.0, 2.0], [1, -1, 1], (1, 2)),
        ([2**60, 2**60 + 1, 2**60], [-1, 1, -1], (2**60, 2**60 + 1)),
        ([10**30, 0, 10**30], [1, -1, 1], (0, 10**30)),
    ],
)
def test_labels_of_any_kind(y: Any, codes: list[int], classes: tuple[Any, ...]) -> None:
    rows = [[1.0], [2.0], [3.0]]
    for samples in (rows, sparse.csr_array(rows)):
        data = Dataset(samples, y)
        assert data.y.tolist() == codes
        assert data.classes == classes
        assert [type(c) for c in data.classes] == [type(c) for c in classes]
        again = pickle.loads(pickle.dumps(data))
        assert again == data and again.classes == classes


def test_classes_are_those_of_the_estimator() -> None:
    rng = np.random.default_rng(3)
    for count in (2, 3, 5):
        y = rng.permutation(np.repeat([f"c{k}" for k in range(count)], 4))
        found, inverse = np.unique(y, return_inverse=True)
        data = Dataset(rng.normal(size=(y.size, 2)), y)
        assert data.classes == tuple(found)
        assert data.y.tolist() == (2 * inverse - 1 if count == 2 else inverse).tolist()


# -- equal rows ------------------------------------------------------------------------------------


def test_equal_rows_with_different_labels_are_data() -> None:
    rows = [[1.0, 0.0], [3.0, 4.0], [1.0, 0.0]]
    for samples in (rows, sparse.csr_array(rows)):
        assert Dataset(samples, [1, 1, -1]).contradiction == (0, 2)
        assert Dataset(samples, [0, 1, 2]).contradiction == (0, 2)
        assert Dataset(samples, [1, -1, 1]).contradiction is None


EVEN, ODD = 2**53, 2**53 + 1


@pytest.mark.parametrize(
    "X",
    [
        [[EVEN, 1], [ODD, 1]],
        [[EVEN, 0.5], [ODD, 0.5]],
        np.array([[EVEN, 1], [ODD, 1]]),
        np.array([[2**63 + 1, 1], [2**63, 1]], dtype=np.uint64),
        np.array([[EVEN, 1], [ODD, 1]], dtype=object),
        pd.DataFrame({"t": [EVEN, ODD], "x": [0.5, 0.5]}),
        sparse.csr_array(np.array([[0, EVEN], [0, ODD]])),
    ],
)
def test_integers_that_become_equal_by_rounding_are_refused(X: Any) -> None:
    for y in ([0, 1], [1, 0]):
        with pytest.raises(DataError, match=r"Rows 0 and 1 .* differ in column [01], \d+ against"):
            Dataset(X, y)


def test_large_integers_that_stay_apart_are_fine() -> None:
    assert Dataset(np.array([[ODD, 1], [ODD, 2], [ODD, 1]]), [0, 1, 0]).n_samples == 3
    assert Dataset([[EVEN], [EVEN]], [0, 1]).contradiction == (0, 1)
    stamps = 1_600_000_000_000_000_000 + np.arange(50) * 1_000_003
    assert Dataset(stamps.reshape(-1, 1), np.arange(50) % 2).n_samples == 50
