"""Whatever befalls a comparison, no unit of it is lost, doubled or changed."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compare_stubs import Killer, contents
from lexmargin.compare import DaskCluster, Executor, Processes, ResultsError, Serial, Store, compare
from lexmargin.compare.comparison import Progress, carry_out, read_back
from lexmargin.compare.jobs import Limits, Unit, canonical
from lexmargin.compare.pages.reading import sealed
from lexmargin.compare.plan import plan
from lexmargin.errors import LexmarginError
from lexmargin.processes.nursery import End
from lexmargin.processes.owner import Nursery
from lexmargin.shelf.library import Library

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")

LIBRARY = Library()
LONG = pytest.mark.long
PROBLEMS = ["linear/norms-two-points-l2", "linear/norms-two-points-l1"]


def units_of(count: int) -> tuple[Unit, ...]:
    """So many units, each of a moment."""
    return plan(LIBRARY, PROBLEMS, ["clarabel", "highs"], seeds=range(count // 4))


def kept(
    units: tuple[Unit, ...], executor: Executor, folder: Path, progress: Progress | None = None
) -> dict[str, str]:
    table = carry_out(units, executor, Store(folder), LIBRARY, progress)
    assert [row.key for row in table.rows] == [unit.key for unit in units]
    return contents(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, str]]:
    """What an undisturbed run writes of so many units."""
    known: dict[int, dict[str, str]] = {}

    def of(count: int) -> dict[str, str]:
        if count not in known:
            folder = tmp_path_factory.mktemp("whole")
            known[count] = kept(units_of(count), Serial(), folder)
        return known[count]

    return of


SENT = [
    pytest.param(signal.SIGKILL, 4, 4, id="SIGKILL-4"),
    pytest.param(signal.SIGSTOP, 2, 4, id="SIGSTOP-2"),
    pytest.param(signal.SIGKILL, 200, 200, id="SIGKILL-200", marks=LONG),
    pytest.param(signal.SIGSTOP, 50, 200, id="SIGSTOP-50", marks=LONG),
]
ROUNDS = 50
"""Comparisons run until all signals are sent; a killer that finds nobody must not go on."""


@pytest.mark.parametrize(("sent", "count", "units"), SENT)
def test_signals_to_any_process_of_ours(
    tmp_path: Path, sent: int, count: int, units: int, whole: Callable[[int], dict[str, str]]
) -> None:
    """Nurseries, from which the others are forked, included."""
    killer = Killer(count, sent, paced=True)
    killer.start()
    try:
        for name in range(ROUNDS):
            folder = tmp_path / str(name)
            assert kept(units_of(units), Processes(2), folder, killer.progress) == whole(units)
            if not killer.left:
                break
    finally:
        killer.end()
    assert not killer.left, f"only {count - killer.left} of {count} were sent"


FORGERIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another verdict": lambda record: record | {"verdict": "XGLOBAL"},
    "another verdict, sealed": lambda record: resealed(record, verdict="XGLOBAL"),
    "certified by hand": lambda record: resealed(record, certified=not record["certified"]),
    "a word less": lambda record: record | {"verdict": "KKT"},
    "another claim": lambda record: resealed(record, claim="SURE"),
    "another status": lambda record: resealed(record, ran="DONE"),
    "a margin in words": lambda record: resealed(record, margin="large"),
    "a negative residual": lambda record: resealed(record, stationarity=-1.0),
    "true as a margin": lambda record: resealed(record, margin=True),
    "a direction that is none": lambda record: resealed(record, direction={"x": 1}),
    "nested directions": lambda record: resealed(record, direction=[[1.0]]),
    "the unit of another": lambda record: resealed(record, unit=record["unit"] | {"seed": 99}),
    "no unit": lambda record: {n: v for n, v in record.items() if n != "unit"},
    "no seal": lambda record: {n: v for n, v in record.items() if n != "sha256"},
    "one member more": lambda record: resealed(record, more=1),
    "a list": lambda record: [record],
    "nothing": lambda record: None,
}


def resealed(record: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return sealed({n: v for n, v in record.items() if n != "sha256"} | changes)


def damages(content: bytes, count: int) -> Iterator[bytes]:
    """Torn, flipped, nested and forged records."""
    chance = random.Random(0)
    record = json.loads(content)
    for forge in FORGERIES.values():
        yield canonical(forge(record))
    yield from (b"", b"[" * 100_000, b"\xff" * 50, b'{"ran": NaN}', content * 2, content[:-1])
    for _ in range(count):
        place, bit = chance.randrange(len(content)), 1 << chance.randrange(8)
        flipped = bytearray(content)
        flipped[place] ^= bit
        yield bytes(flipped)
        yield content[:place]


@pytest.mark.parametrize("count", [20, pytest.param(2000, marks=LONG)])
def test_no_damaged_record_is_believed(tmp_path: Path, count: int) -> None:
    (unit,) = plan(LIBRARY, PROBLEMS[:1], ["clarabel"])
    carry_out([unit], Serial(), Store(tmp_path), LIBRARY)
    store, path = Store(tmp_path), Store(tmp_path).result_path(unit.key)
    content = path.read_bytes()
    assert store.has(unit.key)
    for damaged in damages(content, count):
        path.write_bytes(damaged)
        assert not store.has(unit.key), damaged[:200]
        with pytest.raises(ResultsError):
            read_back(store, LIBRARY)
    path.unlink()
    os.mkfifo(path)
    assert not store.has(unit.key)


def test_damaged_records_are_done_again(
    tmp_path: Path, whole: Callable[[int], dict[str, str]]
) -> None:
    units = units_of(8)
    kept(units, Serial(), tmp_path)
    damaged = list(damages(Store(tmp_path).result_path(units[0].key).read_bytes(), 2))
    for unit, content in zip(units, damaged, strict=False):
        Store(tmp_path).result_path(unit.key).write_bytes(content)
    for name in (tmp_path / "measures").iterdir():
        name.write_bytes(b"[" * 100_000)
    assert len(read_back_failures(tmp_path)) == 1
    assert kept(units, Processes(2), tmp_path) == whole(8)


def read_back_failures(folder: Path) -> list[LexmarginError]:
    try:
        read_back(Store(folder), LIBRARY)
    except LexmarginError as error:
        return [error]
    return []


@pytest.mark.parametrize(
    "keys", [["../../etc"], ["0" * 32] * 2, [3], "all", None, ["g" * 32]], ids=str
)
def test_a_comparison_file_that_is_none_is_named(tmp_path: Path, keys: Any) -> None:
    Store(tmp_path).prepare()
    (tmp_path / "comparison.json").write_bytes(canonical({"units": keys}))
    with pytest.raises(ResultsError):
        Store(tmp_path).comparison()


FULL = """
import resource, sys
from pathlib import Path
from lexmargin.compare import Serial, Store
from lexmargin.compare.comparison import carry_out
from lexmargin.errors import LexmarginError
from lexmargin.shelf.library import Library
import test_faults
limit = int(sys.argv[2])
units = test_faults.units_of(8)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    carry_out(units, Serial(), Store(Path(sys.argv[1])), Library())
except LexmarginError as error:
    print(error.code)
"""


@pytest.mark.parametrize("times", [1, pytest.param(50, marks=LONG)])
def test_a_full_disk_stops_a_comparison_which_goes_on_later(
    tmp_path: Path, times: int, whole: Callable[[int], dict[str, str]]
) -> None:
    """At another size of the largest file each time, from before the first to after the last."""
    from process_stubs import fresh

    largest = 0
    for name in range(times):
        folder = tmp_path / str(name)
        done = fresh(FULL, str(folder), str(100 + 37 * name), folder=tmp_path)
        assert done.stdout in ("results\n", "solver-failed\n", ""), done.stderr
        expected = whole(8)
        there = contents(folder) if (folder / "results").is_dir() else {}
        # What is there is whole and right; no half-written file lies beside it.
        assert there.items() <= expected.items()
        largest = max(largest, len(there))
        assert kept(units_of(8), Serial(), folder) == expected
    assert largest <= 8 and resource.getrlimit(resource.RLIMIT_FSIZE)[0] < 0


KILLED = """
import os, signal, sys
from pathlib import Path
from lexmargin.compare import Serial, Store
from lexmargin.compare.comparison import carry_out
from lexmargin.shelf.library import Library
import test_faults
wanted, replaced = sys.argv[2], os.replace
def kill(draft, target):
    if target.name == wanted or target.parent.name == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
    replaced(draft, target)
os.replace = kill
carry_out(test_faults.units_of(4), Serial(), Store(Path(sys.argv[1])), Library())
"""


@pytest.mark.parametrize("wanted", ["format.json", pytest.param("results", marks=LONG)])
def test_a_comparison_killed_while_it_writes_goes_on_and_leaves_no_draft(
    tmp_path: Path, wanted: str, whole: Callable[[int], dict[str, str]]
) -> None:
    from process_stubs import fresh

    folder = tmp_path / "out"
    done = fresh(KILLED, str(folder), wanted, folder=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert drafts(folder)
    assert kept(units_of(4), Serial(), folder) == whole(4)
    assert not drafts(folder)


def drafts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".lexmargin-")]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.mark.parametrize("times", [1, pytest.param(50, marks=LONG)])
@pytest.mark.parametrize(
    ("task", "payload", "seconds", "end"),
    [
        ("hang", {"tag": "faults"}, 0.5, End.TIME),
        ("devour", {"at_once": True}, 60.0, End.MEMORY),
        pytest.param("devour", {"at_once": False}, 60.0, End.MEMORY, marks=LONG),
        ("fail", {}, 60.0, End.RAISED),
        ("no_room", {}, 60.0, End.NO_ROOM),
    ],
)
def test_hangs_memory_exceptions_and_full_disks_of_a_child(
    nursery: Nursery, task: str, payload: dict[str, Any], seconds: float, end: End, times: int
) -> None:
    """Each ends alone, and the next child of the nursery answers."""
    for _ in range(times):
        reply = nursery.run(f"compare_stubs:{task}", payload, (seconds,), 256)
        assert reply.end is end
        assert nursery.run("compare_stubs:answer", {}, (60.0,), 256).end is End.ANSWERED


def test_a_time_limit_is_that_of_the_unit_not_of_a_suspended_machine(nursery: Nursery) -> None:
    """The nursery and its child are stopped for longer than the limit, and woken together."""
    import threading
    import time

    nursery.run("compare_stubs:answer", {}, (60.0,))

    def suspend() -> None:
        process = nursery._process
        assert process is not None
        subprocess.run(["pkill", "-STOP", "-s", str(process.pid)], check=False)
        time.sleep(3.0)
        subprocess.run(["pkill", "-CONT", "-s", str(process.pid)], check=False)

    thread = threading.Timer(0.3, suspend)
    thread.start()
    reply = nursery.run("compare_stubs:rest", {"seconds": 1.0}, (30.0,))
    thread.join()
    assert reply.end is End.ANSWERED


@LONG
@pytest.mark.backend("distributed")
@pytest.mark.filterwarnings("default")
def test_210_units_are_the_same_bytes_wherever_they_run(tmp_path: Path) -> None:
    """One after another, in processes, on dask with workers killed; and resumed on another."""
    problems = [*PROBLEMS, "linear/norms-two-points-linf", "networks/diagonal-2"]
    solvers = ["clarabel", "highs", "osqp", "scs", "daqp", "ipopt-casadi", "slsqp"]
    units = plan(LIBRARY, problems, solvers, seeds=range(8), limits=Limits(120.0))[:210]
    assert len(units) == 210
    serial = kept(units, Serial(), tmp_path / "serial")
    assert kept(units, Processes(2), tmp_path / "processes") == serial
    assert kept(units, DaskCluster(None, 2), tmp_path / "dask") == serial
    killer = Killer(2)
    killer.start()
    try:
        found = kept(units, DaskCluster(None, 2), tmp_path / "killed")
    finally:
        killer.end()
    assert found == serial and not killer.left
    # The scheduler is lost half-way, with all its workers; then the run is resumed.
    broken = tmp_path / "broken"
    import distributed

    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "threads_per_worker": 1}
    cluster = distributed.LocalCluster(n_workers=2, silence_logs=50, **options)

    def lose(done: int, total: int, line: str) -> None:
        if done == 60:
            cluster.close()

    with pytest.raises(LexmarginError):
        carry_out(units, DaskCluster(cluster.scheduler_address, 2), Store(broken), LIBRARY, lose)
    cluster.close()
    assert 60 <= len(contents(broken)) < 210
    assert kept(units, DaskCluster(None, 2), broken) == serial


@pytest.mark.backend("distributed")
@pytest.mark.filterwarnings("default")
def test_a_local_cluster_listens_on_the_loopback_address_alone(tmp_path: Path) -> None:
    heard: set[str] = set()

    def listen(done: int, total: int, line: str) -> None:
        from compare_stubs import descendants

        for process in [os.getpid(), *descendants(os.getpid())]:
            heard.update(listening(process))

    executor = DaskCluster(None, 1)
    compare(PROBLEMS[:1], ["clarabel"], executor=executor, progress=listen)
    # A scheduler and a worker, at the least.
    assert len(heard) >= 2 and all(address.startswith("0100007F:") for address in heard), heard


def listening(process: int) -> set[str]:
    """The addresses that a process listens on, as the kernel writes them."""
    sockets = set()
    try:
        for link in Path(f"/proc/{process}/fd").iterdir():
            name = os.readlink(link)
            if name.startswith("socket:["):
                sockets.add(name[8:-1])
    except OSError:
        return set()
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and parts[9] in sockets:
                found.add(parts[1])
    return found
