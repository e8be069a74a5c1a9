"""A model of somebody's own as a contender: built from a problem, solved, read, and judged.

What a solver of the shelf gets is the program of a problem. A contender gets the problem itself
and states it as it likes, in CVXPY, in Pyomo or in anything else; what it hands back is judged as
every other answer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

from numpy.typing import ArrayLike

from lexmargin.backends.capture import captured
from lexmargin.backends.models.cvxpy import CVXPY_STATUSES
from lexmargin.backends.models.ipopt import IPOPT_STATUSES
from lexmargin.backends.models.pyomo_solver import PYOMO_CONDITIONS
from lexmargin.errors import ParameterError
from lexmargin.inputs.kinds import checked
from lexmargin.solution import Claim, Ran

__all__ = ["Contender", "Reading", "contender", "outcome_of", "solve_model"]


@final
@dataclass(frozen=True, eq=False)
class Reading:
    """What a contender reads off its solved model.

    Args:
        theta: the point as the problem states it, flat ``(d,)`` or one array per block; where a
            direction is all that is asked for, at any length. None for no answer.
        multipliers: ``λ (N,) >= 0`` of ``f_n``, which spare the certificate a search.
        claim: what the solver says of the point; read off a CVXPY or Pyomo model if None.
    """

    theta: Any
    multipliers: ArrayLike | None = None
    claim: Claim | None = None


Build: TypeAlias = Callable[[Any], Any]
"""From a problem (:class:`~lexmargin.formulations.base.Formulation`) to a model."""
Solve: TypeAlias = Callable[[Any], Any]
"""Solves a model in place; may return its results."""
Read: TypeAlias = Callable[[Any], Any]
"""From a solved model to θ, to the pair (θ, λ), or to a :class:`Reading`."""


@final
@dataclass(frozen=True)
class Contender:
    """A model of one's own under a name; made by :func:`contender`."""

    name: str
    build: Build
    read: Read
    solve: Solve | None = None

    def answer(self, model: Any) -> Reading:
        """Return what ``read`` makes of a solved model."""
        found = self.read(model)
        if isinstance(found, Reading):
            return found
        if isinstance(found, tuple) and len(found) == 2:
            return Reading(*found)
        return Reading(found)


@checked
def contender(
    build: Build, read: Read, *, name: str | None = None, solve: Solve | None = None
) -> Contender:
    """Return a model of one's own, for ``compare(…, solvers=[…])``.

    ``build(problem)`` returns the model; it may raise :class:`~lexmargin.errors.UnsupportedError`
    for a problem that it is not made for, which then counts as not handled. The model is solved in
    a process of its own, under the limits of the others; whatever the three functions raise is
    named in the cell.

    Args:
        build: ``build(problem)`` returns a model.
        read: ``read(model)`` returns θ ``(d,)``, ``(θ, λ)``, or a
            :class:`~lexmargin.compare.contender.Reading`.
        name: in tables; that of ``build`` if None.
        solve: ``solve(model)``; by default a CVXPY problem is solved by CVXPY's own choice, a Pyomo
            model by CasADi's Ipopt, and any other model is taken for solved.

    Raises:
        ParameterError: no name, or something that cannot be called.
    """
    for what, function in (("build", build), ("read", read), ("solve", solve)):
        if not callable(function) and not (what == "solve" and function is None):
            raise ParameterError(f"{what} is {function!r}.", f"Give a function {what}(…).")
    found = getattr(build, "__name__", "") if name is None else name
    if not found.isprintable() or not found.strip("<>").strip():
        raise ParameterError(f"The contender's name is {found!r}.", "Give name='…'.")
    return Contender(found.strip("<>"), build, read, solve)


def solve_model(entered: Contender, model: Any) -> Any:
    """Solve a model in place, and return what the solver says of it, if anything."""
    if entered.solve is not None:
        return entered.solve(model)
    if _is(model, "cvxpy", "Problem"):
        return model.solve()
    if _is(model, "pyomo.environ", "ConcreteModel"):
        return _ipopt(model)
    return None


def outcome_of(model: Any, said: Any) -> tuple[Ran, Claim, str]:
    """Return the status of a model that has been solved, as its modelling system tells it.

    Args:
        model: the model.
        said: what the solve returned: Pyomo's results, or the status of Ipopt.
    """
    if _is(model, "cvxpy", "Problem"):
        status = str(model.status)
        return *CVXPY_STATUSES.get(status, (Ran.NUMERICAL, Claim.NOTHING)), status
    if isinstance(said, str) and said in IPOPT_STATUSES:
        return *IPOPT_STATUSES[said][1:], said
    condition = getattr(getattr(said, "solver", said), "termination_condition", None)
    word = str(getattr(condition, "name", condition))
    if word in PYOMO_CONDITIONS:
        return *PYOMO_CONDITIONS[word], word
    return Ran.FINISHED, Claim.NOTHING, "finished"


_OPTIONS: Final[dict[str, Any]] = {
    "print_time": False,
    "error_on_fail": False,
    "ipopt": {"print_level": 0, "sb": "yes", "linear_solver": "mumps"},
}
"""Ipopt's own tolerances, and nothing printed: 0 is the level without a word."""


def _ipopt(model: Any) -> str:
    """Solve a Pyomo model by the Ipopt of CasADi's wheel, and return its status."""
    import tempfile
    from pathlib import Path

    import casadi as ca

    from lexmargin.ops.casadi import numbers
    from lexmargin.ops.pyomo import write_nl

    with tempfile.TemporaryDirectory() as folder:
        path = write_nl(model, Path(folder) / "model.nl", durable=False)
        names = path.with_suffix(".col").read_text(encoding="utf-8").splitlines()
        nlp = ca.NlpBuilder()
        nlp.import_nl(str(path), {})
    rows = ca.vertcat(*nlp.g) if nlp.g else ca.MX(0, 1)
    parts: dict[str, Any] = {"x": ca.vertcat(*nlp.x), "f": nlp.f, "g": rows}
    with captured():
        solver = ca.nlpsol("own", "ipopt", parts, _OPTIONS)
        found = solver(
            x0=nlp.x_init, lbx=nlp.x_lb, ubx=nlp.x_ub, lbg=nlp.g_lb, ubg=nlp.g_ub
        )  # fmt: skip
    for name, value in zip(names, numbers(found["x"]).ravel(), strict=True):
        model.find_component(name).set_value(float(value), skip_validation=True)
    return str(solver.stats()["return_status"])


def _is(model: Any, module: str, name: str) -> bool:
    """Tell whether a model is of a class, without importing what nobody has."""
    cls = getattr(sys.modules.get(module), name, None)
    return isinstance(cls, type) and isinstance(model, cls)
