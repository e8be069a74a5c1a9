"""Ways to a smooth nonconvex hard margin: ours, Ipopt and SLSQP with callbacks by hand, models."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, final

import numpy as np

import lexmargin as lm
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.run.stages import require, run
from lexmargin.shelf.library import Library, grade

__all__ = ["ENGINE", "EXACT", "HAND", "LBFGS", "OURS", "PLAIN", "PYOMO", "UNO", "WAYS", "Way"]

OURS: Final = "solve, certificate included"
ENGINE: Final = "augmented-lagrangian alone"
LBFGS, EXACT = "Ipopt by hand, L-BFGS", "Ipopt by hand, exact"
HAND, UNO = "SLSQP by hand", "Uno filter-SQP"
PYOMO, PLAIN = "Pyomo, Ipopt", "plain Pyomo, .nl, Ipopt"

Way = Callable[[lm.HardMargin, FloatArray], FloatArray]


@final
class Callbacks:
    """cyipopt's view of ``min ½‖w‖² s.t. f_n(w) >= 1``, in NumPy by hand."""

    def __init__(self, instance: lm.HardMargin, exact: bool) -> None:
        self._square = isinstance(instance.predictor.activation, lm.Square)  # type: ignore[attr-defined]
        self._X, self._y = instance.data.X, instance.data.signed
        self._h, self._p = instance.functions.shapes[0]
        self._shape = (self._h, self._p)
        if exact:
            self.hessian = self._hessian
            self.hessianstructure = self._hessianstructure

    def _parts(self, w: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        W, a = w[: -self._h].reshape(self._shape), w[-self._h :]
        z = self._X @ W.T
        if not self._square:
            z = np.maximum(z, 0.0)
        return a, z, z * z, 2.0 * z

    def objective(self, w: FloatArray) -> float:
        return 0.5 * float(w @ w)

    def gradient(self, w: FloatArray) -> FloatArray:
        return w

    def constraints(self, w: FloatArray) -> FloatArray:
        a, _, s, _ = self._parts(w)
        return np.asarray(self._y * (s @ a))

    def jacobian(self, w: FloatArray) -> FloatArray:
        a, _, s, d = self._parts(w)
        inner = (self._y[:, None] * d * a)[:, :, None] * self._X[:, None, :]
        outer = self._y[:, None] * s
        return np.hstack([inner.reshape(len(s), -1), outer]).reshape(-1)

    def _hessianstructure(self) -> tuple[IntArray, IntArray]:
        rows, columns = np.tril_indices(self._h * self._p + self._h)
        return rows.astype(np.int64), columns.astype(np.int64)

    def _hessian(self, w: FloatArray, lagrange: FloatArray, factor: float) -> FloatArray:
        a, z, _, d = self._parts(w)
        h, p = self._shape
        weights = lagrange * self._y
        full = factor * np.eye(w.size)
        for j in range(h):
            on = np.ones(len(z)) if self._square else (z[:, j] > 0).astype(float)
            block = (self._X * (weights * on * 2.0 * a[j])[:, None]).T @ self._X
            full[j * p : (j + 1) * p, j * p : (j + 1) * p] += block
            full[h * p + j, j * p : (j + 1) * p] += (weights * d[:, j]) @ self._X
        return np.asarray(full[np.tril_indices(w.size)])


def by_hand(exact: bool) -> Way:
    """Return cyipopt with callbacks written by hand."""

    def solve(instance: lm.HardMargin, start: FloatArray) -> FloatArray:
        import cyipopt

        n = instance.functions.count
        solver: Any = cyipopt.Problem(
            n=start.size, m=n, problem_obj=Callbacks(instance, exact), cl=np.ones(n),
            cu=np.full(n, 2e19),
        )  # fmt: skip
        options = {"print_level": 0, "sb": "yes", "tol": 1e-9, "max_iter": 3000}
        options["mumps_pivot_order"] = 0
        if not exact:
            options["hessian_approximation"] = "limited-memory"
        for name, value in options.items():
            solver.add_option(name, value)
        found, _ = solver.solve(start)
        return np.asarray(found)

    return solve


def by_profile(name: str) -> Way:
    """Return one of the shelf's profiles."""

    def solve(instance: lm.HardMargin, start: FloatArray) -> FloatArray:
        profile = Library().profile(name)
        done = run(
            instance, profile, grade("high"), require(profile), start,
            np.random.default_rng(0), None,
        )  # fmt: skip
        return instance.theta(done.answers, done.unit)

    return solve


def slsqp_by_hand(instance: lm.HardMargin, start: FloatArray) -> FloatArray:
    """Return scipy's SLSQP with the same callbacks, its tolerance where it stops of itself."""
    from scipy.optimize import minimize

    own = Callbacks(instance, False)
    n, d = instance.functions.count, start.size
    above = {
        "type": "ineq",
        "fun": lambda w: own.constraints(w) - 1.0,
        "jac": lambda w: own.jacobian(w).reshape(n, d),
    }
    found = minimize(
        lambda w: (own.objective(w), own.gradient(w)), start, jac=True, constraints=[above],
        method="SLSQP", options={"ftol": 1e-14, "maxiter": 1000},
    )  # fmt: skip
    return np.asarray(found.x)


def ours(instance: lm.HardMargin, start: FloatArray) -> FloatArray:
    """Return the answer of what a user calls, certificate included."""
    return np.concatenate([b.reshape(-1) for b in lm.solve(instance, start=start).theta])


def plain_pyomo(instance: lm.HardMargin, start: FloatArray) -> FloatArray:
    """The whole Pyomo model, its .nl file read by CasADi, Ipopt with the profile's options."""
    import casadi as ca

    with tempfile.TemporaryDirectory() as folder:
        path = instance.program().to_nl(Path(folder) / "model.nl")
        names = path.with_suffix(".col").read_text(encoding="utf-8").splitlines()
        read = ca.NlpBuilder()
        read.import_nl(str(path), {})
    problem = {"x": ca.vertcat(*read.x), "f": read.f, "g": ca.vertcat(*read.g)}
    options = {"print_time": False, "ipopt": Library().profile("ipopt").options(grade("high"))}
    solver = ca.nlpsol("solver", "ipopt", problem, options)
    own = [f"{v.name}[{i}]" for v in instance.block_variables() for i in range(math.prod(v.shape))]
    order = [own.index(name) for name in names]
    found = solver(x0=start[order], lbg=read.g_lb, ubg=read.g_ub)
    theta = np.zeros(start.size)
    theta[order] = np.array(found["x"]).reshape(-1)
    return theta


WAYS: Final[dict[str, Way]] = {
    OURS: ours,
    ENGINE: by_profile("augmented-lagrangian"),
    HAND: slsqp_by_hand,
    LBFGS: by_hand(False),
    EXACT: by_hand(True),
    UNO: by_profile("uno-filtersqp"),
    "SLSQP": by_profile("slsqp"),
    PYOMO: by_profile("ipopt"),
    PLAIN: plain_pyomo,
}
