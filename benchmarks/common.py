"""What every benchmark measures: medians with spread, ratios, growth, memory, the machine."""

from __future__ import annotations

import ctypes
import json
import math
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, final

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

__all__ = [
    "OUT",
    "Bench",
    "Ratio",
    "Row",
    "Timing",
    "Unanswered",
    "available_memory",
    "fitted_exponent",
    "machine",
    "machine_facts",
    "measured",
    "median_with_spread",
    "peak_memory",
    "timed",
    "within",
]

T = TypeVar("T")

OUT: Final = Path(__file__).resolve().parents[1] / "out" / "bench"
"""Where every benchmark leaves ``<name>.json``; the page is made from these files."""

_PACKAGES: Final = (
    "lexmargin", "numpy", "scipy", "cvxpy", "clarabel", "highspy", "daqp", "casadi", "cyipopt",
    "pyomo", "scikit-learn",
)  # fmt: skip

# Waiting BLAS threads spin, which costs small problems ten times their time. The variables reach
# libraries that are loaded later, the call those that are loaded already.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
threadpool_limits(1)


@final
@dataclass(frozen=True)
class Timing(Generic[T]):
    """CPU seconds of each run (of all its threads), and the last result."""

    seconds: tuple[float, ...]
    result: T

    @property
    def median(self) -> float:
        """Median seconds."""
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        return median_with_spread(self.seconds)


def median_with_spread(seconds: Sequence[float]) -> str:
    """Return ``median s [smallest, largest]``."""
    return f"{statistics.median(seconds):.4g} s [{min(seconds):.4g}, {max(seconds):.4g}]"


def timed(work: Callable[[], T], runs: int = 5, budget: float = 5.0) -> Timing[T]:
    """Run ``work`` up to ``runs`` times, fewer once ``budget`` seconds are spent.

    CPU seconds, because wall time on a shared machine measures the neighbours.
    """
    seconds: list[float] = []
    while True:
        began = time.process_time()
        result = work()
        seconds.append(time.process_time() - began)
        if len(seconds) >= runs or sum(seconds) >= budget:
            return Timing(tuple(seconds), result)


@final
@dataclass(frozen=True)
class Unanswered:
    """Why work gave nothing, and the CPU seconds it had until its time was up; else NaN."""

    why: str
    spent: float = math.nan


def within(work: Callable[[], T], limit: float) -> T | Unanswered:
    """Return what ``work`` returns in a forked process, or why it gave nothing in ``limit`` s."""
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    before = _children_seconds()
    child = context.Process(target=_send, args=(there, work), daemon=True)
    child.start()
    there.close()
    late = False
    try:
        late = not here.poll(limit)
        if not late:
            found: T | Unanswered = here.recv()
            return found
    except EOFError:
        return Unanswered("the process died")
    finally:
        child.kill()
        child.join()
    return Unanswered(f"no answer in {limit:.3g} s", _children_seconds() - before)


def _children_seconds() -> float:
    """Return the CPU seconds of all processes of ours that have ended, killed ones included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _send(there: Connection, work: Callable[[], object]) -> None:
    try:
        result = work()
    except Exception as error:
        result = Unanswered(f"{type(error).__name__}: {error}".splitlines()[0])
    there.send(result)


def fitted_exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the exponent of ``seconds ~ size^exponent``, least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def peak_memory(work: Callable[[], object]) -> float:
    """Return by how many bytes ``work`` raises the resident memory at its peak; nan off Linux."""
    try:
        # What the allocator keeps from earlier work would hide what this work needs.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _memory("VmRSS")
        work()
        return _memory("VmHWM") - before
    except (OSError, AttributeError):
        return float("nan")


def measured(work: Callable[[], T], runs: int = 5, budget: float = 5.0) -> tuple[Timing[T], float]:
    """Return the timing of ``work`` and the bytes by which its runs raised the memory."""
    kept: list[Timing[T]] = []
    memory = peak_memory(lambda: kept.append(timed(work, runs, budget)))
    return (kept or [timed(work, runs, budget)])[0], memory


def available_memory() -> float:
    """Return the bytes that can be had now; infinity where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024.0 * next(float(x.split()[1]) for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return math.inf


def _memory(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024.0 * float(line.split()[1])
    raise OSError(f"no {name}")


def machine_facts() -> dict[str, str]:
    """Return the processor, its cores, the BLAS threads, and the versions of what was measured."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.machine()
    threads = max((int(found["num_threads"]) for found in threadpool_info()), default=1)
    facts = {
        "processor": name,
        "cores": str(os.cpu_count()),
        "BLAS threads": str(threads),
        "system": platform.system(),
        "Python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def machine() -> str:
    """Return one line: processor, cores, Python, NumPy and the threads BLAS may use."""
    facts = machine_facts()
    return (
        f"{facts['processor']}, {facts['cores']} cores, Python {facts['Python']}, "
        f"NumPy {facts['numpy']}, BLAS threads {facts['BLAS threads']}"
    )


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
        figures: further named numbers (an objective, a gap, a share of certified starts).
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

    @property
    def least(self) -> float:
        """Median seconds, or the seconds that were not enough; NaN where neither is known."""
        return self.median if self.seconds else self.spent

    @property
    def median(self) -> float:
        """Median seconds; NaN without an answer."""
        return statistics.median(self.seconds) if self.seconds else math.nan

    def __str__(self) -> str:
        parts = [median_with_spread(self.seconds) if self.seconds else "no answer"]
        if not math.isnan(self.stationarity):
            parts.append(f"ε {self.stationarity:.1e}")
        if not math.isnan(self.complementarity):
            parts.append(f"δ {self.complementarity:.1e}")
        parts += [self.verdict] if self.verdict else []
        parts += [f"{name} {value:.6g}" for name, value in self.figures.items()]
        if not math.isnan(self.memory):
            parts.append(f"{self.memory / 2**20:.0f} MiB")
        parts += [self.note] if self.note else []
        return f"  {self.method:<26}{parts[0]:<34}{', '.join(parts[1:])}"


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

    def __init__(self, name: str, title: str, ours: str) -> None:
        self.name, self.title, self.ours = name, title, ours
        self._rows: list[Row] = []
        self._ratios: list[dict[str, Any]] = []
        self._growth: list[dict[str, Any]] = []
        self._targets: list[dict[str, Any]] = []
        self._remarks: list[str] = []
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
            print(f"-> {self.write()}", flush=True)

    def add(self, row: Row) -> Row:
        """Print and keep a row; the instance is named above its first one."""
        if not self._rows or self._rows[-1].instance != row.instance:
            print(f"\n{row.instance}")
        print(row, flush=True)
        self._rows.append(row)
        return row

    def find(self, instance: str, method: str) -> Row | None:
        """Return the row of a method on an instance."""
        return next((r for r in self._rows if (r.instance, r.method) == (instance, method)), None)

    def ratios(self, instance: str, ours: str | None = None) -> dict[str, Ratio]:
        """Print, keep and return how many times slower every peer is than ours, by medians.

        A peer that was stopped has the ratio of what it had spent by then, a lower bound.
        """
        base = self.find(instance, ours or self.ours)
        if base is None or not base.seconds:
            return {}
        found = {
            row.method: Ratio(row.least / base.median, not row.seconds)
            for row in self._rows
            if row.instance == instance and row.method != base.method
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
            }
        )
        text = ", ".join(f"{size:g}: {s:.4g} s" for size, s in zip(sizes, seconds, strict=True))
        print(f"  growth of {method}: {text} ~ {variable}^{exponent:.2f}", flush=True)
        return exponent

    def target(self, what: str, reached: float, wanted: float, *, at_least: bool = True) -> bool:
        """Print, keep and return whether a figure reaches what is asked of it."""
        met = reached >= wanted if at_least else reached <= wanted
        self._targets.append(
            {"what": what, "reached": reached, "wanted": wanted, "at_least": at_least, "met": met}
        )
        sign, word = ("≥" if at_least else "≤"), ("met" if met else "NOT met")
        print(f"  -> {what}: {reached:.4g} (target {sign} {wanted:g}): {word}", flush=True)
        return met

    def remark(self, text: str) -> None:
        """Print and keep what stands below the goals: where the time of a missed one goes."""
        print(f"  -> {text}", flush=True)
        self._remarks.append(text)

    def write(self, folder: Path = OUT) -> Path:
        """Write everything kept; numbers that are not finite become null."""
        document = {
            "name": self.name,
            "title": self.title,
            "ours": self.ours,
            "machine": machine_facts(),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "wall_seconds": time.time() - self._began,
            "cpu_seconds": sum(os.times()[:4]),
            "rows": [{**asdict(row), "median": row.median} for row in self._rows],
            "ratios": self._ratios,
            "growth": self._growth,
            "targets": self._targets,
            "remarks": self._remarks,
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
