"""How every benchmark measures: CPU seconds, memory at the peak, limits, the machine."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Generic, TypeVar, final

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

__all__ = [
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

_PACKAGES: Final = (
    "lexmargin", "numpy", "scipy", "cvxpy", "clarabel", "highspy", "daqp", "casadi", "cyipopt",
    "pyomo", "scikit-learn", "unopy",
)  # fmt: skip

_PATIENCE: Final = 10.0
"""Wall seconds for each CPU second of a limit: the share of a core on a very busy machine."""

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


def timed(
    work: Callable[[], T],
    runs: int = 5,
    budget: float = 5.0,
    clock: Callable[[], float] = time.process_time,
) -> Timing[T]:
    """Run ``work`` up to ``runs`` times, fewer once ``budget`` seconds are spent.

    CPU seconds, because wall time on a shared machine measures the neighbours; wall seconds by
    another ``clock`` where waiting is what is measured.
    """
    seconds: list[float] = []
    while True:
        began = clock()
        result = work()
        seconds.append(clock() - began)
        if len(seconds) >= runs or sum(seconds) >= budget:
            return Timing(tuple(seconds), result)


@final
@dataclass(frozen=True)
class Unanswered:
    """Why work gave nothing, and the CPU seconds it had until its time was up; else NaN."""

    why: str
    spent: float = math.nan


def within(work: Callable[[], T], limit: float) -> T | Unanswered:
    """Return what ``work`` returns in a forked process, or why it gave nothing in ``limit`` CPU s.

    CPU seconds here too: a busy machine must not take an answer away. One that waits instead of
    working is ended after ``_PATIENCE`` times as many wall seconds.
    """
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    before = _children_seconds()
    child = context.Process(target=_send, args=(there, work), daemon=True)
    child.start()
    there.close()
    began = time.monotonic()
    try:
        while not here.poll(min(0.1, limit)):
            waited = time.monotonic() - began
            if _process_seconds(child.pid, waited) > limit or waited > _PATIENCE * limit:
                break
        else:
            found: T | Unanswered = here.recv()
            return found
    except EOFError:
        return Unanswered("the process died")
    finally:
        child.kill()
        child.join()
    return Unanswered(f"no answer in {limit:.3g} s", _children_seconds() - before)


def _process_seconds(pid: int | None, otherwise: float) -> float:
    """Return the CPU seconds of a running process; ``otherwise`` where the system tells none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return otherwise


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


def measured(
    work: Callable[[], T],
    runs: int = 5,
    budget: float = 5.0,
    clock: Callable[[], float] = time.process_time,
) -> tuple[Timing[T], float]:
    """Return the timing of ``work`` and the bytes by which a run raises the memory at its peak.

    The first run also loads what is loaded once; where there is time for more, they are measured.
    """
    kept: list[Timing[T]] = []

    def some(count: int, left: float) -> float:
        memory = peak_memory(lambda: kept.append(timed(work, count, left, clock)))
        if not kept:
            kept.append(timed(work, count, left, clock))
        return memory

    memory = some(1, budget)
    spent = kept[0].seconds[0]
    if runs > 1 and spent < budget:
        memory = some(runs - 1, budget - spent)
    return Timing(tuple(s for one in kept for s in one.seconds), kept[-1].result), memory


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
