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


def test_the_exponent_of_a_power_law_and_the_spread() -> None:
    sizes = [10, 20, 40, 80]
    assert common.fitted_exponent(sizes, [3e-3 * s**1.5 for s in sizes]) == pytest.approx(1.5)
    assert common.median_with_spread([3.0, 1.0, 2.0]) == "2 s [1, 3]"


def filled(tmp_path: Path) -> Path:
    bench = common.Bench("sample", "A | title", "ours")
    bench.add(common.Row("one", "ours", (1.0, 2.0, 3.0), 1e-12, 0.0, "KKT", 2.0**20))
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
    bench.remark("Most of it is set-up.")
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


def test_the_page_shows_every_row_and_what_was_missed(tmp_path: Path) -> None:
    filled(tmp_path)
    page = load("page").write(tmp_path, tmp_path / "docs")
    text = page.read_text(encoding="utf-8")
    for word in (
        "no answer in 5 s",
        "**not met**",
        "N^1.00",
        "2 (1 to 3)",
        "20 (one run)",
        "≥ 2.5",
        "\nMost of it is set-up.\n",
        "Python",
    ):
        assert word in text, word
    for ending in (".svg", ".png"):
        assert (tmp_path / "docs" / "benchmarks" / f"sample{ending}").stat().st_size > 1000


def test_a_page_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="make bench"):
        load("page").write(tmp_path, tmp_path)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
# Of JAX, where another test of this process imported it; the child does not touch it.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_work_past_its_limit_or_with_an_error_gives_a_sentence() -> None:
    import time

    assert common.within(lambda: 7, 30.0) == 7
    late = common.within(lambda: time.sleep(30.0), 0.2)
    assert late.why == "no answer in 0.2 s" and 0.0 <= late.spent < 30.0
    broken = common.within(lambda: 1 / 0, 30.0)
    assert "ZeroDivisionError" in broken.why and np.isnan(broken.spent)
