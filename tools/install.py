"""Set up `.venv` from nothing but Python, make and (for cyipopt) a C compiler.

Run by `make install`; safe to run again: a stamp makes the second run instant.
No `from __future__ import annotations` here: the file must parse on an old Python far enough to
say that it is too old.
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
if not OLDEST <= sys.version_info[:2] <= NEWEST:
    sys.exit(
        "install: lexmargin needs Python 3.11 to 3.13 and this is {}.{}: "
        "name another one, for example `make install PYTHON=python3.12`.".format(
            *sys.version_info[:2]
        )
    )

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "lexmargin-install.json"
LOG = VENV / "lexmargin-install.log"
CONSTRAINTS = ROOT / "constraints.txt"
CYIPOPT = "cyipopt==1.7.0"

# pip's own words for "I could not reach the index".
NO_NETWORK = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "ProxyError",
    "Could not find a version that satisfies",
)

# Solves min (x - 1)² and prints which libipopt did it: an extension that imports but was linked
# to another Ipopt would give other answers on other machines.
PROBE = """
import sys
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
assert info["status"] == 0 and abs(x[0] - 1.0) < 1e-6, (info["status"], x)
maps = Path("/proc/self/maps")
if maps.exists():
    loaded = {line.split()[-1] for line in maps.read_text().splitlines() if "libipopt" in line}
    home = Path(cyipopt.__file__).resolve().parent.parent / "casadi"
    assert loaded and all(Path(name).resolve().parent == home for name in loaded), loaded
"""

# Answers the one question cyipopt's build asks of pkg-config, so that the machine needs none.
PKG_CONFIG = """#!/bin/sh
case "$*" in
    *--version*|*--modversion*) echo 3.14 ;;
    *--exists*) ;;
    *) echo "-I{casadi}/include/coin-or -L{casadi} -lipopt" ;;
esac
"""


def say(text: str) -> None:
    print(f"install: {text}", flush=True)


def fail(sentence: str) -> None:
    sys.exit(f"install: {sentence}")


def compiler() -> str | None:
    """The C compiler the build would use, or None."""
    named = os.environ.get("CC")
    candidates = [named] if named else [sysconfig.get_config_var("CC") or "cc", "cc", "gcc"]
    for candidate in candidates:
        words = shlex.split(candidate)
        if words and shutil.which(words[0]):
            return candidate
    return None


def why_no_build() -> str | None:
    """What is missing for building a C extension, or None."""
    if compiler() is None:
        named = os.environ.get("CC")
        return f"the C compiler CC={named} is not there" if named else "there is no C compiler"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "the C headers of this Python are missing (Debian: python3-dev)"
    return None


def fingerprint() -> dict[str, str]:
    """Everything whose change makes the environment stale."""
    digest = hashlib.sha256()
    for path in (ROOT / "pyproject.toml", CONSTRAINTS, Path(__file__).resolve()):
        digest.update(path.read_bytes() if path.exists() else b"")
    return {
        "inputs": digest.hexdigest(),
        "python": sys.version,
        "venv": str(VENV),
        "build": why_no_build() or "possible",
    }


def read_stamp() -> dict[str, str]:
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp


def make_venv(stamp: dict[str, str]) -> None:
    """Create `.venv`; start over where it belongs to another Python or to another folder."""
    label = "{}.{}".format(*sys.version_info[:2])
    if PYTHON.exists():
        shown = subprocess.run(
            [PYTHON, "-c", "import pip, sys; print('{}.{}'.format(*sys.version_info[:2]))"],
            capture_output=True,
            text=True,
            check=False,
        )
        if shown.stdout.strip() == label and stamp.get("venv", str(VENV)) == str(VENV):
            return
        say("the .venv here is broken or belongs to another Python or folder; making it anew")
    try:
        import ensurepip  # noqa: F401
        import venv
    except ImportError:
        fail(
            "this Python has no venv module: install it (Debian: apt install python3-venv) "
            "or name another Python, for example `make install PYTHON=python3.12`."
        )
    say(f"making .venv with Python {label}")
    venv.create(VENV, clear=VENV.exists(), with_pip=True, symlinks=True)


def pip(*arguments: str, environment: dict[str, str] | None = None) -> str | None:
    """Run pip with its output in the log; return that output if it failed, else None."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", *arguments]
    if CONSTRAINTS.exists():
        command += ["-c", str(CONSTRAINTS)]
    ended = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=ROOT,
    )
    with LOG.open("a") as log:
        log.write(f"$ {shlex.join(command)}\n{ended.stdout}\n")
    return ended.stdout if ended.returncode else None


def require(what: str, *arguments: str) -> None:
    """Install or stop with one sentence."""
    say(f"installing {what}")
    began = time.monotonic()
    output = pip(*arguments)
    if output is not None:
        print("\n".join(output.splitlines()[-12:]), file=sys.stderr)
        if any(word in output for word in NO_NETWORK):
            fail(f"pip could not fetch {what}: is there a network connection? All of it: {LOG}")
        fail(f"pip could not install {what}; all it said is in {LOG}")
    say(f"installed {what} ({time.monotonic() - began:.0f} s)")


def cyipopt_works() -> bool:
    environment = {
        k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "PYTHONPATH")
    }
    ended = subprocess.run(
        [str(PYTHON), "-c", PROBE],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=VENV,
    )
    with LOG.open("a") as log:
        log.write(f"$ cyipopt probe: {ended.returncode}\n{ended.stdout}\n")
    return ended.returncode == 0


def build_cyipopt() -> str | None:
    """Build cyipopt against the Ipopt inside casadi's wheel; return what went wrong, or None."""
    if cyipopt_works():
        return None
    missing = why_no_build()
    if missing is not None:
        return missing
    purelib = subprocess.run(
        [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    casadi = Path(purelib) / "casadi"
    say(f"building {CYIPOPT} against the Ipopt inside casadi's wheel")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lexmargin-") as folder:
        shim = Path(folder) / "pkg-config"
        shim.write_text(PKG_CONFIG.format(casadi=casadi))
        shim.chmod(0o755)
        output = pip(
            "--no-cache-dir",
            "--force-reinstall",
            "--no-deps",
            "--no-binary",
            "cyipopt",
            CYIPOPT,
            environment={
                "PATH": folder + os.pathsep + os.environ.get("PATH", os.defpath),
                "CC": compiler() or "cc",
                # The extension lies in site-packages/cyipopt, so this finds casadi wherever
                # site-packages is; the -L above is only for the linker.
                "LDFLAGS": "-Wl,-rpath,$ORIGIN/../casadi",
            },
        )
    if output is not None:
        return "its build failed"
    if not cyipopt_works():
        subprocess.run(
            [PYTHON, "-m", "pip", "uninstall", "--yes", "--quiet", "cyipopt"], check=False
        )
        return "it was built but does not solve a one-variable problem with casadi's Ipopt"
    say(f"built {CYIPOPT} ({time.monotonic() - began:.0f} s)")
    return None


def report_cyipopt(problem: str) -> None:
    if problem:
        say(
            f"cyipopt is not installed because {problem}; everything else works, and "
            "`lexmargin doctor` shows the route left for nonconvex problems. "
            f"`make clean install` tries again; what the build said is in {LOG}"
        )


def main() -> None:
    wanted = fingerprint()
    stamp = read_stamp()
    if PYTHON.exists() and {k: v for k, v in stamp.items() if k != "cyipopt"} == wanted:
        report_cyipopt(stamp.get("cyipopt", ""))
        return
    make_venv(stamp)
    STAMP.unlink(missing_ok=True)
    LOG.write_text("")
    require("casadi and numpy", "casadi>=3.7", "numpy>=2.0")
    problem = build_cyipopt() or ""
    require("lexmargin and its tools", "-e", ".[dev,docs]")
    report_cyipopt(problem)
    STAMP.write_text(json.dumps({**wanted, "cyipopt": problem}, indent=1) + "\n")
    say("done; `make run` does the main job, `make test` runs the tests")


if __name__ == "__main__":
    main()
