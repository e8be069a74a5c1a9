"""One's own CVXPY and Pyomo models among the solvers, and one that is read wrongly.

Pages: guides/engineer.
"""

import cvxpy as cp
import pyomo.environ as pyo

import lexmargin as lm


def in_cvxpy(problem):
    w, b = cp.Variable(problem.data.n_features), cp.Variable()
    return cp.Problem(
        cp.Minimize((cp.sum_squares(w) + b**2) / 2),
        [cp.multiply(problem.data.signed, problem.data.X @ w + b) >= 1],
    )


def from_cvxpy(model):
    found = {variable.size: variable.value for variable in model.variables()}
    return [found[2], [found[1]]]


def in_pyomo(problem):
    model = pyo.ConcreteModel()
    model.w = pyo.Var(range(3), initialize=1.0)
    model.size = pyo.Objective(expr=sum(model.w[i] ** 2 for i in model.w) / 2)
    model.margins = pyo.ConstraintList()
    for x, y in zip(problem.data.X.tolist(), problem.data.signed.tolist(), strict=True):
        model.margins.add(y * (x[0] * model.w[0] + x[1] * model.w[1] + model.w[2]) >= 1)
    return model


def from_pyomo(model):
    return [pyo.value(model.w[i]) for i in model.w]


def wrongly(model):
    return [2.0 * pyo.value(model.w[0]), pyo.value(model.w[1]), pyo.value(model.w[2])]


contenders = [
    lm.contender(in_cvxpy, from_cvxpy, name="in CVXPY"),
    lm.contender(in_pyomo, from_pyomo, name="in Pyomo"),
    lm.contender(in_pyomo, wrongly, name="read wrongly"),
]
data = lm.Dataset([[3, 0], [0, 4], [-1, -2]], ["in", "in", "out"], name="mine")
problem = lm.HardMargin(lm.Sum([lm.Linear(), lm.Bias("plain")]), data)
table = lm.compare([problem], [*contenders, "daqp"])
for row in table.rows:
    print(row.problem, "|", row.profile, "|", row.claim, "|", row.verdict, "|", row.honesty)
