"""A scikit-learn classifier: any predictor, any formulation, its certificate beside the fit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from lexmargin.data.dataset import Dataset
from lexmargin.data.samples import check_structure, is_sparse
from lexmargin.errors import DataError, LexmarginError, UnknownNameError, nearest
from lexmargin.formulations import Formulation
from lexmargin.inputs.kinds import check_kinds
from lexmargin.ops.numpy import NumpyOps
from lexmargin.predictors import Bias, Linear, Member, Predictor, Sum
from lexmargin.solve import solve

__all__ = ["MarginClassifier"]


@final
class MarginClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fit a problem of the paper: ``argmax_c F_c(x; θ)`` with θ its certified solution.

    The default is the constrained path (eq. 5) at ρ = 100, which exists for every data set; the
    margin problems (eq. 6, 13, 14, 18, Definition 5) need separable data and say so otherwise.

    Parameters
    ----------
    predictor : Predictor or None
        F(x; θ), with as many outputs as there are classes beyond two; None is a linear score with
        a bias, one of each per class: in the norm (degree 1), and free for "w-set" (eq. 13), the
        hard margin of the SVM.
    formulation : str
        "hard-margin", "margin-path", "constrained-path", "regularization-path", "scaled-margin",
        "w-set" or "lexicographic".
    parameters : mapping or None
        The formulation's own parameters (rho, norm, gamma, strength, …); None for its defaults.
    solver, grade, starts : as for :func:`lexmargin.solve`.
    random_state : int
        Seed of every random choice.

    Attributes
    ----------
    classes_ : labels, sorted.
    problem_ : the formulation that was solved.
    solution_ : the :class:`~lexmargin.solution.Solution`.
    certificate_ : its certificate.

    Warns
    -----
    ConvergenceWarning
        From ``fit``, where the solution is not certified.

    Raises
    ------
    NotSeparableError
        From ``fit``, where the formulation needs a separator and there is none.
    """

    def __init__(
        self,
        predictor: Predictor | None = None,
        formulation: str = "constrained-path",
        parameters: Mapping[str, Any] | None = None,
        solver: str = "auto",
        grade: str = "default",
        starts: int = 1,
        random_state: int = 0,
    ) -> None:
        self.predictor = predictor
        self.formulation = formulation
        self.parameters = parameters
        self.solver = solver
        self.grade = grade
        self.starts = starts
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> MarginClassifier:
        """Solve the formulation on the samples; returns ``self``.

        The hard margin, the margin path and the W-set of linear predictors take sparse samples.
        """
        check_kinds(MarginClassifier.__init__, (self,), self.get_params(deep=False))
        X, y = self._validated(X, y)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        count = self.classes_.size
        if count < 2:
            raise ValueError("There is one class only; a classifier needs at least two classes.")
        data = Dataset(X, 2 * labels - 1 if count == 2 else labels)
        predictor = self.predictor or _default(count, self.formulation)
        self.problem_ = self._stated(predictor, data)
        self.solution_ = solve(
            self.problem_,
            self.solver,
            self.grade,
            starts=self.starts,
            seed=self.random_state,
        )
        self.certificate_ = self.solution_.certificate
        if self.certificate_ is None or not self.certificate_.certified:
            word = "no answer" if self.certificate_ is None else self.certificate_.verdict.value
            warnings.warn(
                f"The solution is not certified ({self.solution_.solver}: {word}); its report is "
                "in solution_. Another solver or grade, or more starts, may find a certified one.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _stated(self, predictor: Predictor, data: Dataset) -> Formulation:
        kind: Any = Formulation.family.classes.get(str(self.formulation))
        if kind is None:
            raise UnknownNameError(
                f"Unknown formulation {self.formulation!r}.",
                nearest(self.formulation, Formulation.family.classes),
            )
        given = {**dict(kind.traits.defaults), **(self.parameters or {})}
        known = set(getattr(kind, "__dataclass_fields__")) - {"predictor", "data"}  # noqa: B009
        for name in given:
            if name not in known:
                raise UnknownNameError(
                    f"{self.formulation} has no parameter {name!r}.", nearest(name, known)
                )
        stated: Formulation = kind(predictor, data, **given)
        return stated

    def _accepted(self) -> str | bool:
        kind = Formulation.family.classes.get(str(self.formulation))
        return "csr" if kind is not None and kind.traits.reads_sparse else False

    def _validated(self, *arrays: Any, reset: bool = True) -> Any:
        if is_sparse(arrays[0]):
            check_structure(arrays[0])
        try:
            return validate_data(
                self, *arrays, dtype=np.float64, reset=reset, accept_sparse=self._accepted()
            )
        except (LexmarginError, ValueError, TypeError):
            # What scikit-learn raises for arrays it refuses, and its checks expect.
            raise
        except Exception as error:
            raise DataError(
                f"X or y cannot be read as arrays ({error}).", "Give plain numbers and labels."
            ) from error

    def _scores(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        with np.errstate(over="ignore"):
            scores = self.problem_.predictor(NumpyOps(), self.solution_.theta, X)
        return np.asarray(scores, dtype=np.float64)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores: ``(n,)`` for two classes, ``(n, C)`` for more."""
        scores = self._scores(X)
        if self.classes_.size == 2 and scores.ndim == 2:
            return np.asarray(scores[:, 1] - scores[:, 0])
        return scores

    def predict(self, X: Any) -> np.ndarray:
        """Return the label of the largest score."""
        scores = self.decision_function(X)
        chosen = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(int)
        return np.asarray(self.classes_[chosen])


def _default(count: int, formulation: str) -> Predictor:
    """Return linear scores with a bias each: free in eq. 13, inside the norm elsewhere."""
    outputs = count if count > 2 else 1
    kind = Formulation.family.classes.get(str(formulation), Formulation)
    return Sum([Member(Linear(outputs)), Member(Bias(kind.traits.bias, outputs))])
