"""The command paper: findings computed, runs resumed and ended, a page that needs nothing else."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compare_stubs import descendants
from lexmargin.cli.main import app
from lexmargin.errors import BadInputError, UnknownNameError
from lexmargin.paper import (
    BOOKS,
    PAPER,
    Check,
    Effort,
    Finding,
    Measurement,
    Reading,
    Record,
    Relation,
    measure_all,
    named,
    statement,
)
from lexmargin.paper.measure import source_of
from lexmargin.paper.page import _mathml, _relation, write_pages
from lexmargin.shelf.library import Library
from process_stubs import PATIENCE_SECONDS, alive, eventually

QUICKEST = "dead-neuron"


def check(measured: float, relation: Relation, predicted: float, certified: bool = True) -> Check:
    return Check("somewhere", "something", measured, relation, predicted, 0.1, 0.0, certified)


@pytest.mark.parametrize(
    ("measured", "relation", "predicted", "slack", "finding"),
    [
        (1.0, Relation.AT_MOST, 2.0, 1.1, Finding.HOLDS),
        (2.2, Relation.AT_MOST, 2.0, -0.1, Finding.DIFFERS),
        (1.0, Relation.AT_LEAST, 2.0, -0.9, Finding.DIFFERS),
        (1.95, Relation.AT_LEAST, 2.0, 0.05, Finding.HOLDS),
        (1.95, Relation.EQUAL, 2.0, 0.05, Finding.HOLDS),
        (2.2, Relation.EQUAL, 2.0, -0.1, Finding.DIFFERS),
        (math.nan, Relation.EQUAL, 2.0, math.nan, Finding.UNDECIDED),
        (math.inf, Relation.AT_LEAST, 2.0, math.nan, Finding.UNDECIDED),
    ],
)
def test_a_finding_is_arithmetic(
    measured: float, relation: Relation, predicted: float, slack: float, finding: Finding
) -> None:
    made = check(measured, relation, predicted)
    assert made.slack == pytest.approx(slack, nan_ok=True)
    assert made.finding is finding
    assert replace(made, certified=False).finding is Finding.UNDECIDED


def test_one_contradiction_outweighs_the_rest() -> None:
    good, bad = check(1.0, Relation.AT_MOST, 2.0), check(3.0, Relation.AT_MOST, 2.0)
    unknown = check(1.0, Relation.AT_MOST, 2.0, certified=False)
    assert Measurement((good,)).finding() is Finding.HOLDS
    assert Measurement((good, unknown)).finding() is Finding.UNDECIDED
    assert Measurement((good, unknown, bad)).finding() is Finding.DIFFERS
    assert Measurement(()).finding() is Finding.UNDECIDED
    assert Measurement((good,)).finding(Reading.CORRECTED) is Finding.UNDECIDED


def test_a_measurement_survives_its_record() -> None:
    row = replace(check(math.nan, Relation.EQUAL, math.inf), reading=Reading.CORRECTED)
    made = Measurement((row,), {"x": (0.1, -math.inf)}, ("seen",))
    stored = json.loads(json.dumps(made.to_json(), allow_nan=False))
    again = Measurement.from_json(stored)
    assert again.curves == made.curves and again.remarks == made.remarks
    assert again.to_json() == made.to_json() and math.isnan(again.checks[0].measured)


@pytest.mark.parametrize("name", [name for book in BOOKS for name in book.statements])
def test_every_statement_declares_itself(name: str) -> None:
    stated = statement(name)
    assert stated.id == name and source_of(stated).endswith(f"/{name.replace('-', '_')}.py")
    assert stated.title and stated.reference and stated.equation and stated.says
    known = Library().problem_paths()
    assert [p for p in stated.problems if p not in known] == []


def test_an_unknown_statement_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="dead-neuron"):
        statement("dead-neurone")
    assert [stated.id for stated in named(())] == list(PAPER.statements)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    folder = tmp_path_factory.mktemp("records")
    (record,) = measure_all((statement(QUICKEST),), Effort.QUICK, folder)
    return folder, record


def test_a_finished_statement_is_not_measured_again(run: tuple[Path, Record]) -> None:
    folder, record = run
    assert record.measurement is not None
    told: list[str] = []
    again = list(
        measure_all(
            (statement(QUICKEST),),
            Effort.QUICK,
            folder,
            progress=lambda tick: told.append(str(tick)),
        )
    )
    # Equal seconds: the record was read.
    assert again == [record] and told == []


@pytest.mark.parametrize("spoilt", ["", "{}", '{"id": 3}', "half a rec"])
def test_a_spoilt_record_is_measured_again(
    run: tuple[Path, Record], tmp_path: Path, spoilt: str
) -> None:
    (tmp_path / f"{QUICKEST}.json").write_text(spoilt, encoding="utf-8")
    if spoilt == "{}":
        # A record that other code made: same file, other key.
        other = replace(run[1], key="of another version")
        text = json.dumps(other.to_json())
        (tmp_path / f"{QUICKEST}.json").write_text(text, encoding="utf-8")
    told: list[str] = []
    (record,) = measure_all(
        (statement(QUICKEST),),
        Effort.QUICK,
        tmp_path,
        progress=lambda tick: told.append(str(tick)),
    )
    assert told == [f"statements 1 of 1: {QUICKEST}"] and record.measurement == run[1].measurement
    assert [path.name for path in tmp_path.iterdir()] == [f"{QUICKEST}.json"]


def test_a_time_limit_ends_the_process(tmp_path: Path) -> None:
    # Comparisons of other tests keep a process for the next one.
    before = set(descendants(os.getpid()))
    (record,) = measure_all((statement(QUICKEST),), Effort.QUICK, tmp_path, time_limit=0.05)
    assert record.measurement is None and "time limit" in record.failure
    assert not [p for p in descendants(os.getpid()) if alive(p) and p not in before]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_no_process_and_no_half_record(
    tmp_path: Path, sent: signal.Signals
) -> None:
    words = ["paper", "--quick", "--only", "lemma-3", "--only", QUICKEST, "--out", str(tmp_path)]
    code = "import paper_stubs; paper_stubs.run()"
    paths = os.pathsep.join([str(Path(__file__).parent), *(p for p in sys.path if p)])
    records = tmp_path / "records" / "quick"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
    ) as parent:
        tasks = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        first = records / f"{QUICKEST}.json"
        try:
            assert eventually(lambda: first.exists() or parent.poll() is not None)
            assert parent.poll() is None
            children = [int(pid) for pid in tasks.read_text(encoding="utf-8").split()]
            parent.send_signal(sent)
            parent.wait(PATIENCE_SECONDS)
        finally:
            parent.kill()
    assert children and [path.name for path in records.iterdir()] == [f"{QUICKEST}.json"]
    assert eventually(lambda: not any(alive(pid) for pid in children))
    told: list[str] = []
    (record,) = measure_all(
        (statement(QUICKEST),),
        Effort.QUICK,
        records,
        progress=lambda tick: told.append(str(tick)),
    )
    assert record.measurement is not None and told == []


@pytest.mark.parametrize(("workers", "limit"), [(0, 1.0), (1, 0.0), (1, math.nan)])
def test_bad_limits_are_named(tmp_path: Path, workers: int, limit: float) -> None:
    with pytest.raises(BadInputError, match="positive"):
        list(measure_all((), Effort.QUICK, tmp_path, workers, limit))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with pytest.raises(BadInputError, match="cannot be made"):
        list(measure_all((), Effort.QUICK, file / "below"))


def test_the_pages_hold_every_part_and_need_nothing(
    run: tuple[Path, Record], tmp_path: Path
) -> None:
    record = run[1]
    failed = replace(record, id="licq-not-needed", measurement=None, failure="ended <at> its limit")
    html, markdown = (path.read_text("utf-8") for path in write_pages((record, failed), tmp_path))
    assert "default-src 'none'" in html and "@import" not in html
    # Links go to the page itself, to the paper, or to data within the page.
    links = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert all(link.startswith(("#", "data:", "https://arxiv.org/")) for link in links)
    targets = set(re.findall(r'id="([^"]*)"', html))
    assert {link[1:] for link in links if link.startswith("#")} <= targets
    stated = statement(QUICKEST)
    for text in (html, markdown):
        assert stated.title in text and stated.reference in text
        assert f"lexmargin paper --only {QUICKEST} --quick" in text
        assert "Differs on two samples 150° apart" in text and source_of(stated) in text
        assert all(name in text for name in stated.problems)
    assert f'<a href="#equation-{QUICKEST}">{stated.reference}</a>' in html and "<math" in html
    assert stated.equation in markdown and f"](index.html#code-{QUICKEST})" in markdown
    assert "ended &lt;at&gt; its limit" in html and "ended <at> its limit" in markdown
    assert "class DeadNeuron(Statement)" in html and "dead neuron hides a descent" in html
    assert (tmp_path / "figures" / f"{QUICKEST}.png").stat().st_size > 10_000


def test_the_same_records_give_the_same_bytes(run: tuple[Path, Record], tmp_path: Path) -> None:
    def written(name: str) -> dict[str, bytes]:
        folder = tmp_path / name
        write_pages((run[1],), folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    first = written("first")
    assert first == written("second") and len(first) == 4


def test_one_statement_again_keeps_the_page(run: tuple[Path, Record], tmp_path: Path) -> None:
    """``--only`` measures one; the page still shows what was measured before, in page order."""
    folder = tmp_path / "records" / "quick"
    folder.mkdir(parents=True)
    shutil.copy(run[0] / f"{QUICKEST}.json", folder)
    other = replace(run[1], id="lemma-3", key="of another version")
    (folder / "lemma-3.json").write_text(json.dumps(other.to_json()), encoding="utf-8")
    arguments = ["paper", "--only", "loss-resolution", "--quick", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and QUICKEST not in done.output
    headings = re.findall(r'<h2 id="([^"]*)"', (tmp_path / "index.html").read_text("utf-8"))
    assert headings == ["passages", "loss-resolution", QUICKEST]


def test_a_run_says_nothing_on_stderr(tmp_path: Path) -> None:
    """Nothing of its children is left, a semaphore neither: scikit-learn, which this row asks,
    imports joblib, which tries one."""
    words = ["paper", "--quick", "--only", "bias-literal-square", "--out", str(tmp_path)]
    command = [sys.executable, "-W", "default", "-m", "lexmargin.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0 and done.stderr == ""


def test_the_command_prints_a_table_and_says_what_was_found(tmp_path: Path) -> None:
    runner = CliRunner()
    arguments = ["paper", "--only", QUICKEST, "--quick", "--out", str(tmp_path)]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    line = rf"{QUICKEST} +Assumption 3; Definition 3, eq. 19 +differs +holds"
    assert re.search(line, done.output)
    stored = json.loads(runner.invoke(app, [*arguments, "--json"]).stdout)
    assert stored[0]["id"] == QUICKEST
    assert stored[0]["measurement"]["checks"][0]["finding"] == "differs"
    ended = runner.invoke(app, [*arguments[:-1], str(tmp_path / "b"), "--time-limit", "0.05"])
    assert ended.exit_code == 3 and "not measured" in ended.output


SIGNS = {
    **dict(gamma="γ", rho="ρ", theta="θ", lambda_="λ", alpha="α", mu="μ", nabla="∇", sum="Σ"),
    **dict(le="≤", ge="≥", to="→", log="log", cdot="·", infty="∞", epsilon="ε"),
}


def plain(text: str) -> str:
    """A formula in LaTeX or in plain text as the same characters."""
    text = re.sub(r"\\text\{[^}]*\}", "", text)
    text = re.sub(r"\\([a-z]+)", lambda m: SIGNS.get(m[1], SIGNS.get(m[1] + "_", "")), text)
    return re.sub(r"[\s\\{}_^,*]", "", text.replace("\\|", "‖"))


def shared(first: str, second: str) -> int:
    """The length of the longest text in both."""
    found = SequenceMatcher(None, first, second, autojunk=False)
    return found.find_longest_match(0, len(first), 0, len(second)).size


def test_no_formula_is_shown_twice() -> None:
    """The words beside an equation do not write it again; such words are noticed."""
    twice = "γ*(ρ) - γ(ρ, θ_c(ρ)) ≤ log N at every ρ"
    assert shared(plain(statement("lemma-3").equation), plain(twice)) > 12
    for stated in named(()):
        assert shared(plain(stated.equation), plain(stated.says)) <= 12, stated.id


def test_no_command_of_an_equation_is_shown_as_it_is_typed() -> None:
    assert "\\" in _mathml(r"\unheardof x")
    for book in BOOKS:
        for stated in named((), book):
            assert "\\" not in _mathml(stated.equation), stated.id


def test_a_relation_shows_its_tolerance() -> None:
    """What is printed is true as it stands: 0.0055 is no number at most 0, but at most 0.01."""
    for relation, text in (
        (Relation.AT_MOST, "0.0055 ≤ 0 + 0.1"),
        (Relation.AT_LEAST, "0.0055 ≥ 0 - 0.1"),
        (Relation.EQUAL, "0.0055 = 0 ± 0.1"),
    ):
        assert _relation(check(0.0055, relation, 0.0)) == text
