"""Values of ρ chosen along the way: both ends, the tolerance between them, no point thrown away."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.cli.main import main
from lexmargin.errors import ParameterError
from lexmargin.ops.base import FloatArray
from lexmargin.paths import PathEnd, TracedPath


def clouds() -> lm.Dataset:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    hidden = rng.standard_normal(4)
    y = np.where(X @ hidden > 0, 1, -1)
    return lm.Dataset(X + 0.3 * y[:, None] * hidden, y)


def direction(theta: FloatArray) -> FloatArray:
    return theta / np.linalg.norm(theta)


def largest_error(problem: lm.ConstrainedPath, path: TracedPath) -> float:
    """How far the path is from straight interpolation between its points, on a fine grid."""
    at = np.log([point.rho for point in path.points])
    known = np.array([direction(point.theta) for point in path.points])
    ends = path.points[0].rho, path.points[-1].rho
    fine = lm.trace(problem, np.geomspace(*ends, 30), margins=False)
    worst = 0.0
    for point in fine.points:
        straight = [np.interp(np.log(point.rho), at, column) for column in known.T]
        worst = max(worst, float(np.linalg.norm(direction(point.theta) - straight)))
    return worst


@pytest.mark.parametrize("norm", [1.0, 2.0, np.inf])
def test_it_is_as_straight_as_asked_and_finer_where_asked(norm: float) -> None:
    problem = lm.ConstrainedPath(lm.Linear(), clouds(), norm=norm)
    counts = []
    for tolerance in (4e-2, 1e-2):
        path = lm.trace(problem, lm.AdaptiveGrid(0.1, 1e4, tolerance))
        rhos = [point.rho for point in path.points]
        assert path.end is PathEnd.COMPLETE and path.certified and not path.missing
        assert rhos[0] == 0.1 and rhos[-1] == 1e4 and rhos == sorted(set(rhos))
        # The estimate looks at three points, so that corners of polyhedral paths cost a factor.
        assert largest_error(problem, path) <= 5.0 * tolerance
        counts.append(len(rhos))
    assert counts[0] < counts[1] < 80


def test_a_straight_path_takes_few_points() -> None:
    data = lm.Dataset([[1.0, 0.0], [1.0, 0.0]], [1, 1], one_class=True)
    path = lm.trace(lm.ConstrainedPath(lm.Linear(), data), lm.AdaptiveGrid(1e-2, 1e6))
    assert path.certified and len(path.points) <= 9


def test_points_lie_where_the_path_bends() -> None:
    problem = lm.ConstrainedPath(lm.Linear(), clouds())
    path = lm.trace(problem, lm.AdaptiveGrid(1e-3, 1e6, 1e-3))
    steps = np.diff(np.log([point.rho for point in path.points]))
    moves = np.linalg.norm(np.diff([direction(p.theta) for p in path.points], axis=0), axis=1)
    assert steps[np.argmax(moves / steps)] < 0.25 * steps.max()


def test_other_paths() -> None:
    data = clouds()
    falling = lm.RegularizationPath(lm.Linear(), data, strength=1.0)
    path = lm.trace(falling, lm.AdaptiveGrid(10.0, 1e-3))
    assert path.certified and path.points[-1].rho == 1e-3
    # Not homogeneous: γ*(ρ) is followed beside the path.
    logs = lm.ConstrainedPath(
        lm.Log(), lm.Dataset([[1.0, 0.5], [0.5, 2.0]], [1, 1], one_class=True)
    )
    path = lm.trace(logs, lm.AdaptiveGrid(5.0, 20.0, 0.2))
    assert path.points[-1].rho == 20.0 and np.all(path.slacks() >= -1e-9)


def test_limits_are_kept() -> None:
    problem = lm.ConstrainedPath(lm.Linear(), clouds())
    few = lm.trace(problem, lm.AdaptiveGrid(0.1, 1e4, 1e-6, most=5))
    assert few.points[-1].rho == 1e4 and len(few.points) <= 12
    cut = lm.trace(problem, lm.AdaptiveGrid(0.1, 1e4, 1e-9), time_limit=1e-9)
    assert cut.end is PathEnd.TIME_LIMIT and cut.missing == (1e4,) and not cut.certified


@pytest.mark.parametrize(
    ("first", "last", "tolerance", "most"),
    [
        (0.0, 1.0, 0.1, 9), (1.0, np.inf, 0.1, 9), (1.0, 1.0, 0.1, 9), (1.0, 2.0, 0.0, 9),
        (1.0, 2.0, 1.0, 9), (1.0, 2.0, float("nan"), 9), (1.0, 2.0, 0.1, 1),
    ],
)  # fmt: skip
def test_bad_grids_are_named(first: float, last: float, tolerance: float, most: int) -> None:
    with pytest.raises(ParameterError):
        lm.AdaptiveGrid(first, last, tolerance, most)


def test_the_wrong_way_round() -> None:
    with pytest.raises(ParameterError, match="sorted"):
        lm.trace(lm.ConstrainedPath(lm.Linear(), clouds()), lm.AdaptiveGrid(10.0, 1.0))


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["trace", "norms-two-points-path-l2", "--from", "1", "--to", "100", "--adaptive"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "0.05", "--json"])
    assert ended.value.code == 0
    points = json.loads(capsys.readouterr().out)
    assert points[0]["rho"] == 1.0 and points[-1]["rho"] == 100.0
    with pytest.raises(SystemExit) as ended:
        main([*words, "2"])
    assert ended.value.code == 2
    assert "tolerance" in capsys.readouterr().err
