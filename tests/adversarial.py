"""A search for false words: families of deceptive directions, each with an oracle of its own.

`make adversarial` runs 100,000 directions, spread over the families by their price, and prints one
row per family. A false word, or a true point that is refused, ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import zlib
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Final

from adversarial_common import Family, Row, count

_PREFIX: Final = "adversarial_"
_BATCH: Final = 250
_COLUMNS: Final = (
    "directions",
    "certified",
    "saddles",
    "refuted",
    "undecided",
    "errors",
    "wrong",
    "refused",
)


def families() -> dict[str, tuple[Family, float]]:
    """Return every family of the modules beside this one, with its share of the directions.

    A module may name ``SHARES``, below 1 for families whose oracle is dear.
    """
    found: dict[str, tuple[Family, float]] = {}
    for path in sorted(Path(__file__).parent.glob(f"{_PREFIX}*.py")):
        module = import_module(path.stem)
        shares = getattr(module, "SHARES", {})
        for name, family in getattr(module, "FAMILIES", {}).items():
            if name in found:
                raise ValueError(f"two families are called {name!r}")
            found[name] = family, float(shares.get(name, 1.0))
    return found


def _batch(name: str, directions: int, seed: int, index: int) -> Row:
    family, _ = families()[name]
    return count(name, family, directions, [seed, zlib.crc32(name.encode()), index])


def _added(rows: list[Row]) -> Row:
    total = Row(rows[0].family)
    for row in rows:
        for column in _COLUMNS:
            setattr(total, column, getattr(total, column) + getattr(row, column))
        total.complaints += row.complaints
    return total


def main() -> int:
    """Print the table; the exit code is 1 if any word was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", default="", help="only families with this in their names")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    chosen = {name: f for name, f in families().items() if options.family in name}
    whole = sum(share for _, share in chosen.values())
    print(f"{'family':<44}" + "".join(f"{name:>11}" for name in _COLUMNS))
    bad, total = 0, 0
    with ProcessPoolExecutor(options.workers) as pool:
        jobs = {}
        for name, (_, share) in chosen.items():
            wanted = max(1, round(options.directions * share / whole))
            sizes = [min(_BATCH, wanted - first) for first in range(0, wanted, _BATCH)]
            jobs[name] = [
                pool.submit(_batch, name, size, options.seed, index)
                for index, size in enumerate(sizes)
            ]
        for name, batches in jobs.items():
            row = _added([job.result() for job in batches])
            counts = "".join(f"{getattr(row, column):>11}" for column in _COLUMNS)
            print(f"{name:<44}{counts}", flush=True)
            for complaint in row.complaints[:5]:
                print("  ", complaint)
            bad += row.wrong + row.refused
            total += row.directions
    print(f"{total} directions, {len(chosen)} families, {bad} false words or refused points")
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
