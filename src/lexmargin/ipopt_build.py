"""cyipopt, built against the Ipopt that CasADi's wheel carries: the one way, wherever it is built.

An index has cyipopt as source alone, whose build asks pkg-config for an Ipopt; few machines have
one. CasADi's wheel, which every installation has, carries the library and its headers.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from lexmargin.errors import MissingBackendError, SolverFailedError
from lexmargin.inputs.files import write_file

__all__ = ["CYIPOPT", "Ipopt", "install_ipopt"]

CYIPOPT: Final = "cyipopt==1.7.0"
"""The version whose answers the tests know."""
_BESIDE: Final = {"linux": "$ORIGIN", "darwin": "@loader_path"}
"""How a loader calls the folder of the library that asks; others have no such word."""
_FOREIGN: Final = ("LD_LIBRARY_PATH", "PYTHONPATH")
"""Would show the probe another library than a user's next session finds."""

_PROBE: Final = """
import json
from pathlib import Path
import numpy as np
import cyipopt

class Square:
    def objective(self, x): return float((x[0] - 1.0) ** 2)
    def gradient(self, x): return np.array([2.0 * (x[0] - 1.0)])
    def constraints(self, x): return np.zeros(0)
    def jacobian(self, x): return np.zeros(0)

problem = cyipopt.Problem(n=1, m=0, problem_obj=Square(), lb=[-5.0], ub=[5.0])
problem.add_option("print_level", 0)
problem.add_option("sb", "yes")
problem.add_option("hessian_approximation", "limited-memory")
x, info = problem.solve(np.array([3.0]))
if info["status"] != 0 or abs(x[0] - 1.0) > 1e-6:
    raise SystemExit(f"status {info['status']}, x = {x}")
maps = Path("/proc/self/maps")
lines = maps.read_text().splitlines() if maps.exists() else []
loaded = {line.split()[-1] for line in lines if "libipopt" in line}
print(json.dumps({"cyipopt": cyipopt.__version__, "library": min(loaded, default="")}))
"""
"""Solves min (x - 1)² and says which libipopt did it: one that was linked to another Ipopt would
give other answers on other machines."""

_PKG_CONFIG: Final = """#!/bin/sh
case "$*" in
    *--version*|*--modversion*) echo 3.14 ;;
    *--exists*) ;;
    *) echo "-I{casadi}/include/coin-or -L{casadi} -lipopt" ;;
esac
"""
"""Answers the one question that the build asks of pkg-config, so that the machine needs none."""


@final
@dataclass(frozen=True)
class Ipopt:
    """A cyipopt that has just solved a problem: its version and, on Linux, its Ipopt."""

    cyipopt: str
    library: str
    built: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"cyipopt": self.cyipopt, "library": self.library, "built": self.built}

    def __str__(self) -> str:
        did = "was built and solves" if self.built else "solves here already"
        return f"cyipopt {self.cyipopt} {did}{f', with {self.library}' if self.library else ''}"


def install_ipopt(said: Callable[[str], None] = lambda _: None) -> Ipopt:
    """Build cyipopt into this Python's environment, unless one that solves is there.

    Args:
        said: is given what pip and the probe print, for a log.

    Raises:
        MissingBackendError: there is no compiler, no pip, no CasADi or no such loader.
        SolverFailedError: the build failed, or what was built does not solve with CasADi's Ipopt;
            it is removed again.
    """
    there = _probed(said, built=False)
    if there is not None:
        return there
    casadi = _folder_of_casadi()
    compiler = _compiler()
    with tempfile.TemporaryDirectory(prefix="lexmargin-") as folder:
        shim = Path(folder) / "pkg-config"
        write_file(shim, _PKG_CONFIG.format(casadi=casadi))
        shim.chmod(0o755)
        ended = _pip(
            *("install", "--progress-bar", "off", "--no-cache-dir", "--force-reinstall"),
            *("--no-deps", "--no-binary", "cyipopt", CYIPOPT),
            environment={
                **os.environ,
                "PATH": folder + os.pathsep + os.environ.get("PATH", os.defpath),
                "CC": compiler,
                # The extension lies in site-packages/cyipopt, so the first finds casadi wherever
                # site-packages is; the second, where casadi lies in another of them.
                "LDFLAGS": f"-Wl,-rpath,{_BESIDE[sys.platform]}/../casadi -Wl,-rpath,{casadi}",
            },
        )
    said(ended.stdout)
    if ended.returncode:
        raise SolverFailedError(f"The build of {CYIPOPT} failed.", _OTHERWISE)
    built = _probed(said, built=True)
    if built is None or (built.library and Path(built.library).resolve().parent != casadi):
        said(_pip("uninstall", "--yes", "cyipopt", environment=os.environ).stdout)
        raise SolverFailedError(
            f"{CYIPOPT} was built, but does not solve a one-variable problem with CasADi's Ipopt.",
            _OTHERWISE,
        )
    return built


_OTHERWISE: Final = (
    "Nonconvex problems are solved by CasADi's Ipopt without it; conda has it compiled: "
    "conda install -c conda-forge cyipopt."
)


def _probed(said: Callable[[str], None], *, built: bool) -> Ipopt | None:
    """Return the cyipopt that solves in a fresh process, or None."""
    environment = {k: v for k, v in os.environ.items() if k not in _FOREIGN}
    # Not where the caller stands: a file of that folder may be called cyipopt.py.
    with tempfile.TemporaryDirectory(prefix="lexmargin-") as folder:
        ended = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
    said(f"cyipopt probe: {ended.returncode}\n{ended.stdout}{ended.stderr}")
    if ended.returncode:
        return None
    found = json.loads(ended.stdout)
    return Ipopt(found["cyipopt"], found["library"], built)


def _pip(*words: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *words],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _folder_of_casadi() -> Path:
    """Return the folder whose library is linked, once everything a build needs is there."""
    if sys.platform not in _BESIDE:
        raise MissingBackendError(f"cyipopt is not built on {sys.platform}.", _OTHERWISE)
    found = importlib.util.find_spec("casadi")
    if found is None or found.origin is None:
        raise MissingBackendError("casadi is not installed.", "Install it: pip install casadi.")
    if importlib.util.find_spec("pip") is None:
        raise MissingBackendError(
            "This environment has no pip to build with.", "Install it: python -m ensurepip."
        )
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        raise MissingBackendError(
            "The C headers of this Python are missing.", "Install them (Debian: python3-dev)."
        )
    return Path(found.origin).resolve().parent


def _compiler() -> str:
    """Return the C compiler of the build."""
    named = os.environ.get("CC")
    candidates = [named] if named else [sysconfig.get_config_var("CC") or "cc", "cc", "gcc"]
    for candidate in candidates:
        words = shlex.split(candidate)
        if words and shutil.which(words[0]):
            return str(candidate)
    problem = f"The C compiler CC={named} is not there." if named else "There is no C compiler."
    raise MissingBackendError(problem, f"Install one (Debian: gcc). {_OTHERWISE}")
