"""What every benchmark measures: medians with spread, ratios, growth, memory, the machine."""

from __future__ import annotations

import ctypes
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar, final

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

__all__ = ["Timing", "growth", "machine", "peak_memory", "ratio", "timed", "within"]

T = TypeVar("T")

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
        low, high = min(self.seconds), max(self.seconds)
        return f"{self.median:.4g} s [{low:.4g}, {high:.4g}]"


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


def within(work: Callable[[], T], limit: float) -> T | str:
    """Return what ``work`` returns in a forked process, or why it gave nothing in ``limit`` s."""
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(there, work), daemon=True)
    child.start()
    there.close()
    try:
        if not here.poll(limit):
            return f"no answer in {limit:g} s"
        found: T | str = here.recv()
        return found
    except EOFError:
        return "the process died"
    finally:
        child.kill()
        child.join()


def _send(there: Connection, work: Callable[[], object]) -> None:
    try:
        result = work()
    except Exception as error:
        result = f"{type(error).__name__}: {error}".splitlines()[0]
    there.send(result)


def ratio(slow: Timing[Any], fast: Timing[Any]) -> float:
    """How many times faster ``fast`` is, by medians."""
    return slow.median / fast.median


def growth(sizes: Sequence[float], seconds: Sequence[float]) -> float:
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


def _memory(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024.0 * float(line.split()[1])
    raise OSError(f"no {name}")


def machine() -> str:
    """Return one line: processor, cores, Python, NumPy and the threads BLAS may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.machine()
    threads = max((int(found["num_threads"]) for found in threadpool_info()), default=1)
    return (
        f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, BLAS threads {threads}"
    )
