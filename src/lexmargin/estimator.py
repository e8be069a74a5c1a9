"""A scikit-learn classifier: any predictor, any formulation, its certificate beside the fit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from lexmargin.data.dataset import Dataset
from lexmargin.data.samples import check_structure, is_sparse, sample_weights
from lexmargin.errors import DataError, LexmarginError, UnknownNameError, nearest
from lexmargin.formulations import Formulation
from lexmargin.inputs.kinds import Exponent, check_kinds
from lexmargin.judge import Certificate
from lexmargin.losses import LossWord
from lexmargin.ops.numpy import NumpyOps
from lexmargin.predictors import Bias, Linear, Member, Predictor, Sum
from lexmargin.solve import solve

__all__ = ["MarginClassifier"]

_PLAIN = ("norm", "loss", "rho", "gamma", "strength", "power", "levels")
"""Parameters of the paper's formulations; a test holds them to their fields."""
_AT_A_TIME = 256
"""Unit vectors that are scored together: as many rows as columns would be the square of the data's
width in memory."""


@final
class MarginClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fit a problem of the paper: ``argmax_c F_c(x; θ)`` with θ its certified solution.

    The default is the constrained path (eq. 5) at ρ = 100, which exists for every data set; the
    margin problems (eq. 6, 13, 14, 18, Definition 5) need separable data and say so otherwise.
    ``fit(X, y, sample_weight)`` takes weights of the samples in the loss.

    Parameters
    ----------
    predictor : Predictor or None
        F(x; θ), with as many outputs as there are classes beyond two; None is a linear score with
        a bias, one of each per class: in the norm (degree 1), and free for "w-set" (eq. 13), the
        hard margin of the SVM.
    formulation : str
        "hard-margin", "margin-path", "constrained-path", "regularization-path", "scaled-margin",
        "w-set" or "lexicographic".
    norm, loss, rho, gamma, strength, power, levels : float, str, int or None
        Parameters of the formulation, under its own names, for grids and pipelines
        (``marginclassifier__rho``); None for its default. The constrained path has rho, norm and
        loss; the hard margin norm; and so on.
    parameters : mapping or None
        Further parameters, of a formulation of one's own.
    solver, grade, starts : as for :func:`lexmargin.solve`.
    random_state : int
        Seed of every random choice.

    Attributes
    ----------
    classes_ : labels, sorted.
    problem_ : the formulation that was solved.
    solution_ : the :class:`~lexmargin.solution.Solution`.
    certificate_ : its certificate; raises :class:`~lexmargin.errors.UnjudgedError` where there is
        none.
    n_iter_ : iterations as the solver counts them, or None.
    support_ : samples (indices) with a positive multiplier.
    coef_, intercept_ : (1, d) and (1,) for two classes, (C, d) and (C,) for more, where the scores
        are linear in x.
    dual_coef_ : (1 or C, |support_|), where the scores are linear in x: coefficients of the samples
        in `coef_ = dual_coef_ @ X[support_]` (ℓ2); for other norms that sum lies along a
        subgradient of the norm, and they are scaled as the certificate's multipliers are.

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
        norm: Exponent | None = None,
        loss: LossWord | None = None,
        rho: float | None = None,
        gamma: float | None = None,
        strength: float | None = None,
        power: float | None = None,
        levels: int | None = None,
        parameters: Mapping[str, Any] | None = None,
        solver: str = "auto",
        grade: str = "default",
        starts: int = 1,
        random_state: int = 0,
    ) -> None:
        self.predictor = predictor
        self.formulation = formulation
        self.norm = norm
        self.loss = loss
        self.rho = rho
        self.gamma = gamma
        self.strength = strength
        self.power = power
        self.levels = levels
        self.parameters = parameters
        self.solver = solver
        self.grade = grade
        self.starts = starts
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MarginClassifier:
        """Solve the formulation on the samples; returns ``self``.

        The hard margin, the margin path and the W-set of linear predictors take sparse samples.

        Parameters
        ----------
        X, y : samples and labels.
        sample_weight : (n,) weights of the samples in the loss, None for 1: a whole number is a
            sample that occurs so often, 0 one that is left out. The margin problems (eq. 6, 13, 14,
            18, Definition 5) have no loss, and ask the same of all samples that are not left out.
        """
        check_kinds(MarginClassifier.__init__, (self,), self.get_params(deep=False))
        X, y = self._validated(X, y)
        check_classification_targets(y)
        weights, kept = None, np.arange(X.shape[0])
        if sample_weight is not None:
            given = sample_weights(sample_weight, X.shape[0], zeros=True)
            kept = np.flatnonzero(given)
            if not kept.size:
                raise DataError("Every sample has weight zero.", "Give some a weight above 0.")
            X, y, weights = X[kept], y[kept], given[kept]
        self.classes_, labels = np.unique(y, return_inverse=True)
        count = self.classes_.size
        if count < 2:
            raise ValueError("There is one class only; a classifier needs at least two classes.")
        data = Dataset(X, 2 * labels - 1 if count == 2 else labels, weights=weights)
        predictor = self.predictor or _default(count, self.formulation)
        self.problem_ = self._stated(predictor, data)
        self.solution_ = solve(
            self.problem_,
            self.solver,
            self.grade,
            starts=self.starts,
            seed=self.random_state,
        )
        self.n_iter_ = self.solution_.iterations
        self._tell(X, kept)
        found = self.solution_.judgement
        if found is None or not found.certified:
            warnings.warn(
                f"The solution is not certified ({self.solution_.solver}: {self.solution_.word}); "
                "its report is in solution_. Another solver or grade, or more starts, may find a "
                "certified one.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    @property
    def certificate_(self) -> Certificate:
        """Our word about the fit."""
        check_is_fitted(self)
        return self.solution_.certificate

    def _stated(self, predictor: Predictor, data: Dataset) -> Formulation:
        kind: Any = Formulation.family.classes.get(str(self.formulation))
        if kind is None:
            raise UnknownNameError(
                f"Unknown formulation {self.formulation!r}.",
                nearest(self.formulation, Formulation.family.classes),
            )
        plain = {name: getattr(self, name) for name in _PLAIN}
        plain = {name: value for name, value in plain.items() if value is not None}
        given = {**dict(kind.traits.defaults), **plain, **(self.parameters or {})}
        known = {one.name for one in fields(kind)} - {"predictor", "data"}
        for name in given:
            if name not in known:
                raise UnknownNameError(
                    f"{self.formulation} has no parameter {name!r}.", nearest(name, known)
                )
        stated: Formulation = kind(predictor, data, **given)
        return stated

    def _tell(self, X: Any, kept: np.ndarray) -> None:
        """Set what scikit-learn's linear models and support vector machines tell of a fit.

        Samples are counted among those given, of which X are the kept ones.
        """
        functions = self.problem_.functions
        certificate, size = self.solution_.judgement, X.shape[0]
        weights = self.solution_.multipliers if certificate is None else certificate.multipliers
        if functions.multi_class:
            rows, own, other = functions.pairs
        else:
            own = (functions.data.signed > 0.0).astype(np.int64)
            rows, other = np.arange(size), 1 - own
        held = np.flatnonzero(weights > 0.0)
        used = np.unique(rows[held])
        self.support_ = kept[used]
        if (
            functions.predictor.signed_inputs
            or functions.predictor.linear_scores(np.zeros((1, X.shape[1]))) is None
        ):
            return
        self.coef_, self.intercept_ = self._affine(X.shape[1])
        dual = np.zeros((self.classes_.size, size))
        np.add.at(dual, (own[held], rows[held]), weights[held])
        np.subtract.at(dual, (other[held], rows[held]), weights[held])
        dual = dual[:, used] if self.classes_.size > 2 else dual[1:, used]
        if functions.linear and self.problem_.norm_p == 2.0:
            combined = dual @ X[used]
            along, length = np.vdot(combined, self.coef_), np.vdot(combined, combined)
            dual *= along / length if length > 0.0 else 1.0
        self.dual_coef_ = dual

    def _affine(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return A (k, d) and b (k,) of scores ``A x + b``, asked at 0 and at the unit vectors."""
        at_zero = np.atleast_2d(self._scored(np.zeros((1, size))).T)
        slopes = [
            np.atleast_2d(self._scored(np.eye(min(_AT_A_TIME, size - first), size, first)).T)
            for first in range(0, size, _AT_A_TIME)
        ]
        return np.hstack(slopes) - at_zero, at_zero[:, 0]

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

    def _scored(self, X: Any) -> np.ndarray:
        """Return the scores of samples that were validated."""
        with np.errstate(over="ignore"):
            scores = self.problem_.predictor(NumpyOps(), self.solution_.theta, X)
        scores = np.asarray(scores, dtype=np.float64)
        binary = self.classes_.size == 2 and scores.ndim == 2
        return scores[:, 1] - scores[:, 0] if binary else scores

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores: ``(n,)`` for two classes, ``(n, C)`` for more."""
        check_is_fitted(self)
        return self._scored(self._validated(X, reset=False))

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
