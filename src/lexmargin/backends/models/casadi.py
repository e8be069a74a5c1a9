"""The direct nonlinear route: the program as CasADi matrices, cyipopt or CasADi's own plug-ins."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request, import_problem, required
from lexmargin.backends.capture import captured
from lexmargin.backends.models.ipopt import IPOPT_STATUSES, Run, ipopt_options, run_cyipopt
from lexmargin.backends.models.nlp import ModelNlp, Nlp, Rows, Slot, multiplier_vector, row_sign
from lexmargin.backends.smooth.sample_generation import on_selected_samples
from lexmargin.errors import ParameterError
from lexmargin.inputs.interrupts import interrupts_kept
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, SolverSettings

__all__ = ["CasadiBackend", "CasadiProgram", "CompiledNlp", "nlp_solver_problem"]

_CYIPOPT: Final = "cyipopt"
_DERIVATIVES: Final = "derivatives"

_SQP_STATUSES: Final[Mapping[str, tuple[Ran, Claim]]] = {
    "Solve_Succeeded": (Ran.FINISHED, Claim.LOCALLY_OPTIMAL),
    "Maximum_Iterations_Exceeded": (Ran.ITERATION_LIMIT, Claim.NOTHING),
    "Search_Direction_Becomes_Too_Small": (Ran.NUMERICAL, Claim.NOTHING),
}

_SQP_DEFAULTS: Final[Mapping[str, Any]] = {
    "qpsol": "qrqp",
    "qpsol_options": {"print_iter": False, "print_header": False, "error_on_fail": False},
    "print_header": False,
    "print_iteration": False,
    "print_status": False,
}


def nlp_imports(solver: str) -> tuple[str, ...]:
    """Return the modules that a nonlinear solver needs beside CasADi."""
    return (_CYIPOPT,) if solver == _CYIPOPT else ()


def nlp_solver_problem(solver: str) -> str:
    """Return "" if a nonlinear solver can be loaded here, else the sentence why not."""
    problem = import_problem(["casadi", *nlp_imports(solver)])
    if problem or solver == _CYIPOPT:
        return problem
    import casadi as ca

    with captured():
        found = solver.isidentifier() and ca.has_nlpsol(solver)
    return "" if found else f"CasADi has no nonlinear solver {solver!r}; use cyipopt or ipopt."


class CompiledNlp(Compiled):
    """A program as :class:`~lexmargin.backends.models.nlp.Nlp`, solved by any runner."""

    program: Program
    nlp: Nlp
    _plugins: dict[tuple[object, ...], Any]

    @abstractmethod
    def _auxiliaries(self, values: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """Return consistent values of the variables that the modelling target added."""

    def _run(self, request: Request) -> Found:
        settings = request.settings
        missing = nlp_solver_problem(settings.solver)
        if missing:
            return Found(Ran.MISSING, missing)
        x, p = self.point(request)
        warm = multiplier_vector(self.nlp, request.multipliers)
        if settings.solver == _CYIPOPT:
            second = settings.options.get("hessian_approximation") != "limited-memory"
            self.prepare(request, second_order=second)
            run = run_cyipopt(self.nlp, request, x, p, warm)
        else:
            with captured(settings.verbose):
                plugin = self._plugin(settings, warm is not None)
            request.watch.lap(_DERIVATIVES)
            run = self._run_plugin(plugin, settings, x, p, warm)
        return run.found(self.nlp, request.values)

    def point(self, request: Request) -> tuple[FloatArray, FloatArray]:
        """Return the start and the parameters as vectors."""
        values = {**request.values, **self._auxiliaries(request.values)}
        p = np.array([request.parameters[name] for name in self.nlp.parameters])
        return self.nlp.vector(values), p

    def prepare(self, request: Request, *, second_order: bool) -> None:
        """Generate the derivatives, in a lap of their own."""
        self.nlp.prepare(second_order=second_order)
        request.watch.lap(_DERIVATIVES)

    @interrupts_kept()
    def _plugin(self, settings: SolverSettings, warm: bool) -> Any:
        import casadi as ca

        common: dict[str, Any] = {"print_time": False, "error_on_fail": False}
        if settings.solver == "ipopt":
            own: dict[str, Any] = {"ipopt": dict(ipopt_options(settings, warm))}
        else:
            own = {**(_SQP_DEFAULTS if settings.solver == "sqpmethod" else {}), **settings.options}
        key = (settings.solver, repr(sorted(own.items())))
        if key not in self._plugins:
            x, p, f, g = self.nlp.expressions
            try:
                self._plugins[key] = ca.nlpsol(
                    "solver", settings.solver, {"x": x, "p": p, "f": f, "g": g}, {**common, **own}
                )
            except RuntimeError as error:
                raise ParameterError(
                    f"CasADi refuses the options of {settings.solver}: {_last_line(error)}",
                    "Look them up in CasADi's documentation of the plug-in.",
                ) from error
        return self._plugins[key]

    def _run_plugin(
        self,
        plugin: Any,
        settings: SolverSettings,
        x: FloatArray,
        p: FloatArray,
        warm: FloatArray | None,
    ) -> Run:
        from lexmargin.ops.casadi import matrix, numbers

        failure, found, stats = "", {}, {}
        with captured(settings.verbose) as output:
            given = {
                "x0": x,
                "p": p,
                "lam_g0": np.zeros(self.nlp.lower.size) if warm is None else warm,
                "lbx": self.nlp.x_lower,
                "lbg": self.nlp.lower,
                "ubg": self.nlp.upper,
            }
            try:
                found = plugin(**{name: matrix(value) for name, value in given.items()})
                stats = plugin.stats()
            except Exception as error:
                failure = f"{type(error).__name__}: {_last_line(error)}"
        if failure:
            raw, ran, claim = failure, Ran.CRASHED, Claim.NOTHING
        else:
            raw = str(stats.get("return_status", "unknown"))
            ran, claim = _plugin_status(settings.solver, raw, bool(stats.get("success")))
        return Run(
            x=x if failure else numbers(found["x"]).reshape(-1),
            multipliers=numbers(found["lam_g"]).reshape(-1) if found else np.zeros(0),
            ran=ran,
            claim=claim,
            raw_status=raw,
            iterations=int(stats["iter_count"]) if "iter_count" in stats else None,
            log=output.text,
        )


def _plugin_status(solver: str, raw: str, success: bool) -> tuple[Ran, Claim]:
    if solver == "ipopt":
        _, ran, claim = IPOPT_STATUSES.get(raw, (0, Ran.NUMERICAL, Claim.NOTHING))
        return ran, claim
    if success:
        return Ran.FINISHED, Claim.LOCALLY_OPTIMAL
    return _SQP_STATUSES.get(raw, (Ran.NUMERICAL, Claim.NOTHING))


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


@final
class CasadiBackend(Backend):
    """Smooth programs as CasADi matrices: no scalar expansion, exact derivatives."""

    imports = ("casadi",)

    def available(self, solver: str) -> str:
        return nlp_solver_problem(solver)

    def preloads(self, solver: str) -> tuple[str, ...]:
        return (*super().preloads(solver), *nlp_imports(solver))

    def compile(self, program: Program) -> Compiled:
        required(["casadi"])
        return on_selected_samples(program, CasadiProgram)


@final
class CasadiProgram(CompiledNlp):
    """A program in CasADi matrices."""

    @interrupts_kept()
    def _build(self) -> None:
        import casadi as ca

        from lexmargin.ops.casadi import CasadiOps

        self._plugins = {}
        model = self.program.build(CasadiOps())
        symbols, names = list(model.variables.values()), list(model.variables)
        sizes = [symbol.shape[0] for symbol in symbols]
        ends = np.cumsum([0, *sizes])
        x, p = ca.MX.sym("x", int(ends[-1])), ca.MX.sym("p", len(model.parameters))
        g_parts = [expression for expression, _ in model.constraints.values()]
        f = model.objective if model.sense is Sense.MINIMIZE else -model.objective
        inner = ca.Function(
            "inner",
            [*symbols, *model.parameters.values()],
            [f, ca.vertcat(*g_parts) if g_parts else ca.MX(0, 1)],
        )
        parts = ca.vertsplit(x, [int(end) for end in ends])
        numbers = ca.vertsplit(p) if model.parameters else []
        # Inlined: derivatives of a nested call would be nested calls again.
        outer = ca.Function("model", [x, p], inner.call([*parts, *numbers], True, False))
        self.nlp = ModelNlp(
            model=outer,
            x_lower=np.concatenate(
                [
                    np.full(size, model.lower.get(name, -np.inf))
                    for name, size in zip(names, sizes, strict=True)
                ]
            ),
            lower=_bounds(model.constraints, Relation.AT_MOST, -np.inf),
            upper=_bounds(model.constraints, Relation.AT_LEAST, np.inf),
            variables={
                name: Slot(np.arange(ends[k], ends[k + 1]), model.shapes[name])
                for k, name in enumerate(names)
            },
            rows=_rows(model.constraints),
            parameters=tuple(model.parameters),
            scalar=False,
        )
        natural = list(model.auxiliaries)
        self._natural_names = natural
        self._natural = ca.Function("auxiliaries", symbols, [model.auxiliaries[n] for n in natural])
        self._names = names

    def _auxiliaries(self, values: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        if not self._natural_names:
            return {}
        from lexmargin.ops.casadi import matrix, numbers

        given = [
            np.reshape(values[name], -1) if name in values else self.nlp.variables[name].shape
            for name in self._names
        ]
        arguments = [matrix(np.zeros(g) if isinstance(g, tuple) else g) for g in given]
        found = self._natural.call(arguments)
        return {
            name: np.nan_to_num(numbers(value).reshape(-1))
            for name, value in zip(self._natural_names, found, strict=True)
        }


def _bounds(
    constraints: Mapping[str, tuple[Any, Relation]], open_for: Relation, infinity: float
) -> FloatArray:
    """Return the bound 0 of every row, infinite where the relation leaves that side open."""
    parts = [
        np.full(expression.shape[0], infinity if relation is open_for else 0.0)
        for expression, relation in constraints.values()
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _rows(constraints: Mapping[str, tuple[Any, Relation]]) -> dict[str, Rows]:
    rows: dict[str, Rows] = {}
    end = 0
    for name, (expression, relation) in constraints.items():
        size = expression.shape[0]
        rows[name] = Rows(np.arange(end, end + size), row_sign(relation))
        end += size
    return rows
