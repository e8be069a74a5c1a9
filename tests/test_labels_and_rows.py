"""Labels of any kind and equal rows with different labels, in problems, files and judgements."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from sklearn.svm import SVC

import lexmargin as lm
from lexmargin.cli.main import main
from lexmargin.errors import LibraryError, NotSeparableError
from lexmargin.judge import certify_linear
from lexmargin.judge.verdict import Verdict
from lexmargin.predictors import Bias, Linear, Network, ReLU, Sum
from lexmargin.separation.gordan import verify_separability_of_rows
from lexmargin.shelf.build import build
from lexmargin.shelf.problems import read_problem

FREE = Sum([Linear(), Bias("two-squares")])


# -- point 9: equal rows ---------------------------------------------------------------------------

CONTRADICTION = lm.Dataset([[1.0], [1.0], [0.0], [0.0]], ["+", "+", "-", "+"])
"""x = 1, 1, 0, 0 with labels +, +, -, +: "+" comes before "-", so "-" is the code +1."""


@pytest.mark.parametrize(
    "problem",
    [
        lm.HardMargin(Linear(), CONTRADICTION),
        lm.HardMargin(Sum([Linear(), Bias("plain")]), CONTRADICTION, norm=1),
        lm.MarginPath(Linear(), CONTRADICTION, rho=2.0, norm=np.inf),
        lm.WSet(FREE, CONTRADICTION),
        lm.ScaledMargin(FREE, CONTRADICTION, gamma=10.0),
        lm.Lexicographic(Linear(), CONTRADICTION, norm=1),
        lm.HardMargin(Network((3,), ReLU()), CONTRADICTION),
    ],
    ids=lambda p: f"{p.name}-{type(p.predictor).__name__}",
)
def test_margin_problems_answer_with_the_two_samples(problem: lm.formulations.Formulation) -> None:
    with pytest.raises(NotSeparableError, match="Rows 2 and 3") as caught:
        lm.solve(problem)
    half = Fraction(1, 2)
    assert caught.value.proof.gordan == (0, 0, half, half)
    assert "remove" not in str(caught.value)


@pytest.mark.parametrize("predictor", [Linear(outputs=3), Network((4,), ReLU(), outputs=3)])
def test_the_two_samples_of_several_classes(predictor: lm.predictors.Predictor) -> None:
    """f_{n,b} = -f_{m,a} for equal rows of the classes a and b, at random parameters too."""
    data = lm.Dataset([[1.0, 2.0], [0.0, 1.0], [3.0, 1.0], [0.0, 1.0]], [0, 2, 1, 1])
    problem = lm.HardMargin(predictor, data)
    with pytest.raises(NotSeparableError) as caught:
        lm.solve(problem)
    weights = np.array([float(v) for v in caught.value.proof.gordan])
    functions = problem.functions
    rng = np.random.default_rng(0)
    for _ in range(5):
        assert weights @ functions.values(rng.normal(size=functions.size)) == 0.0
    if isinstance(predictor, Linear):
        rows = functions.jacobian(np.zeros(functions.size))
        assert verify_separability_of_rows(rows, caught.value.proof)


def test_sparse_contradictions_are_named() -> None:
    X = sparse.csr_array(np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(NotSeparableError, match="Rows 0 and 2"):
        lm.solve(lm.HardMargin(Linear(), lm.Dataset(X, [1, -1, -1])))


def test_losses_are_solved_on_contradictory_rows() -> None:
    """x = 0 with -, -, + and x = 1 with -, +, +: against a minimiser that shares no code."""
    x, y = np.array([0.0, 0, 0, 1, 1, 1]), np.array([-1, -1, 1, -1, 1, 1])
    rows = y[:, None] * np.column_stack([x, np.ones(6)])
    data = lm.Dataset(x.reshape(-1, 1), np.where(y > 0, "yes", "no"))

    def stated(w: np.ndarray) -> float:
        return float(np.sum(np.exp(-rows @ w)) + 0.1 * np.sum(w * w))

    reference = minimize(stated, np.zeros(2), method="BFGS", options={"gtol": 1e-10})
    problem = lm.RegularizationPath(Sum([Linear(), Bias("plain")]), data, strength=0.1, power=2)
    found = lm.solve(problem)
    assert np.allclose(np.concatenate(found.theta), reference.x, atol=1e-6)


def test_the_file_says_that_no_predictor_separates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "same.toml"
    file.write_text(
        'title = "t"\nsource = "s"\nformulation = "hard-margin"\n[predictor]\nkind = "linear"\n'
        '[data]\nX = [[1, 0], [1, 0]]\ny = ["a", "b"]\n'
    )
    with pytest.raises(SystemExit) as ended:
        main(["solve", str(file), "--json"])
    assert ended.value.code == 1
    out = capsys.readouterr()
    assert '"gordan": {"0": "1/2", "1": "1/2"}' in out.out
    assert "Rows 0 and 1" in out.err


# -- point 10: labels ------------------------------------------------------------------------------


def _blobs(labels: list[object], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    side = np.where(np.arange(30) % 2, 1.0, -1.0)
    X = rng.normal(size=(30, 3)) + 4.0 * side[:, None]
    return X, np.array([labels[int(s > 0)] for s in side])


@pytest.mark.parametrize("labels", [[-1, 1], [0, 1], [1, 2], ["no", "yes"], [False, True]])
@pytest.mark.parametrize("as_sparse", [False, True])
def test_a_plane_of_scikit_learn_is_judged_as_it_is(labels: list[object], as_sparse: bool) -> None:
    X, y = _blobs(labels)
    svm = SVC(kernel="linear", C=1e8, tol=1e-8).fit(X, y)
    assert svm.coef_.shape == (1, 3) and svm.intercept_.shape == (1,)
    given = sparse.csr_array(X) if as_sparse else X
    found = certify_linear(given, y, svm.coef_, svm.intercept_)
    signs = np.where(y == labels[1], 1, -1)
    plain = certify_linear(given, signs, svm.coef_[0], float(svm.intercept_[0]))
    assert found.verdict is plain.verdict is Verdict.GLOBAL
    assert found.margin == plain.margin > 0
    turned = certify_linear(given, -signs, svm.coef_, svm.intercept_)
    assert turned.verdict is Verdict.NOT_SEPARATING


def test_the_same_problem_under_every_name() -> None:
    X, y = _blobs([0, 1], seed=1)
    plain = lm.solve(lm.HardMargin(Linear(), lm.Dataset(X, y)))
    for labels in ([1, 2], ["healthy", "sick"], [False, True]):
        data = lm.Dataset(X, np.array(labels)[y])
        assert data.classes == tuple(labels)
        assert np.array_equal(lm.solve(lm.HardMargin(Linear(), data)).theta[0], plain.theta[0])
        fitted = lm.MarginClassifier(formulation="hard-margin", predictor=Linear()).fit(
            X, np.array(labels)[y]
        )
        assert tuple(fitted.classes_) == data.classes
        assert np.array_equal(fitted.predict(X), np.array(labels)[y])


# -- point 11: problem files -----------------------------------------------------------------------

HEAD = 'title = "t"\nsource = "s"\nformulation = "hard-margin"\n'


def _stated(tmp_path: Path, text: str) -> lm.formulations.Formulation:
    file = tmp_path / "p.toml"
    file.write_text(HEAD + text)
    return build(read_problem(file))


def test_a_problem_file_reads_csv_as_people_export_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("// note\nid|kind|a|b\nu|yes|1|10\nv|no|3|50\nw|yes|2|20\n")
    stated = _stated(
        tmp_path,
        '[predictor]\nkind = "linear"\n[data]\ncsv = "t.csv"\nlabel = "kind"\ndelimiter = "|"\n'
        'comment = "//"\nindex = "id"\nstandardize = true\n',
    )
    data = stated.data
    assert data.classes == ("no", "yes") and data.y.tolist() == [1, -1, 1]
    assert np.allclose(data.X.mean(axis=0), 0) and np.allclose(data.X.std(axis=0), 1)
    with pytest.raises(LibraryError, match="no use for 'delimiter'"):
        _stated(
            tmp_path,
            '[predictor]\nkind = "linear"\n[data]\nX = [[1], [2]]\ny = [0, 1]\ndelimiter = ";"\n',
        )


@pytest.mark.parametrize(
    "predictor",
    [
        'kind = "linear"\noutputs = 3\n',
        'kind = "network"\nwidths = [4]\noutputs = 3\n',
        'kind = "bias"\nform = "plain"\noutputs = 3\n',
        'kind = "sum"\n[[predictor.members]]\nkind = "linear"\noutputs = 3\n'
        '[[predictor.members]]\nkind = "bias"\nform = "plain"\noutputs = 3\n',
    ],
)
def test_a_problem_file_gives_outputs_to_every_kind_that_has_them(
    tmp_path: Path, predictor: str
) -> None:
    stated = _stated(
        tmp_path,
        f'[predictor]\n{predictor}[data]\nX = [[1], [2], [3]]\ny = ["low", "mid", "high"]\n',
    )
    assert stated.predictor.outputs == 3
    assert stated.data.classes == ("high", "low", "mid")
