"""cyipopt is built in one way, and what cannot be built is named; nothing half-built is left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lexmargin import ipopt_build
from lexmargin.errors import MissingBackendError, SolverFailedError
from lexmargin.ipopt_build import CYIPOPT, Ipopt, install_ipopt

ROOT = Path(__file__).resolve().parent.parent


class Stub:
    """Stands for pip and for the probe: what they are asked, and what they answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, library: str | None, code: int = 0) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.shim = ""
        self.built, self.library, self.code = False, library, code
        monkeypatch.setattr(ipopt_build, "_pip", self.pip)
        monkeypatch.setattr(ipopt_build, "_probed", self.probed)

    def pip(self, *words: str, environment: Mapping[str, str]) -> Any:
        self.asked.append(words)
        if words[0] == "install":
            assert "casadi" in environment["LDFLAGS"] and environment["CC"]
            folder = environment["PATH"].split(":")[0]
            for question in ("--exists ipopt", "--modversion ipopt", "--cflags --libs ipopt"):
                said = subprocess.run(
                    [f"{folder}/pkg-config", *question.split()],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                self.shim += said.stdout
            self.built = self.code == 0
        return subprocess.CompletedProcess(words, self.code, "what pip said\n")

    def probed(self, said: Any, *, built: bool) -> Ipopt | None:
        there = self.built and self.library is not None
        return Ipopt("1.7.0", self.library or "", built) if there else None


def casadi() -> Path:
    found = ipopt_build._folder_of_casadi()
    assert (found / "include" / "coin-or").is_dir()
    return found


def test_it_is_built_against_the_ipopt_of_casadi(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = Stub(monkeypatch, str(casadi() / "libipopt.so.3"))
    heard: list[str] = []
    found = install_ipopt(heard.append)
    assert found.built and "was built and solves" in str(found)
    assert [words[0] for words in stub.asked] == ["install"] and CYIPOPT in stub.asked[0]
    assert {"--no-deps", "--no-binary"} <= set(stub.asked[0])
    assert f"-L{casadi()}" in stub.shim and "-lipopt" in stub.shim and "3.14" in stub.shim
    assert "what pip said\n" in heard
    again = install_ipopt()
    assert not again.built or len(stub.asked) == 1


def test_what_works_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = Stub(monkeypatch, "/elsewhere/libipopt.so")
    stub.built = True
    assert install_ipopt().library == "/elsewhere/libipopt.so" and not stub.asked


@pytest.mark.parametrize("library", ["/elsewhere/libipopt.so.3", None])
def test_what_was_built_against_another_ipopt_is_removed(
    monkeypatch: pytest.MonkeyPatch, library: str | None
) -> None:
    stub = Stub(monkeypatch, library)
    with pytest.raises(SolverFailedError, match="does not solve"):
        install_ipopt()
    assert [words[0] for words in stub.asked] == ["install", "uninstall"]


def test_a_build_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Stub(monkeypatch, None, code=1)
    heard: list[str] = []
    with pytest.raises(SolverFailedError, match=f"The build of {CYIPOPT} failed"):
        install_ipopt(heard.append)
    assert heard == ["what pip said\n"]


@pytest.mark.parametrize("lacks", ["compiler", "named compiler", "pip", "casadi", "headers", "os"])
def test_what_a_build_lacks_is_named(monkeypatch: pytest.MonkeyPatch, lacks: str) -> None:
    stub = Stub(monkeypatch, None)
    find = ipopt_build.importlib.util.find_spec
    monkeypatch.setattr(
        ipopt_build.importlib.util, "find_spec", lambda n: None if n == lacks else find(n)
    )
    if "compiler" in lacks:
        monkeypatch.setattr(ipopt_build.shutil, "which", lambda name: None)
        monkeypatch.delenv("CC", raising=False)
    if lacks == "named compiler":
        monkeypatch.setenv("CC", "no-such-compiler -O2")
    if lacks == "headers":
        monkeypatch.setattr(ipopt_build.sysconfig, "get_path", lambda name: "/nowhere")
    if lacks == "os":
        monkeypatch.setattr(ipopt_build.sys, "platform", "win32")
    said = {"named compiler": "CC=no-such-compiler", "os": "win32"}.get(lacks, lacks)
    with pytest.raises(MissingBackendError, match=said):
        install_ipopt()
    assert not stub.asked


@pytest.mark.backend("cyipopt")
def test_the_probe_solves_with_the_ipopt_of_casadi() -> None:
    found = ipopt_build._probed(lambda text: None, built=False)
    assert found is not None
    if sys.platform == "linux":
        assert Path(found.library).resolve().parent == casadi()


def test_the_checkout_builds_it_in_the_same_way() -> None:
    text = (ROOT / "tools" / "install.py").read_text(encoding="utf-8")
    assert '"install-ipopt"' in text and "pkg-config" not in text and "cyipopt==" not in text
