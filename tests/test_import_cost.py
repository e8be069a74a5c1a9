"""What a bare import, and the help of the command line, must not load."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "casadi",
    "cvxpy",
    "cyipopt",
    "flint",
    "highspy",
    "jax",
    "matplotlib",
    "pandas",
    "pyomo",
    "scipy.optimize",
    "sklearn",
    "torch",
)

IMPORT = "import lexmargin"
NAMES = "import lexmargin; lexmargin.Linear; lexmargin.Dataset; dir(lexmargin)"
HELP = """
import contextlib, io
from lexmargin.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({words!r})
"""


def loaded_by(code: str) -> set[str]:
    """The heavy modules in ``sys.modules`` after the code has run in a fresh process."""
    report = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=60
    )
    return set(HEAVY) & set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code",
    [
        IMPORT,
        NAMES,
        HELP.format(words=["--help"]),
        HELP.format(words=["solve", "--help"]),
        HELP.format(words=["nope"]),
        HELP.format(words=["--version"]),
        HELP.format(words=["list"]),
    ],
    ids=["import", "names", "help", "solve-help", "usage-error", "version", "list"],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert not loaded_by(code)


def test_the_test_would_see_a_heavy_module() -> None:
    assert "scipy.optimize" in loaded_by("import scipy.optimize")


def test_a_nonconvex_problem_loads_no_convex_modelling_system() -> None:
    code = (
        "import lexmargin as lm\n"
        "lm.load('networks/diagonal-2').program()\n"
        "lm.load('linear/norms-two-points-l2').program()"
    )
    assert not loaded_by(code) & {
        "cvxpy",
        "pyomo",
        "casadi",
        "cyipopt",
        "torch",
        "jax",
        "matplotlib",
    }


@pytest.mark.parametrize(
    "first",
    [
        "import lexmargin.solve",
        "import lexmargin.doctor",
        "from lexmargin.separation.gordan import *",
    ],
)
def test_a_verb_is_not_hidden_by_its_module(first: str) -> None:
    code = (
        f"{first}\nimport lexmargin as lm\nassert callable(lm.solve) and callable(lm.separability)"
    )
    loaded_by(code)


def test_every_public_name_resolves() -> None:
    import lexmargin

    for name in lexmargin.__all__:
        assert getattr(lexmargin, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = lexmargin.nope


def test_a_certified_linear_answer_asks_no_second_profile() -> None:
    code = (
        "import lexmargin as lm\n"
        "problem = lm.load('linear/norms-two-points-l2')\n"
        "assert lm.solve(problem).certificate.certified"
    )
    assert not loaded_by(code) & {"cvxpy", "pyomo", "casadi", "cyipopt"}
