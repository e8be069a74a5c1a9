"""Options of own methods: the fields are the schema, and one reader holds them against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.backends import BackendName, backend
from lexmargin.backends.base import Compiled, Found, Request
from lexmargin.backends.options import Options, number, whole_number
from lexmargin.errors import ParameterError
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.solution import Claim, Ran, SolverSettings


@final
@dataclass(frozen=True, kw_only=True)
class Steps(Options):
    method = "The method"

    steps: int = whole_number(7, least=1)
    size: float = number(0.5)


def read(**given: Any) -> Steps:
    return Steps.read(SolverSettings("any", given))


def test_defaults_and_given_options() -> None:
    assert read() == Steps(steps=7, size=0.5, time_limit=None)
    assert read(steps=1, size=2, time_limit=3.5) == Steps(steps=1, size=2.0, time_limit=3.5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"step": 3}, "The method has no option 'step'. Did you mean 'steps'"),
        ({"steps": 0}, "steps must be a whole number >= 1"),
        ({"steps": 1.0}, "steps must be a whole number >= 1"),
        ({"steps": True}, "steps must be a whole number >= 1"),
        ({"size": 0.0}, "size must be a finite number > 0"),
        ({"size": "0.5"}, "size must be a finite number > 0"),
        ({"time_limit": float("nan")}, "time_limit must be a finite number > 0"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        read(**given)
    assert words in str(caught.value)


def test_no_own_method_drops_an_option() -> None:
    data = lm.Dataset([[1, 0], [0, 2]], [1, 1], one_class=True)
    path = lm.ConstrainedPath(lm.predictors.Linear(), data, rho=2.0)
    compiled = backend(BackendName.NEWTON).compile(path.program())
    start = path.initial_values(np.ones(2), 1.0)
    assert compiled.solve(SolverSettings("newton", {}), start).claim is Claim.OPTIMAL
    with pytest.raises(ParameterError):
        compiled.solve(SolverSettings("newton", {"rounds": 3}), start)


def test_every_second_of_a_solve_belongs_to_one_phase() -> None:
    @final
    class Slow(Compiled):
        def _build(self) -> None:
            self._built.share("write", 2.0)

        def _run(self, request: Request) -> Found:
            request.watch.share("derivatives", 4.0)
            request.watch.share("derivatives", 8.0)
            return Found(Ran.FINISHED, "over", solver_seconds=16.0)

    data = lm.Dataset([[1, 0], [0, 2]], [1, 1], one_class=True)
    compiled = Slow(HardMargin(lm.predictors.Linear(), data).program())
    for _ in range(2):
        raw = compiled.solve(SolverSettings("any"))
        # The clock moved on by less than a second: what another clock measured is taken away.
        assert raw.build_seconds + raw.solve_seconds == pytest.approx(0.0, abs=1.0)
        assert (raw.phases["write"], raw.phases["derivatives"]) == (2.0, 12.0)
        assert raw.phases["solver"] == 16.0
        assert raw.build_seconds == pytest.approx(14.0 + raw.phases["build"])
