"""The vocabulary of the benchmarks and their page; nothing is timed here."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


def load(name: str) -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


common = load("common")
measure = load("measure")


def test_the_exponent_of_a_power_law_and_the_spread() -> None:
    sizes = [10, 20, 40, 80]
    assert measure.fitted_exponent(sizes, [3e-3 * s**1.5 for s in sizes]) == pytest.approx(1.5)
    assert measure.median_with_spread([3.0, 1.0, 2.0]) == "2 s [1, 3]"


def filled(tmp_path: Path) -> Path:
    bench = common.Bench("sample", "A | title", "ours")
    ours, data = common.Role.OURS, 2.0**19
    bench.add(
        common.Row(
            "one", "ours", (1.0, 2.0, 3.0), 1e-12, 0.0, "KKT", 2.0**20, role=ours, data=data
        )
    )  # fmt: skip
    bench.add(common.Row("one", "peer", (20.0,), figures={"gap": np.float64(0.5)}))
    bench.add(common.Row("one", "late", note="no answer in 5 s", spent=5.0))
    bench.add(common.Row("one", "broken", note="ZeroDivisionError"))
    peer, late = common.Ratio(10.0, False), common.Ratio(2.5, True)
    assert bench.ratios("one") == {"peer": peer, "late": late}
    assert (peer.words, late.words) == ("", ", at least")
    assert bench.ratios("unknown") == {}
    bench.growth("ours", "N", [1, 2, 4, 8], [1.0, 2.0, 4.0, 8.0])
    assert bench.target("faster", 10.0, 10.0) and not bench.target(
        "slower", 1.3, 1.2, at_least=False
    )
    path: Path = bench.write(tmp_path)
    return path


def test_results_are_plain_json(tmp_path: Path) -> None:
    text = filled(tmp_path).read_text()
    found = json.loads(text)
    assert "NaN" not in text
    first, peer, late, broken = found["rows"]
    assert first["median"] == 2.0 and first["stationarity"] == 1e-12
    assert peer["stationarity"] is None and peer["figures"] == {"gap": 0.5}
    assert late["seconds"] == [] and late["median"] is None and late["note"]
    assert (late["spent"], broken["spent"]) == (5.0, None)
    assert [ratio["bound"] for ratio in found["ratios"]] == [False, True]
    assert found["growth"][0]["exponent"] == pytest.approx(1.0)
    assert [target["met"] for target in found["targets"]] == [True, False]
    assert found["machine"]["Python"] and found["machine"]["numpy"] == np.__version__


REMARKS = """
[[remark]]
goals   = ["slower"]
profile = "Most of it is set-up."
tried   = ["One thing.", "Another."]
"""


def test_the_page_shows_every_row_and_what_was_missed(tmp_path: Path) -> None:
    filled(tmp_path)
    page = load("page")
    remarks, before = tmp_path / "remarks.toml", tmp_path / "kept.txt"
    remarks.write_text(REMARKS)
    before.write_text('{"about": "on another day", "goals": {"faster": 4.0}}')
    written = page.write(tmp_path, tmp_path / "docs", remarks, before)
    text = written.read_text(encoding="utf-8")
    for word in (
        "no answer in 5 s",
        "1 of 2 goals are met",
        "| slower | 1.3 | ≤ 1.2 | **NOT met** |  |\n\nProfile: Most of it is set-up.\n",
        "* Tried: Another.\n",
        "| faster | 4 | 10 | ≥ 10 | met |",
        "| 1.00 |",
        "2 (1 to 3)",
        "20 (one run)",
        "≥ 2.5",
        "1 (2 ×)",
        "seeds 0: ",
        "Python",
    ):
        assert word in text, word
    assert "Most of it" not in page.write(tmp_path, tmp_path / "docs", tmp_path).read_text()
    assert (tmp_path / "docs" / "benchmarks" / "sample.svg").stat().st_size > 1000


def test_goals_over_seeds_show_their_spread_and_the_seeds_that_miss_them(tmp_path: Path) -> None:
    bench = common.Bench("sample", "A title", "ours", seeds=(5, 6, 7))
    for seed in bench.each_seed():
        shares = {"build %": 1.0, "solve %": 2.0, "certify %": 97.0}
        row = common.Row("one", "ours", (float(seed),), figures=shares, role=common.Role.OURS)
        bench.add(row)
        bench.target("one: quick (peer)", seed, 6.0, at_least=False)
    assert bench.own("one").seconds == (7.0,)
    assert bench.generator(1).random() != bench.generator(2).random()
    bench.write(tmp_path)
    page = load("page")
    text = page.write(tmp_path, tmp_path / "docs", tmp_path, tmp_path).read_text()
    assert (
        "| one: quick | 6 (5 to 7) | ≤ 6 | **NOT met** (met with 2 of 3 seeds) | build 1 %" in text
    )
    assert "| ours | 6 (5 to 7) |" in text and "seeds 5, 6, 7" in text
    kept = json.loads(page.keep(tmp_path, tmp_path / "kept.txt").read_text())
    assert kept["goals"] == {"one: quick": 6.0}


def test_the_fastest_peer_has_an_answer() -> None:
    bench = common.Bench("sample", "A title", "ours")
    bench.add(common.Row("one", "ours", (1.0,), role=common.Role.OURS))
    bench.add(common.Row("one", "wrong", (0.1,), gap=1e-3))
    bench.add(common.Row("one", "right", (0.5,), gap=1e-9))
    bench.add(common.Row("one", "late", spent=0.2))
    assert bench.fastest("one").method == "right"
    bench.add(common.Row("two", "late", spent=9.0))
    assert bench.fastest("two").method == "late" and bench.fastest("three") is None


def test_a_gap_is_measured_against_a_bound_that_holds() -> None:
    linear, instances = load("linear"), load("instances")
    rng = np.random.default_rng(0)
    for norm, bias in ((2.0, False), (2.0, True), (1.0, False), (np.inf, False)):
        X, y = instances.dense(rng, 30, 3)
        X = X if bias else X - X.mean(axis=0)
        Z = y[:, None] * X
        for _ in range(20):
            theta, lam = rng.standard_normal(3 + bias), rng.random(30)
            gap = linear.margin_gap(Z, y, bias, norm, theta, lam)
            assert gap > 0.0, (norm, bias)
    Z, y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([1.0, -1.0])
    best, lam = np.array([2.0, 1.0]) / 5**0.5, np.array([0.8, 0.2])
    assert abs(linear.margin_gap(Z, y, False, 2.0, best, lam)) < 1e-15
    assert linear.margin_gap(Z, y, False, 2.0, best + 1e-3 * np.eye(2)[0], lam) > 1e-4


def test_a_page_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="make bench"):
        load("page").write(tmp_path, tmp_path)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
# Of JAX, where another test of this process imported it; the child does not touch it.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_work_past_its_limit_or_with_an_error_gives_a_sentence() -> None:
    import time

    assert measure.within(lambda: 7, 30.0) == 7
    late = measure.within(lambda: time.sleep(30.0), 0.2)
    assert late.why == "no answer in 0.2 s" and 0.0 <= late.spent < 30.0
    broken = measure.within(lambda: 1 / 0, 30.0)
    assert "ZeroDivisionError" in broken.why and np.isnan(broken.spent)
