"""Rooms one can see: few modules in every folder, and a contract that knows every room."""

from __future__ import annotations

import tomllib
from pathlib import Path

import lexmargin

SOURCE = Path(lexmargin.__file__).parent
PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]


def modules(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def test_no_folder_is_crowded() -> None:
    counts = {path.parent: len(list(path.parent.glob("*.py"))) for path in SOURCE.rglob("*.py")}
    assert max(counts.values()) <= 15
    assert len(modules(SOURCE)) <= 12


def test_the_rooms_of_the_judge_are_ordered_without_exception() -> None:
    (judge,) = (contract for contract in CONTRACTS if contract["id"] == "judge")
    assert judge["containers"] == ["lexmargin.judge"] and judge["exhaustive"]
    assert "ignore_imports" not in judge
    placed = [name.strip() for layer in judge["layers"] for name in layer.split("|")]
    folder = SOURCE / "judge"
    rooms = [path.parent.name for path in folder.glob("*/__init__.py")]
    assert sorted(placed) == sorted([*rooms, *modules(folder)])
