"""How far work has come: counts for a function, and a bar for whoever looks."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.inputs.progress import Part, telling
from lexmargin.inputs.svg import curve, sorted_margins

DATA = lm.Dataset([[2.0, 1.0], [1.0, 3.0], [-1.0, -2.0]], [1, 1, -1])
TWO = lm.Sum([lm.Linear(), lm.Bias("two-squares")])

VERBS: dict[str, tuple[Callable[[Any], object], Part, float | None]] = {
    "solve": (
        lambda tell: lm.solve(
            lm.HardMargin(lm.Network((2,), lm.ReLU(power=2)), DATA), starts=3, progress=tell
        ),
        Part.STARTS,
        3,
    ),
    "solve in time": (
        lambda tell: lm.solve(
            lm.HardMargin(lm.Network((2,), lm.ReLU(power=2)), DATA),
            starts=3,
            time_limit=60.0,
            progress=tell,
        ),
        Part.STARTS,
        3,
    ),
    "levels": (
        lambda tell: lm.solve(
            lm.Lexicographic(lm.DiagonalNetwork(2), DATA, levels=2), starts=1, progress=tell
        ),
        Part.LEVELS,
        None,
    ),
    "trace": (
        lambda tell: lm.trace(lm.MarginPath(lm.Linear(), DATA), [1.0, 2.0, 4.0], progress=tell),
        Part.POINTS,
        3,
    ),
    "descend": (
        lambda tell: lm.descend(lm.Linear(), DATA, steps=20, polish=False, progress=tell),
        Part.STEPS,
        20,
    ),
    "compare": (
        lambda tell: lm.compare("linear/l1-axes", ["clarabel", "osqp"], progress=tell),
        Part.UNITS,
        2,
    ),
}


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_tells_how_far_it_has_come(name: str) -> None:
    call, part, total = VERBS[name]
    heard: list[lm.Tick] = []
    call(heard.append)
    counted = [tick for tick in heard if tick.part is part]
    assert counted and all(tick.total == total for tick in counted)
    done = [tick.done for tick in counted]
    assert done == sorted(done) and (total is None or done[-1] <= total)
    assert all(tick.line and str(tick).startswith(f"{part.value} ") for tick in counted)
    assert {tick.part for tick in heard} <= {part, Part.STARTS}


class Terminal(io.StringIO):
    """What a terminal was sent."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.looks = looks

    def isatty(self) -> bool:
        return self.looks


def test_a_bar_is_plain_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr(sys, "stderr", Terminal(True))
    before = threading.active_count()
    with telling(True) as tell:
        assert tell is not None and threading.active_count() == before
        tell(lm.Tick(Part.UNITS, 1, 4, "a\x1b[31m name\nof two lines" + "!" * 80))
    drawn = sys.stderr.getvalue()  # type: ignore[attr-defined]
    first, second = (text for text in drawn.split("\r") if text)
    assert first.startswith("[#####...............] units 1 of 4: a\\u001b[31m")
    assert len(first) == len(second) == 49 and not second.strip()
    assert "\n" not in drawn and "\x1b" not in drawn


def test_nobody_who_does_not_look_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (Terminal(False), None):
        monkeypatch.setattr(sys, "stderr", stream)
        with telling(True) as tell:
            assert tell is None
    monkeypatch.setattr(sys, "stderr", Terminal(True))
    for nothing in (False, None):
        with telling(nothing) as tell:
            assert tell is None
    assert sys.stderr.getvalue() == ""


def test_a_bar_goes_away_with_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal(True))
    with pytest.raises(KeyboardInterrupt), telling(True) as tell:
        assert tell is not None
        tell(lm.Tick(Part.STEPS, 5, None, "x"))
        raise KeyboardInterrupt
    assert not sys.stderr.getvalue().split("\r")[-2].strip()  # type: ignore[attr-defined]


# -- figures ---------------------------------------------------------------------------------------

MARK = re.compile(r"<title>(support|other) (\d+): ([^<]+)</title>")


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e307, -1.0])
def test_every_margin_is_drawn_once_and_in_order(scale: float) -> None:
    margins = scale * np.array([3.0, 1.0, 2.0, 1.0, 500.0 if scale == 1.0 else 5.0])
    support = np.array([False, True, False, True, False])
    drawn = sorted_margins(margins, support)
    found = MARK.findall(drawn)
    assert sorted(int(index) for _, index, _ in found) == [0, 1, 2, 3, 4]
    assert {int(index) for kind, index, _ in found if kind == "support"} == {1, 3}
    assert "support (2)" in drawn and not re.search("nan|inf", drawn)
    # Higher margins stand higher: y falls as the margin rises.
    circles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn)
    heights = [float(y) for _, y in sorted(circles, key=lambda one: float(one[0]))]
    assert heights == sorted(heights, reverse=True) and 0.0 < heights[-1] < heights[0] < 240.0


def test_figures_of_nothing_and_of_very_much() -> None:
    assert sorted_margins(np.array([]), np.array([], dtype=bool)) == ""
    assert sorted_margins(np.array([1.0, np.nan]), np.array([True, False])) == ""
    assert curve([1.0], [np.nan], [True], "") == ""
    many = np.arange(100_000.0)
    assert len(sorted_margins(many, many < 50_000)) < 300_000
    drawn = curve([1.0, 10.0, 100.0], [1.0, np.nan, 3.0], [True, True, False], "<b>")
    assert drawn.count("<circle") == 2 and "&lt;b&gt;" in drawn and "<b>" not in drawn
    assert drawn.count('fill="none" stroke') == 2, "the line, and the mark that is open"
