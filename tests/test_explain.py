"""What a problem says of its route is what ``solve`` does."""

from __future__ import annotations

import pytest

import lexmargin as lm
from lexmargin.run import profile_choice

FREE_BIAS = lm.Sum([lm.Linear(), lm.Bias("two-squares")])
DATA = lm.Dataset([[2.0, 1.0], [1.0, 3.0], [-1.0, -2.0]], [1, 1, -1])
PROBLEMS = {
    "hard margin": lm.HardMargin(lm.Linear(), DATA),
    "hard margin, inf": lm.HardMargin(lm.Linear(), DATA, norm="inf"),
    "levels": lm.Lexicographic(lm.Linear(), DATA, norm=1),
    "margin path": lm.MarginPath(lm.Linear(), DATA, rho=2.0),
    "constrained path": lm.ConstrainedPath(lm.Linear(), DATA, rho=2.0, norm="inf"),
    "regularization path": lm.RegularizationPath(lm.Linear(), DATA, strength=0.1),
    "scaled margin": lm.ScaledMargin(FREE_BIAS, DATA, gamma=10.0),
    "w-set": lm.WSet(FREE_BIAS, DATA),
    "relu": lm.HardMargin(lm.Network((2,), lm.ReLU()), DATA),
    "relu, three layers": lm.HardMargin(lm.Network((2, 2), lm.ReLU()), DATA),
    "relu squared": lm.HardMargin(lm.Network((2,), lm.ReLU(power=2)), DATA),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_route_named_is_the_route_taken(name: str) -> None:
    problem = PROBLEMS[name]
    route = problem.explain()
    solution = lm.solve(problem, starts=1)
    first, _, rest = route.partition(" -> ")[2].partition(" (")
    second = rest.partition("if that is not certified, ")[2].partition(" (")[0]
    assert solution.solver == first or (second and solution.solver == second)
    assert solution.certificate is not None
    if solution.solver != first:
        assert not lm.solve(problem, first, starts=1).certificate.certified  # type: ignore[union-attr]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = PROBLEMS["relu squared"]
    told = profile_choice._missing
    monkeypatch.setattr(
        profile_choice, "_missing", lambda p: "no cyipopt here" if p.name == "ipopt" else told(p)
    )
    route = problem.explain()
    assert "-> ipopt-casadi (ipopt through casadi)" in route
    assert (
        "ipopt would come first, but no cyipopt here; to have it: lexmargin install-ipopt" in route
    )
