"""A point of a path says what was shown of it: the best one, or one that is stationary."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.cli.main import main
from lexmargin.judge import Verdict
from lexmargin.paths import PathEnd, Shown

AXES = lm.Dataset([[1.0, 0.0], [0.0, 0.5]], [1, 1], one_class=True)
CROSS = lm.Dataset([[1.0, 0.6], [0.6, 1.0]], [1, 1], one_class=True)


@pytest.mark.parametrize("norm", [1, 2])
def test_points_of_a_convex_path_are_shown_to_be_the_best(norm: int) -> None:
    path = lm.trace(lm.ConstrainedPath(lm.Linear(), AXES, norm=norm), [1.0, 10.0])
    assert path.certified and path.shown is Shown.GLOBAL
    assert {point["shown"] for point in path.to_json()["points"]} == {"global"}


def test_points_of_a_nonconvex_path_are_stationary_and_no_more() -> None:
    """Depth 3: (1, 0) and (0, 1) end to end are two branches, and nothing bounds the loss."""
    path = lm.trace(lm.ConstrainedPath(lm.DiagonalNetwork(3), CROSS), [2.0, 4.0], margins=False)
    assert path.end is PathEnd.COMPLETE and path.certified
    assert all(point.certificate.verdict is not Verdict.GLOBAL for point in path.points)
    assert path.shown in (Shown.STATIONARY, Shown.LOCAL)
    assert path.to_json()["shown"] == path.shown.value


def test_the_table_says_how_many_points_are_only_stationary(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "path.toml"
    file.write_text(
        'title = "two branches"\nsource = "here"\nformulation = "constrained-path"\nrho = 2.0\n'
        '[predictor]\nkind = "diagonal"\ndepth = 3\n'
        "[data]\nX = [[1, 0.6], [-0.6, -1]]\ny = [1, -1]\n"
    )
    with pytest.raises(SystemExit):
        main(["trace", str(file), "--from", "2", "--to", "4", "--points", "2"])
    text = capsys.readouterr().out
    assert "2 of 2 points are shown to be stationary" in text
    with pytest.raises(SystemExit):
        main(["trace", str(file), "--from", "2", "--to", "4", "--points", "2", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {point["shown"] for point in found} <= {"stationary", "local"}


@pytest.mark.parametrize(
    ("verdict", "wanted"),
    [
        (Verdict.GLOBAL, Shown.GLOBAL),
        (Verdict.STRICT_LOCAL, Shown.LOCAL),
        (Verdict.KKT, Shown.STATIONARY),
        (Verdict.CLARKE_KKT, Shown.STATIONARY),
        (Verdict.SADDLE, Shown.NOTHING),
        (Verdict.UNDECIDED, Shown.NOTHING),
        (Verdict.NOT_SEPARATING, Shown.NOTHING),
    ],
)
def test_a_verdict_shows_what_it_says(verdict: Verdict, wanted: Shown) -> None:
    assert Shown.of(verdict) is wanted
    assert Shown.least([Shown.GLOBAL, wanted]) is wanted
    assert Shown.least([]) is Shown.NOTHING
    assert np.isfinite(verdict.rank)
