"""One call each says what is wrong with a predictor or a solver profile of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import Ops
from lexmargin.ops.curvature import CurvatureOps
from lexmargin.ops.degree import DegreeOps
from lexmargin.ops.jacobian import JacobianOps
from lexmargin.predictors import Predictor
from lexmargin.predictors.base import Shape
from lexmargin.run import conformance
from lexmargin.shelf.build import stored_theta

TWO = lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, 1], one_class=True)
R = np.sqrt(0.5)
E = np.e

# By hand: w_n = 1/z_n; u_i v_i = 1/z_i with u = v; rank one along (1, 1/2); θ·z = e; x1 + b = 1 in
# the middle of two points; θ⁴ = 1 on one monomial.
PREDICTORS: dict[str, tuple[Formulation, Sequence[float]]] = {
    "linear": (lm.HardMargin(lm.Linear(), TWO), [1.0, 0.5]),
    "diagonal": (lm.HardMargin(lm.DiagonalNetwork(2), TWO), [1.0, R, 1.0, R]),
    "relu": (
        lm.HardMargin(lm.Network((1,), lm.ReLU()), TWO),
        [(5 / 4) ** -0.25, 0.5 * (5 / 4) ** -0.25, (5 / 4) ** 0.25],
    ),
    "log": (lm.MarginPath(lm.Log(), TWO, rho=10.0), [2 / 5**0.5, 1 / 5**0.5]),
    "sum": (
        lm.WSet(lm.Sum([lm.Linear(), lm.Bias("two-squares")]), lm.Dataset([[0.0], [2]], [-1, 1])),
        [1.0, 0.0, 1.0],
    ),
    "polynomial": (
        lm.HardMargin(lm.Polynomial(((4, 0), (0, 4))), lm.Dataset([[1.0, 0]], [1], one_class=True)),
        [1.0, 0.0],
    ),
}


def test_an_answer_on_kinks_conforms() -> None:
    found = lm.Library().problem("xor")
    problem = lm.load("xor")
    assert conformance.predictor(problem, stored_theta(found, problem)) == ()


@pytest.mark.parametrize("name", PREDICTORS)
def test_the_toolkits_own_predictors_conform(name: str) -> None:
    problem, answer = PREDICTORS[name]
    assert conformance.predictor(problem, answer) == ()


@dataclass(frozen=True)
class Scores(Predictor):
    """``θ·x``, less what a fault adds; ``targets`` are those that see it."""

    kind: ClassVar[str] = "test-scores"
    outputs: ClassVar[int] = 1
    targets: ClassVar[tuple[type[Any], ...]] = ()

    @property
    def block_count(self) -> int:
        return 1

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        return ((n_features,),)

    def __call__(self, ops: Ops[Any], theta: Sequence[Any], X: Any) -> Any:
        scores = ops.linear(X, theta[0])
        return ops.power(scores, 3) if isinstance(ops, self.targets) else scores


@dataclass(frozen=True)
class WrongSlope(Scores):
    kind: ClassVar[str] = "test-slope"
    targets: ClassVar[tuple[type[Any], ...]] = (JacobianOps,)


@dataclass(frozen=True)
class WrongDegree(Scores):
    kind: ClassVar[str] = "test-degree"
    targets: ClassVar[tuple[type[Any], ...]] = (DegreeOps, CurvatureOps)


@dataclass(frozen=True)
class NotAffine(Scores):
    kind: ClassVar[str] = "test-affine"

    def __call__(self, ops: Ops[Any], theta: Sequence[Any], X: Any) -> Any:
        scores = ops.linear(X, theta[0])
        return scores if isinstance(ops, CurvatureOps) else ops.power(scores, 3)


class Unnamed(Scores):
    """It inherits a word that is another's."""


@dataclass(frozen=True)
class Forgetful(Scores):
    """Its field is not what it was given."""

    factor: float = 1.0
    kind: ClassVar[str] = "test-forgetful"

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", 2.0 * self.factor)


FAULTS = {
    "slope": (WrongSlope(), [1.0, 0.5], "gradients are not those of differences"),
    "degree": (WrongDegree(), [1.0, 0.5], "do not grow with the computed degrees"),
    "affine": (NotAffine(), [1.0, 0.5], "not affine"),
    "unnamed": (Unnamed(), [1.0, 0.5], "Unnamed cannot be described"),
    "forgetful": (Forgetful(), [1.0, 0.5], "its fields are not read back"),
    "answer": (Scores(), [1.0, 0.7], "the answer is NOT_STATIONARY"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_a_predictor_is_named(name: str) -> None:
    predictor, answer, said = FAULTS[name]
    assert conformance.predictor(lm.HardMargin(Scores(), TWO), [1.0, 0.5]) == ()
    found = conformance.predictor(lm.HardMargin(predictor, TWO), answer)
    assert any(said in one for one in found), found


def test_points_beside_an_answer_that_are_as_good_are_named() -> None:
    # In the largest entry, a second feature that is 0 costs nothing.
    data = lm.Dataset([[1.0, 0.0]], [1], one_class=True)
    found = conformance.predictor(lm.HardMargin(lm.Linear(), data, norm="inf"), [1.0, 0.5])
    assert found == ("a point beside the answer is GLOBAL",)


# -- profiles --------------------------------------------------------------------------------------

LINEAR = lm.HardMargin(lm.Linear(), TWO)
DEEP = lm.HardMargin(lm.DiagonalNetwork(2), TWO)


def shelf(folder: Path, *changes: tuple[str, str]) -> lm.Library:
    text = lm.Library().profile_paths()["clarabel"].read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "solvers").mkdir()
    (folder / "solvers" / "mine.toml").write_text(text, encoding="utf-8")
    return lm.Library([folder])


def test_a_profile_conforms(tmp_path: Path) -> None:
    assert conformance.profile("mine", [LINEAR], [DEEP], library=shelf(tmp_path)) == ()
    assert conformance.profile("ipopt", [DEEP]) == ()


@pytest.mark.parametrize(
    ("changes", "handled", "refused", "said"),
    [
        ((), [DEEP], (), "problem 0 is refused"),
        ((), [], [LINEAR], "it runs problem 0 of those"),
        ((('"tol_feas"', '"tol_faes"'),), [LINEAR], (), "problem 0"),
        ((('"CLARABEL"', '"CLARABLE"'),), [LINEAR], (), "CLARABLE"),
    ],
)
def test_every_fault_of_a_profile_is_named(
    tmp_path: Path,
    changes: tuple[tuple[str, str], ...],
    handled: list[Formulation],
    refused: list[Formulation],
    said: str,
) -> None:
    found = conformance.profile("mine", handled, refused, library=shelf(tmp_path, *changes))
    assert len(found) == 1 and said in found[0], found


def test_a_claim_beyond_what_is_promised_is_named(tmp_path: Path) -> None:
    # Ipopt's word is LOCALLY_OPTIMAL, whatever a profile promises for it.
    text = lm.Library().profile_paths()["ipopt"].read_text(encoding="utf-8")
    (tmp_path / "solvers").mkdir()
    changed = text.replace('"local"', '"global"')
    assert changed != text
    (tmp_path / "solvers" / "mine.toml").write_text(changed, encoding="utf-8")
    (found,) = conformance.profile("mine", [DEEP], library=lm.Library([tmp_path]))
    assert "its claim of problem 0 is LOCALLY_OPTIMAL: global" in found
