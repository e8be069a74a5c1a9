"""Set up `.venv` from nothing but Python, make and (for cyipopt) a C compiler.

Run by `make install`; safe to run again: a stamp makes the second run instant.
No `from __future__ import annotations` here: the file must parse on an old Python far enough to
say that it is too old.
"""

import hashlib
import json
import shlex
import subprocess
import sys
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

# pip's own words for "I could not reach the index".
NO_NETWORK = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "ProxyError",
    "Could not find a version that satisfies",
)


def say(text: str) -> None:
    print(f"install: {text}", flush=True)


def fail(sentence: str) -> None:
    sys.exit(f"install: {sentence}")


def fingerprint() -> dict[str, str]:
    """Everything whose change makes the environment stale."""
    digest = hashlib.sha256()
    version = ROOT / "src" / "lexmargin" / "version.py"
    for path in (ROOT / "pyproject.toml", version, CONSTRAINTS, Path(__file__).resolve()):
        digest.update(path.read_bytes() if path.exists() else b"")
    return {
        "inputs": digest.hexdigest(),
        "python": sys.version,
        "venv": str(VENV),
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


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command with its output in the log."""
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=ROOT,
    )
    with LOG.open("a") as log:
        log.write(f"$ {shlex.join(command)}\n{ended.stdout}\n")
    return ended


def require(what: str, *arguments: str) -> None:
    """Install or stop with one sentence."""
    say(f"installing {what}")
    began = time.monotonic()
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", *arguments]
    if CONSTRAINTS.exists():
        command += ["-c", str(CONSTRAINTS)]
    ended = run(command)
    if ended.returncode:
        print("\n".join(ended.stdout.splitlines()[-12:]), file=sys.stderr)
        if any(word in ended.stdout for word in NO_NETWORK):
            fail(f"pip could not fetch {what}: is there a network connection? All of it: {LOG}")
        fail(f"pip could not install {what}; all it said is in {LOG}")
    say(f"installed {what} ({time.monotonic() - began:.0f} s)")


def build_cyipopt() -> str:
    """Have lexmargin build cyipopt, as it does for its users; return what went wrong, or ""."""
    say("building cyipopt against the Ipopt inside casadi's wheel")
    ended = run([str(PYTHON), "-m", "lexmargin.cli.main", "install-ipopt", "--verbose"])
    lines = ended.stdout.splitlines() or ["it said nothing"]
    say(lines[-1])
    return lines[-1] if ended.returncode else ""


def report_cyipopt(problem: str) -> None:
    if problem:
        say(
            f"cyipopt is not there ({problem}); everything else works. "
            f"`{VENV.name}/bin/lexmargin install-ipopt` tries again"
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
    require("lexmargin and its tools", "-e", ".[dev,docs,pages]")
    problem = build_cyipopt()
    report_cyipopt(problem)
    STAMP.write_text(json.dumps({**wanted, "cyipopt": problem}, indent=1) + "\n")
    say("done; `make run` does the main job, `make test` runs the tests")


if __name__ == "__main__":
    main()
