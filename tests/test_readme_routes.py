"""The README's table of routes: every cell names what `auto` chooses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import DegreeError
from lexmargin.predictors.base import Predictor
from lexmargin.run.profile_choice import choose_profile
from lexmargin.shelf.library import Library

README = Path(__file__).resolve().parents[1] / "README.md"
X = np.random.default_rng(0).standard_normal((12, 3))
DATA = lm.Dataset(X, np.where(X[:, 0] > 0, 1, -1))

COLUMNS: tuple[tuple[Predictor, ...], ...] = (
    (lm.Linear(),),
    (lm.Log(1.0),),
    (
        lm.Network((4,), lm.ReLU(power=2)),
        lm.Network((2,), lm.Identity()),
        lm.Sum((lm.Linear(), lm.Network((2,), lm.Square()))),
    ),
    (lm.Network((4,), lm.ReLU()), lm.Network((4, 3), lm.ReLU())),
)
NORMS = (1, 2, 3)


def formulations(word: str, predictor: Predictor) -> list[lm.Formulation]:
    if word == "hard-margin":
        return [lm.HardMargin(predictor, DATA, norm=p) for p in NORMS]
    if word == "margin-path":
        return [lm.MarginPath(predictor, DATA, rho=2.0, norm=p) for p in NORMS]
    if word == "constrained-path":
        return [lm.ConstrainedPath(predictor, DATA, rho=2.0, norm=p) for p in NORMS]
    if word == "regularization-path":
        return [lm.RegularizationPath(predictor, DATA, strength=0.1)]
    if word == "scaled-margin":
        return [lm.ScaledMargin(predictor, DATA, gamma=10.0), lm.WSet(predictor, DATA)]
    assert word == "lexicographic"
    return [lm.Lexicographic(predictor, DATA, levels=2, norm=p) for p in (1, 2, "inf")]


def rows() -> list[tuple[str, list[str]]]:
    table = README.read_text(encoding="utf-8").split("<!-- table: ")[1].split("<!-- end")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(row[0].split()[0].rstrip(","), row[1:]) for row in cells]


def test_every_formulation_has_a_row() -> None:
    words = [word for word, _ in rows()]
    assert words[:4] == ["hard-margin", "margin-path", "constrained-path", "regularization-path"]
    assert words[4:] == ["scaled-margin", "lexicographic"]
    assert all(len(cells) == len(COLUMNS) for _, cells in rows())


@pytest.mark.parametrize(("word", "cells"), rows(), ids=[word for word, _ in rows()])
def test_every_cell_names_the_route(word: str, cells: list[str]) -> None:
    library = Library()
    for cell, predictors in zip(cells, COLUMNS, strict=True):
        for predictor in predictors:
            if cell == "needs degrees":
                with pytest.raises(DegreeError):
                    formulations(word, predictor)
                continue
            try:
                problems = formulations(word, predictor)
            except DegreeError:
                continue  # a sum, where one degree is needed
            for problem in problems:
                chosen = choose_profile(problem, library).name
                assert f"`{chosen}`" in cell, (word, problem, chosen)
