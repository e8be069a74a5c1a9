"""What ships: the wheel's shelves are the checkout's, and a missing backend is never silent."""

from __future__ import annotations

import ast
import email
import email.message
import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from lexmargin.inputs.optional import BRINGS
from lexmargin.shelf.library import Library
from lexmargin.version import VERSION
from wheel_stubs import built, run

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
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked where no checkout is."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built("sdist", ROOT, folder)) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    return source


def described(wheel: Path) -> email.message.Message:
    """The metadata that an index reads."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


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
    wanted = [*project["dependencies"], *extras["dev"], *extras["docs"], *extras["pages"]]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {
        canonicalize_name(name): version
        for name, _, version in (line.partition("==") for line in lines if "==" in line)
    }
    for requirement in map(Requirement, wanted):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} has no line in constraints.txt"
        assert requirement.specifier.contains(pin), f"{requirement} excludes the pinned {pin}"


# -- what is declared ------------------------------------------------------------------------------

# Modules whose distribution has another name.
DISTRIBUTIONS = {"flint": "python-flint", "sklearn": "scikit-learn", "dask": "distributed"}
# cyipopt is built by `lexmargin install-ipopt`; MarkupSafe is Jinja2's, and imported after it.
UNDECLARED = {"cyipopt", "markupsafe"}


@functools.cache
def imported() -> frozenset[str]:
    """The packages that the source imports, whenever it does."""
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
    return frozenset(found - set(sys.stdlib_module_names) - {"lexmargin"})


def declared() -> tuple[set[str], dict[str, set[str]]]:
    """The names of the plain requirements, and those of every extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def names(lines: list[str]) -> set[str]:
        return {canonicalize_name(Requirement(line).name) for line in lines}

    extras = {extra: names(lines) for extra, lines in project["optional-dependencies"].items()}
    return names(project["dependencies"]), extras


def test_what_is_imported_is_declared() -> None:
    plain, extras = declared()
    known = plain.union(*(extras[extra] for extra in extras if extra not in ("dev", "docs")))
    for module in imported() - UNDECLARED:
        name = canonicalize_name(DISTRIBUTIONS.get(module, module))
        assert name in known or module in BRINGS, f"{module} is imported and not declared"
    assert {canonicalize_name(DISTRIBUTIONS.get(m, m)) for m in imported()} >= plain


@pytest.mark.parametrize("module", BRINGS)
def test_what_is_said_to_bring_a_package_brings_it(module: str) -> None:
    plain, extras = declared()
    wanted = Requirement(BRINGS[module])
    assert canonicalize_name(module) not in plain
    if wanted.name == "lexmargin":
        (extra,) = wanted.extras
        assert canonicalize_name(module) in extras[extra]
    else:
        assert wanted.name == module


@pytest.mark.parametrize("profile", Library().profiles())
def test_a_profile_comes_with_lexmargin_or_says_what_brings_it(profile: str) -> None:
    plain, extras = declared()
    found = Library().profile(profile)
    needed = canonicalize_name(found.requires)
    # CVXPY requires these itself.
    assert found.is_required == (needed in plain | {"osqp", "scs"})
    if found.install.startswith("pip install "):
        assert needed in extras["solvers"] and found.install == f"pip install {found.requires}"
    else:
        assert found.install in ("", "lexmargin install-ipopt")


def test_the_page_says_what_every_requirement_is_for() -> None:
    plain, _ = declared()
    page = (ROOT / "docs" / "install.md").read_text("utf-8")
    table = page.partition("<!-- weights -->")[2].partition("<!-- end of weights -->")[0]
    rows = re.findall(r"^\| (\S+) [\w.]+ \| [\d.]+ \| (.*) \| (.*) \|$", table, re.MULTILINE)
    used = {name for name, _, use in rows if use}
    assert used == plain | {"lexmargin"}


# -- what an index shows ---------------------------------------------------------------------------


def test_every_link_of_the_description_leads_somewhere(wheel: Path) -> None:
    text = described(wheel).get_payload()
    assert isinstance(text, str) and text.startswith("# lexmargin")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert all(link.startswith(("https://", "#")) for link in links), links
    # What is no link is still named.
    assert "CONTRIBUTING.md" in text and "compare-linear.html" in text


@pytest.mark.parametrize(
    ("text", "named", "linked"),
    [
        ("a [b](c.md) d", "a b (`c.md`) d", "a [b](https://h.example/c.md) d"),
        ("[c.md](c.md)", "`c.md`", "[c.md](https://h.example/c.md)"),
        ("a\n\n![b](c.png)\n\nd", "a\n\nd", "a\n\n![b](https://h.example/c.png)\n\nd"),
        ("[b](https://e.example)", "[b](https://e.example)", "[b](https://e.example)"),
        ("[b](#c) [d](mailto:e)", "[b](#c) [d](mailto:e)", "[b](#c) [d](mailto:e)"),
    ],
)
def test_links_to_files_become_absolute_or_names(text: str, named: str, linked: str) -> None:
    spec = importlib.util.spec_from_file_location("index", ROOT / "tools" / "index_readme.py")
    assert spec is not None and spec.loader is not None
    index = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(index)
    assert index.with_absolute_links(text, "") == named
    assert index.with_absolute_links(text, "https://h.example/") == linked


def test_the_classifiers_and_addresses_are_those_of_the_project(wheel: Path) -> None:
    said = described(wheel)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    versions = [c.rpartition(" ")[2] for c in project["classifiers"] if "Python :: 3." in c]
    assert versions == ["3.11", "3.12", "3.13"] and said["Version"] == VERSION
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    assert all(f'"{version}"' in workflow for version in versions)
    addresses = [line.partition(", ")[2] for line in said.get_all("Project-URL", [])]
    assert addresses and all(address.startswith("https://") for address in addresses)


# -- versions --------------------------------------------------------------------------------------

SECTIONS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


def releases() -> list[tuple[str, str, list[str]]]:
    """Version, date and sections of the changelog, from its top."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    found = []
    for part in parts:
        head = re.fullmatch(r"\[([^\]]+)\](?: - (\d{4}-\d\d-\d\d))?", part.splitlines()[0])
        assert head is not None, f"no head of a release: {part.splitlines()[0]!r}"
        sections = re.findall(r"^### (.*)$", part, flags=re.MULTILINE)
        found.append((head[1], head[2] or "", sections))
    return found


def test_the_changelog_has_versions() -> None:
    (first, undated, _), *released = releases()
    assert first == "Unreleased" and not undated and released
    for name, day, sections in releases():
        assert sections and set(sections) <= set(SECTIONS), name
        assert len(set(sections)) == len(sections), f"{name} has a section twice"
        assert (name == "Unreleased") == (not day)
    versions = [Version(name) for name, _, _ in released]
    assert versions == sorted(versions, reverse=True) and len(set(versions)) == len(versions)
    days = [date.fromisoformat(day) for _, day, _ in released]
    assert days == sorted(days, reverse=True)


def test_the_version_is_the_released_one_or_a_later_one() -> None:
    """What is unreleased has no version that is out already."""
    (_, _, unreleased), (latest, _, _), *_ = releases()
    assert Version(VERSION) > Version(latest) if unreleased else latest == VERSION
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    cited = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    assert cited is not None and cited[1] == VERSION


def test_every_tag_has_its_section() -> None:
    asked = subprocess.run(["git", "tag"], cwd=ROOT, capture_output=True, text=True, check=False)
    tags = re.findall(r"^v(\d\S*)$", asked.stdout, flags=re.MULTILINE)
    assert set(tags) <= {name for name, _, _ in releases()}


# -- installed outside the checkout ----------------------------------------------------------------

WHERE = """
import json, lexmargin
from lexmargin.shelf.library import shipped_shelf
print(json.dumps([lexmargin.__file__, str(shipped_shelf())]))
"""


def test_the_wheel_of_the_sdist_is_the_wheel(wheel: Path, unpacked: Path, tmp_path: Path) -> None:
    again = built("wheel", unpacked, tmp_path)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
        for name in one.namelist():
            assert one.read(name) == other.read(name), name


def test_the_wheel_works_where_no_checkout_is(installed: Path, tmp_path: Path) -> None:
    path = {"PYTHONPATH": str(installed)}
    code, out, err = run(sys.executable, ["-c", WHERE], tmp_path, **path)
    assert code == 0, err
    assert all(Path(found).is_relative_to(installed) for found in json.loads(out))
    command = ["-m", "lexmargin.cli.main"]
    for words, said in (
        (["list"], "networks/diagonal-2"),
        (["solve", "networks/diagonal-2", "--solver", "ipopt-casadi"], "our verdict     GLOBAL"),
    ):
        code, out, err = run(sys.executable, [*command, *words], tmp_path, **path)
        assert code == 0 and said in out, (words, out, err)


def interpreter(version: str) -> str:
    """A Python of that version, among those of pyenv or on the path; skips where there is none."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    known = sorted(map(str, root.glob(f"versions/{version}.*/bin/python{version}")), reverse=True)
    for python in filter(None, (*known, shutil.which(f"python{version}"))):
        asked = ["-c", "import sys; print('{}.{}'.format(*sys.version_info))"]
        if run(python, asked, root.anchor)[:2] == (0, f"{version}\n"):
            return python
    pytest.skip(f"there is no Python {version} here")


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_wheel_is_imported_by_every_python(wheel: Path, tmp_path: Path, version: str) -> None:
    """As it is, packed, and with nothing else: names are there before what they need is."""
    code = "import lexmargin as lm; print(lm.__version__, lm.errors.DataError.code, len(dir(lm)))"
    found = run(interpreter(version), ["-W", "error", "-c", code], tmp_path, PYTHONPATH=str(wheel))
    assert found[0] == 0 and found[1].startswith(f"{VERSION} data "), found


@pytest.fixture(params=["3.11", "3.13"])
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The Python of an environment of its own; a gigabyte that is not left lying about."""
    code, _, err = run(interpreter(request.param), ["-m", "venv", "venv"], tmp_path)
    assert code == 0, err
    yield str(tmp_path / "venv" / "bin" / "python")
    shutil.rmtree(tmp_path / "venv")


@pytest.mark.long
def test_a_plain_install_does_all_it_says(wheel: Path, tmp_path: Path, plain: str) -> None:
    """From an index: `doctor` ends with 0, nonconvex problems are solved, cyipopt is built."""
    python = plain
    code, out, err = run(python, ["-m", "pip", "install", "-q", str(wheel)], tmp_path)
    if code and "No matching distribution" in out + err:
        pytest.skip("no index has what lexmargin requires on this Python")
    assert code == 0, err
    command = ["-m", "lexmargin.cli.main"]
    solve = [*command, "solve", "networks/diagonal-2", "--json"]
    code, out, err = run(python, [*command, "doctor"], tmp_path)
    assert code == 0 and "absent, and not needed: ipopt, ipopt-cvxpy" in out, (out, err)
    code, out, _ = run(python, [*command, "show", "networks/diagonal-2"], tmp_path)
    assert code == 0 and "-> ipopt-casadi" in out and "lexmargin install-ipopt" in out
    code, out, _ = run(python, solve, tmp_path)
    assert code == 0 and json.loads(out)["solver"] == "ipopt-casadi"
    code, out, err = run(python, [*command, "paper", "--json"], tmp_path)
    assert code == 3 and "lexmargin[pages]" in json.loads(out)["error"]["advice"]
    code, out, err = run(python, [*command, "install-ipopt", "--json"], tmp_path)
    assert code == 0 and json.loads(out)["built"], err
    code, out, _ = run(python, solve, tmp_path)
    assert code == 0 and json.loads(out)["solver"] == "ipopt"


# -- skips -----------------------------------------------------------------------------------------

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
