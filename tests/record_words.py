"""Record what the judge says of many points, and print what has changed since.

`python tests/record_words.py record FILE` judges every stored answer of the shelf, three points
beside each, the points of the receipts' tests, and one program in four statements.
`python tests/record_words.py compare BEFORE AFTER` prints every change of a word or a number. A
word may rise only where its reasons name a bound or a witness, and no refuted point may rise.
`python tests/record_words.py receipts FILE` verifies the receipts that were recorded.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

import lexmargin as lm
import test_one_word
import test_receipts
import test_receipts_programs
from lexmargin.errors import LexmarginError
from lexmargin.formulations.base import Formulation
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.shelf.build import build, stored_theta
from lexmargin.shelf.library import Library

Array = np.ndarray[Any, np.dtype[np.float64]]
Row = tuple[str, Formulation, Array]

LIBRARY: Final = Library()
STEPS: Final = (1e-9, 1e-5, 1e-2)
"""Relative sizes of what is added to a stored answer: within tolerance, beside it, and away."""
FEW: Final = 2000
"""Multipliers that are written down; of more, their number and their sum."""
NUMBERS: Final = (
    "stationarity", "stationarity_bound", "complementarity", "feasibility", "margin", "gap",
    "bound", "euler", "nearest_kink", "radius", "angle", "tau", "margin_ratio", "degree",
)  # fmt: skip
ALIKE: Final = 1e-6
"""Relative changes below it, and of numbers below 1e-9, are roundings in another order."""
ORDER: Final = (
    "NOT_SEPARATING", "NOT_STATIONARY", "FRITZ_JOHN", "UNDECIDED", "SADDLE", "CLARKE_KKT", "KKT",
    "STRICT_LOCAL", "GLOBAL",
)  # fmt: skip
NEGATIVE: Final = frozenset(ORDER[:3])


def shelf() -> Iterator[Row]:
    for number, (name, path) in enumerate(sorted(LIBRARY.problem_paths().items())):
        found = LIBRARY.problem(path)
        try:
            problem = build(found)
            theta = stored_theta(found, problem)
        except LexmarginError:
            continue
        yield f"shelf {name}", problem, theta
        rng = np.random.default_rng(number)
        for step in STEPS:
            aside = rng.standard_normal(theta.size) * np.linalg.norm(theta) / math.sqrt(theta.size)
            yield f"shelf {name} +{step:g}", problem, theta + step * aside


def statements() -> Iterator[Row]:
    for name, which in test_one_word.ROWS:
        problem, w = test_one_word._at_level_one(name, which)
        predictor, data = problem.predictor, problem.data
        for stated in (
            problem,
            lm.MarginPath(predictor, data, rho=1.0, gamma=1.0),
            lm.ScaledMargin(predictor, data, gamma=1.0),
            lm.WSet(predictor, data),
        ):
            yield f"stated {name} {which} {stated.name}", stated, w


def receipts() -> Iterator[Row]:
    for table in (test_receipts.CASES, test_receipts_programs.CASES):
        for name, (problem, theta, _) in table.items():
            yield f"receipt {table is test_receipts.CASES} {name}", problem, np.array(theta, float)


def plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    return float(value) if math.isfinite(value) else str(value)


def judged(name: str, problem: Formulation, theta: Array) -> dict[str, Any]:
    try:
        found = lm.certify(problem, theta)
    except LexmarginError as error:
        return {"verdict": type(error).__name__, "reasons": [str(error)]}
    row: dict[str, Any] = {"verdict": found.verdict.value, "reasons": list(found.reasons)}
    row |= {key: plain(getattr(found, key)) for key in NUMBERS}
    few = found.multipliers.size <= FEW
    row["support"] = found.support.tolist() if few else [found.support.size]
    row["multipliers"] = found.multipliers.tolist() if few else [float(np.sum(found.multipliers))]
    row["levels"] = None if found.levels is None else list(found.levels)
    if name.startswith("receipt "):
        made = receipt(problem, theta, found)
        row["claims"] = dict(made.claims)
        row["receipt"] = base64.b64encode(made.to_bytes()).decode()
    return row


def far(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) != len(b) or any(far(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) > ALIKE * max(abs(a), abs(b)) + 1e-9
    return bool(a != b)


def compare(before: dict[str, Any], after: dict[str, Any]) -> int:
    wrong = 0
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, {}), after.get(name, {})
        keys = sorted((old.keys() | new.keys()) - {"receipt"})
        changed = [key for key in keys if far(old.get(key), new.get(key))]
        if not changed:
            continue
        words = [row.get("verdict", "missing") for row in (old, new)]
        mark = ""
        if words[0] != words[1] and all(word in ORDER for word in words):
            rose = ORDER.index(words[1]) > ORDER.index(words[0])
            forbidden = rose and words[0] in NEGATIVE and words[1] not in NEGATIVE
            wrong += forbidden
            mark = " FORBIDDEN" if forbidden else " rises" if rose else " falls"
        print(f"{name}: {words[0]} -> {words[1]}{mark}: {', '.join(changed)}")
        if words[0] != words[1]:
            print("    " + " | ".join(new.get("reasons", [])))
    return wrong


def main(word: str, *paths: str) -> int:
    if word == "record":
        rows = (*shelf(), *receipts(), *statements())
        found = {name: judged(name, problem, theta) for name, problem, theta in rows}
        Path(paths[0]).write_text(json.dumps(found, indent=1))
        return 0
    known = json.loads(Path(paths[0]).read_text())
    if word == "compare":
        return compare(known, json.loads(Path(paths[1]).read_text()))
    for name, row in known.items():
        if "receipt" in row:
            verified = verify_receipt(Receipt.from_bytes(base64.b64decode(row["receipt"])))
            print(f"{name}: {verified.verdict.value}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
