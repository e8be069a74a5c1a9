"""Whatever a user gives is read or refused by a named error: a slice here, 50,000 in the long test.

Run by hand as ``python tests/test_fuzz_inputs.py FAMILY COUNT``; prints the slowest case and the
peak of memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fuzz_families import FAMILIES
from lexmargin.errors import LexmarginError

SLICE = 25
LONGEST = 2.0
"""Seconds of CPU for one case of the long run."""
PEAK = 512
"""MiB of the process of one family."""


def fuzzed(name: str, count: int, first: int = 0) -> dict[str, Any]:
    """Run cases of one family; return how many were read and the slowest one's CPU seconds."""
    family, _, foreign = FAMILIES[name]
    found = {"cases": 0, "read": 0, "slowest": 0.0}

    @settings(
        max_examples=count, derandomize=not first, deadline=None, database=None,
        phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=st.data())
    def case(data: st.DataObject) -> None:
        began = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                family(data)
                found["read"] += 1
            except (LexmarginError, *foreign):
                pass
        found["cases"] += 1
        found["slowest"] = max(found["slowest"], time.process_time() - began)

    (seed(first)(case) if first else case)()
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_a_slice_of_every_family_is_read_or_named(name: str) -> None:
    found = fuzzed(name, SLICE)
    assert found["cases"] >= SLICE // 2


@pytest.mark.long
@pytest.mark.parametrize("name", FAMILIES)
def test_many_cases_are_read_or_named_at_once_and_in_little_memory(name: str) -> None:
    """In a process of its own, so that neither a crash nor memory is blamed on others."""
    count = FAMILIES[name][1]
    done = subprocess.run(
        [sys.executable, __file__, name, str(count)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["cases"] >= count // 2 and found["read"] > 0
    assert found["slowest"] < LONGEST and found["peak"] < PEAK, found


def test_the_long_run_is_long_enough() -> None:
    assert sum(count for _, count, _ in FAMILIES.values()) >= 50_000


if __name__ == "__main__":
    report = fuzzed(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({**report, "peak": peak}))
