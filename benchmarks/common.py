"""What every benchmark keeps: rows, ratios, growth and goals, for one seed or several."""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, final

import numpy as np
from measure import fitted_exponent, machine, machine_facts, median_with_spread

__all__ = ["OUT", "Bench", "Options", "Ratio", "Role", "Row", "options"]

OUT: Final = Path(__file__).resolve().parents[1] / "out" / "bench"
"""Where every benchmark leaves ``<name>.json``; the page is made from these files."""

ENOUGH: Final = 1e-6
"""A peer whose residual is larger has not solved the problem: no goal is measured by its speed."""


@final
@dataclass(frozen=True)
class Options:
    """What the command line asks of a benchmark.

    Attributes:
        seeds: of the random instances, one run each.
        limit: wall seconds of a peer.
        only: measure the instances alone whose name holds this.
        long: whether more than one seed is asked.
    """

    seeds: tuple[int, ...]
    limit: float
    only: str

    @property
    def long(self) -> bool:
        return len(self.seeds) > 1

    def wants(self, name: str) -> bool:
        """Return whether an instance is to be measured."""
        return self.only in name


def options(about: str | None, limit: float) -> Options:
    """Read the command line; without a seed the date is it, so that every day has fresh data."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    today = int(time.strftime("%Y%m%d", time.gmtime()))
    parser.add_argument("--seed", type=int, default=today, help="of the first run's instances")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs, each with a seed")
    parser.add_argument("--limit", type=float, default=limit, help="wall seconds of a peer")
    parser.add_argument("--only", default="", help="a part of the names of the instances")
    asked = parser.parse_args()
    seeds = tuple(range(asked.seed, asked.seed + asked.seeds))
    return Options(seeds, asked.limit, asked.only)


class Role(StrEnum):
    """Who answered: what a user calls, its engine without the certificate, or somebody else."""

    OURS = "ours"
    ENGINE = "engine"
    PEER = "peer"


@final
@dataclass(frozen=True)
class Row:
    """One method on one instance. An empty ``seconds`` means no answer; ``note`` says why.

    Attributes:
        instance, method: what was solved, and by whom.
        seconds: CPU seconds of every run.
        stationarity, complementarity: of the answer, as our certificate measures them.
        verdict: our certificate's word.
        memory: bytes by which the work raised the resident memory at its peak.
        note: why there is no answer, or a remark.
        spent: CPU seconds after which a method without an answer was stopped; else NaN.
        figures: further named numbers (an objective, a share of certified starts).
        role: see :class:`Role`.
        gap: relative distance of the answer to a proven bound.
        data: bytes of the instance.
    """

    instance: str
    method: str
    seconds: tuple[float, ...] = ()
    stationarity: float = math.nan
    complementarity: float = math.nan
    verdict: str = ""
    memory: float = math.nan
    note: str = ""
    spent: float = math.nan
    figures: Mapping[str, float] = field(default_factory=dict)
    role: Role = Role.PEER
    gap: float = math.nan
    data: float = math.nan

    @property
    def least(self) -> float:
        """Median seconds, or the seconds that were not enough; NaN where neither is known."""
        return self.median if self.seconds else self.spent

    @property
    def median(self) -> float:
        """Median seconds; NaN without an answer."""
        return statistics.median(self.seconds) if self.seconds else math.nan

    @property
    def residual(self) -> float:
        """The gap, or ε where no bound is known."""
        return self.stationarity if math.isnan(self.gap) else self.gap

    def __str__(self) -> str:
        parts = [median_with_spread(self.seconds) if self.seconds else "no answer"]
        words = (("gap", self.gap), ("ε", self.stationarity), ("δ", self.complementarity))
        parts += [f"{word} {value:.1e}" for word, value in words if not math.isnan(value)]
        parts += [self.verdict] if self.verdict else []
        parts += [f"{name} {value:.6g}" for name, value in self.figures.items()]
        if not math.isnan(self.memory):
            parts.append(f"{self.memory / 2**20:.0f} MiB")
        if not math.isnan(self.memory / self.data):
            parts.append(f"{self.memory / self.data:.3g} x the data")
        parts += [self.note] if self.note else []
        return f"  {self.method:<28}{parts[0]:<34}{', '.join(parts[1:])}"


@final
@dataclass(frozen=True)
class Ratio:
    """How many times slower a method is than ours; ``bound`` where it was stopped before."""

    value: float
    bound: bool

    def __str__(self) -> str:
        return f"{'at least ' if self.bound else ''}{self.value:.3g}"

    @property
    def words(self) -> str:
        """What to add to the name of a goal."""
        return ", at least" if self.bound else ""


@final
class Bench:
    """The rows of one benchmark: printed as they come, written to ``out/bench/<name>.json``.

    Use as ``with Bench("multipliers", "Multipliers of a direction", ours="lexmargin") as bench``;
    the file is written when the block ends without an error. ``ours`` is the method that every
    other one is compared with, unless a call names another.
    """

    def __init__(self, name: str, title: str, ours: str, seeds: Sequence[int] = (0,)) -> None:
        self.name, self.title, self.ours = name, title, ours
        self.seeds, self.seed = tuple(seeds), seeds[0]
        self._rows: list[tuple[int, Row]] = []
        self._ratios: list[dict[str, Any]] = []
        self._growth: list[dict[str, Any]] = []
        self._targets: list[dict[str, Any]] = []
        self._began = time.time()

    def __enter__(self) -> Self:
        print(f"{self.title}\n{machine()}", flush=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._summary()
            print(f"-> {self.write()}", flush=True)

    def each_seed(self) -> Iterator[int]:
        """Yield the seeds one after another; what is added meanwhile belongs to the seed."""
        for seed in self.seeds:
            self.seed = seed
            print(f"\nseed {seed}", flush=True)
            yield seed

    def generator(self, *words: int) -> np.random.Generator:
        """Return a fresh generator of the present seed, the same for the same words."""
        return np.random.default_rng([self.seed, *words])

    def add(self, row: Row) -> Row:
        """Print and keep a row; the instance is named above its first one."""
        if not self._rows or self._rows[-1][1].instance != row.instance:
            print(f"\n{row.instance}")
        print(row, flush=True)
        self._rows.append((self.seed, row))
        return row

    def find(self, instance: str, method: str) -> Row | None:
        """Return the row of a method on an instance, of the present seed."""
        wanted = (self.seed, instance, method)
        return next((r for s, r in self._rows if (s, r.instance, r.method) == wanted), None)

    def rows(self, instance: str) -> list[Row]:
        """Return the rows of an instance, of the present seed."""
        return [row for seed, row in self._rows if (seed, row.instance) == (self.seed, instance)]

    def own(self, instance: str) -> Row | None:
        """Return the row of what a user of this package calls."""
        return next((row for row in self.rows(instance) if row.role is Role.OURS), None)

    def fastest(self, instance: str) -> Row | None:
        """Return the fastest peer whose answer is one, or the one that was stopped last."""
        peers = [row for row in self.rows(instance) if row.role is Role.PEER]
        good = [row for row in peers if row.seconds and not row.residual > ENOUGH]
        late = [row for row in peers if not row.seconds and math.isfinite(row.spent)]
        return min(good or late, key=lambda row: row.least, default=None)

    def ratios(self, instance: str, ours: str | None = None) -> dict[str, Ratio]:
        """Print, keep and return how many times slower every other is than ours, by medians.

        One that was stopped has the ratio of what it had spent by then, a lower bound.
        """
        base = self.find(instance, ours or self.ours)
        if base is None or not base.seconds:
            return {}
        found = {
            row.method: Ratio(row.least / base.median, not row.seconds)
            for row in self.rows(instance)
            if row.method != base.method
            if math.isfinite(row.least)
        }
        for method, one in found.items():
            self._ratios.append(
                {
                    "instance": instance,
                    "method": method,
                    "ours": base.method,
                    "ratio": one.value,
                    "bound": one.bound,
                    "seed": self.seed,
                }
            )
        if found:
            text = ", ".join(f"{one} x {method}" for method, one in found.items())
            print(f"  -> {base.method}: {text}", flush=True)
        return found

    def growth(
        self, method: str, variable: str, sizes: Sequence[float], seconds: Sequence[float]
    ) -> float:
        """Print, keep and return the fitted exponent of ``seconds ~ size^exponent``."""
        exponent = fitted_exponent(sizes, seconds)
        self._growth.append(
            {
                "method": method,
                "variable": variable,
                "sizes": list(sizes),
                "seconds": list(seconds),
                "exponent": exponent,
                "seed": self.seed,
            }
        )
        text = ", ".join(f"{size:g}: {s:.4g} s" for size, s in zip(sizes, seconds, strict=True))
        print(f"  growth of {method}: {text} ~ {variable}^{exponent:.2f}", flush=True)
        return exponent

    def target(self, what: str, reached: float, wanted: float, *, at_least: bool = True) -> bool:
        """Print, keep and return whether a figure reaches what is asked of it."""
        met = bool(reached >= wanted if at_least else reached <= wanted)
        self._targets.append(
            {
                "what": what,
                "reached": float(reached),
                "wanted": wanted,
                "at_least": at_least,
                "met": met,
                "seed": self.seed,
            }
        )
        sign, word = ("≥" if at_least else "≤"), ("met" if met else "NOT met")
        print(f"  -> {what}: {reached:.4g} (target {sign} {wanted:g}): {word}", flush=True)
        return met

    def _summary(self) -> None:
        """Print every goal over the seeds."""
        if len(self.seeds) == 1:
            return
        print(f"\ngoals over {len(self.seeds)} seeds: median [smallest, largest]")
        for what in dict.fromkeys(target["what"] for target in self._targets):
            same = [target for target in self._targets if target["what"] == what]
            values = [target["reached"] for target in same]
            text = f"{statistics.median(values):.4g} [{min(values):.4g}, {max(values):.4g}]"
            met = sum(target["met"] for target in same)
            sign = "≥" if same[0]["at_least"] else "≤"
            print(f"  {what}: {text} (target {sign} {same[0]['wanted']:g}): {met} of {len(same)}")

    def write(self, folder: Path = OUT) -> Path:
        """Write everything kept; numbers that are not finite become null."""
        document = {
            "name": self.name,
            "title": self.title,
            "ours": self.ours,
            "seeds": self.seeds,
            "machine": machine_facts(),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "wall_seconds": time.time() - self._began,
            "cpu_seconds": sum(os.times()[:4]),
            "rows": [
                {**asdict(row), "median": row.median, "seed": seed} for seed, row in self._rows
            ],
            "ratios": self._ratios,
            "growth": self._growth,
            "targets": self._targets,
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        partial = path.with_suffix(".partial")
        text = json.dumps(_finite(document), ensure_ascii=False, indent=1, allow_nan=False)
        partial.write_text(text + "\n")
        partial.replace(path)
        return path


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    if isinstance(value, (bool, str)) or value is None:
        return value
    return value if isinstance(value, int) else (float(value) if math.isfinite(value) else None)
