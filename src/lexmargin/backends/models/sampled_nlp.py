"""Nonlinear programs with one constraint per sample: derivatives of one sample serve all of them.

``f_n(w) = F(w; x_n)`` has the same expression for every sample. Its derivatives are generated once,
with the sample as an argument, and evaluated sample by sample: their generation, which dominates
where every sample is an expression of its own, no longer grows with N.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lexmargin.backends.models.nlp import Evaluator, FunctionEvaluator, Nlp
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["SampledNlp"]

_TOGETHER = 32
"""Hessians of this many samples are evaluated by one call, and then added."""


@final
@dataclass(frozen=True)
class SampledNlp(Nlp):
    """A program whose first rows of g are one function of x at N samples; more rows may follow.

    Attributes:
        model: CasADi function ``(x, p, s) -> (f, g of the sample s, further rows of g)`` of scalar
            operations; f and the further rows do not depend on s.
        samples: (N, k) the s.
    """

    model: Any
    samples: FloatArray

    @functools.cached_property
    def _scalars(self) -> tuple[Any, Any, Any, Any, Any, Any]:
        """Symbols x, p and s, and the expressions of the model."""
        import casadi as ca

        x = ca.SX.sym("x", self.x_lower.size)
        p = ca.SX.sym("p", len(self.parameters))
        s = ca.SX.sym("s", self.samples.shape[1])
        return (x, p, s, *self.model(x, p, s))

    def _mapped(self, function: Any, x: Any, p: Any) -> Any:
        """Return a function of one sample at all of them, side by side, in matrix operations."""
        import casadi as ca

        from lexmargin.ops.casadi import matrix

        count = self.samples.shape[0]
        each = ca.repmat(x, 1, count), ca.repmat(p, 1, count), matrix(self.samples.T)
        return function.map(count)(*each)

    def _matrices(self) -> tuple[Any, Any]:
        import casadi as ca

        return ca.MX.sym("x", self.x_lower.size), ca.MX.sym("p", len(self.parameters))

    def _rest(self, expression: Any) -> Any:
        """Return a function of x and p of an expression without s."""
        import casadi as ca

        from lexmargin.ops.casadi import matrix

        x, p, s, *_ = self._scalars
        first = matrix(self.samples[0])
        return ca.Function("rest", [x, p], [ca.substitute(expression, s, first)])

    @functools.cached_property
    def expressions(self) -> tuple[Any, Any, Any, Any]:
        x, p = self._matrices()
        f = self._rest(self._scalars[3])(x, p)
        return x, p, f, self._constraints(x, p)

    def _constraints(self, x: Any, p: Any) -> Any:
        import casadi as ca

        *symbols, _, one, further = self._scalars
        of_sample = ca.Function("of_sample", symbols, [ca.densify(one)])
        rows = self._mapped(of_sample, x, p).T
        return ca.vertcat(rows, ca.densify(self._rest(further)(x, p)))

    @functools.cached_property
    def objective(self) -> Evaluator:
        import casadi as ca

        return FunctionEvaluator(self._rest(ca.densify(self._scalars[3])))

    @functools.cached_property
    def gradient(self) -> Evaluator:
        import casadi as ca

        x, _, _, f, _, _ = self._scalars
        return FunctionEvaluator(self._rest(ca.densify(ca.gradient(f, x))))

    @functools.cached_property
    def constraints(self) -> Evaluator:
        import casadi as ca

        x, p = self._matrices()
        return FunctionEvaluator(ca.Function("constraints", [x, p], [self._constraints(x, p)]))

    @functools.cached_property
    def jacobian(self) -> Evaluator:
        import casadi as ca

        *symbols, _, one, further = self._scalars
        of_sample = ca.Function("of_sample", symbols, [ca.jacobian(one, symbols[0])])
        x, p = self._matrices()
        flat = self._mapped(of_sample, x, p)
        rows = ca.reshape(flat, self.x_lower.size, self.samples.shape[0]).T
        rest = self._rest(ca.jacobian(further, symbols[0]))(x, p)
        return FunctionEvaluator(ca.Function("jacobian", [x, p], [ca.vertcat(rows, rest)]))

    @functools.cached_property
    def hessian(self) -> Evaluator:
        import casadi as ca

        x, p, s, f, one, further = self._scalars
        sigma, mu = ca.SX.sym("sigma"), ca.SX.sym("mu")
        others = ca.SX.sym("others", further.shape[0])
        lagrangian = sigma * f + mu * one + ca.dot(others, further)
        matrix = ca.tril(ca.hessian(lagrangian, x)[0])
        function = ca.Function("hessian", [x, p, s, sigma, mu, others], [matrix])
        return _SummedHessian(function, self.samples)


@final
class _SummedHessian(Evaluator):
    """The Hessian of a Lagrangian, added up over the samples."""

    def __init__(self, function: Any, samples: FloatArray) -> None:
        self._count = samples.shape[0]
        rows, columns = function.sparsity_out(0).get_triplet()
        self._structure = np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)
        self._together = min(_TOGETHER, self._count)
        # Filled up with a sample, not with zeros: there a predictor may have no value, and no
        # weight 0 mends that.
        missing = -self._count % self._together
        full = np.vstack([samples, np.repeat(samples[:1], missing, axis=0)])
        self._chunks = full.reshape(-1, self._together * samples.shape[1])
        self._once = np.zeros(self._together)
        self._once[0] = 1.0
        self._mapped = FunctionEvaluator(function.map(self._together))

    @property
    def structure(self) -> tuple[IntArray, IntArray]:
        return self._structure

    def __call__(self, *arguments: Any) -> FloatArray:
        x, p, factor, multipliers = arguments
        k = self._together
        every_x, every_p = np.tile(x, k), np.tile(p, k)
        mu = np.zeros(len(self._chunks) * k)
        mu[: self._count] = multipliers[: self._count]
        others = multipliers[self._count :]
        total = np.zeros(self._structure[0].size)
        # What belongs to no sample is counted once, with the first of them.
        once = self._once
        for weights, chunk in zip(mu.reshape(-1, k), self._chunks, strict=True):
            each = self._mapped(
                every_x, every_p, chunk, factor * once, weights, np.outer(once, others).reshape(-1)
            )
            total += each.reshape(k, -1).sum(axis=0)
            once = np.zeros(k)
        return total
