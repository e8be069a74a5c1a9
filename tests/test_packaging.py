"""What ships: the wheel's shelves are the checkout's, and a missing backend is never silent."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
SHELVES = ("problems", "solvers")
pytest_plugins = ["pytester"]


def shelf_in_checkout(shelf: str) -> dict[str, bytes]:
    folder = ROOT / shelf
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def shelf_in_wheel(wheel: Path, shelf: str) -> dict[str, bytes]:
    prefix = f"lexmargin/library/{shelf}/"
    with zipfile.ZipFile(wheel) as archive:
        return {
            name.removeprefix(prefix): archive.read(name)
            for name in archive.namelist()
            if name.startswith(prefix)
        }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    # hatchling directly, not through pip: no build isolation, so no network.
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (path,) = out.glob("lexmargin-*.whl")
    return path


@pytest.mark.parametrize("shelf", SHELVES)
def test_wheel_shelf_equals_checkout_shelf(wheel: Path, shelf: str) -> None:
    here = shelf_in_checkout(shelf)
    assert here, f"{shelf}/ is empty"
    there = shelf_in_wheel(wheel, shelf)
    assert sorted(there) == sorted(here)
    assert [name for name in here if there[name] != here[name]] == []


def test_wheel_holds_the_code_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    code = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert code <= set(names)
    roots = {name.split("/")[0] for name in names}
    assert "lexmargin" in roots
    assert all(root == "lexmargin" or root.endswith(".dist-info") for root in roots)


def test_constraints_pin_every_dependency_inside_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["docs"]]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {
        canonicalize_name(name): version
        for name, _, version in (line.partition("==") for line in lines if "==" in line)
    }
    for requirement in map(Requirement, wanted):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} has no line in constraints.txt"
        assert requirement.specifier.contains(pin), f"{requirement} excludes the pinned {pin}"


MARKED = "import pytest\n@pytest.mark.backend({!r})\ndef test_it():\n    pass\n"
IN_TEST = "import pytest\ndef test_it():\n    pytest.importorskip({!r})\n"
IN_MODULE = "import pytest\npytest.importorskip({!r})\ndef test_it():\n    pass\n"


@pytest.mark.parametrize(
    ("backend", "source", "required"),
    [
        ("json", MARKED, "1"),
        ("piqp", MARKED, "1"),
        ("cyipopt", MARKED, "0"),
        ("cyipopt", MARKED, "1"),
        ("cyipopt", IN_TEST, "1"),
        ("cyipopt", IN_MODULE, "1"),
    ],
)
def test_missing_backend_is_skipped_aloud_or_fails(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    source: str,
    required: str,
) -> None:
    # None in sys.modules is Python's own way of saying "not there", whatever this machine has.
    hide = "\nimport sys\nsys.modules['cyipopt'] = sys.modules['piqp'] = None\n"
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text() + hide)
    pytester.makeini("[pytest]\nmarkers = backend(*modules): needs them\n")
    pytester.makepyfile(source.format(backend))
    monkeypatch.setenv("LEXMARGIN_REQUIRE_BACKENDS", required)
    result = pytester.runpytest_subprocess("-rs", "-p", "no:cacheprovider")
    if backend == "json":
        result.assert_outcomes(passed=1)
    elif backend == "cyipopt" and required == "1":
        assert result.ret != pytest.ExitCode.OK
        result.stdout.fnmatch_lines(["*although its backend is required here: *cyipopt*"])
    else:
        result.assert_outcomes(skipped=1)
        result.stdout.fnmatch_lines([f"SKIPPED*{backend}*"])
